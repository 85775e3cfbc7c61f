// Attention of whole numbers, in two passes over the keys, 16 at a time: the first finds each query's largest score, the second sums
// weights, and products of weights and values. Rows of queries and keys are HEAD wide, and padded to HEADS; a row of values is one column
// of them over all keys. Behind the numbers of each stand their units.

struct Params {
  zero: u32,
  queries: u32, keys: u32, heads: u32,
  sharing: u32, causal: u32, scale: f32, out_start: u32,
  units: vec3<u32>, key_width: u32,  // where the units of queries, keys and values stand; a row of values
  out: vec4<u32>,
  mask: vec4<u32>,  // strides of batch, head, query, key
  bias: vec4<u32>,
  mask_start: u32, bias_start: u32, base_x: u32,
}

@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> mask: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<OfBias>;
@group(0) @binding(5) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(6) var<uniform> params: Params;

const LEAST = -3.4028234663852886e38f;

// What an invocation works on.
struct Own {
  query: u32,
  q_at: u32, q_unit: f32,
  first_key: u32,  // the row of the head's first key
  first_value: u32,
  mask_at: u32, bias_at: u32,
}

fn own_of(group: vec3<u32>, local: u32) -> Own {
  let batch = group.y / params.heads;
  let head = group.y % params.heads;
  let query = (group.x + params.base_x) * LANES + local;
  let row = min(query, params.queries - 1u);
  let q_row = (batch * params.heads + head) * params.queries + row;
  let shared_head = batch * (params.heads / params.sharing) + head / params.sharing;
  return Own(query, q_row * HEADS, q[params.units.x + q_row], shared_head * params.keys, shared_head * VALUE,
    params.mask_start + batch * params.mask.x + head * params.mask.y + row * params.mask.z,
    params.bias_start + batch * params.bias.x + head * params.bias.y + row * params.bias.z);
}

fn is_open(own: Own, key: u32) -> bool {
  var open = key < params.keys && (params.causal == 0u || key <= own.query);
  if (MASK) { open = open && mask[own.mask_at + min(key, params.keys - 1u) * params.mask.w] != 0u; }
  return open;
}

// The scores of 16 keys.
fn scores_of(own: Own, block: u32, lane: u32) -> mat4x4<f32> {
  let row = block + 2u * (lane & 7u);
  let last = params.keys - 1u;
  let even = (own.first_key + min(row, last)) * HEADS;
  let odd = (own.first_key + min(row + 1u, last)) * HEADS;
  var sums: Sums;
  for (var some = 0u; some < HEADS; some += 32u) {
    for (var d = some; d < min(some + 32u, HEADS); d += 8u) {
      let e = (even + d) >> 2u;
      let o = (odd + d) >> 2u;
      publish(mat4x4(k[e], k[e + 1u], k[o], k[o + 1u]), lane);
      for (var j = 0u; j < 8u; j++) { add_product(&sums, published_of_rows(j), q[own.q_at + d + j]); }
    }
    fold(&sums);
  }
  close(&sums);
  var scores = sums.total;
  for (var i = 0u; i < 16u; i++) {
    let key = min(block + i, last);
    let at = params.units.y + own.first_key + key;
    var score = exact_mul(scaled(scores[i / 4u][i % 4u], own.q_unit, k[at >> 2u][at & 3u]), params.scale);
    if (BIAS) { score = exact_add(score, f32(bias[own.bias_at + key * params.bias.w])); }
    scores[i / 4u][i % 4u] = score;
  }
  return scores;
}

fn value_column(own: Own, block: u32, d: u32) -> mat4x4<f32> {
  let at = ((own.first_value + min(d, VALUE - 1u)) * params.key_width + block) >> 2u;
  let last = (params.units.z >> 2u) - 1u;
  return mat4x4(v[at], v[min(at + 1u, last)], v[min(at + 2u, last)], v[min(at + 3u, last)]);
}

fn products(a: mat4x4<f32>, b: mat4x4<f32>) -> f32 {
  return dot(a[0], b[0]) + dot(a[1], b[1]) + dot(a[2], b[2]) + dot(a[3], b[3]);
}

fn body(group: vec3<u32>, local: u32, lane: u32) {
  let own = own_of(group, local);
  var highest = LEAST;
  for (var block = 0u; block < params.keys; block += 16u) {
    var scores = scores_of(own, block, lane);
    for (var i = 0u; i < 16u; i++) {
      highest = max(highest, select(LEAST, scores[i / 4u][i % 4u], is_open(own, block + i)));
    }
  }
  var total = 0.0;
  var sum = 0.0;
  var highs: array<i32, VALUES>;
  var lows: array<i32, VALUES>;
  var totals: array<f32, VALUES>;
  for (var block = 0u; block < params.keys; block += 16u) {
    var weights = scores_of(own, block, lane);
    var high: mat4x4<f32>;
    for (var i = 0u; i < 16u; i++) {
      let share = exact_exp(min(exact_sub(weights[i / 4u][i % 4u], highest), 0.0));
      let weight = select(0.0, round(pin(share * LIMIT)), is_open(own, block + i));
      sum += weight;
      let part = floor(weight * 0.0078125 + 0.5);
      high[i / 4u][i % 4u] = part;
      weights[i / 4u][i % 4u] = weight - select(0.0, 128.0 * part, SLICES == 2u);
    }
    let closes = (block + 16u) % CHUNK == 0u || block + 16u >= params.keys;
    for (var d = 0u; d < VALUE; d += 8u) {
      publish(value_column(own, block, d + (lane & 7u)), lane);
      for (var j = 0u; j < min(8u, VALUE - d); j++) {
        let column = published(j);
        // 16 products are exact in f32, 1024 in i32.
        var in_all = lows[d + j] + i32(products(weights, column));
        var in_high = 0;
        if (SLICES == 2u) { in_high = highs[d + j] + i32(products(high, column)); }
        if (closes) {
          totals[d + j] = pin(totals[d + j] + rounded_once(in_high, in_all));
          in_all = 0;
          in_high = 0;
        }
        lows[d + j] = in_all;
        highs[d + j] = in_high;
      }
    }
    if (closes) {
      total = pin(total + sum);
      sum = 0.0;
    }
  }
  if (own.query < params.queries) {
    let head = group.y % params.heads;
    let at = params.out_start + (group.y / params.heads) * params.out.x + head * params.out.y + own.query * params.out.z;
    let inverse = exact_reciprocal(max(total, 1.0));
    for (var d = 0u; d < VALUE; d++) {
      out[at + d] = kept(scaled(totals[d], value_unit(own.first_value + d), inverse));
    }
  }
}

fn value_unit(row: u32) -> f32 {
  let at = params.units.z + row;
  return v[at >> 2u][at & 3u];
}
