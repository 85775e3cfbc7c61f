// Rotates pairs of each head's first elements by an angle that depends on position.

struct Params {
  zero: u32,
  count: u32, heads: u32, length: u32,
  x: vec4<u32>,     // start, and strides of batch, head, position
  out: vec4<u32>,
  size: u32, pairs: u32, interleaved: u32, cos_start: u32,
  sin_start: u32, cos_batch: u32, sin_batch: u32,
}

@group(0) @binding(0) var<storage, read> x: array<OfX>;
@group(0) @binding(1) var<storage, read> cosines: array<OfCosines>;
@group(0) @binding(2) var<storage, read> sines: array<OfSines>;
@group(0) @binding(3) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(4) var<uniform> params: Params;

fn each(i: u32) {
  let d = i % params.size;
  let head = (i / params.size) % params.heads;
  let position = (i / params.size / params.heads) % params.length;
  let batch = i / params.size / params.heads / params.length;
  let start = params.x.x + batch * params.x.y + head * params.x.z + position * params.x.w;
  let at = params.out.x + batch * params.out.y + head * params.out.z + position * params.out.w + d;
  if (d >= 2u * params.pairs) {
    out[at] = kept(f32(x[start + d]));
    return;
  }
  let second = select(d >= params.pairs, d % 2u == 1u, params.interleaved == 1u);
  let pair = select(d % params.pairs, d / 2u, params.interleaved == 1u);
  let partner = select(select(d + params.pairs, d - params.pairs, second), d ^ 1u, params.interleaved == 1u);
  let angle = position * params.pairs + pair;
  let c = f32(cosines[params.cos_start + batch * params.cos_batch + angle]);
  let s = f32(sines[params.sin_start + batch * params.sin_batch + angle]);
  let other = f32(x[start + partner]);
  out[at] = kept(rounded(f32(x[start + d]) * c + select(-other, other, second) * s));
}
