//! Reproducible numerics as graphs: [`reproducible`] writes a graph in ops that docs/reproducible.md defines to the bit,
//! [`expand`] writes those in ordinary ops whose results are exact or rounded once.

mod attention;
mod emit;
mod expand;
mod functions;
mod norm;
mod products;
mod replace;

pub use expand::expand;
pub use replace::reproducible;

#[cfg(test)]
mod tests;
