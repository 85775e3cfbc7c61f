// exp(x - max) over its sum, over groups of elements `inner` apart.

struct Params {
  zero: u32,
  count: u32, length: u32, inner: u32,
  x_start: u32, out_start: u32,
}

@group(0) @binding(0) var<storage, read> x: array<OfX>;
@group(0) @binding(1) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let own = group_of(group, groups, local);
  let index = min(own, params.count - 1u);
  let start = (index / params.inner) * params.length * params.inner + index % params.inner;
  var high = -infinity();
  for (var e = local % TEAM; e < params.length; e += TEAM) { high = max_f32(high, f32(x[params.x_start + start + e * params.inner])); }
  high = team_max(high, local);
  var sum = 0.0;
  for (var e = local % TEAM; e < params.length; e += TEAM) { sum += share(start + e * params.inner, high); }
  sum = team_sum(sum, local);
  if (own >= params.count) { return; }
  for (var e = local % TEAM; e < params.length; e += TEAM) {
    let at = start + e * params.inner;
    out[params.out_start + at] = kept(rounded(share(at, high) / sum));
  }
}

fn share(at: u32, high: f32) -> f32 {
  // A maximum of either infinity makes the row NaN.
  if (is_infinite(high)) { return nan(); }
  return exp_f32(f32(x[params.x_start + at]) - high);
}
