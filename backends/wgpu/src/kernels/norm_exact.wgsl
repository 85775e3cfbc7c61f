// Normalisation with reproducible numerics, over groups of elements `inner` apart: both sums are of whole numbers, in chunks. CENTRED,
// SCALE and BIAS are as in norm.wgsl, whose parameters these are.

struct Params {
  zero: u32,
  count: u32, length: u32, inner: u32,
  x_start: u32, scale_start: u32, bias_start: u32, out_start: u32,
  run: u32, repeat: u32, epsilon: f32, inverse: f32,
  @align(16) extra: Extra,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(4) var<uniform> params: Params;

// An element less the mean of its group.
fn centred(start: u32, e: u32, mean: f32) -> f32 {
  let value = x[params.x_start + start + e * params.inner];
  if (CENTRED) { return exact_sub(value, mean); }
  return value;
}

fn exponent_of_group(start: u32, mean: f32, local: u32) -> i32 {
  var high = 0.0;
  for (var e = local % TEAM; e < params.length; e += TEAM) { high = max(high, abs(flush(centred(start, e, mean)))); }
  return whole_exponent(team_max(high, local));
}

fn mean_of(start: u32, local: u32) -> f32 {
  let exponent = exponent_of_group(start, 0.0, local);
  let up = power_of_two(exponent);
  var total = 0.0;
  for (var chunk = 0u; chunk < params.length; chunk += CHUNK) {
    var sum = 0.0;
    for (var e = chunk + local % TEAM; e < min(chunk + CHUNK, params.length); e += TEAM) {
      sum += whole_of(x[params.x_start + start + e * params.inner], up);
    }
    total = pin(total + team_sum(sum, local));
  }
  return scaled(total, power_of_two(-exponent), params.inverse);
}

fn root_of(start: u32, mean: f32, local: u32) -> f32 {
  let exponent = exponent_of_group(start, mean, local);
  let up = power_of_two(exponent);
  var total = 0.0;
  for (var chunk = 0u; chunk < params.length; chunk += CHUNK) {
    // The squares in two parts, each of which is exact in f32: 2^23 at most.
    var high = 0.0;
    var low = 0.0;
    for (var e = chunk + local % TEAM; e < min(chunk + CHUNK, params.length); e += TEAM) {
      let q = i32(whole_of(centred(start, e, mean), up));
      high += f32((q * q) >> 13u);
      low += f32((q * q) & 8191);
    }
    // 128 * 64 * high + low, rounded once.
    total = pin(total + rounded_once(i32(team_sum(high, local)) << 6u, i32(team_sum(low, local))));
  }
  let unit = power_of_two(-exponent);
  return exact_rsqrt(exact_add(exact_mul(scaled(total, unit, unit), params.inverse), params.epsilon));
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let own = group_of(group, groups, local);
  let index = min(own, params.count - 1u);
  let start = (index / params.inner) * params.length * params.inner + index % params.inner;
  var mean = 0.0;
  if (CENTRED) { mean = mean_of(start, local); }
  let factor = root_of(start, mean, local);
  if (own >= params.count) { return; }
  let first = (index % params.repeat) * (params.length / params.run);
  for (var e = local % TEAM; e < params.length; e += TEAM) {
    var y = exact_mul(centred(start, e, mean), factor);
    if (SCALE) { y = exact_mul(y, flush(scale[params.scale_start + first + e / params.run])); }
    if (BIAS) { y = exact_add(y, flush(bias[params.bias_start + first + e / params.run])); }
    let at = start + e * params.inner;
    out[params.out_start + at] = kept(finish(y, at));
  }
}
