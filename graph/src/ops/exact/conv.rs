//! Convolution.

use super::{SLICES, floats, flops_of, only_f32, parameter, slices, tensor};
use crate::exact::{self, CHUNK};
use crate::ops::conv as plain;
use crate::ops::geometry::{self, PadMode};
use crate::ops::util::{self, output_of};
use crate::tensor::for_each_index;
use crate::{Args, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types};

pub(in crate::ops) static CONV: OpDef = OpDef {
    name: "exact.Conv",
    doc: "Convolution as of Conv in block integers: each item and group of X and each kernel in whole numbers, the sums \
          of their products exact in chunks of as many channels as make 1024 terms at most.",
    inputs: &[
        InputSpec::required("X", Types::Float),
        InputSpec::required("W", Types::Float),
        InputSpec::optional("B", Types::Float),
    ],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[plain::ATTRS[0], plain::ATTRS[1], plain::ATTRS[2], plain::ATTRS[3], plain::ATTRS[4], SLICES],
    infer,
    reference,
    bound: Bound::Exact,
    flops: |args, outputs| flops_of("Conv")(args, outputs),
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    slices(args.attrs)?;
    only_f32(args.inputs.iter().flatten().copied())?;
    let out = (plain::DEF.infer)(args)?;
    let taps = util::count(&args.input(1)?.shape[2..]);
    if taps > CHUNK {
        return Err(OpError::invalid(format!(
            "the kernel has {taps} taps, but a sum is exact for {CHUNK} at most"
        )));
    }
    Ok(out)
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = output_of(args)?;
    let (x, w, bias, slices) = (args.input(0)?, args.input(1)?, args.optional(2), slices(args.attrs)?);
    let windows = geometry::windows(args.attrs, &w.shape()[2..])?;
    let mode = PadMode::of(args.attrs, "pad_mode")?;
    let (out_group, in_group) = plain::groups(args.attrs, w)?;
    let (kernel, image) = (util::count(&w.shape()[1..]), util::count(&x.shape()[2..]));
    let groups = util::positive("group", args.attrs.int("group")?)?;
    let whole = |data: &[f32], count: usize, length: usize| -> Vec<exact::Whole> {
        (0..count).map(|r| exact::whole(&data[r * length..(r + 1) * length], slices)).collect()
    };
    let inputs = whole(&floats(x), x.shape()[0] * groups, in_group * image);
    let kernels = whole(&floats(w), w.shape()[0], kernel);
    let taps = util::count(&w.shape()[2..]);
    let chunk = (CHUNK / taps).max(1) * taps;
    let mut out = Vec::with_capacity(desc.elements());
    for_each_index(&desc.shape, |index| {
        let (n, o, at) = (index[0], index[1], &index[2..]);
        let (input, weight) = (&inputs[n * groups + o / out_group], &kernels[o]);
        let met = plain::met_by_taps(&windows, mode, &x.shape()[2..], at, &w.shape()[2..]);
        let mut terms = Vec::with_capacity(kernel);
        for channel in input.numbers.chunks_exact(image.max(1)) {
            for place in &met {
                let x = place.map_or(0, |place| channel[place]);
                terms.push(i64::from(x) * i64::from(weight.numbers[terms.len()]));
            }
        }
        let y = exact::scaled(exact::chunked(terms, chunk), input.unit, weight.unit);
        out.push(parameter(bias, o).map_or(y, |b| exact::add(y, b)));
    });
    tensor(desc, out)
}
