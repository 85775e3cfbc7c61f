// The sums of an invocation of a product: 16 rows of one column. Of two slices, the whole numbers of the column are cut into parts: 32
// products of a row's number and such a part are exact in f32, 1024 in i32, and both together are rounded once.

struct Sums {
  high: mat4x4<f32>,
  low: mat4x4<f32>,
  highs: array<vec4<i32>, 4>,
  lows: array<vec4<i32>, 4>,
  total: mat4x4<f32>,
}

fn add_product(sums: ptr<function, Sums>, rows: mat4x4<f32>, value: f32) {
  if (SLICES == 1u) {
    (*sums).low += rows * value;
  } else {
    let part = floor(value * 0.0078125 + 0.5);
    (*sums).high += rows * part;
    (*sums).low += rows * (value - 128.0 * part);
  }
}

// After 32 products at most.
fn fold(sums: ptr<function, Sums>) {
  if (SLICES == 2u) {
    (*sums).highs[0] += vec4<i32>((*sums).high[0]);
    (*sums).highs[1] += vec4<i32>((*sums).high[1]);
    (*sums).highs[2] += vec4<i32>((*sums).high[2]);
    (*sums).highs[3] += vec4<i32>((*sums).high[3]);
    (*sums).lows[0] += vec4<i32>((*sums).low[0]);
    (*sums).lows[1] += vec4<i32>((*sums).low[1]);
    (*sums).lows[2] += vec4<i32>((*sums).low[2]);
    (*sums).lows[3] += vec4<i32>((*sums).low[3]);
    (*sums).high = mat4x4<f32>();
    (*sums).low = mat4x4<f32>();
  }
}

fn rounded4(high: vec4<i32>, low: vec4<i32>) -> vec4<f32> {
  return vec4(rounded_once(high.x, low.x), rounded_once(high.y, low.y), rounded_once(high.z, low.z), rounded_once(high.w, low.w));
}

// After a chunk, which is folded.
fn close(sums: ptr<function, Sums>) {
  if (SLICES == 1u) {
    (*sums).total[0] = pin4((*sums).total[0] + (*sums).low[0]);
    (*sums).total[1] = pin4((*sums).total[1] + (*sums).low[1]);
    (*sums).total[2] = pin4((*sums).total[2] + (*sums).low[2]);
    (*sums).total[3] = pin4((*sums).total[3] + (*sums).low[3]);
    (*sums).low = mat4x4<f32>();
  } else {
    (*sums).total[0] = pin4((*sums).total[0] + rounded4((*sums).highs[0], (*sums).lows[0]));
    (*sums).total[1] = pin4((*sums).total[1] + rounded4((*sums).highs[1], (*sums).lows[1]));
    (*sums).total[2] = pin4((*sums).total[2] + rounded4((*sums).highs[2], (*sums).lows[2]));
    (*sums).total[3] = pin4((*sums).total[3] + rounded4((*sums).highs[3], (*sums).lows[3]));
    (*sums).highs = array<vec4<i32>, 4>();
    (*sums).lows = array<vec4<i32>, 4>();
  }
}
