// The position of the first largest of each group of elements `inner` apart, as 64 bits. `above` compares; a NaN is above all.

struct Params {
  zero: u32,
  count: u32, length: u32, inner: u32,
  x_start: u32, out_start: u32,
}

@group(0) @binding(0) var<storage, read> x: array<OfX>;
@group(0) @binding(1) var<storage, read_write> out: array<vec2<u32>>;
@group(0) @binding(2) var<uniform> params: Params;

fn each(index: u32) {
  let start = params.x_start + (index / params.inner) * params.length * params.inner + index % params.inner;
  var best = T(x[start]);
  var found = 0u;
  for (var e = 1u; e < params.length; e++) {
    let value = T(x[start + e * params.inner]);
    if (above(value, best)) {
      best = value;
      found = e;
    }
  }
  out[params.out_start + index] = vec2(found, 0u);
}
