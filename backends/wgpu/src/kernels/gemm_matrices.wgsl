// A matrix product of whole numbers by cooperative matrices of SIDE rows and columns, for adapters that have them. A subgroup computes one of
// them by two. Numbers lie in slices as f16, which holds them exactly: the upper slices of all rows and then the lower ones. Sums of a
// chunk of their products are exact in f32, in whatever order they are made.

@group(0) @binding(0) var<storage, read> a: array<f16>;
@group(0) @binding(1) var<storage, read> b: array<f16>;

const SQUARE = SIDE * SIDE;
const EACH = SQUARE / LANES;

var<workgroup> both_staged: array<f32, SQUARE>;
var<workgroup> crossed_staged: array<f32, SQUARE>;
var<workgroup> low_staged: array<f32, SQUARE>;

// An operand ends in the exponents of the units of its rows, a word each.
fn unit_of_a(start: u32) -> f32 { return power_of_two(i32(a[2u * (params.a_units + start / params.inner)])); }
fn unit_of_b(start: u32) -> f32 { return power_of_two(i32(b[2u * (params.b_units + start / params.inner)])); }

// The sum of an element of the squares that were staged, rounded once.
fn staged(i: u32) -> f32 {
  if (SLICES == 1u) { return low_staged[i]; }
  return rounded_once(128 * i32(both_staged[i]) + i32(crossed_staged[i]), i32(low_staged[i]));
}

fn finish_square(group: vec3<u32>, at: Place, local: u32, first: u32, b_start: u32, totals: array<f32, EACH>) {
  var sums = totals;
  for (var e = 0u; e < EACH; e++) {
    let i = local + e * LANES;
    let row = at.row + i / SIDE;
    let column = first + i % SIDE;
    if (row < params.rows && column < params.columns) {
      let unit_a = unit_of_a(at.a + (i / SIDE) * params.a_row);
      let unit_b = unit_of_b(b_start + (i % SIDE) * params.b_column);
      store(params.out_start + group.z * params.out_batch + row * params.out_row + column, scaled(sums[e], unit_a, unit_b), column);
    }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let lead = lead_of(group.z);
  let row = (group.y + params.base_y) * SIDE;
  let first = group.x * (2u * SIDE);
  let a_start = params.a_start + dot(lead, params.a_lead) + row * params.a_row;
  let b0 = params.b_start + dot(lead, params.b_lead) + first * params.b_column;
  let b1 = b0 + SIDE * params.b_column;
  let at = Place(row, first, a_start, b0, b1);
  // As many words as f16 in the upper slices.
  let a_low = select(0u, params.a_units, SLICES == 2u);
  let b_low = select(0u, params.b_units, SLICES == 2u);
  var totals0: array<f32, EACH>;
  var totals1: array<f32, EACH>;
  for (var chunk = 0u; chunk < params.inner; chunk += CHUNK) {
    var both0: Sum;
    var both1: Sum;
    var crossed0: Sum;
    var crossed1: Sum;
    var low0: Sum;
    var low1: Sum;
    for (var k = chunk; k < min(chunk + CHUNK, params.inner); k += SIDE) {
      let lower = coopLoadT<Left>(&a[a_start + a_low + k], params.a_row);
      let lower0 = coopLoad<Right>(&b[b0 + b_low + k], params.b_column);
      let lower1 = coopLoad<Right>(&b[b1 + b_low + k], params.b_column);
      low0 = coopMultiplyAdd(lower, lower0, low0);
      low1 = coopMultiplyAdd(lower, lower1, low1);
      if (SLICES == 2u) {
        let upper = coopLoadT<Left>(&a[a_start + k], params.a_row);
        let upper0 = coopLoad<Right>(&b[b0 + k], params.b_column);
        let upper1 = coopLoad<Right>(&b[b1 + k], params.b_column);
        both0 = coopMultiplyAdd(upper, upper0, both0);
        both1 = coopMultiplyAdd(upper, upper1, both1);
        crossed0 = coopMultiplyAdd(upper, lower0, crossed0);
        crossed1 = coopMultiplyAdd(upper, lower1, crossed1);
        crossed0 = coopMultiplyAdd(lower, upper0, crossed0);
        crossed1 = coopMultiplyAdd(lower, upper1, crossed1);
      }
    }
    coopStoreT(both0, &both_staged[0], SIDE);
    coopStoreT(crossed0, &crossed_staged[0], SIDE);
    coopStoreT(low0, &low_staged[0], SIDE);
    workgroupBarrier();
    for (var e = 0u; e < EACH; e++) { totals0[e] = pin(totals0[e] + staged(local + e * LANES)); }
    workgroupBarrier();
    coopStoreT(both1, &both_staged[0], SIDE);
    coopStoreT(crossed1, &crossed_staged[0], SIDE);
    coopStoreT(low1, &low_staged[0], SIDE);
    workgroupBarrier();
    for (var e = 0u; e < EACH; e++) { totals1[e] = pin(totals1[e] + staged(local + e * LANES)); }
    workgroupBarrier();
  }
  finish_square(group, at, local, first, b0, totals0);
  finish_square(group, at, local, first + SIDE, b1, totals1);
}
