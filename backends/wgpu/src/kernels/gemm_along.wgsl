// A matrix product of operands that both lie along the axis of the sums, from multiples of eight elements on and so many long: an
// invocation loads eight elements of two rows, and of both its columns, at a time.

@group(0) @binding(0) var<storage, read> a: array<vec4<OfA>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<u32>>;

fn four(at: u32) -> vec4<f32> {
  return vec4<f32>(a[at]);
}

fn body(group: vec3<u32>, local: u32, lane: u32) {
  let at = place(group, local);
  let row = at.row + 2u * (lane & 7u);
  let a0 = at.a + min(row, params.rows - 1u) * params.a_row;
  let a1 = at.a + min(row + 1u, params.rows - 1u) * params.a_row;
  var sum0 = mat4x4<f32>();
  var sum1 = mat4x4<f32>();
  for (var k = 0u; k < params.inner; k += 8u) {
    let own0 = (a0 + k) >> 2u;
    let own1 = (a1 + k) >> 2u;
    publish(mat4x4(four(own0), four(own0 + 1u), four(own1), four(own1 + 1u)), lane);
    let eight0 = eight(at.b0 + k);
    let eight1 = eight(at.b1 + k);
    for (var j = 0u; j < 8u; j++) {
      let column = published_of_rows(j);
      sum0 += column * nth(eight0, j);
      sum1 += column * nth(eight1, j);
    }
  }
  store_tile(group, at, sum0, sum1);
}
