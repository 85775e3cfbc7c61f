use super::util;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Attrs, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "Slice",
    doc: "A part of a tensor, as in Python: positions from `starts` up to and without `ends`, by `steps`; \
          negative positions count from the end, and positions outside are moved to it. To reach the \
          first element with a negative step, give an end below minus the size.",
    inputs: &[InputSpec::required("data", Types::Any)],
    outputs: &["output"],
    variadic_outputs: false,
    attrs: &[
        AttrSpec {
            name: "starts",
            kind: AttrKind::Ints,
            default: AttrDefault::Required,
            doc: "The first position, for each of the axes.",
        },
        AttrSpec {
            name: "ends",
            kind: AttrKind::Ints,
            default: AttrDefault::Required,
            doc: "The position to stop before, for each of the axes.",
        },
        AttrSpec {
            name: "axes",
            kind: AttrKind::Ints,
            default: AttrDefault::Absent,
            doc: "The axes, from the end if negative; without it, the leading ones.",
        },
        AttrSpec {
            name: "steps",
            kind: AttrKind::Ints,
            default: AttrDefault::Absent,
            doc: "The distance from one position to the next, for each of the axes, not 0; without it, 1.",
        },
    ],
    infer: |args| {
        let x = args.input(0)?;
        Ok(vec![x.with_shape(runs(args.attrs, x)?.iter().map(|r| r.len).collect::<Vec<_>>())])
    },
    reference,
    bound: Bound::Exact,
    flops: util::flops_none,
};

/// The positions taken along one axis: `start`, `start + step`, and so on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    start: usize,
    step: i64,
    len: usize,
}

impl Run {
    fn of(dim: usize, start: i64, end: i64, step: i64) -> Self {
        let size = dim as i128;
        let wrap = |p: i64| if p < 0 { i128::from(p) + size } else { i128::from(p) };
        // Forwards, positions run from 0 and end at `size`; backwards, from size - 1, ending at -1.
        let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let limit = |p: i128| p.max(low).min(high);
        let (start, end, step_wide) = (limit(wrap(start)), limit(wrap(end)), i128::from(step));
        let distance = if step > 0 { end - start } else { start - end };
        let len = if distance <= 0 { 0 } else { (distance - 1) / step_wide.abs() + 1 };
        Self { start: usize::try_from(start).unwrap_or(0), step, len: usize::try_from(len).unwrap_or(0) }
    }

    fn position(self, i: usize) -> usize {
        (self.start as i128 + i as i128 * i128::from(self.step)) as usize
    }
}

fn runs(attrs: &Attrs, x: &TensorDesc) -> Result<Vec<Run>, OpError> {
    let (starts, ends) = (attrs.ints("starts")?, attrs.ints("ends")?);
    util::one_each("ends", ends.len(), starts.len(), "starts")?;
    let axes = match attrs.opt_ints("axes")? {
        Some(axes) => util::axes("axes", axes, x.rank())?,
        None if starts.len() <= x.rank() => (0..starts.len()).collect(),
        None => {
            let reason = format!("{} entries are given, but {x} has {} axes", starts.len(), x.rank());
            return Err(OpError::attribute("starts", reason));
        }
    };
    util::one_each("axes", axes.len(), starts.len(), "starts")?;
    let ones = vec![1; starts.len()];
    let steps = attrs.opt_ints("steps")?.unwrap_or(&ones);
    util::one_each("steps", steps.len(), starts.len(), "starts")?;
    if steps.contains(&0) {
        return Err(OpError::attribute("steps", "a step of 0 never arrives; give 1 to take every element"));
    }
    let mut runs: Vec<Run> = x.shape.iter().map(|&len| Run { start: 0, step: 1, len }).collect();
    for (i, &axis) in axes.iter().enumerate() {
        runs[axis] = Run::of(x.shape[axis], starts[i], ends[i], steps[i]);
    }
    Ok(runs)
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = util::output_of(args)?;
    let x = args.input(0)?;
    let runs = runs(args.attrs, x.desc())?;
    Ok(vec![Tensor::from_fn(desc, |index| {
        let source: Vec<usize> = runs.iter().zip(index).map(|(run, &i)| run.position(i)).collect();
        x.data()[util::offset(x.shape(), &source)]
    })])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_clamp_as_python_does() {
        let run = |dim, start, end, step| {
            let r = Run::of(dim, start, end, step);
            (0..r.len).map(|i| r.position(i)).collect::<Vec<_>>()
        };
        assert_eq!(run(5, 1, i64::MAX, 2), [1, 3]);
        assert_eq!(run(5, -2, 99, 1), [3, 4]);
        assert_eq!(run(5, i64::MAX, i64::MIN, -1), [4, 3, 2, 1, 0]);
        assert_eq!(run(5, 4, -1, -1), []);
        assert_eq!(run(5, 3, 0, i64::MIN), [3]);
        assert_eq!(run(0, 0, 5, -1), []);
        assert_eq!(run(0, i64::MIN, i64::MAX, 1), []);
    }
}
