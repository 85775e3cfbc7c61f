// Rows as whole numbers, eight by an invocation, in the form FORM: 0 as f32; 1 two a word; 2 in slices of eight bits, the upper ones of
// eight numbers in two words and the lower ones in two; 3 in slices as f16, the upper ones of all rows and then the lower ones. Behind
// all numbers stand the units, with slices as f16 their exponents.

struct Params {
  zero: u32,
  count: u32, length: u32, width: u32, units: u32,
  x_start: u32, x_inner: u32, lead1: u32, lead2: u32,
  x_lead: vec3<u32>,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> highest: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

fn number(start: u32, e: u32, up: f32) -> f32 {
  return select(0.0, whole_of(x[start + min(e, params.length - 1u) * params.x_inner], up), e < params.length);
}

// The upper slices of four numbers, and the lower ones; with one slice that is the lower.
fn four_slices(start: u32, first: u32, up: f32) -> vec2<u32> {
  var slices = vec2(0u);
  for (var j = 0u; j < 4u; j++) {
    let q = i32(number(start, first + j, up));
    let high = select(0, (q + 64) >> 7u, SLICES == 2u);
    slices |= vec2(u32(high) & 0xffu, u32(q - 128 * high) & 0xffu) << vec2(8u * j);
  }
  return slices;
}

// A number's slices, the upper one first; with one slice it is the lower.
fn slices_of(q: f32) -> vec2<f32> {
  let high = select(0.0, floor((q + 64.0) * 0.0078125), SLICES == 2u);
  return vec2(high, q - 128.0 * high);
}

fn each(i: u32) {
  let eights = params.width / 8u;
  let row = i / eights;
  let lead = vec3(row / (params.lead1 * params.lead2), (row / params.lead2) % params.lead1, row % params.lead2);
  let start = params.x_start + dot(lead, params.x_lead);
  let first = (i % eights) * 8u;
  let exponent = whole_exponent(highest[row]);
  let up = power_of_two(exponent);
  let at = row * params.width + first;
  if (FORM == 2u) {
    let left = four_slices(start, first, up);
    let right = four_slices(start, first + 4u, up);
    out[at / 2u] = left.x;
    out[at / 2u + 1u] = right.x;
    out[at / 2u + 2u] = left.y;
    out[at / 2u + 3u] = right.y;
  } else if (FORM == 3u) {
    let lower = select(0u, params.units / 2u, SLICES == 2u);
    for (var j = 0u; j < 8u; j += 2u) {
      let even = slices_of(number(start, first + j, up));
      let odd = slices_of(number(start, first + j + 1u, up));
      if (SLICES == 2u) { out[(at + j) / 2u] = pack2x16float(vec2(even.x, odd.x)); }
      out[lower + (at + j) / 2u] = pack2x16float(vec2(even.y, odd.y));
    }
  } else {
    for (var j = 0u; j < 8u; j += 2u) {
      let even = number(start, first + j, up);
      let odd = number(start, first + j + 1u, up);
      if (FORM == 1u) {
        out[(at + j) / 2u] = (u32(i32(even)) & 0xffffu) | (u32(i32(odd)) << 16u);
      } else {
        out[at + j] = bitcast<u32>(even);
        out[at + j + 1u] = bitcast<u32>(odd);
      }
    }
  }
  if (first == 0u) {
    if (FORM == 3u) {
      out[params.units + row] = pack2x16float(vec2(f32(-exponent), 0.0));
    } else {
      out[params.units + row] = bitcast<u32>(power_of_two(-exponent));
    }
  }
}
