// Eight columns of a 16-row tile, shared between the invocations of a subgroup: each of eight lanes publishes one.

var<private> held: mat4x4<f32>;

fn publish(column: mat4x4<f32>, lane: u32) {
  held = column;
}

fn published(j: u32) -> mat4x4<f32> {
  return mat4x4(subgroupShuffle(held[0], j), subgroupShuffle(held[1], j), subgroupShuffle(held[2], j), subgroupShuffle(held[3], j));
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  body(group, local, lane);
}
