// Rows as whole numbers: as f32, or two a word where PACKED. An invocation makes eight of them; behind all numbers stand the units.

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

fn each(i: u32) {
  let eights = params.width / 8u;
  let row = i / eights;
  let lead = vec3(row / (params.lead1 * params.lead2), (row / params.lead2) % params.lead1, row % params.lead2);
  let start = params.x_start + dot(lead, params.x_lead);
  let first = (i % eights) * 8u;
  let exponent = whole_exponent(highest[row]);
  let up = power_of_two(exponent);
  for (var j = 0u; j < 8u; j += 2u) {
    let even = number(start, first + j, up);
    let odd = number(start, first + j + 1u, up);
    let at = row * params.width + first + j;
    if (PACKED) {
      out[at / 2u] = (u32(i32(even)) & 0xffffu) | (u32(i32(odd)) << 16u);
    } else {
      out[at] = bitcast<u32>(even);
      out[at + 1u] = bitcast<u32>(odd);
    }
  }
  if (first == 0u) { out[params.units + row] = bitcast<u32>(power_of_two(-exponent)); }
}
