// A matrix product of whole numbers along the axis of the sums: those of the rows as f32, those of the columns two a word. Behind all
// numbers of an operand stand the units of its rows.

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<u32>>;

fn unit_of_a(start: u32) -> f32 {
  let at = params.a_units + start / params.inner;
  return a[at >> 2u][at & 3u];
}

fn unit_of_b(start: u32) -> f32 {
  let at = params.b_units + start / params.inner;
  return bitcast<f32>(b[at >> 2u][at & 3u]);
}

fn body(group: vec3<u32>, local: u32, lane: u32) {
  let at = place(group, local);
  let row = at.row + 2u * (lane & 7u);
  let a0 = at.a + min(row, params.rows - 1u) * params.a_row;
  let a1 = at.a + min(row + 1u, params.rows - 1u) * params.a_row;
  var sums0: Sums;
  var sums1: Sums;
  for (var chunk = 0u; chunk < params.inner; chunk += CHUNK) {
    let chunk_end = min(chunk + CHUNK, params.inner);
    for (var some = chunk; some < chunk_end; some += 32u) {
      let end = min(some + 32u, chunk_end);
      for (var k = some; k < end; k += 8u) {
        let own0 = (a0 + k) >> 2u;
        let own1 = (a1 + k) >> 2u;
        publish(mat4x4(a[own0], a[own0 + 1u], a[own1], a[own1 + 1u]), lane);
        let eight0 = eight(at.b0 + k);
        let eight1 = eight(at.b1 + k);
        for (var j = 0u; j < 8u; j++) {
          let column = published_of_rows(j);
          add_product(&sums0, column, nth(eight0, j));
          add_product(&sums1, column, nth(eight1, j));
        }
      }
      fold(&sums0);
      fold(&sums1);
    }
    close(&sums0);
    close(&sums1);
  }
  let unit0 = unit_of_b(at.b0);
  let unit1 = unit_of_b(at.b1);
  var total0 = sums0.total;
  var total1 = sums1.total;
  for (var i = 0u; i < 16u; i++) {
    let unit = unit_of_a(at.a + min(at.row + i, params.rows - 1u) * params.a_row);
    total0[i / 4u][i % 4u] = scaled(total0[i / 4u][i % 4u], unit, unit0);
    total1[i / 4u][i % 4u] = scaled(total1[i / 4u][i % 4u], unit, unit1);
  }
  store_tile(group, at, total0, total1);
}
