//! The kernels: what the steps of a run do. Each is a struct that holds everything known before the
//! run, made by the rules in `lower`.

pub(crate) mod attention;
pub(crate) mod conv;
pub(crate) mod copy;
pub(crate) mod dots;
pub(crate) mod elementwise;
pub(crate) mod exact;
pub(crate) mod gather;
pub(crate) mod integer;
pub(crate) mod linear;
pub(crate) mod make;
pub(crate) mod matmul;
pub(crate) mod micro;
pub(crate) mod norm;
pub(crate) mod reduce;
pub(crate) mod resize;
pub(crate) mod rotary;
pub(crate) mod rows;
pub(crate) mod softmax;
#[cfg(target_arch = "x86_64")]
pub(crate) mod turn;
#[cfg(target_arch = "x86_64")]
pub(crate) mod weights_left;
