// Rows of numbers as whole numbers times a power of two, and exact sums of their products. SLICES is 1 or 2, LIMIT the largest
// whole number, and a row of them is padded with zeros to a multiple of eight.

const CHUNK = 1024u;

// The exponent of the power of two that makes whole numbers of a row with this largest magnitude.
fn whole_exponent(highest: f32) -> i32 {
  let high = max(highest, 7.888609e-31f);
  // (limit + 1/2) over the power of two below it.
  let fits = fraction_of(high) < select(1.9921875, 1.9842529296875, SLICES == 2u);
  return select(6, 12, SLICES == 2u) - exponent_of(high) - select(1, 0, fits);
}

fn whole_of(x: f32, up: f32) -> f32 { return round(pin(flush(x) * up)); }

// The rounded value of 128 * high + low, each below 2^30.
fn rounded_once(high: i32, low: i32) -> f32 {
  let carry = low >> 7u;
  let h = high + carry;
  let top = h >> 14u;
  let rest = ((h - (top << 14u)) << 7u) + (low - (carry << 7u));
  return pin(f32(top) * 2097152.0 + f32(rest));
}

fn scaled(sum: f32, a_unit: f32, b_unit: f32) -> f32 { return exact_mul(exact_mul(sum, a_unit), b_unit); }
