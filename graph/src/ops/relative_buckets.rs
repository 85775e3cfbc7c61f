use super::util;
use crate::{AttrDefault, AttrKind, AttrSpec, Attrs, Bound, DType, OpDef, OpError, Tensor, TensorDesc};

pub(super) static DEF: OpDef = OpDef {
    name: "video.RelativeBuckets",
    doc: "The bucket of each pair of query and key position, [query_length, key_length], as T5 numbers them: near \
          distances have a bucket each, farther ones share buckets on a logarithmic scale. Gather and Transpose \
          make the attention bias of it.",
    inputs: &[],
    outputs: &["buckets"],
    variadic_outputs: false,
    attrs: &[
        required("query_length", "The number of query positions."),
        required("key_length", "The number of key positions."),
        with_default(
            "num_buckets",
            AttrKind::Int,
            AttrDefault::Int(32),
            "How many buckets there are, of both directions together.",
        ),
        with_default(
            "max_distance",
            AttrKind::Int,
            AttrDefault::Int(128),
            "The distance from which on all share the last bucket.",
        ),
        with_default(
            "bidirectional",
            AttrKind::Bool,
            AttrDefault::Bool(true),
            "Whether keys after the query have buckets of their own; else they share bucket 0.",
        ),
    ],
    infer: |args| {
        Buckets::of(args.attrs)?;
        let lengths = ["query_length", "key_length"];
        let shape = lengths.map(|name| util::dim(name, args.attrs.int(name)?));
        let [query, key] = shape;
        Ok(vec![TensorDesc::new(DType::I64, [query?, key?])])
    },
    reference: |args| {
        let buckets = Buckets::of(args.attrs)?;
        let bucket = |index: &[usize]| buckets.of_distance(index[1] as i64 - index[0] as i64) as f64;
        Ok(vec![Tensor::from_fn(util::output_of(args)?, bucket)])
    },
    bound: Bound::Exact,
    flops: util::flops_none,
};

const fn required(name: &'static str, doc: &'static str) -> AttrSpec {
    with_default(name, AttrKind::Int, AttrDefault::Required, doc)
}

const fn with_default(
    name: &'static str,
    kind: AttrKind,
    default: AttrDefault,
    doc: &'static str,
) -> AttrSpec {
    AttrSpec { name, kind, default, doc }
}

/// The buckets of one direction.
struct Buckets {
    count: i64,
    /// Distances below this have a bucket each.
    exact: i64,
    max_distance: i64,
    bidirectional: bool,
}

impl Buckets {
    fn of(attrs: &Attrs) -> Result<Self, OpError> {
        let bidirectional = attrs.bool("bidirectional")?;
        let all = attrs.int("num_buckets")?;
        let count = if bidirectional { all / 2 } else { all };
        let (exact, max_distance) = (count / 2, attrs.int("max_distance")?);
        if exact < 1 {
            let least = if bidirectional { 4 } else { 2 };
            return Err(OpError::attribute(
                "num_buckets",
                format!("{all} is given, but must be {least} or more"),
            ));
        }
        if max_distance <= exact {
            return Err(OpError::attribute(
                "max_distance",
                format!("{max_distance} must be above {exact}, the distances with a bucket each"),
            ));
        }
        Ok(Self { count, exact, max_distance, bidirectional })
    }

    /// The bucket of a key that lies so far after the query.
    fn of_distance(&self, distance: i64) -> i64 {
        match (self.bidirectional, distance > 0) {
            (true, true) => self.count + self.near_or_far(distance),
            (false, true) => 0,
            _ => self.near_or_far(-distance),
        }
    }

    fn near_or_far(&self, distance: i64) -> i64 {
        if distance < self.exact {
            return distance;
        }
        let ratio = |d: i64| (d as f64 / self.exact as f64).ln();
        let step = ratio(distance) / ratio(self.max_distance) * (self.count - self.exact) as f64;
        self.exact.saturating_add(step as i64).min(self.count - 1)
    }
}
