// Eight columns of a 16-row tile, shared between the invocations of a subgroup: each of eight lanes publishes one.

var<private> held: mat4x4<f32>;

fn publish(column: mat4x4<f32>, lane: u32) {
  held = column;
}

fn published(j: u32) -> mat4x4<f32> {
  return mat4x4(subgroupShuffle(held[0], j), subgroupShuffle(held[1], j), subgroupShuffle(held[2], j), subgroupShuffle(held[3], j));
}

// Column j of eight, where each of eight lanes published two rows: the halves of the first, then those of the second.
fn published_of_rows(j: u32) -> mat4x4<f32> {
  let late = j >= 4u;
  let own = vec2(select(held[0], held[1], late)[j & 3u], select(held[2], held[3], late)[j & 3u]);
  return mat4x4(
    vec4(subgroupShuffle(own, 0u), subgroupShuffle(own, 1u)), vec4(subgroupShuffle(own, 2u), subgroupShuffle(own, 3u)),
    vec4(subgroupShuffle(own, 4u), subgroupShuffle(own, 5u)), vec4(subgroupShuffle(own, 6u), subgroupShuffle(own, 7u)));
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  body(group, local, lane);
}
