// How a convolution reads weights that were laid down tap by tap, [taps, out, in], with a multiple of eight input channels: an
// invocation loads eight of them for two output channels.

@group(0) @binding(1) var<storage, read> b: array<vec4<u32>>;

fn row_of_weights(start: u32, row: u32, c: u32, tap: u32) -> mat2x4<f32> {
  let out = tap * params.groups * params.channels_out + start + min(row, params.channels_out - 1u);
  let own = eight(out * params.channels_in + c);
  return mat2x4(nth(own, 0u), nth(own, 1u), nth(own, 2u), nth(own, 3u), nth(own, 4u), nth(own, 5u), nth(own, 6u), nth(own, 7u));
}

fn publish_weights(start: u32, first: u32, c: u32, tap: u32, lane: u32) {
  let row = first + 2u * (lane & 7u);
  let even = row_of_weights(start, row, c, tap);
  let odd = row_of_weights(start, row + 1u, c, tap);
  publish(mat4x4(even[0], even[1], odd[0], odd[1]), lane);
}

fn weights_of(j: u32) -> mat4x4<f32> {
  return published_of_rows(j);
}
