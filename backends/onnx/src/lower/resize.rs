//! Resampling: along one axis after the other, by tables that follow the op table's definition to the letter.

use kinograph_graph::{Attrs, Node};

use super::util::{defect, word};
use crate::builder::{Builder, Lowered, Name};
use crate::model::Attr;

/// How one axis is resampled.
struct Axis {
    from: usize,
    to: usize,
    scale: f64,
}

fn axes(attrs: &Attrs, from: &[usize], to: &[usize]) -> Lowered<Vec<Axis>> {
    let scales = attrs.opt_floats("scales").map_err(defect)?;
    let axis = |(i, (&from, &to)): (usize, (&usize, &usize))| {
        let scale = scales.and_then(|s| s.get(i).copied()).unwrap_or(to as f64 / from.max(1) as f64);
        Axis { from, to, scale }
    };
    Ok(from.iter().zip(to).enumerate().map(axis).collect())
}

impl Axis {
    /// Where a position of the result lies in the input, moved inside.
    fn coordinate(&self, x: usize, transform: &str) -> f64 {
        let x = x as f64;
        let at = match transform {
            "half_pixel" => (x + 0.5) / self.scale - 0.5,
            "align_corners" if self.to == 1 => 0.0,
            "align_corners" => x * (self.from - 1) as f64 / (self.to - 1) as f64,
            _ => x / self.scale,
        };
        at.max(0.0).min((self.from - 1) as f64)
    }
}

pub(crate) fn resize(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (from, to) = (b.desc(node, 0)?, b.out_desc(node, 0));
    let x = b.input(node, 0)?;
    let transform = word(node, "coordinate_transformation_mode")?;
    let linear = word(node, "mode")? == "linear";
    let floor = word(node, "nearest_mode")? == "floor";
    let axes = axes(&node.attrs, &from.shape[2..], &to.shape[2..])?;
    let whole =
        |a: &Axis| a.to == a.from * (a.to / a.from.max(1)) && a.scale == (a.to / a.from.max(1)) as f64;
    if b.target.resize_nearest && !linear && floor && transform == "asymmetric" && axes.iter().all(whole) {
        let y = whole_factors(b, &x, &axes);
        b.output(node, 0, y);
        return Ok(());
    }
    let mut y = x;
    for (i, axis) in axes.iter().enumerate().filter(|(_, axis)| axis.to != axis.from || axis.scale != 1.0) {
        let at: Vec<f64> = (0..axis.to).map(|x| axis.coordinate(x, transform)).collect();
        y = if linear {
            interpolated(b, &y, i + 2, axis, &at, to.rank())
        } else {
            let nearest = |&at: &f64| if floor { at.floor() as usize } else { (at - 0.5).ceil() as usize };
            b.pick(&y, i + 2, &at.iter().map(nearest).collect::<Vec<_>>())
        };
    }
    let y = b.op("Identity", &[&y]);
    b.output(node, 0, y);
    Ok(())
}

/// Each element several times, which `Resize` does exactly.
fn whole_factors(b: &mut Builder<'_>, x: &str, axes: &[Axis]) -> Name {
    let factors = [1.0, 1.0].into_iter().chain(axes.iter().map(|a| a.scale as f32)).collect();
    let scales = b.f32s(&[axes.len() + 2], factors);
    let attrs = vec![
        ("mode", Attr::Str("nearest")),
        ("coordinate_transformation_mode", Attr::Str("asymmetric")),
        ("nearest_mode", Attr::Str("floor")),
    ];
    b.op_with("Resize", &[x, "", &scales], attrs)
}

/// (1 - part) * low + part * high.
fn interpolated(b: &mut Builder<'_>, x: &str, axis: usize, of: &Axis, at: &[f64], rank: usize) -> Name {
    let low: Vec<usize> = at.iter().map(|at| at.floor() as usize).collect();
    let high: Vec<usize> = low.iter().map(|low| (low + 1).min(of.from - 1)).collect();
    let mut shape = vec![1; rank];
    shape[axis] = of.to;
    let part = b.f32s(&shape, at.iter().map(|at| at.fract() as f32).collect());
    let rest = b.f32s(&shape, at.iter().map(|at| (1.0 - at.fract()) as f32).collect());
    let (low, high) = (b.pick(x, axis, &low), b.pick(x, axis, &high));
    let (low, high) = (b.op("Mul", &[&low, &rest]), b.op("Mul", &[&high, &part]));
    b.op("Add", &[&low, &high])
}
