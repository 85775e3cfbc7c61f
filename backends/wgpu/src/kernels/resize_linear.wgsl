// Linear interpolation along three axes. For each axis the table holds, for each position of the result, the two elements that it lies
// between and its part of the way.

struct Params {
  zero: u32,
  count: u32, x_start: u32, out_start: u32,
  input: vec3<u32>, unused0: u32,
  output: vec3<u32>, unused1: u32,
  table: vec3<u32>, unused2: u32,
}

@group(0) @binding(0) var<storage, read> x: array<OfX>;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<OfOut>;
@group(0) @binding(3) var<uniform> params: Params;

fn each(i: u32) {
  let positions = params.output.x * params.output.y * params.output.z;
  let p = i % positions;
  let at = vec3(p / (params.output.y * params.output.z), (p / params.output.z) % params.output.y, p % params.output.z);
  let entry = params.table + at * 3u;
  let start = params.x_start + (i / positions) * params.input.x * params.input.y * params.input.z;
  var sum = 0.0;
  for (var corner = 0u; corner < 8u; corner++) {
    let side = vec3(corner >> 2u, (corner >> 1u) & 1u, corner & 1u);
    var weight = 1.0;
    var place = 0u;
    for (var axis = 0u; axis < 3u; axis++) {
      let part = bitcast<f32>(table[entry[axis] + 2u]);
      weight *= select(1.0 - part, part, side[axis] == 1u);
      place = place * params.input[axis] + table[entry[axis] + side[axis]];
    }
    // A neighbour with no part in it must not bring in its infinity.
    if (weight != 0.0) { sum += weight * f32(x[start + place]); }
  }
  out[params.out_start + i] = kept(rounded(sum));
}
