//! A lowered model as a session.

use kinograph_backend::{CompileError, DeviceError, Weights, check_weight};
use kinograph_graph::Graph;
use kinograph_onnx::{Attr, Data, Initializer, Io, MICROSOFT, Model, Node};
use ort::AsPointer as _;
use ort::editor;
use ort::operator::Attribute;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{Outlet, Shape, SymbolicDimensions, ValueType};

use crate::buffer::element_type;
use crate::device::OrtDevice;
use crate::internal;

/// Constants up to this size are part of the model, where shape inference sees them.
const SMALL: usize = 127;

/// Bytes at an address that every element type can be read from.
pub(crate) struct Aligned(Vec<u64>);

impl Aligned {
    fn copy(bytes: &[u8]) -> Self {
        let word = |chunk: &[u8]| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        };
        Self(bytes.chunks(8).map(word).collect())
    }

    fn address(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }
}

/// A session, and the bytes that it reads besides the weights.
pub(crate) struct Built {
    pub(crate) session: Session,
    pub(crate) copies: Vec<Aligned>,
}

/// What a session may do.
#[derive(Clone, Copy)]
pub(crate) struct Access {
    /// Read weights where they lie.
    pub(crate) in_place: bool,
    /// Rewrite the graph.
    pub(crate) optimized: bool,
}

/// Makes a session of a model. The weights must live as long as the session.
pub(crate) fn build(
    device: &OrtDevice,
    graph: &Graph,
    model: &Model,
    weights: &dyn Weights,
    access: Access,
) -> Result<Built, CompileError> {
    let fail = |e: ort::Error| CompileError::Device(DeviceError::Internal(e.to_string()));
    let mut lowered = editor::Graph::new().map_err(fail)?;
    let outlets = |list: &[Io]| list.iter().map(outlet).collect::<Vec<_>>();
    lowered.set_inputs(outlets(&model.inputs)).map_err(fail)?;
    lowered.set_outputs(outlets(&model.outputs)).map_err(fail)?;
    let mut copies = Vec::new();
    for initializer in &model.initializers {
        add_initializer(&mut lowered, initializer, graph, weights, &mut copies)?;
    }
    for node in &model.nodes {
        lowered.add_node(onnx_node(node).map_err(fail)?).map_err(fail)?;
    }
    let opset = |domain, version| editor::Opset::new(domain, version).map_err(fail);
    let opsets = [opset(editor::ONNX_DOMAIN, model.opset)?, opset(MICROSOFT, 1)?];
    let mut onnx = editor::Model::new(opsets).map_err(fail)?;
    onnx.set_graph(lowered).map_err(fail)?;
    let options = configured(device, access).map_err(|e| CompileError::Device(internal(e)))?;
    Ok(Built { session: onnx.into_session(&options).map_err(fail)?, copies })
}

fn outlet(io: &Io) -> Outlet {
    let ty = ValueType::Tensor {
        ty: element_type(io.desc.dtype),
        shape: Shape::new(io.desc.shape.iter().map(|&d| d as i64)),
        dimension_symbols: SymbolicDimensions::empty(io.desc.rank()),
    };
    Outlet::new(&io.name, ty)
}

fn onnx_node(node: &Node) -> ort::Result<editor::Node> {
    let attributes = node.attrs.iter().map(|(name, value)| match value {
        Attr::Int(v) => Attribute::new(name, *v),
        Attr::Float(v) => Attribute::new(name, *v),
        Attr::Str(v) => Attribute::new(name, (*v).to_owned()),
        Attr::Ints(v) => Attribute::new(name, v.clone()),
    });
    let attributes = attributes.collect::<ort::Result<Vec<_>>>()?;
    editor::Node::new(node.op, node.domain, &node.name, &node.inputs, &node.outputs, attributes)
}

fn add_initializer(
    graph: &mut editor::Graph,
    initializer: &Initializer,
    declared: &Graph,
    weights: &dyn Weights,
    copies: &mut Vec<Aligned>,
) -> Result<(), CompileError> {
    let bytes = match &initializer.data {
        Data::Bytes(bytes) => bytes,
        Data::Weight(name) => {
            let value = declared.weights().iter().map(|&id| declared.value(id)).find(|v| v.name == *name);
            let desc = value.map_or(&initializer.desc, |v| &v.desc);
            let view = check_weight(weights, name, desc)?;
            let aligned = view.bytes.as_ptr().align_offset(view.dtype.size()) == 0;
            if aligned && view.bytes.len() > SMALL {
                return add(graph, initializer, view.bytes.as_ptr(), view.bytes.len(), true);
            }
            view.bytes
        }
    };
    let copy = Aligned::copy(bytes);
    add(graph, initializer, copy.address(), bytes.len(), bytes.len() > SMALL)?;
    copies.push(copy);
    Ok(())
}

/// Adds a tensor that lies at an address. The `ort` crate has no safe way: its tensors own or borrow what they hold, and
/// initializers may do neither.
#[allow(unsafe_code)]
fn add(
    graph: &mut editor::Graph,
    initializer: &Initializer,
    address: *const u8,
    bytes: usize,
    external: bool,
) -> Result<(), CompileError> {
    let fail = |e: ort::Error| CompileError::Device(DeviceError::Internal(e.to_string()));
    let name =
        std::ffi::CString::new(initializer.name.as_str()).map_err(|e| CompileError::Device(internal(e)))?;
    let shape: Vec<i64> = initializer.desc.shape.iter().map(|&d| d as i64).collect();
    let memory = ort::memory::MemoryInfo::default();
    let mut value = std::ptr::null_mut();
    let api = ort::api();
    // SAFETY: `address` is aligned and holds `bytes` bytes, which are as many as the shape and type have (weights are
    // checked, constants are made so). ONNX Runtime only reads initializers. The executable keeps the memory (the mapped
    // weights and the copies) until its session is gone.
    let status = unsafe {
        (api.CreateTensorWithDataAsOrtValue)(
            memory.ptr(),
            address.cast_mut().cast(),
            bytes,
            shape.as_ptr(),
            shape.len(),
            element_type(initializer.desc.dtype).into(),
            &mut value,
        )
    };
    // SAFETY: the status is the one that the call gave.
    unsafe { ort::Error::result_from_status(status) }.map_err(fail)?;
    let editor = editor::editor_api().map_err(fail)?;
    // SAFETY: the graph is alive and the name is a C string; on success the graph owns the value.
    let status =
        unsafe { (editor.AddInitializerToGraph)(graph.ptr().cast_mut(), name.as_ptr(), value, external) };
    // SAFETY: as above.
    unsafe { ort::Error::result_from_status(status) }.map_err(|e| {
        // SAFETY: the graph did not take the value, so it is still ours.
        unsafe { (api.ReleaseValue)(value) };
        fail(e)
    })
}

/// The options of a session. Determinism is asked for; threads are the device's own, not shared with other sessions.
fn configured(device: &OrtDevice, access: Access) -> ort::Result<SessionBuilder> {
    fn plain(error: ort::Error<SessionBuilder>) -> ort::Error {
        ort::Error::new(error.to_string())
    }
    let mut builder = Session::builder(&device.runtime.environment)?
        .with_optimization_level(match access.optimized {
            true => GraphOptimizationLevel::All,
            false => GraphOptimizationLevel::Disable,
        })
        .map_err(plain)?
        .with_deterministic_compute(true)
        .map_err(plain)?
        .with_log_level(ort::logging::LogLevel::Warning)
        .map_err(plain)?;
    if let Some(threads) = device.options.threads {
        builder = builder.with_intra_threads(threads).map_err(plain)?;
    }
    if access.in_place {
        // Both would copy the weights, folding in the type that they are computed in.
        builder = builder.with_prepacking(false).map_err(plain)?;
        builder = builder.with_disabled_optimizers("ConstantFolding").map_err(plain)?;
    }
    if !device.is_cpu() && !device.options.fallback {
        builder = builder.with_disable_cpu_fallback().map_err(plain)?;
    }
    let dispatch = device.provider.dispatch(device.number, &device.options.provider);
    builder.with_execution_providers([dispatch]).map_err(plain)
}
