// Sine and cosine.

// An angle's nearest multiple of pi/2 and what is left, at most pi/4.
struct Reduced {
  quadrant: u32,
  rest: f32,
}

// pi/2 in three parts whose products with a quadrant are exact.
fn reduce_near(x: f32) -> Reduced {
  let n = round(x * 0.63661977);
  let a = pin(x - pin(n * 1.5703125));
  let b = pin(a - pin(n * 4.837512969970703e-4));
  return Reduced(bitcast<u32>(i32(n)), b - n * 7.5497899548e-8);
}

// The digits of 2/pi in base 2^32, after the point.
const TWO_OVER_PI = array<u32, 8>(
  0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u);

// 32 bits of 2/pi from a bit on; zeros before the point.
fn bits_of_two_over_pi(first: i32) -> u32 {
  var digits = TWO_OVER_PI;
  let word = (first + 64) / 32 - 2;
  let shift = u32(first - 32 * word);
  var high = 0u;
  var low = 0u;
  if (word >= 0) { high = digits[word]; }
  if (word >= -1) { low = digits[word + 1]; }
  if (shift == 0u) { return high; }
  return (high << shift) | (low >> (32u - shift));
}

// In integers, after Payne and Hanek: of 2/pi only those bits count whose products with the mantissa lie below 4.
fn reduce_far(x: f32) -> Reduced {
  let bits = bitcast<u32>(x);
  let first = i32((bits >> 23u) & 0xffu) - 152;
  let mantissa = (bits & 0x7fffffu) | 0x800000u;
  let low = wide(mantissa, bits_of_two_over_pi(first + 64));
  let mid = add_long(wide(mantissa, bits_of_two_over_pi(first + 32)), vec2(low.y, 0u));
  let high = mantissa * bits_of_two_over_pi(first) + mid.y;
  // Two bits of quadrant, then the fraction, taken as a signed number: from the half on, it belongs to the next quadrant.
  let fraction = vec2(mid.x << 2u, (high << 2u) | (mid.x >> 30u));
  let quadrant = (high >> 30u) + (fraction.y >> 31u);
  let rest = f32_of_long(fraction) * 5.421010862427522e-20 * 1.5707963267948966;
  let minus = (bits >> 31u) == 1u;
  return Reduced(select(quadrant, 0u - quadrant, minus), select(rest, -rest, minus));
}

fn quarter(x: f32, shift: u32) -> f32 {
  var reduced: Reduced;
  if (abs(x) < 8192.0) { reduced = reduce_near(x); } else { reduced = reduce_far(x); }
  let r = reduced.rest;
  let t = r * r;
  var s = -1.9582278e-4;
  s = s * t + 8.332721e-3;
  s = s * t + -1.6666664e-1;
  let sine = r + r * (t * s);
  var c = 2.4542524e-5;
  c = c * t + -1.3888277e-3;
  c = c * t + 4.1666664e-2;
  let cosine = 1.0 - (0.5 * t - (t * t) * c);
  let quadrant = reduced.quadrant + shift;
  let y = select(sine, cosine, (quadrant & 1u) == 1u);
  return bitcast<f32>(bitcast<u32>(y) ^ ((quadrant & 2u) << 30u));
}

fn sin_f32(x: f32) -> f32 {
  if (is_nan(x) || is_infinite(x)) { return nan(); }
  // Keeps the sign of zero.
  if (x == 0.0) { return x; }
  return quarter(x, 0u);
}

fn cos_f32(x: f32) -> f32 {
  if (is_nan(x) || is_infinite(x)) { return nan(); }
  return quarter(x, 1u);
}

fn snake_f32(x: f32, alpha: f32, eps: f32) -> f32 {
  let wave = sin_f32(alpha * x);
  return x + (wave * wave) / (alpha + eps);
}
