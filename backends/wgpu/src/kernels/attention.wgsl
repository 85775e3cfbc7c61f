// softmax(scale * Q K^T + bias) V, without storing the scores: an invocation goes through the keys for one query, 16 at a time,
// with a running maximum and sum. HEAD and VALUE are the head sizes; a row of keys or values is loaded once for eight invocations.

struct Params {
  zero: u32,
  queries: u32, keys: u32, heads: u32,
  sharing: u32, causal: u32, scale: f32, out_start: u32,
  q: vec4<u32>,     // start, and strides of batch, head, position
  k: vec4<u32>,
  v: vec4<u32>,
  out: vec4<u32>,
  mask: vec4<u32>,  // strides of batch, head, query, key
  bias: vec4<u32>,
  mask_start: u32, bias_start: u32, base_x: u32,
}

@group(0) @binding(0) var<storage, read> q: array<OfQ>;
@group(0) @binding(1) var<storage, read> k: array<OfK>;
@group(0) @binding(2) var<storage, read> v: array<OfV>;
@group(0) @binding(3) var<storage, read> mask: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<OfBias>;
@group(0) @binding(5) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(6) var<uniform> params: Params;

fn key_row(start: u32, row: u32, d: u32) -> f32 {
  return select(0.0, f32(k[start + min(row, params.keys - 1u) * params.k.w + min(d, HEAD - 1u)]), d < HEAD);
}

fn value_row(start: u32, row: u32, d: u32) -> f32 {
  let at = start + min(row, params.keys - 1u) * params.v.w + min(d, VALUE - 1u);
  return select(0.0, f32(v[at]), row < params.keys);
}

fn key_column(start: u32, row: u32, d: u32) -> vec4<f32> {
  return vec4(key_row(start, row, d), key_row(start, row + 1u, d), key_row(start, row + 2u, d), key_row(start, row + 3u, d));
}

fn value_column(start: u32, row: u32, d: u32) -> vec4<f32> {
  return vec4(value_row(start, row, d), value_row(start, row + 1u, d), value_row(start, row + 2u, d), value_row(start, row + 3u, d));
}

fn body(group: vec3<u32>, local: u32, lane: u32) {
  let batch = group.y / params.heads;
  let head = group.y % params.heads;
  let query = (group.x + params.base_x) * LANES + local;
  let row = min(query, params.queries - 1u);
  let q_at = params.q.x + batch * params.q.y + head * params.q.z + row * params.q.w;
  let k_start = params.k.x + batch * params.k.y + (head / params.sharing) * params.k.z;
  let v_start = params.v.x + batch * params.v.y + (head / params.sharing) * params.v.z;
  let mask_at = params.mask_start + batch * params.mask.x + head * params.mask.y + row * params.mask.z;
  let bias_at = params.bias_start + batch * params.bias.x + head * params.bias.y + row * params.bias.z;
  let least = -infinity();
  var highest = least;
  var total = 0.0;
  var sums: array<f32, VALUES>;
  for (var block = 0u; block < params.keys; block += 16u) {
    var scores = mat4x4<f32>();
    for (var d = 0u; d < HEAD; d += 8u) {
      let own = d + (lane & 7u);
      publish(mat4x4(key_column(k_start, block, own), key_column(k_start, block + 4u, own),
        key_column(k_start, block + 8u, own), key_column(k_start, block + 12u, own)), lane);
      for (var j = 0u; j < min(8u, HEAD - d); j++) { scores += published(j) * f32(q[q_at + d + j]); }
    }
    var high = highest;
    for (var i = 0u; i < 16u; i++) {
      let key = block + i;
      var score = scores[i / 4u][i % 4u] * params.scale;
      if (BIAS) { score += f32(bias[bias_at + min(key, params.keys - 1u) * params.bias.w]); }
      var open = key < params.keys && (params.causal == 0u || key <= query);
      if (MASK) { open = open && mask[mask_at + min(key, params.keys - 1u) * params.mask.w] != 0u; }
      score = select(least, score, open);
      scores[i / 4u][i % 4u] = score;
      high = max_f32(high, score);
    }
    // Nothing to attend to so far: the differences below must not be of infinities.
    let anchor = select(high, 0.0, high == least);
    let fade = exp_f32(highest - anchor);
    total *= fade;
    for (var i = 0u; i < 16u; i++) {
      let share = exp_f32(scores[i / 4u][i % 4u] - anchor);
      scores[i / 4u][i % 4u] = share;
      total += share;
    }
    for (var d = 0u; d < VALUE; d += 8u) {
      let own = d + (lane & 7u);
      publish(mat4x4(value_column(v_start, block, own), value_column(v_start, block + 4u, own),
        value_column(v_start, block + 8u, own), value_column(v_start, block + 12u, own)), lane);
      for (var j = 0u; j < min(8u, VALUE - d); j++) {
        let column = published(j);
        let part = dot(scores[0], column[0]) + dot(scores[1], column[1]) + dot(scores[2], column[2]) + dot(scores[3], column[3]);
        sums[d + j] = sums[d + j] * fade + part;
      }
    }
    highest = high;
  }
  if (query < params.queries) {
    let at = params.out_start + batch * params.out.x + head * params.out.y + query * params.out.z;
    let factor = select(1.0 / total, 0.0, highest == least);
    for (var d = 0u; d < VALUE; d++) { out[at + d] = kept(rounded(sums[d] * factor)); }
  }
}
