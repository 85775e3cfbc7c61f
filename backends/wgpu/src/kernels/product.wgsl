// What the kernels of matrix products have in common: out[z][m][n] = sum over k of a[z][m][k] * b[z][k][n] + bias[n], all by strides. An
// invocation computes 16 rows of two columns.

struct Params {
  zero: u32,
  rows: u32, inner: u32, columns: u32,
  a_start: u32, a_row: u32, a_inner: u32,
  b_start: u32, b_inner: u32, b_column: u32,
  out_start: u32, out_row: u32, out_batch: u32,
  bias_start: u32,
  base_y: u32,
  lead1: u32, lead2: u32,
  a_units: u32, b_units: u32,  // where the units of whole numbers stand
  a_lead: vec3<u32>,
  b_lead: vec3<u32>,
  @align(16) extra: Extra,
}

@group(0) @binding(2) var<storage, read> bias: array<OfBias>;
@group(0) @binding(3) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(4) var<uniform> params: Params;

struct Place {
  row: u32, first: u32,  // of the tile, in the result
  a: u32,
  b0: u32, b1: u32,      // where both columns start
}

// Where a product of the batch stands along the leading axes.
fn lead_of(z: u32) -> vec3<u32> {
  return vec3(z / (params.lead1 * params.lead2), (z / params.lead2) % params.lead1, z % params.lead2);
}

fn place(group: vec3<u32>, local: u32) -> Place {
  let lead = lead_of(group.z);
  let b_start = params.b_start + dot(lead, params.b_lead);
  let first = group.x * (2u * LANES) + local;
  let last = params.columns - 1u;
  return Place((group.y + params.base_y) * 16u, first, params.a_start + dot(lead, params.a_lead),
    b_start + min(first, last) * params.b_column, b_start + min(first + LANES, last) * params.b_column);
}

fn store_tile(group: vec3<u32>, at: Place, sum0: mat4x4<f32>, sum1: mat4x4<f32>) {
  // What is indexed by a variable must be one.
  var sums0 = sum0;
  var sums1 = sum1;
  for (var i = 0u; i < 16u; i++) {
    if (at.row + i < params.rows) {
      let start = params.out_start + group.z * params.out_batch + (at.row + i) * params.out_row;
      if (at.first < params.columns) { store(start + at.first, sums0[i / 4u][i % 4u], at.first); }
      if (at.first + LANES < params.columns) { store(start + at.first + LANES, sums1[i / 4u][i % 4u], at.first + LANES); }
    }
  }
}

fn store(at: u32, value: f32, column: u32) {
  if (BIAS) {
    out[at] = kept(finish(biased(value, f32(bias[params.bias_start + column])), at));
  } else {
    out[at] = kept(finish(value, at));
  }
}
