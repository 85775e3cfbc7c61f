// Reproducible numerics, as docs/reproducible.md defines them: each step is one rounded operation, hidden by `pin` or `flush` from what a
// compiler would do to it together with the next.

// The number made clean: no NaN, no infinity, nothing below 2^-125, no negative zero.
fn flush(x: f32) -> f32 {
  let bits = bitcast<u32>(pin(x));
  let size = bits & 0x7fffffffu;
  let kept = (bits & 0x80000000u) | min(size, 0x7f7fffffu);
  return bitcast<f32>(select(kept, 0u, size < 0x01000000u || size > 0x7f800000u));
}

fn exact_add(a: f32, b: f32) -> f32 { return flush(a + b); }

fn exact_sub(a: f32, b: f32) -> f32 { return flush(a - b); }

fn exact_mul(a: f32, b: f32) -> f32 { return flush(a * b); }

// p * x + c, rounded twice.
fn step_of(p: f32, x: f32, c: f32) -> f32 { return pin(pin(p * x) + c); }

// e^x for x <= 0.
fn exact_exp(x: f32) -> f32 { return exact_exp2(pin(max(x, -80.0) * 1.442695f)); }

// e^x from 0 up to e^88.
fn exact_exp_wide(x: f32) -> f32 { return flush(exact_exp2(pin(clamp(x, -87.0, 88.0) * 1.442695f))); }

// 2^u for -126.5 <= u <= 127.5.
fn exact_exp2(u: f32) -> f32 {
  let n = round(u);
  let f = pin(u - n);
  var p = step_of(0.00015474035f, f, 0.0013400357f);
  p = step_of(p, f, 0.009618012f);
  p = step_of(p, f, 0.055503275f);
  p = step_of(p, f, 0.2402265f);
  p = step_of(p, f, 0.6931472f);
  p = step_of(p, f, 1.0);
  return pin(p * power_of_two(i32(n)));
}

// 1/x for x in [1, 4].
fn exact_recip(x: f32) -> f32 {
  var r = pin(0.9756098f - pin(0.19512194f * x));
  for (var i = 0u; i < 4u; i++) {
    let e = pin(1.0 - pin(x * r));
    r = pin(r + pin(r * e));
  }
  return r;
}

// The number's fraction, in [1, 2), and its exponent.
fn fraction_of(x: f32) -> f32 { return bitcast<f32>((bitcast<u32>(x) & 0x007fffffu) | 0x3f800000u); }

fn exponent_of(x: f32) -> i32 { return i32(bitcast<u32>(x) >> 23u) - 127; }

// 1/x for a clean x >= 1. Two powers, as one alone may be subnormal.
fn exact_reciprocal(x: f32) -> f32 {
  let e = exponent_of(x);
  let half = e / 2;
  return exact_mul(exact_mul(exact_recip(fraction_of(x)), power_of_two(-half)), power_of_two(half - e));
}

// 1/sqrt(x) for a clean x >= 0; 0 for 0.
fn exact_rsqrt(x: f32) -> f32 {
  if (x == 0.0) { return 0.0; }
  let e = exponent_of(x);
  let f = fraction_of(x) * power_of_two(e & 1);
  let h = 0.5 * f;
  var r = pin(1.101f - pin(0.163f * f));
  for (var i = 0u; i < 4u; i++) {
    let t = pin(h * pin(r * r));
    r = pin(r * pin(1.5 - t));
  }
  return pin(r * power_of_two(-(e >> 1u)));
}

fn exact_sigmoid(x: f32) -> f32 {
  let e = exact_exp(-abs(x));
  let r = exact_recip(pin(1.0 + e));
  return select(r, pin(e * r), x < 0.0);
}

fn exact_swish(x: f32, alpha: f32) -> f32 {
  return exact_mul(x, exact_sigmoid(exact_mul(alpha, x)));
}

fn exact_tanh(x: f32) -> f32 {
  let t = exact_exp(pin(-2.0 * min(abs(x), 40.0)));
  let y = flush(pin(1.0 - t) * exact_recip(pin(1.0 + t)));
  return select(y, flush(-y), x < 0.0);
}

fn exact_gelu(x: f32) -> f32 {
  let z = min(pin(abs(x) * 0.70710677f), 6.0);
  let t = exact_recip(pin(1.0 + pin(0.3275911f * z)));
  var p = step_of(1.0614054f, t, -1.4531521f);
  p = step_of(p, t, 1.4214138f);
  p = step_of(p, t, -0.28449675f);
  p = step_of(p, t, 0.2548296f);
  let tail = pin(0.5 * pin(pin(p * t) * exact_exp(-pin(z * z))));
  return exact_mul(x, select(pin(1.0 - tail), tail, x < 0.0));
}

fn exact_gelu_tanh(x: f32) -> f32 {
  let c = clamp(x, -16.0, 16.0);
  let inner = pin(pin(c * 1.5957691f) * pin(1.0 + pin(0.044715f * pin(c * c))));
  return exact_mul(x, exact_sigmoid(inner));
}

// The sine of an angle that many quarter turns further on.
fn exact_wave(x: f32, quarters: u32) -> f32 {
  let u = pin(x * 0.63661975f);
  let k = round(u);
  let f = pin(u - k);
  let g = pin(f * f);
  var s = step_of(-0.004592289f, g, 0.079675905f);
  s = step_of(s, g, -0.64596295f);
  s = step_of(s, g, 1.5707963f);
  s = pin(s * f);
  var c = step_of(0.0009040214f, g, -0.020860288f);
  c = step_of(c, g, 0.25366923f);
  c = step_of(c, g, -1.2337005f);
  c = step_of(c, g, 1.0);
  let quarter = (u32(pin(k - 4.0 * floor(k * 0.25))) + quarters) & 3u;
  let y = select(s, c, (quarter & 1u) == 1u);
  return flush(select(y, -y, quarter >= 2u));
}
