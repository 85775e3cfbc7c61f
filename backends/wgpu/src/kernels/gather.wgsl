// Slices of a table along an axis, picked by indices: out[o][i][e] = data[o][indices[i]][e]. The table may be one part of several, of
// `present` rows from `first` on: an index into another part writes nothing. One outside of all sets the status.

struct Params {
  zero: u32,
  count: u32, outer: u32, axis: u32,
  indices: u32, inner: u32, first: u32, present: u32,
  data_start: u32, indices_start: u32, out_start: u32, step: u32,
}

@group(0) @binding(0) var<storage, read> data: array<OfData>;
@group(0) @binding(1) var<storage, read> indices: array<OfIndices>;
@group(0) @binding(2) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(3) var<storage, read_write> status: array<atomic<u32>>;
@group(0) @binding(4) var<uniform> params: Params;

fn each(i: u32) {
  let e = i % params.inner;
  let n = (i / params.inner) % params.indices;
  let o = i / params.inner / params.indices;
  let given = index_of(indices[params.indices_start + n]);
  let size = i32(params.axis);
  let row = select(given, given + size, given < 0);
  if (row < 0 || row >= size) {
    atomicMax(&status[0], params.step);
    return;
  }
  let own = u32(row) - params.first;
  if (own >= params.present) { return; }
  out[params.out_start + i] = fetch(params.data_start + (o * params.present + own) * params.inner + e);
}
