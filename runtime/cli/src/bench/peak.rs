//! The rate that everything is compared with: the best of a few large square matrix products on the device itself.

use std::sync::Arc;

use kinograph::Device;
use kinograph::graph::{DType, Graph, GraphBuilder, OpError, TensorDesc, ops};

use super::measure::{Clock, Prepared};

/// Rows, columns and inner size of the products that are tried.
const SIZES: [usize; 4] = [512, 768, 1024, 1536];
/// Seconds for each of them, and each time that the best one is measured again.
const SECONDS: f64 = 0.25;

/// The fastest of the products, and the rates that it reached.
pub(super) struct Peak {
    pub(super) size: usize,
    product: Prepared,
    rates: Vec<f64>,
}

impl Peak {
    /// Tries all sizes.
    pub(super) fn find(device: &dyn Device, clock: Clock) -> anyhow::Result<Self> {
        let mut best: Option<Self> = None;
        for size in SIZES {
            let product = Prepared::new(device, Arc::new(graph(size)?), DType::F32)?;
            let mut peak = Self { size, product, rates: Vec::new() };
            if peak.again(clock)? > best.as_ref().map_or(0.0, Self::best) {
                best = Some(peak);
            }
        }
        best.ok_or_else(|| anyhow::anyhow!("the device computes no matrix product"))
    }

    /// Measures it once more: operations a second.
    pub(super) fn again(&mut self, clock: Clock) -> anyhow::Result<f64> {
        let rate = self.product.flops() / self.product.measure(clock, SECONDS)?.best;
        self.rates.push(rate);
        Ok(rate)
    }

    /// The best so far.
    pub(super) fn best(&self) -> f64 {
        self.rates.iter().copied().fold(0.0, f64::max)
    }

    /// The worst so far.
    pub(super) fn worst(&self) -> f64 {
        self.rates.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

fn graph(size: usize) -> Result<Graph, OpError> {
    let mut builder = GraphBuilder::new("peak");
    let a = builder.input("a", TensorDesc::new(DType::F32, [size, size]))?;
    let b = builder.input("b", TensorDesc::new(DType::F32, [size, size]))?;
    let op = ops::find("MatMul").ok_or_else(|| OpError::invalid("no op `MatMul`"))?;
    let outputs = builder.node(op, &[Some(a), Some(b)], [], "product")?;
    builder.finish([("c", outputs[0])])
}
