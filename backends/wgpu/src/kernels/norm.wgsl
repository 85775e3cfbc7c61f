// (x - mean) / sqrt(variance + epsilon), or without the mean where CENTRED is false, over groups of elements `inner` apart,
// times a scale, plus a bias.

struct Params {
  zero: u32,
  count: u32, length: u32, inner: u32,
  x_start: u32, scale_start: u32, bias_start: u32, out_start: u32,
  run: u32, repeat: u32, epsilon: f32,
  @align(16) extra: Extra,
}

@group(0) @binding(0) var<storage, read> x: array<OfX>;
@group(0) @binding(1) var<storage, read> scale: array<OfScale>;
@group(0) @binding(2) var<storage, read> bias: array<OfBias>;
@group(0) @binding(3) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let own = group_of(group, groups, local);
  let index = min(own, params.count - 1u);
  let start = (index / params.inner) * params.length * params.inner + index % params.inner;
  let length = f32(params.length);
  var mean = 0.0;
  if (CENTRED) {
    var sum = 0.0;
    for (var e = local % TEAM; e < params.length; e += TEAM) { sum += f32(x[params.x_start + start + e * params.inner]); }
    mean = team_sum(sum, local) / length;
  }
  var squares = 0.0;
  for (var e = local % TEAM; e < params.length; e += TEAM) {
    let d = f32(x[params.x_start + start + e * params.inner]) - mean;
    squares += d * d;
  }
  let factor = 1.0 / sqrt(team_sum(squares, local) / length + params.epsilon);
  if (own >= params.count) { return; }
  let first = (index % params.repeat) * (params.length / params.run);
  for (var e = local % TEAM; e < params.length; e += TEAM) {
    let at = start + e * params.inner;
    var y = (f32(x[params.x_start + at]) - mean) * factor;
    if (SCALE) { y *= f32(scale[params.scale_start + first + e / params.run]); }
    if (BIAS) { y += f32(bias[params.bias_start + first + e / params.run]); }
    out[params.out_start + at] = kept(finish(y, at));
  }
}
