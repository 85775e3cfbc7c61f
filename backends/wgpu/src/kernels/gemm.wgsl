// out[z][m][n] = sum over k of a[z][m][k] * b[z][k][n] + bias[n]: Linear and MatMul, all by strides. An invocation computes 16 rows
// of COLUMNS columns; a row's elements are loaded once for eight invocations.

struct Params {
  zero: u32,
  rows: u32, inner: u32, columns: u32,
  a_start: u32, a_row: u32, a_inner: u32,
  b_start: u32, b_inner: u32, b_column: u32,
  out_start: u32, out_row: u32, out_batch: u32,
  bias_start: u32,
  base_y: u32,
  lead1: u32, lead2: u32,
  a_lead: vec3<u32>,
  b_lead: vec3<u32>,
  @align(16) extra: Extra,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<u32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn column_of_a(start: u32, row: u32, k: u32) -> vec4<f32> {
  let last = params.rows - 1u;
  let at = start + k * params.a_inner;
  return vec4(
    a[at + min(row, last) * params.a_row], a[at + min(row + 1u, last) * params.a_row],
    a[at + min(row + 2u, last) * params.a_row], a[at + min(row + 3u, last) * params.a_row]);
}

fn body(group: vec3<u32>, local: u32, lane: u32) {
  let lead = vec3(group.z / (params.lead1 * params.lead2), (group.z / params.lead2) % params.lead1, group.z % params.lead2);
  let a_start = params.a_start + dot(lead, params.a_lead);
  let b_start = params.b_start + dot(lead, params.b_lead);
  let row = (group.y + params.base_y) * 16u;
  let first = group.x * (2u * LANES) + local;
  let last = params.columns - 1u;
  let b0 = b_start + min(first, last) * params.b_column;
  let b1 = b_start + min(first + LANES, last) * params.b_column;
  var sum0 = mat4x4<f32>();
  var sum1 = mat4x4<f32>();
  let whole = params.inner & ~7u;
  for (var k = 0u; k < whole; k += 8u) {
    let own = k + (lane & 7u);
    publish(mat4x4(column_of_a(a_start, row, own), column_of_a(a_start, row + 4u, own),
      column_of_a(a_start, row + 8u, own), column_of_a(a_start, row + 12u, own)), lane);
    for (var j = 0u; j < 8u; j++) {
      let column = published(j);
      let at = (k + j) * params.b_inner;
      sum0 += column * element(b[word(b0 + at)], b0 + at);
      sum1 += column * element(b[word(b1 + at)], b1 + at);
    }
  }
  if (whole < params.inner) {
    let own = min(whole + (lane & 7u), params.inner - 1u);
    publish(mat4x4(column_of_a(a_start, row, own), column_of_a(a_start, row + 4u, own),
      column_of_a(a_start, row + 8u, own), column_of_a(a_start, row + 12u, own)), lane);
    for (var j = 0u; j < params.inner - whole; j++) {
      let column = published(j);
      let at = (whole + j) * params.b_inner;
      sum0 += column * element(b[word(b0 + at)], b0 + at);
      sum1 += column * element(b[word(b1 + at)], b1 + at);
    }
  }
  for (var i = 0u; i < 16u; i++) {
    if (row + i < params.rows) {
      let at = params.out_start + group.z * params.out_batch + (row + i) * params.out_row;
      if (first <= last) { store(at + first, sum0[i / 4u][i % 4u], first); }
      if (first + LANES <= last) { store(at + first + LANES, sum1[i / 4u][i % 4u], first + LANES); }
    }
  }
}

fn store(at: u32, value: f32, column: u32) {
  if (BIAS) {
    out[at] = finish(value + bias[params.bias_start + column], at);
  } else {
    out[at] = finish(value, at);
  }
}
