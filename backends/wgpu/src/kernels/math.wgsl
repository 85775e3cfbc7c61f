// Elementary functions. The compiler of a driver may move terms of sums and factors of products, which breaks what is
// written to cancel; `pin`, of which there are two, keeps it from that. Every kernel's parameters begin with a zero for the one.

const LOG2_E = 1.44269504;
// ln 2 in two parts; the first has 12 trailing zero bits, so that a whole number times it is exact.
const LN2_HIGH = 0.693359375;
const LN2_LOW = -2.12194440e-4;

fn nan() -> f32 {
  return bitcast<f32>(0x7fc00000u ^ params.zero);
}

fn infinity() -> f32 {
  return bitcast<f32>(0x7f800000u ^ params.zero);
}

fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_infinite(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u;
}

fn copy_sign(x: f32, sign: f32) -> f32 {
  return bitcast<f32>((bitcast<u32>(x) & 0x7fffffffu) | (bitcast<u32>(sign) & 0x80000000u));
}

// 2^n for a whole -126 <= n <= 127.
fn power_of_two(n: i32) -> f32 {
  return bitcast<f32>(u32(n + 127) << 23u);
}

// e^x within a few ULP; 0 and infinity beyond the range; NaN stays.
fn exp_f32(value: f32) -> f32 {
  if (is_nan(value)) { return value; }
  let x = clamp(value, -104.5, 89.0);
  let n = round(x * LOG2_E);
  let r = pin(x - pin(n * LN2_HIGH)) - n * LN2_LOW;
  var p = 1.3901518e-3;
  p = p * r + 8.36374e-3;
  p = p * r + 4.166686e-2;
  p = p * r + 1.6666573e-1;
  p = p * r + 0.5;
  let y = (p * (r * r) + r) + 1.0;
  // In two steps, as 2^n alone leaves the normal range at both ends.
  let whole = i32(n);
  let half = whole / 2;
  return pin(y * power_of_two(half)) * power_of_two(whole - half);
}

fn sigmoid_f32(x: f32) -> f32 {
  return 1.0 / (1.0 + exp_f32(-x));
}

// x * sigmoid(alpha * x); where the gate closes entirely the limit is 0.
fn swish_f32(x: f32, alpha: f32) -> f32 {
  let gate = sigmoid_f32(alpha * x);
  if (gate == 0.0) { return 0.0; }
  return x * gate;
}

fn tanh_f32(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let a = abs(x);
  let t = x * x;
  var p = -5.923963e-3;
  p = p * t + 2.0873662e-2;
  p = p * t + -5.3823814e-2;
  p = p * t + 1.3332585e-1;
  p = p * t + -3.333333e-1;
  let near = x + x * (t * p);
  let far = 1.0 - 2.0 / (exp_f32(2.0 * a) + 1.0);
  return select(copy_sign(far, x), near, a < 0.65);
}

// erfc x for 0.9 <= x: e^(-x^2) times a polynomial in 1 / (1 + x/2).
fn erfc_far(value: f32) -> f32 {
  let x = min(value, 10.0);
  let t = 1.0 / (1.0 + 0.5 * x);
  var q = 1.1846714e-1;
  q = q * t + -4.680875e-1;
  q = q * t + 5.585988e-1;
  q = q * t + -9.975095e-2;
  q = q * t + 3.459032e-1;
  q = q * t + 2.6024398e-1;
  q = q * t + 2.8482273e-1;
  q = q * t + -1.4802326e-4;
  return exp_f32(-(x * x)) * q;
}

fn erf_f32(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let a = abs(x);
  let t = min(x * x, 4.0);
  var p = 7.853847e-5;
  p = p * t + -8.010189e-4;
  p = p * t + 5.1883273e-3;
  p = p * t + -2.6853811e-2;
  p = p * t + 1.12835854e-1;
  p = p * t + -3.7612626e-1;
  p = p * t + 1.1283792;
  return select(copy_sign(1.0 - erfc_far(a), x), x * p, a < 1.0);
}

// x/2 (1 + erf(x / sqrt 2)); the limit at -inf is 0.
fn gelu_f32(x: f32) -> f32 {
  if (x < -1e4) { return 0.0; }
  return 0.5 * x * (1.0 + erf_f32(x * 0.70710678));
}

// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), by 1 + tanh z = 2 / (1 + e^-2z), which does not cancel.
fn gelu_tanh_f32(x: f32) -> f32 {
  if (x < -1e4) { return 0.0; }
  return x * sigmoid_f32(1.595769 * (x + 0.044715 * (x * x * x)));
}

// ln x; -inf at 0, NaN below.
fn log_f32(x: f32) -> f32 {
  if (x == 0.0) { return -infinity(); }
  if (is_nan(x) || x < 0.0) { return nan(); }
  if (is_infinite(x)) { return x; }
  let tiny = bitcast<u32>(x) < 0x00800000u;
  let scaled = select(x, x * 16777216.0, tiny);
  // The mantissa in [sqrt(1/2), sqrt 2): 0x3f3504f3 is sqrt(1/2).
  let shifted = bitcast<u32>(scaled) - 0x3f3504f3u;
  let e = f32(bitcast<i32>(shifted) >> 23u) - select(0.0, 24.0, tiny);
  let f = bitcast<f32>((shifted & 0x007fffffu) + 0x3f3504f3u) - 1.0;
  var p = 6.717217e-2;
  p = p * f + -1.12618685e-1;
  p = p * f + 1.1692901e-1;
  p = p * f + -1.24650635e-1;
  p = p * f + 1.425188e-1;
  p = p * f + -1.6665459e-1;
  p = p * f + 2.0000583e-1;
  p = p * f + -2.5000042e-1;
  p = p * f + 3.333333e-1;
  let square = f * f;
  let tail = (f * square) * p + e * LN2_LOW;
  return pin(f - pin(0.5 * square - tail)) + e * LN2_HIGH;
}

// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|).
fn softplus_f32(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  let t = exp_f32(-abs(x));
  // ln(1 + t) loses what 1 + t rounds away; the quotient brings it back.
  let one_plus = pin(1.0 + t);
  let lost = t - pin(one_plus - 1.0);
  return max(x, 0.0) + (log_f32(one_plus) + lost / one_plus);
}

// NaN and infinity stay, and zero keeps its sign. By a sum that has no room for a fraction: lavapipe has compiled WGSL's own functions
// wrongly beside a sign, `round` in Mesa 26.1 and `floor` in 25.0 on processors with AVX-512.
fn round_f32(x: f32) -> f32 {
  if ((bitcast<u32>(x) & 0x7fffffffu) >= 0x4b000000u) { return x; }
  return copy_sign(pin(pin(abs(x) + 8388608.0) - 8388608.0), x);
}

fn floor_f32(x: f32) -> f32 {
  let nearest = round_f32(x);
  return select(nearest, nearest - 1.0, nearest > x);
}

fn sqrt_f32(x: f32) -> f32 {
  if (is_nan(x) || x < 0.0) { return nan(); }
  if (x == 0.0 || is_infinite(x)) { return x; }
  return sqrt(x);
}

fn is_whole(x: f32) -> bool {
  return floor(x) == x;
}

// a^b as IEEE defines it at the special values, exp(b ln|a|) elsewhere.
fn pow_f32(a: f32, b: f32) -> f32 {
  if (b == 0.0 || a == 1.0) { return 1.0; }
  if (is_nan(a) || is_nan(b)) { return nan(); }
  if (b == 2.0) { return a * a; }
  if (b == 1.0) { return a; }
  let size = abs(a);
  let odd = abs(b) < 16777216.0 && is_whole(b) && (i32(b) & 1) == 1;
  let negative = (bitcast<u32>(a) >> 31u) == 1u && odd;
  var y: f32;
  if (is_infinite(b)) {
    if (size == 1.0) { return 1.0; }
    y = select(0.0, infinity(), (size > 1.0) == (b > 0.0));
  } else if (size == 0.0 || is_infinite(size)) {
    y = select(0.0, infinity(), (size == 0.0) == (b < 0.0));
  } else {
    if (a < 0.0 && !is_whole(b)) { return nan(); }
    // ln|a| in two parts: what its product with b loses would be an error of the power.
    let log = log_f32(size);
    let product = b * log;
    y = exp_f32(product);
  }
  return select(y, -y, negative);
}

fn max_f32(a: f32, b: f32) -> f32 {
  if (is_nan(a)) { return a; }
  if (is_nan(b)) { return b; }
  return select(b, a, a > b);
}

fn min_f32(a: f32, b: f32) -> f32 {
  if (is_nan(a)) { return a; }
  if (is_nan(b)) { return b; }
  return select(b, a, a < b);
}

fn clip_f32(x: f32, low: f32, high: f32) -> f32 {
  if (is_nan(x)) { return x; }
  return min(max(x, low), high);
}

// Rounds to f16 and back by integers: halves to even, overflow to infinity, subnormals kept.
fn to_f16(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let sign = bits & 0x80000000u;
  let size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) { return x; }
  if (size >= 0x477ff000u) { return bitcast<f32>((sign | 0x7f800000u) ^ params.zero); }
  if (size < 0x38800000u) {
    // A subnormal: a whole number of 2^-24.
    let whole = round(bitcast<f32>(size) * 16777216.0);
    return bitcast<f32>(sign | bitcast<u32>(whole * 5.9604644775390625e-8));
  }
  let even = (size >> 13u) & 1u;
  return bitcast<f32>(sign | ((size + 0xfffu + even) & 0xffffe000u));
}

// Rounds to bfloat16 and back.
fn to_bf16(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return x; }
  return bitcast<f32>((bits + 0x7fffu + ((bits >> 16u) & 1u)) & 0xffff0000u);
}
