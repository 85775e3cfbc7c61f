// A matrix product of halves by cooperative matrices of SIDE rows and columns, summed in f32, for adapters that have them. A subgroup
// computes two of them by two, which are whole: what is left at the ends of the result is a matter of other kernels.

@group(0) @binding(0) var<storage, read> a: array<f16>;
@group(0) @binding(1) var<storage, read> b: array<f16>;

const SQUARE = SIDE * SIDE;

var<workgroup> staged: array<f32, SQUARE>;

fn store_square(sums: Sum, start: u32, column: u32, local: u32) {
  workgroupBarrier();
  coopStoreT(sums, &staged[0], SIDE);
  workgroupBarrier();
  for (var i = local; i < SQUARE; i += LANES) {
    store(start + (i / SIDE) * params.out_row + i % SIDE, staged[i], column + i % SIDE);
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let lead = lead_of(group.z);
  let row = (group.y + params.base_y) * (2u * SIDE);
  let column = group.x * (2u * SIDE);
  let a0 = params.a_start + dot(lead, params.a_lead) + row * params.a_row;
  let a1 = a0 + SIDE * params.a_row;
  let b0 = params.b_start + dot(lead, params.b_lead) + column * params.b_column;
  let b1 = b0 + SIDE * params.b_column;
  var sum00: Sum;
  var sum01: Sum;
  var sum10: Sum;
  var sum11: Sum;
  for (var k = 0u; k < params.inner; k += SIDE) {
    let left0 = coopLoadT<Left>(&a[a0 + k], params.a_row);
    let left1 = coopLoadT<Left>(&a[a1 + k], params.a_row);
    let right0 = coopLoad<Right>(&b[b0 + k], params.b_column);
    let right1 = coopLoad<Right>(&b[b1 + k], params.b_column);
    sum00 = coopMultiplyAdd(left0, right0, sum00);
    sum01 = coopMultiplyAdd(left0, right1, sum01);
    sum10 = coopMultiplyAdd(left1, right0, sum10);
    sum11 = coopMultiplyAdd(left1, right1, sum11);
  }
  let start = params.out_start + group.z * params.out_batch + row * params.out_row + column;
  let below = start + SIDE * params.out_row;
  store_square(sum00, start, column, local);
  store_square(sum01, start + SIDE, column + SIDE, local);
  store_square(sum10, below, column, local);
  store_square(sum11, below + SIDE, column + SIDE, local);
}
