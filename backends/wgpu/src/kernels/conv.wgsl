// Convolution of [N, C, d, h, w] along three axes, without an im2col matrix: an invocation computes 16 output channels at
// two positions. The taps are the outer loop, so that where a tap lies is found once for all channels.
// Eight input channels of a tap are loaded by `publish_weights`, and told apart by `weights_of`.

struct Params {
  zero: u32,
  channels_in: u32, channels_out: u32, groups: u32,
  taps: vec3<u32>, x_start: u32,
  input: vec3<u32>, bias_start: u32,
  output: vec3<u32>, base_y: u32,
  stride: vec3<u32>, first_channel: u32,
  dilation: vec3<u32>, out_channels: u32,
  begin: vec3<u32>, out_start: u32,
  @align(16) extra: Extra,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

// The element of an axis that a padded position shows, or a negative number for a zero.
fn source(position: i32, size: i32) -> i32 {
  if (PAD_MODE == 1u) { return clamp(position, 0, size - 1); }
  if (PAD_MODE == 2u) {
    let mirrored = abs(position);
    return select(mirrored, 2 * (size - 1) - mirrored, mirrored >= size);
  }
  return select(position, -1, position >= size);
}

fn place(position: u32, tap: vec3<u32>) -> i32 {
  let plane = params.output.y * params.output.z;
  let at = vec3(position / plane, (position / params.output.z) % params.output.y, position % params.output.z);
  let padded = vec3<i32>(at * params.stride + tap * params.dilation) - vec3<i32>(params.begin);
  let size = vec3<i32>(params.input);
  let z = source(padded.x, size.x);
  let y = source(padded.y, size.y);
  let w = source(padded.z, size.z);
  return select((z * size.y + y) * size.z + w, -1, min(z, min(y, w)) < 0);
}

fn body(group: vec3<u32>, local: u32, lane: u32) {
  let batch = group.z / params.groups;
  let part = group.z % params.groups;
  let positions = params.output.x * params.output.y * params.output.z;
  let plane = params.input.x * params.input.y * params.input.z;
  let row = (group.y + params.base_y) * 16u;
  let first = group.x * (2u * LANES) + local;
  let second = first + LANES;
  let x_start = params.x_start + (batch * params.groups + part) * params.channels_in * plane;
  let w_start = part * params.channels_out;
  let blocks = (params.channels_in + 7u) / 8u;
  var sum0 = mat4x4<f32>();
  var sum1 = mat4x4<f32>();
  var tap = 0u;
  for (var td = 0u; td < params.taps.x; td++) {
    for (var th = 0u; th < params.taps.y; th++) {
      for (var tw = 0u; tw < params.taps.z; tw++) {
        let p0 = place(min(first, positions - 1u), vec3(td, th, tw));
        let p1 = place(min(second, positions - 1u), vec3(td, th, tw));
        let at0 = x_start + u32(max(p0, 0));
        let at1 = x_start + u32(max(p1, 0));
        for (var block = 0u; block < blocks; block++) {
          let c = block * 8u;
          publish_weights(w_start, row, c, tap, lane);
          for (var j = 0u; j < min(8u, params.channels_in - c); j++) {
            let w = weights_of(j);
            let offset = (c + j) * plane;
            sum0 += w * select(x[at0 + offset], 0.0, p0 < 0);
            sum1 += w * select(x[at1 + offset], 0.0, p1 < 0);
          }
        }
        tap++;
      }
    }
  }
  for (var i = 0u; i < 16u; i++) {
    let channel = row + i;
    if (channel < params.channels_out) {
      let all = part * params.channels_out + channel + params.first_channel;
      let at = params.out_start + (batch * params.out_channels + all) * positions;
      if (first < positions) { store(at + first, sum0[i / 4u][i % 4u], all); }
      if (second < positions) { store(at + second, sum1[i / 4u][i % 4u], all); }
    }
  }
}

fn store(at: u32, value: f32, channel: u32) {
  if (BIAS) {
    out[at] = finish(value + bias[params.bias_start + channel], at);
  } else {
    out[at] = finish(value, at);
  }
}
