// What the kernels of convolutions of [N, C, d, h, w] along three axes have in common. There is no im2col matrix: an invocation computes
// 16 output channels at two positions. The taps are an outer loop, so that where a tap lies is found once for all channels.

struct Params {
  zero: u32,
  channels_in: u32, channels_out: u32, groups: u32,
  taps: vec3<u32>, x_start: u32,
  input: vec3<u32>, bias_start: u32,
  output: vec3<u32>, base_y: u32,
  stride: vec3<u32>, first_channel: u32,
  dilation: vec3<u32>, out_channels: u32,
  begin: vec3<u32>, out_start: u32,
  x_width: u32, x_units: u32, w_width: u32, w_units: u32,  // of whole numbers
  @align(16) extra: Extra,
}

@group(0) @binding(0) var<storage, read> x: array<OfX>;
@group(0) @binding(2) var<storage, read> bias: array<OfBias>;
@group(0) @binding(3) var<storage, read_write> out: array<OfOut>;
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

struct Tile {
  batch: u32, part: u32,  // of the input: its item, and its group of channels
  row: u32,               // the first output channel of the group
  first: u32, second: u32, positions: u32,
}

fn tile_of(group: vec3<u32>, local: u32) -> Tile {
  let positions = params.output.x * params.output.y * params.output.z;
  let first = group.x * (2u * LANES) + local;
  return Tile(group.z / params.groups, group.z % params.groups, (group.y + params.base_y) * 16u, first, first + LANES, positions);
}

fn store_tile(tile: Tile, sum0: mat4x4<f32>, sum1: mat4x4<f32>) {
  // What is indexed by a variable must be one.
  var sums0 = sum0;
  var sums1 = sum1;
  for (var i = 0u; i < 16u; i++) {
    let channel = tile.row + i;
    if (channel < params.channels_out) {
      let all = tile.part * params.channels_out + channel + params.first_channel;
      let at = params.out_start + (tile.batch * params.out_channels + all) * tile.positions;
      if (tile.first < tile.positions) { store(at + tile.first, sums0[i / 4u][i % 4u], all); }
      if (tile.second < tile.positions) { store(at + tile.second, sums1[i / 4u][i % 4u], all); }
    }
  }
}

fn store(at: u32, value: f32, channel: u32) {
  if (BIAS) {
    out[at] = kept(finish(biased(value, f32(bias[params.bias_start + channel])), at));
  } else {
    out[at] = kept(finish(value, at));
  }
}
