// A convolution of whole numbers: those of the input as f32, those of the weights two a word, tap by tap. CHANNELS input channels make
// a chunk of the sums, and each chunk is padded to a multiple of eight.

@group(0) @binding(1) var<storage, read> b: array<vec4<u32>>;

fn row_of_weights(row: u32, c: u32, tap: u32) -> mat2x4<f32> {
  let own = eight((tap * params.groups * params.channels_out + row) * params.w_width + c);
  return mat2x4(nth(own, 0u), nth(own, 1u), nth(own, 2u), nth(own, 3u), nth(own, 4u), nth(own, 5u), nth(own, 6u), nth(own, 7u));
}

fn weight_unit(row: u32) -> f32 {
  let at = params.w_units + row;
  return bitcast<f32>(b[at >> 2u][at & 3u]);
}

fn body(group: vec3<u32>, local: u32, lane: u32) {
  let tile = tile_of(group, local);
  let plane = params.input.x * params.input.y * params.input.z;
  let x_row = tile.batch * params.groups + tile.part;
  let x_start = x_row * params.x_width;
  let w_start = tile.part * params.channels_out;
  let last = params.channels_out - 1u;
  let own = tile.row + 2u * (lane & 7u);
  let even = w_start + min(own, last);
  let odd = w_start + min(own + 1u, last);
  var sums0: Sums;
  var sums1: Sums;
  for (var chunk = 0u; chunk * CHANNELS < params.channels_in; chunk++) {
    let channels = min(CHANNELS, params.channels_in - chunk * CHANNELS);
    let x_chunk = x_start + chunk * CHANNELS * plane;
    let w_chunk = chunk * ((CHANNELS + 7u) & ~7u);
    var blocks = 0u;
    var tap = 0u;
    for (var td = 0u; td < params.taps.x; td++) {
      for (var th = 0u; th < params.taps.y; th++) {
        for (var tw = 0u; tw < params.taps.z; tw++) {
          let p0 = place(min(tile.first, tile.positions - 1u), vec3(td, th, tw));
          let p1 = place(min(tile.second, tile.positions - 1u), vec3(td, th, tw));
          let at0 = x_chunk + u32(max(p0, 0));
          let at1 = x_chunk + u32(max(p1, 0));
          for (var c = 0u; c < channels; c += 8u) {
            let w0 = row_of_weights(even, w_chunk + c, tap);
            let w1 = row_of_weights(odd, w_chunk + c, tap);
            publish(mat4x4(w0[0], w0[1], w1[0], w1[1]), lane);
            for (var j = 0u; j < min(8u, channels - c); j++) {
              let w = published_of_rows(j);
              let offset = (c + j) * plane;
              add_product(&sums0, w, select(f32(x[at0 + offset]), 0.0, p0 < 0));
              add_product(&sums1, w, select(f32(x[at1 + offset]), 0.0, p1 < 0));
            }
            blocks++;
            if ((blocks & 3u) == 0u) {
              fold(&sums0);
              fold(&sums1);
            }
          }
          tap++;
        }
      }
    }
    fold(&sums0);
    fold(&sums1);
    close(&sums0);
    close(&sums1);
  }
  let x_unit = f32(x[params.x_units + x_row]);
  var total0 = sums0.total;
  var total1 = sums1.total;
  for (var i = 0u; i < 16u; i++) {
    let unit = weight_unit(w_start + min(tile.row + i, last));
    total0[i / 4u][i % 4u] = scaled(total0[i / 4u][i % 4u], x_unit, unit);
    total1[i / 4u][i % 4u] = scaled(total1[i / 4u][i % 4u], x_unit, unit);
  }
  store_tile(tile, total0, total1);
}
