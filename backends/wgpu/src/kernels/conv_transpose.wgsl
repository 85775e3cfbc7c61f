// The transpose of a convolution, [N, C, d, h, w] with kernels [C, O/group, ...]: each element of the result gathers the
// elements that would have been spread to it.

struct Params {
  zero: u32,
  channels_in: u32, channels_out: u32, groups: u32,
  taps: vec3<u32>, x_start: u32,
  input: vec3<u32>, bias_start: u32,
  output: vec3<u32>, count: u32,
  stride: vec3<u32>, unused0: u32,
  dilation: vec3<u32>, unused1: u32,
  begin: vec3<u32>, out_start: u32,
}

@group(0) @binding(0) var<storage, read> x: array<OfX>;
@group(0) @binding(1) var<storage, read> weight: array<u32>;
@group(0) @binding(2) var<storage, read> bias: array<OfBias>;
@group(0) @binding(3) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(4) var<uniform> params: Params;

// The input's position whose tap meets an output's position, or a negative number.
fn source(position: u32, tap: u32, axis: u32) -> i32 {
  let spread = i32(position + params.begin[axis]) - i32(tap * params.dilation[axis]);
  let stride = i32(params.stride[axis]);
  let at = spread / stride;
  return select(at, -1, spread < 0 || at * stride != spread || at >= i32(params.input[axis]));
}

fn each(i: u32) {
  let positions = params.output.x * params.output.y * params.output.z;
  let plane = params.input.x * params.input.y * params.input.z;
  let taps = params.taps.x * params.taps.y * params.taps.z;
  let p = i % positions;
  let channel = (i / positions) % (params.channels_out * params.groups);
  let batch = i / positions / (params.channels_out * params.groups);
  let part = channel / params.channels_out;
  let at = vec3(p / (params.output.y * params.output.z), (p / params.output.z) % params.output.y, p % params.output.z);
  var sum = 0.0;
  for (var tap = 0u; tap < taps; tap++) {
    let z = source(at.x, tap / (params.taps.y * params.taps.z), 0u);
    let y = source(at.y, (tap / params.taps.z) % params.taps.y, 1u);
    let w = source(at.z, tap % params.taps.z, 2u);
    if (min(z, min(y, w)) < 0) { continue; }
    let place = u32((z * i32(params.input.y) + y) * i32(params.input.z) + w);
    for (var c = 0u; c < params.channels_in; c++) {
      let given = part * params.channels_in + c;
      let own = (given * params.channels_out + channel % params.channels_out) * taps + tap;
      sum += f32(x[params.x_start + (batch * params.groups * params.channels_in + given) * plane + place]) * element(weight[word(own)], own);
    }
  }
  if (BIAS) { sum += f32(bias[params.bias_start + channel]); }
  out[params.out_start + i] = kept(rounded(sum));
}
