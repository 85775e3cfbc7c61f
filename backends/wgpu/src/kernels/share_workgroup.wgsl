// Eight columns of a 16-row tile, shared through workgroup memory, where there are no subgroups.

var<workgroup> shared_columns: array<mat4x4<f32>, 8>;

fn publish(column: mat4x4<f32>, lane: u32) {
  workgroupBarrier();
  if (lane < 8u) { shared_columns[lane] = column; }
  workgroupBarrier();
}

fn published(j: u32) -> mat4x4<f32> {
  return shared_columns[j];
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  body(group, local, local);
}
