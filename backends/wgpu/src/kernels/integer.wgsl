// Integers: 64-bit ones are pairs of words, low then high, which every device has; narrower ones are kept as i32.

fn wrap_i8(x: i32) -> i32 { return (x << 24u) >> 24u; }
fn wrap_u8(x: i32) -> i32 { return x & 255; }

// Truncates towards zero; over zero it is 0.
fn div_i32(a: i32, b: i32) -> i32 {
  if (b == 0) { return 0; }
  if (b == -1) { return -a; }
  return a / b;
}

fn pow_i32(base: i32, exponent: i32) -> i32 {
  if (exponent < 0) {
    if (base == 1) { return 1; }
    if (base == -1) { return 1 - 2 * (exponent & 1); }
    return 0;
  }
  var product = 1;
  var square = base;
  for (var e = u32(exponent); e > 0u; e >>= 1u) {
    if ((e & 1u) == 1u) { product *= square; }
    square *= square;
  }
  return product;
}

// Rounds towards zero and saturates; NaN gives 0.
fn i32_of_f32(x: f32) -> i32 {
  let bits = bitcast<u32>(x) & 0x7fffffffu;
  if (bits > 0x7f800000u) { return 0; }
  if (x >= 2147483648.0) { return 2147483647; }
  if (x < -2147483648.0) { return -2147483647 - 1; }
  return i32(x);
}

fn long_of_i32(x: i32) -> vec2<u32> {
  return vec2(bitcast<u32>(x), bitcast<u32>(x >> 31u));
}

fn negative(a: vec2<u32>) -> bool { return (a.y >> 31u) == 1u; }

fn add_long(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let low = a.x + b.x;
  return vec2(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn neg_long(a: vec2<u32>) -> vec2<u32> { return add_long(~a, vec2(1u, 0u)); }

fn sub_long(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return add_long(a, neg_long(b)); }

fn abs_long(a: vec2<u32>) -> vec2<u32> { return select(a, neg_long(a), negative(a)); }

// The 64 bits of a product of two words, by halves.
fn wide(a: u32, b: u32) -> vec2<u32> {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let mid = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let mid2 = (a & 0xffffu) * (b >> 16u) + (mid & 0xffffu);
  return vec2((mid2 << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (mid >> 16u) + (mid2 >> 16u));
}

fn mul_long(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let low = wide(a.x, b.x);
  return vec2(low.x, low.y + a.x * b.y + a.y * b.x);
}

fn less_unsigned(a: vec2<u32>, b: vec2<u32>) -> bool { return a.y < b.y || (a.y == b.y && a.x < b.x); }

fn less_long(a: vec2<u32>, b: vec2<u32>) -> bool {
  return less_unsigned(a ^ vec2(0u, 0x80000000u), b ^ vec2(0u, 0x80000000u));
}

fn equal_long(a: vec2<u32>, b: vec2<u32>) -> bool { return a.x == b.x && a.y == b.y; }

fn min_long(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return select(b, a, less_long(a, b)); }

fn max_long(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return select(a, b, less_long(a, b)); }

// Bit by bit; over zero it is 0.
fn div_long(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  if (b.x == 0u && b.y == 0u) { return b; }
  let divisor = abs_long(b);
  let dividend = abs_long(a);
  var quotient = vec2(0u, 0u);
  var rest = vec2(0u, 0u);
  for (var i = 0u; i < 64u; i++) {
    let bit = 63u - i;
    let next = (select(dividend.x, dividend.y, bit >= 32u) >> (bit & 31u)) & 1u;
    let carry = rest.y >> 31u;
    rest = vec2((rest.x << 1u) | next, (rest.y << 1u) | (rest.x >> 31u));
    quotient = vec2(quotient.x << 1u, (quotient.y << 1u) | (quotient.x >> 31u));
    if (carry == 1u || !less_unsigned(rest, divisor)) {
      rest = sub_long(rest, divisor);
      quotient.x |= 1u;
    }
  }
  return select(quotient, neg_long(quotient), negative(a) != negative(b));
}

fn pow_long(base: vec2<u32>, exponent: vec2<u32>) -> vec2<u32> {
  let one = vec2(1u, 0u);
  if (negative(exponent)) {
    if (equal_long(base, one)) { return one; }
    if (equal_long(base, neg_long(one))) { return select(one, base, (exponent.x & 1u) == 1u); }
    return vec2(0u, 0u);
  }
  var product = one;
  var square = base;
  for (var i = 0u; i < 64u; i++) {
    let word = select(exponent.x, exponent.y, i >= 32u);
    if (((word >> (i & 31u)) & 1u) == 1u) { product = mul_long(product, square); }
    square = mul_long(square, square);
  }
  return product;
}

// Saturates.
fn i32_of_long(a: vec2<u32>) -> i32 {
  let low = bitcast<i32>(a.x);
  if (bitcast<u32>(low >> 31u) == a.y) { return low; }
  return select(2147483647, -2147483647 - 1, negative(a));
}

fn long_of_f32(x: f32) -> vec2<u32> {
  let bits = bitcast<u32>(x);
  let size = bits & 0x7fffffffu;
  if (size > 0x7f800000u || size < 0x3f800000u) { return vec2(0u, 0u); }
  let minus = (bits >> 31u) == 1u;
  if (size >= 0x5f000000u) { return select(vec2(0xffffffffu, 0x7fffffffu), vec2(0u, 0x80000000u), minus); }
  let exponent = i32(size >> 23u) - 150;
  let mantissa = (size & 0x7fffffu) | 0x800000u;
  var whole: vec2<u32>;
  if (exponent <= 0) {
    whole = vec2(mantissa >> u32(-exponent), 0u);
  } else if (exponent < 32) {
    let s = u32(exponent);
    whole = vec2(mantissa << s, mantissa >> (32u - s));
  } else {
    whole = vec2(0u, mantissa << u32(exponent - 32));
  }
  return select(whole, neg_long(whole), minus);
}

// To nearest, halves to even.
fn f32_of_long(a: vec2<u32>) -> f32 { return f32_of(a, false); }

// Towards zero, with the last bit set where something was cut off: rounding that to a narrower type rounds once.
fn f32_odd_of_long(a: vec2<u32>) -> f32 { return f32_of(a, true); }

fn f32_of(a: vec2<u32>, odd: bool) -> f32 {
  let size = abs_long(a);
  if (size.x == 0u && size.y == 0u) { return 0.0; }
  var top = 31u - countLeadingZeros(size.x);
  if (size.y != 0u) { top = 63u - countLeadingZeros(size.y); }
  var mantissa: u32;
  if (top < 24u) {
    mantissa = size.x << (23u - top);
  } else {
    let drop = top - 23u;
    var kept: u32;
    if (drop >= 32u) { kept = size.y >> (drop - 32u); } else { kept = (size.x >> drop) | (size.y << (32u - drop)); }
    let half_at = drop - 1u;
    let half = (select(size.x, size.y, half_at >= 32u) >> (half_at & 31u)) & 1u;
    var below = false;
    if (half_at >= 32u) {
      below = size.x != 0u || (size.y & ((1u << (half_at - 32u)) - 1u)) != 0u;
    } else {
      below = (size.x & ((1u << half_at) - 1u)) != 0u;
    }
    if (odd) {
      mantissa = kept | select(0u, 1u, half == 1u || below);
    } else {
      mantissa = kept + select(0u, 1u, half == 1u && (below || (kept & 1u) == 1u));
    }
  }
  // A mantissa that rounded up to the next power of two carries into the exponent.
  let bits = ((top + 126u) << 23u) + mantissa;
  return bitcast<f32>(bits | (a.y & 0x80000000u));
}

fn f32_of_i32(x: i32) -> f32 { return f32_of_long(long_of_i32(x)); }
