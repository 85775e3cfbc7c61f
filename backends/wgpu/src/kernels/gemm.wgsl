// A matrix product of operands at any strides. A row's elements are loaded once for eight invocations.

@group(0) @binding(0) var<storage, read> a: array<OfA>;
@group(0) @binding(1) var<storage, read> b: array<u32>;

fn column_of_a(start: u32, row: u32, k: u32) -> vec4<f32> {
  let last = params.rows - 1u;
  let at = start + k * params.a_inner;
  return vec4<f32>(vec4(
    a[at + min(row, last) * params.a_row], a[at + min(row + 1u, last) * params.a_row],
    a[at + min(row + 2u, last) * params.a_row], a[at + min(row + 3u, last) * params.a_row]));
}

fn body(group: vec3<u32>, local: u32, lane: u32) {
  let at = place(group, local);
  var sum0 = mat4x4<f32>();
  var sum1 = mat4x4<f32>();
  let whole = params.inner & ~7u;
  for (var k = 0u; k < whole; k += 8u) {
    let own = k + (lane & 7u);
    publish(mat4x4(column_of_a(at.a, at.row, own), column_of_a(at.a, at.row + 4u, own),
      column_of_a(at.a, at.row + 8u, own), column_of_a(at.a, at.row + 12u, own)), lane);
    for (var j = 0u; j < 8u; j++) {
      let column = published(j);
      let e = (k + j) * params.b_inner;
      sum0 += column * element(b[word(at.b0 + e)], at.b0 + e);
      sum1 += column * element(b[word(at.b1 + e)], at.b1 + e);
    }
  }
  if (whole < params.inner) {
    let own = min(whole + (lane & 7u), params.inner - 1u);
    publish(mat4x4(column_of_a(at.a, at.row, own), column_of_a(at.a, at.row + 4u, own),
      column_of_a(at.a, at.row + 8u, own), column_of_a(at.a, at.row + 12u, own)), lane);
    for (var j = 0u; j < params.inner - whole; j++) {
      let column = published(j);
      let e = (whole + j) * params.b_inner;
      sum0 += column * element(b[word(at.b0 + e)], at.b0 + e);
      sum1 += column * element(b[word(at.b1 + e)], at.b1 + e);
    }
  }
  store_tile(group, at, sum0, sum1);
}
