//! What inference refuses, and that the message says what would be right.

use kinograph_graph::ops;
use kinograph_graph::{Attr, Attrs, DType, Limits, OpError, Tensor, TensorDesc};

fn f32s(shape: &[usize]) -> Option<TensorDesc> {
    Some(TensorDesc::new(DType::F32, shape))
}

fn of(dtype: DType, shape: &[usize]) -> Option<TensorDesc> {
    Some(TensorDesc::new(dtype, shape))
}

fn ints(name: &str, values: &[i64]) -> (String, Attr) {
    (name.into(), Attr::Ints(values.to_vec()))
}

fn int(name: &str, value: i64) -> (String, Attr) {
    (name.into(), Attr::Int(value))
}

fn float(name: &str, value: f64) -> (String, Attr) {
    (name.into(), Attr::Float(value))
}

fn word(name: &str, value: &str) -> (String, Attr) {
    (name.into(), Attr::Str(value.into()))
}

fn infer(
    op: &str,
    inputs: &[Option<TensorDesc>],
    attrs: &[(String, Attr)],
) -> Result<Vec<TensorDesc>, OpError> {
    let op = ops::find(op).unwrap_or_else(|| panic!("{op} is in the table"));
    let attrs = Attrs::check(op.attrs, attrs.to_vec())?;
    let inputs: Vec<Option<&TensorDesc>> = inputs.iter().map(Option::as_ref).collect();
    ops::infer(op, &inputs, &attrs, &Limits::default())
}

/// Checks that a node is refused with a message that holds `part`.
#[track_caller]
fn refused(op: &str, inputs: &[Option<TensorDesc>], attrs: &[(String, Attr)], part: &str) {
    match infer(op, inputs, attrs) {
        Ok(outputs) => panic!("{op} was accepted, with {outputs:?}"),
        Err(error) => assert!(error.to_string().contains(part), "{op}: {error}"),
    }
}

#[test]
fn types_and_arity() {
    refused("Add", &[f32s(&[2]), of(DType::F16, &[2])], &[], "use Cast");
    refused("Add", &[f32s(&[2]), of(DType::Bool, &[2])], &[], "float or integer");
    refused("Add", &[f32s(&[2])], &[], "`B`");
    refused("Add", &[f32s(&[2]), f32s(&[2]), f32s(&[2])], &[], "at most 2");
    refused("Exp", &[of(DType::I32, &[2])], &[], "a float type");
    refused("And", &[of(DType::U8, &[]), of(DType::Bool, &[])], &[], "bool");
    refused("Where", &[of(DType::Bool, &[2]), f32s(&[2]), of(DType::I64, &[2])], &[], "use Cast");
    refused("Gather", &[f32s(&[2]), f32s(&[2])], &[], "an integer type");
    refused(
        "Attention",
        &[f32s(&[1, 1, 1, 1]), f32s(&[1, 1, 1, 1]), f32s(&[1, 1, 1, 1]), f32s(&[1, 1])],
        &[],
        "bool",
    );
}

#[test]
fn broadcasting() {
    refused("Mul", &[f32s(&[2, 3]), f32s(&[2])], &[], "3 against 2 at axis 1");
    refused("Expand", &[f32s(&[2, 3])], &[ints("shape", &[4, 3])], "do not broadcast");
    refused("Expand", &[f32s(&[2, 3])], &[ints("shape", &[-1, 3])], "not a size");
}

#[test]
fn attributes() {
    refused("Cast", &[f32s(&[1])], &[word("to", "f64")], "one of \"f32\"");
    refused("Cast", &[f32s(&[1])], &[], "required");
    refused("Relu", &[f32s(&[1])], &[int("alpha", 1)], "takes no attributes");
    refused("Clip", &[f32s(&[1])], &[float("min", 2.0), float("max", 1.0)], "not below max");
    refused("Clip", &[f32s(&[1])], &[float("min", f64::NAN)], "not below max");
    refused("Constant", &[], &[ints("value", &[1, 2]), ints("shape", &[3])], "takes 3 or 1");
    refused("Constant", &[], &[ints("value", &[300]), word("dtype", "u8")], "300 is no u8");
    refused("Constant", &[], &[float("value", 0.5)], "a list of numbers");
    refused("Iota", &[], &[ints("shape", &[300]), word("dtype", "i8")], "does not hold every index");
    refused("Iota", &[], &[ints("shape", &[2050]), word("dtype", "f16")], "does not hold every index");
    refused("Iota", &[], &[ints("shape", &[])], "rank 0");
    refused("Iota", &[], &[ints("shape", &[1 << 41])], "limit");
    refused("video.RelativeBuckets", &[], &[int("query_length", -1), int("key_length", 1)], "not a size");
    let lengths = [int("query_length", 1), int("key_length", 1)];
    let with = |more: (String, Attr)| [lengths.to_vec(), vec![more]].concat();
    refused("video.RelativeBuckets", &[], &with(int("num_buckets", 3)), "4 or more");
    refused("video.RelativeBuckets", &[], &with(int("max_distance", 8)), "above 8");
    refused("video.SinusoidalEmbedding", &[f32s(&[2, 1])], &[int("dim", 4)], "[B]");
    refused("video.SinusoidalEmbedding", &[f32s(&[2])], &[int("dim", 1)], "2 or more");
    refused(
        "video.SinusoidalEmbedding",
        &[f32s(&[2])],
        &[int("dim", 2), float("shift", 1.0)],
        "less than half",
    );
}

#[test]
fn axes() {
    refused("Softmax", &[f32s(&[])], &[], "rank 0");
    refused("Concat", &[f32s(&[2]), f32s(&[2])], &[int("axis", 1)], "outside a tensor of rank 1");
    refused("Concat", &[f32s(&[2, 3]), f32s(&[2, 4])], &[int("axis", 0)], "differ only at axis 0");
    refused("Concat", &[], &[int("axis", 0)], "missing");
    refused("ReduceSum", &[f32s(&[2])], &[ints("axes", &[])], "leave it out");
    refused("ReduceSum", &[f32s(&[2, 2])], &[ints("axes", &[1, -1])], "twice");
    refused("ReduceMax", &[f32s(&[2, 0])], &[ints("axes", &[1])], "axis 1");
    refused("ArgMax", &[f32s(&[0])], &[], "axis 0");
    refused("Transpose", &[f32s(&[2, 2])], &[ints("perm", &[0])], "2 axes");
    refused("Transpose", &[f32s(&[2, 2])], &[ints("perm", &[0, 0])], "twice");
    refused("LayerNormalization", &[f32s(&[2, 3]), f32s(&[2])], &[], "must be [3]");
    refused("RMSNormalization", &[f32s(&[2, 3])], &[float("epsilon", -1.0)], "0 or more");
    refused("RMSNormalization", &[f32s(&[])], &[], "rank 0");
}

#[test]
fn movement() {
    let x = [f32s(&[2, 3])];
    refused("Reshape", &x, &[ints("shape", &[4, -1])], "6 elements");
    refused("Reshape", &x, &[ints("shape", &[-1, -1])], "only one");
    refused("Reshape", &x, &[ints("shape", &[-2, 3])], "not a size");
    refused("Split", &x, &[ints("sizes", &[1, 2])], "add up to 2");
    refused("Split", &x, &[ints("sizes", &[])], "add up to 2");
    refused("Split", &x, &[ints("sizes", &[i64::MAX, i64::MAX, i64::MAX])], "add up to 2");
    refused("Slice", &x, &[ints("starts", &[0]), ints("ends", &[1, 2])], "1 starts");
    refused("Slice", &x, &[ints("starts", &[0]), ints("ends", &[1]), ints("steps", &[0])], "step of 0");
    refused("Slice", &x, &[ints("starts", &[0, 0, 0]), ints("ends", &[1, 1, 1])], "2 axes");
    refused("Pad", &x, &[ints("pads", &[1, 1])], "a begin and an end for each");
    refused("Pad", &x, &[ints("pads", &[0, -1, 0, 0])], "use Slice");
    refused("Pad", &x, &[ints("pads", &[0, 3, 0, 0]), word("mode", "reflect")], "by 2 at most");
    refused("Pad", &[f32s(&[0])], &[ints("pads", &[1, 0]), word("mode", "edge")], "by 0 at most");
    refused("Pad", &[of(DType::I32, &[1])], &[ints("pads", &[1, 0]), float("value", 0.5)], "no i32");
    refused("Pad", &x, &[ints("pads", &[i64::MAX, i64::MAX, i64::MAX, i64::MAX])], "any memory");
    refused("Tile", &x, &[ints("repeats", &[1])], "2 axes");
    refused("Tile", &x, &[ints("repeats", &[i64::MAX, i64::MAX])], "too large");
    refused("Tile", &x, &[ints("repeats", &[1, -1])], "not a size");
}

#[test]
fn an_index_outside_the_axis_is_an_error_of_the_data() {
    let gather = ops::find("Gather").expect("in the table");
    let attrs = Attrs::check(gather.attrs, []).expect("defaults");
    let tensor = |desc: Option<TensorDesc>, data: &[f64]| Tensor::new(desc.unwrap(), data.to_vec()).unwrap();
    let data = tensor(f32s(&[3]), &[1.0, 2.0, 3.0]);
    for (index, expected) in [(2.0, Some(3.0)), (-3.0, Some(1.0)), (3.0, None), (-4.0, None)] {
        let indices = tensor(of(DType::I64, &[1]), &[index]);
        let found = ops::evaluate(gather, &[Some(&data), Some(&indices)], &attrs);
        match expected {
            Some(v) => assert_eq!(found.unwrap()[0].data(), [v]),
            None => assert!(found.unwrap_err().to_string().contains("which has 3 entries")),
        }
    }
}

#[test]
fn products() {
    refused("MatMul", &[f32s(&[3]), f32s(&[3, 2])], &[], "reshape a vector");
    refused("MatMul", &[f32s(&[2, 3]), f32s(&[2, 3])], &[], "3 elements");
    refused("MatMul", &[f32s(&[2, 2, 3]), f32s(&[3, 3, 1])], &[], "do not broadcast");
    refused("Linear", &[f32s(&[2, 3]), f32s(&[4, 2])], &[], "3 features");
    refused("Linear", &[f32s(&[2, 3]), f32s(&[4, 3]), f32s(&[3])], &[], "must be [4]");
}

#[test]
fn convolutions() {
    let (x, w) = (f32s(&[1, 4, 8]), f32s(&[6, 2, 3]));
    let xw = [x.clone(), w.clone()];
    let good = int("group", 2);
    assert!(infer("Conv", &xw, std::slice::from_ref(&good)).is_ok());
    refused("Conv", &xw, &[], "4 channels in 1 groups");
    refused("Conv", &xw, &[int("group", 0)], "1 or more");
    refused("Conv", &xw, &[good.clone(), ints("strides", &[0])], "1 or more");
    refused("Conv", &xw, &[good.clone(), ints("strides", &[1, 1])], "1 spatial axes");
    refused("Conv", &xw, &[good.clone(), ints("dilations", &[i64::MAX])], "the kernel spans");
    refused("Conv", &xw, &[good.clone(), ints("pads", &[1])], "a begin and an end");
    refused("Conv", &xw, &[good.clone(), ints("pads", &[-1, 0])], "use Slice");
    refused("Conv", &xw, &[good.clone(), ints("pads", &[8, 0]), word("pad_mode", "reflect")], "by 7 at most");
    refused("Conv", &[x.clone(), w, f32s(&[4])], &[good], "must be [6]");
    refused("Conv", &[x.clone(), f32s(&[6, 4, 9])], &[], "the kernel spans 9");
    refused("Conv", &[x.clone(), f32s(&[6, 4, 0])], &[], "empty");
    refused("Conv", &[f32s(&[1, 4]), f32s(&[6, 4])], &[], "1 to 3");
    refused("Conv", &[f32s(&[1]), f32s(&[])], &[], "[N, C, d1, ...]");
    refused("ConvTranspose", &[x.clone(), f32s(&[4, 1, 3])], &[int("group", 3)], "3 groups");
    refused("ConvTranspose", &[x.clone(), f32s(&[4, 1, 3])], &[ints("pads", &[9, 9])], "nothing is left");
    refused("ConvTranspose", &[x.clone(), f32s(&[4, 1, 3])], &[ints("output_padding", &[1])], "less than");
    refused("ConvTranspose", &[x, f32s(&[3, 1, 3])], &[], "[C, O/group, k1, ...]");
    refused("GroupNormalization", &[f32s(&[1, 6, 2])], &[int("num_groups", 4)], "6 channels");
    refused("GroupNormalization", &[f32s(&[6])], &[int("num_groups", 1)], "axis 1");
    refused("Snake", &[f32s(&[1, 6, 2]), f32s(&[2])], &[], "must be [6]");
}

#[test]
fn resampling() {
    let x = [f32s(&[1, 2, 4])];
    let scales = |v: f64| ("scales".to_string(), Attr::Floats(vec![v]));
    refused("Resize", &x, &[], "either sizes or scales");
    refused("Resize", &x, &[scales(2.0), ints("sizes", &[8])], "not both");
    refused("Resize", &x, &[scales(0.1)], "1 or more");
    refused("Resize", &x, &[scales(f64::NAN)], "1 or more");
    refused("Resize", &x, &[scales(1e300)], "1 or more");
    refused("Resize", &x, &[ints("sizes", &[0])], "1 or more");
    refused("Resize", &x, &[ints("sizes", &[1, 1])], "1 spatial axes");
    refused("Resize", &[f32s(&[1, 2])], &[ints("sizes", &[])], "one to three");
    refused("Resize", &[f32s(&[1, 2, 0])], &[ints("sizes", &[1])], "empty axis");
}

#[test]
fn attention() {
    let q = f32s(&[1, 4, 3, 8]);
    let qkv = |k: &[usize], v: &[usize]| [q.clone(), f32s(k), f32s(v)];
    assert_eq!(infer("Attention", &qkv(&[1, 2, 5, 8], &[1, 2, 5, 6]), &[]).unwrap()[0].shape, [1, 4, 3, 6]);
    refused("Attention", &qkv(&[1, 3, 5, 8], &[1, 3, 5, 8]), &[], "a multiple");
    refused("Attention", &qkv(&[1, 2, 5, 4], &[1, 2, 5, 8]), &[], "one head size");
    refused("Attention", &qkv(&[1, 2, 5, 8], &[1, 2, 6, 8]), &[], "as many positions");
    refused("Attention", &qkv(&[2, 2, 5, 8], &[2, 2, 5, 8]), &[], "one batch size");
    refused("Attention", &qkv(&[1, 5, 16], &[1, 5, 16]), &[int("kv_num_heads", 2)], "one rank");
    refused("Attention", &qkv(&[1, 2, 5, 8], &[1, 2, 5, 8]), &[int("q_num_heads", 3)], "4 heads");
    let packed = [f32s(&[1, 3, 32]), f32s(&[1, 5, 16]), f32s(&[1, 5, 16])];
    refused("Attention", &packed, &[int("q_num_heads", 4)], "rank 3 needs it");
    refused("Attention", &packed, &[int("q_num_heads", 5), int("kv_num_heads", 2)], "does not divide");
    let mask = [q.clone(), q.clone(), q.clone(), of(DType::Bool, &[2, 1, 3, 3])];
    refused("Attention", &mask, &[], "does not broadcast to [1, 4, 3, 3]");
    refused("RotaryEmbedding", &[q.clone(), f32s(&[3, 2]), f32s(&[3, 2])], &[], "must be [3, 4]");
    refused("RotaryEmbedding", &[q.clone(), f32s(&[3, 4]), f32s(&[2, 3, 4])], &[], "must be [3, 4]");
    refused("RotaryEmbedding", &[q.clone(), f32s(&[3, 1]), f32s(&[3, 1])], &[int("rotary_dim", 3)], "even");
    refused("RotaryEmbedding", &[q, f32s(&[3, 5]), f32s(&[3, 5])], &[int("rotary_dim", 10)], "8 at most");
}
