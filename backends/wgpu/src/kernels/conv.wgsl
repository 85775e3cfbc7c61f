// A convolution. Eight input channels of a tap are loaded by `publish_weights`, and told apart by `weights_of`.

fn body(group: vec3<u32>, local: u32, lane: u32) {
  let tile = tile_of(group, local);
  let plane = params.input.x * params.input.y * params.input.z;
  let x_start = params.x_start + (tile.batch * params.groups + tile.part) * params.channels_in * plane;
  let w_start = tile.part * params.channels_out;
  let blocks = (params.channels_in + 7u) / 8u;
  var sum0 = mat4x4<f32>();
  var sum1 = mat4x4<f32>();
  var tap = 0u;
  for (var td = 0u; td < params.taps.x; td++) {
    for (var th = 0u; th < params.taps.y; th++) {
      for (var tw = 0u; tw < params.taps.z; tw++) {
        let p0 = place(min(tile.first, tile.positions - 1u), vec3(td, th, tw));
        let p1 = place(min(tile.second, tile.positions - 1u), vec3(td, th, tw));
        let at0 = x_start + u32(max(p0, 0));
        let at1 = x_start + u32(max(p1, 0));
        for (var block = 0u; block < blocks; block++) {
          let c = block * 8u;
          publish_weights(w_start, tile.row, c, tap, lane);
          for (var j = 0u; j < min(8u, params.channels_in - c); j++) {
            let w = weights_of(j);
            let offset = (c + j) * plane;
            sum0 += w * select(f32(x[at0 + offset]), 0.0, p0 < 0);
            sum1 += w * select(f32(x[at1 + offset]), 0.0, p1 < 0);
          }
        }
        tap++;
      }
    }
  }
  store_tile(tile, sum0, sum1);
}
