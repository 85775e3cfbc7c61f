// How a convolution reads weights as they lie in a file: [out, in, taps]. An invocation loads one input channel of 16 output channels.

@group(0) @binding(1) var<storage, read> weight: array<u32>;

fn weight_at(row: u32, own: u32, tap: u32, start: u32) -> f32 {
  let taps = params.taps.x * params.taps.y * params.taps.z;
  let at = ((start + min(row, params.channels_out - 1u)) * params.channels_in + own) * taps + tap;
  return element(weight[word(at)], at);
}

fn column(row: u32, own: u32, tap: u32, start: u32) -> vec4<f32> {
  return vec4(weight_at(row, own, tap, start), weight_at(row + 1u, own, tap, start),
    weight_at(row + 2u, own, tap, start), weight_at(row + 3u, own, tap, start));
}

fn publish_weights(start: u32, row: u32, c: u32, tap: u32, lane: u32) {
  let own = min(c + (lane & 7u), params.channels_in - 1u);
  publish(mat4x4(column(row, own, tap, start), column(row + 4u, own, tap, start),
    column(row + 8u, own, tap, start), column(row + 12u, own, tap, start)), lane);
}

fn weights_of(j: u32) -> mat4x4<f32> {
  return published(j);
}
