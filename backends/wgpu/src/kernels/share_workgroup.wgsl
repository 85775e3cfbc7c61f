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

// Column j of eight, where each of eight lanes published two rows: the halves of the first, then those of the second.
fn published_of_rows(j: u32) -> mat4x4<f32> {
  return mat4x4(vec4(pair(0u, j), pair(1u, j)), vec4(pair(2u, j), pair(3u, j)), vec4(pair(4u, j), pair(5u, j)), vec4(pair(6u, j), pair(7u, j)));
}

fn pair(lane: u32, j: u32) -> vec2<f32> {
  return vec2(shared_columns[lane][j >> 2u][j & 3u], shared_columns[lane][2u + (j >> 2u)][j & 3u]);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  body(group, local, local);
}
