// The largest magnitude of the elements of each part of each row, made clean.

struct Params {
  zero: u32,
  count: u32, length: u32, parts: u32, part: u32,
  x_start: u32, x_inner: u32, lead1: u32, lead2: u32,
  x_lead: vec3<u32>,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

fn each(i: u32) {
  let row = i / params.parts;
  let lead = vec3(row / (params.lead1 * params.lead2), (row / params.lead2) % params.lead1, row % params.lead2);
  let start = params.x_start + dot(lead, params.x_lead);
  let first = (i % params.parts) * params.part;
  var high = 0.0;
  for (var e = first; e < min(first + params.part, params.length); e++) {
    high = max(high, abs(flush(x[start + e * params.x_inner])));
  }
  out[i] = high;
}
