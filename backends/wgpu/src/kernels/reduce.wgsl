// The sum, mean, maximum or minimum (`join`, from `start_value`) over groups of elements `inner` apart. T is the type.

struct Params {
  zero: u32,
  count: u32, length: u32, inner: u32,
  x_start: u32, out_start: u32,
}

@group(0) @binding(0) var<storage, read> x: array<OfX>;
@group(0) @binding(1) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> joined: array<T, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let own = group_of(group, groups, local);
  let index = min(own, params.count - 1u);
  let start = (index / params.inner) * params.length * params.inner + index % params.inner;
  var value = start_value();
  for (var e = local % TEAM; e < params.length; e += TEAM) { value = join(value, T(x[params.x_start + start + e * params.inner])); }
  if (TEAM > 1u) {
    joined[local] = value;
    for (var reach = 32u; reach > 0u; reach /= 2u) {
      workgroupBarrier();
      if (local < reach) { joined[local] = join(joined[local], joined[local + reach]); }
    }
    workgroupBarrier();
    value = joined[0];
  }
  if (own < params.count && local % TEAM == 0u) { out[params.out_start + own] = kept(finish(value)); }
}
