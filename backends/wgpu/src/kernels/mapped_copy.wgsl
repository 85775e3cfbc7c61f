// A copy in which a table for each axis says which element of the input each position shows, already times its stride; a negative entry
// shows the filler. An element is a word, two for 64 bits, or a half.

struct Params {
  zero: u32,
  count: u32, rank: u32, x_start: u32,
  out_start: u32, filler_low: u32, filler_high: u32, unused: u32,
  sizes: array<vec4<u32>, 2>,
  tables: array<vec4<u32>, 2>,
}

@group(0) @binding(0) var<storage, read> x: array<OfX>;
@group(0) @binding(1) var<storage, read> tables: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(3) var<uniform> params: Params;

fn each(i: u32) {
  var rest = i;
  var offset = 0;
  var inside = true;
  for (var step = 0u; step < params.rank; step++) {
    let axis = params.rank - 1u - step;
    let size = params.sizes[axis / 4u][axis % 4u];
    let entry = tables[params.tables[axis / 4u][axis % 4u] + rest % size];
    rest /= size;
    inside = inside && entry >= 0;
    offset += max(entry, 0);
  }
  if (inside) {
    out[params.out_start + i] = moved(x[params.x_start + u32(offset)]);
  } else {
    out[params.out_start + i] = filler();
  }
}
