// A rounded result as it is: in this kernel each operation forbids the compiler to round it together with another.
fn pin(x: f32) -> f32 { return x; }

fn pin4(x: vec4<f32>) -> vec4<f32> { return x; }
