use std::collections::BTreeMap;
use std::sync::Arc;

use kinograph_graph::{DType, TensorDesc};

use crate::{CompileError, Control, Device, Executable, RunError};

/// A weight as it is stored: row-major, little-endian, perhaps in a mapped file.
#[derive(Clone, Copy, Debug)]
pub struct WeightView<'a> {
    /// The type that it is stored in.
    pub dtype: DType,
    /// Its dimensions.
    pub shape: &'a [usize],
    /// Its bytes; not necessarily aligned to the type.
    pub bytes: &'a [u8],
}

/// Where a backend finds weights. The runtime gives mapped files; a backend keeps the `Arc` and may
/// read the bytes in place for as long as it does.
pub trait Weights: Send + Sync {
    /// The weight of that name.
    fn get(&self, name: &str) -> Option<WeightView<'_>>;
}

/// Finds a weight and checks that it can stand for what the graph declares: the same shape, and the
/// same type or, for a float, any float type.
///
/// # Errors
/// [`CompileError::MissingWeight`] or [`CompileError::Weight`].
pub fn check_weight<'a>(
    weights: &'a dyn Weights,
    name: &str,
    desc: &TensorDesc,
) -> Result<WeightView<'a>, CompileError> {
    let view = weights.get(name).ok_or_else(|| CompileError::MissingWeight(name.to_owned()))?;
    let fail = |reason: String| Err(CompileError::Weight { name: name.to_owned(), reason });
    if view.shape != desc.shape {
        return fail(format!("the graph declares {desc}, but the file holds {}{:?}", view.dtype, view.shape));
    }
    if view.dtype != desc.dtype && !(view.dtype.is_float() && desc.dtype.is_float()) {
        return fail(format!("the graph declares {desc}, which cannot be read from {}", view.dtype));
    }
    if view.bytes.len() != desc.with_dtype(view.dtype).bytes() {
        return fail(format!(
            "it has {} bytes, but {desc} stored as {} has another size",
            view.bytes.len(),
            view.dtype
        ));
    }
    Ok(view)
}

/// Weights, and before them some that were made of them or are to be taken instead.
pub struct OverlaidWeights {
    base: Arc<dyn Weights>,
    own: MemoryWeights,
}

impl OverlaidWeights {
    /// The one over the other.
    pub fn new(base: Arc<dyn Weights>, own: MemoryWeights) -> Self {
        Self { base, own }
    }

    /// Weights, and over them, under these names, the outputs of a graph without inputs, which is run on its device.
    ///
    /// # Errors
    /// Those of the run, and of moving what it makes.
    pub fn computed(
        base: Arc<dyn Weights>,
        names: &[String],
        executable: &dyn Executable,
        device: &dyn Device,
    ) -> Result<Self, RunError> {
        let mut own = MemoryWeights::new();
        for (name, buffer) in names.iter().zip(executable.run(&[], &Control::new())?) {
            let tensor = device.download(&buffer)?;
            let desc = tensor.desc();
            own.insert(name, desc.dtype, desc.shape.clone(), tensor.data().as_bytes().to_vec());
        }
        Ok(Self::new(base, own))
    }
}

impl Weights for OverlaidWeights {
    fn get(&self, name: &str) -> Option<WeightView<'_>> {
        self.own.get(name).or_else(|| self.base.get(name))
    }
}

/// Weights in memory, for tests and for graphs made by programs.
#[derive(Clone, Debug, Default)]
pub struct MemoryWeights {
    tensors: BTreeMap<String, (DType, Vec<usize>, Vec<u8>)>,
}

impl MemoryWeights {
    /// No weights.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a weight from its little-endian bytes.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        dtype: DType,
        shape: impl Into<Vec<usize>>,
        bytes: Vec<u8>,
    ) {
        self.tensors.insert(name.into(), (dtype, shape.into(), bytes));
    }

    /// Adds a weight of `f32`.
    pub fn insert_f32(&mut self, name: impl Into<String>, shape: impl Into<Vec<usize>>, values: &[f32]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.insert(name, DType::F32, shape, bytes);
    }
}

impl Weights for MemoryWeights {
    fn get(&self, name: &str) -> Option<WeightView<'_>> {
        self.tensors.get(name).map(|(dtype, shape, bytes)| WeightView { dtype: *dtype, shape, bytes })
    }
}
