// A matrix product of whole numbers by dot products of four bytes, for adapters that have them: eight numbers are four words, the upper
// slices of all and then the lower ones. Its rows are the same for all invocations of a workgroup, which a graphics processor loads once.

@group(0) @binding(0) var<storage, read> a: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<u32>>;

fn unit_of_a(start: u32) -> f32 {
  let at = params.a_units + start / params.inner;
  return bitcast<f32>(a[at >> 2u][at & 3u]);
}

fn unit_of_b(start: u32) -> f32 {
  let at = params.b_units + start / params.inner;
  return bitcast<f32>(b[at >> 2u][at & 3u]);
}

// What the upper slices take part in, in units of 128.
fn upper(x: vec4<u32>, y: vec4<u32>) -> i32 {
  if (SLICES == 1u) { return 0; }
  let both = dot4I8Packed(x.x, y.x) + dot4I8Packed(x.y, y.y);
  let crossed = dot4I8Packed(x.x, y.z) + dot4I8Packed(x.y, y.w) + dot4I8Packed(x.z, y.x) + dot4I8Packed(x.w, y.y);
  return 128 * both + crossed;
}

fn lower(x: vec4<u32>, y: vec4<u32>) -> i32 {
  return dot4I8Packed(x.z, y.z) + dot4I8Packed(x.w, y.w);
}

fn row_start(at: Place, i: u32) -> u32 {
  return at.a + min(at.row + i, params.rows - 1u) * params.a_row;
}

fn body(group: vec3<u32>, local: u32, lane: u32) {
  let at = place(group, local);
  var totals: array<vec2<f32>, 16>;
  for (var chunk = 0u; chunk < params.inner; chunk += CHUNK) {
    var high: array<vec2<i32>, 16>;
    var low: array<vec2<i32>, 16>;
    for (var k = chunk; k < min(chunk + CHUNK, params.inner); k += 8u) {
      let first = b[(at.b0 + k) >> 3u];
      let second = b[(at.b1 + k) >> 3u];
      for (var i = 0u; i < 16u; i++) {
        let row = a[(row_start(at, i) + k) >> 3u];
        high[i] += vec2(upper(row, first), upper(row, second));
        low[i] += vec2(lower(row, first), lower(row, second));
      }
    }
    for (var i = 0u; i < 16u; i++) {
      totals[i].x = pin(totals[i].x + rounded_once(high[i].x, low[i].x));
      totals[i].y = pin(totals[i].y + rounded_once(high[i].y, low[i].y));
    }
  }
  let unit0 = unit_of_b(at.b0);
  let unit1 = unit_of_b(at.b1);
  var sum0: mat4x4<f32>;
  var sum1: mat4x4<f32>;
  for (var i = 0u; i < 16u; i++) {
    let unit = unit_of_a(row_start(at, i));
    sum0[i / 4u][i % 4u] = scaled(totals[i].x, unit, unit0);
    sum1[i / 4u][i % 4u] = scaled(totals[i].y, unit, unit1);
  }
  store_tile(group, at, sum0, sum1);
}
