// Sines and cosines of a time at the frequencies of a table.

struct Params {
  zero: u32,
  count: u32, dim: u32, half: u32,
  cosines_first: u32, t_start: u32, out_start: u32,
}

@group(0) @binding(0) var<storage, read> t: array<OfT>;
@group(0) @binding(1) var<storage, read> frequencies: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(3) var<uniform> params: Params;

fn each(i: u32) {
  let column = i % params.dim;
  var y = 0.0;
  if (column < 2u * params.half) {
    let angle = f32(t[params.t_start + i / params.dim]) * frequencies[column % params.half];
    if ((column < params.half) == (params.cosines_first == 1u)) { y = cos_f32(angle); } else { y = sin_f32(angle); }
  }
  out[params.out_start + i] = kept(rounded(y));
}
