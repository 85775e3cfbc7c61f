// A team of TEAM invocations works on one group of elements: 1 where neighbours in memory are of different groups, else all 64 of
// a workgroup. Its results are the same for every member.

var<workgroup> team_values: array<f32, 64>;

// The group that an invocation works on; its member number is `local % TEAM`.
fn group_of(group: vec3<u32>, groups: vec3<u32>, local: u32) -> u32 {
  return (group.y * groups.x + group.x) * (64u / TEAM) + local / TEAM;
}

fn team_sum(own: f32, local: u32) -> f32 {
  if (TEAM == 1u) { return own; }
  workgroupBarrier();
  team_values[local] = own;
  for (var reach = 32u; reach > 0u; reach /= 2u) {
    workgroupBarrier();
    if (local < reach) { team_values[local] += team_values[local + reach]; }
  }
  workgroupBarrier();
  return team_values[0];
}

fn team_max(own: f32, local: u32) -> f32 {
  if (TEAM == 1u) { return own; }
  workgroupBarrier();
  team_values[local] = own;
  for (var reach = 32u; reach > 0u; reach /= 2u) {
    workgroupBarrier();
    if (local < reach) { team_values[local] = max_f32(team_values[local], team_values[local + reach]); }
  }
  workgroupBarrier();
  return team_values[0];
}
