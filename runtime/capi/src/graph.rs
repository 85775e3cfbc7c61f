//! Graphs of the host's own.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::sync::Arc;

use kinograph::HostTensor;
use kinograph::backend::{Control, Device, Executable, WeightView, Weights};
use kinograph::graph::{Bindings, Graph, GraphFile, Number};

use crate::control::KinographControl;
use crate::device::KinographDevice;
use crate::failure::{Failure, KinographError, c_text, free, guard};
use crate::pointers::{MOST_ENTRIES, Versioned, array, fill, give, given, read, slot, slots, text};
use crate::status::KinographStatus;
use crate::tensor::KinographTensor;

/// A graph compiled for a device. Several threads may run it at once.
pub struct KinographExecutable {
    device: Arc<dyn Device>,
    executable: Arc<dyn Executable>,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

/// A tensor under a name.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographNamedTensor {
    /// The name in the graph.
    pub name: *const c_char,
    /// The tensor.
    pub tensor: *const KinographTensor,
}

/// The size of a symbol.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographSymbol {
    /// The symbol.
    pub name: *const c_char,
    /// Its size.
    pub size: usize,
}

/// The value of a parameter.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographParam {
    /// The parameter.
    pub name: *const c_char,
    /// Its value; a whole number below 2^53 counts as an integer.
    pub value: f64,
}

/// What a graph leaves open. All zeros but the size: nothing, so the graph's own sizes hold and it has no weights.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographBindings {
    /// The size of this struct.
    pub struct_size: usize,
    /// Sizes of symbols; the others are as the graph says.
    pub symbols: *const KinographSymbol,
    /// How many.
    pub symbol_count: usize,
    /// Values of parameters; the others are as the graph says.
    pub params: *const KinographParam,
    /// How many.
    pub param_count: usize,
    /// The weights of the graph.
    pub weights: *const KinographNamedTensor,
    /// How many.
    pub weight_count: usize,
}

// SAFETY: `repr(C)`, the size first, and zeros are empty arrays.
unsafe impl Versioned for KinographBindings {}

/// What a compiled graph holds and needs, in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographMemory {
    /// The size of this struct.
    pub struct_size: usize,
    /// Activations, outputs and scratch of one run, at the peak.
    pub run: u64,
    /// Weights that are read in place.
    pub weights_in_place: u64,
    /// Weights that the device keeps as its own copy.
    pub weights_copied: u64,
}

// SAFETY: `repr(C)`, the size first, and plain numbers.
unsafe impl Versioned for KinographMemory {}

/// Compiles a graph for a device: `toml` is the text of a graph file, as docs/graph-format.md teaches it. Included files are
/// not read. `bindings` may be null. Devices that components of models have for themselves are not used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_device_compile(
    device: Option<&KinographDevice>,
    toml: *const c_char,
    bindings: *const KinographBindings,
    executable: Option<&mut MaybeUninit<*mut KinographExecutable>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(executable, "executable")?;
        let device = given(device, "device")?.device.clone();
        // SAFETY: a text of the caller.
        let file = GraphFile::parse("graph.toml", unsafe { text(toml, "toml") }?)?;
        // SAFETY: a struct of the caller, or null.
        let (bindings, weights) = unsafe { bound(bindings) }?;
        let graph = Arc::new(file.bind(&bindings)?);
        let executable = device.compile(graph.clone(), Arc::new(weights))?;
        let (inputs, outputs) = names(&graph);
        give(slot, KinographExecutable { device, executable, inputs, outputs });
        Ok(())
    })
}

/// Names of inputs and outputs, for C.
fn names(graph: &Graph) -> (Vec<CString>, Vec<CString>) {
    let inputs = graph.inputs().iter().map(|&id| c_text(graph.value(id).name.as_str()));
    let outputs = graph.outputs().iter().map(|output| c_text(output.name.as_str()));
    (inputs.collect(), outputs.collect())
}

/// Weights that are the caller's tensors, read in place.
struct TensorWeights(BTreeMap<String, Arc<HostTensor>>);

impl Weights for TensorWeights {
    fn get(&self, name: &str) -> Option<WeightView<'_>> {
        let tensor = self.0.get(name)?;
        let desc = tensor.desc();
        Some(WeightView { dtype: desc.dtype, shape: &desc.shape, bytes: tensor.data().as_bytes() })
    }
}

/// Sizes, parameters and weights as the graph takes them.
///
/// # Safety
/// Null, or a struct whose size and arrays are as it says.
unsafe fn bound(bindings: *const KinographBindings) -> Result<(Bindings, TensorWeights), Failure> {
    let mut made = Bindings::new();
    // SAFETY: as promised by the caller.
    let Some(given) = unsafe { read(bindings, "bindings") }? else {
        return Ok((made, TensorWeights(BTreeMap::new())));
    };
    // SAFETY: an array of the caller.
    for symbol in unsafe { array(given.symbols, given.symbol_count, MOST_ENTRIES, "symbols") }? {
        // SAFETY: a text of the caller.
        made = made.symbol(unsafe { text(symbol.name, "symbol name") }?, symbol.size);
    }
    // SAFETY: an array of the caller.
    for param in unsafe { array(given.params, given.param_count, MOST_ENTRIES, "params") }? {
        // SAFETY: a text of the caller.
        made = made.number(unsafe { text(param.name, "param name") }?, number(param.value));
    }
    // SAFETY: an array of the caller, and its objects.
    let weights = unsafe { named(given.weights, given.weight_count, "weights") }?;
    let weights = weights.into_iter().map(|(name, tensor)| (name.to_owned(), tensor.0.clone()));
    Ok((made, TensorWeights(weights.collect())))
}

/// A number of the graph format, which tells integers from floats.
fn number(value: f64) -> Number {
    const EXACT: f64 = (1u64 << 53) as f64;
    if value.fract() == 0.0 && value.abs() < EXACT { Number::Int(value as i64) } else { Number::Float(value) }
}

/// Tensors by their names.
///
/// # Safety
/// Null, or so many entries whose texts and objects live for `'a`.
unsafe fn named<'a>(
    entries: *const KinographNamedTensor,
    count: usize,
    what: &str,
) -> Result<BTreeMap<&'a str, &'a KinographTensor>, Failure> {
    let mut found = BTreeMap::new();
    // SAFETY: as promised by the caller.
    for entry in unsafe { array(entries, count, MOST_ENTRIES, what) }? {
        // SAFETY: as promised by the caller.
        let name = unsafe { text(entry.name, &format!("name in {what}")) }?;
        // SAFETY: as promised by the caller.
        let tensor = given(unsafe { entry.tensor.as_ref() }, &format!("{what}: tensor of {name}"))?;
        if found.insert(name, tensor).is_some() {
            return Err(Failure::argument(format!("{what}: `{name}` is given twice")));
        }
    }
    Ok(found)
}

/// How many inputs the graph takes; 0 of null.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_executable_input_count(executable: Option<&KinographExecutable>) -> usize {
    executable.map_or(0, |executable| executable.inputs.len())
}

/// The name of an input, which lives as long as the executable; null beyond the last.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_executable_input_name(
    executable: Option<&KinographExecutable>,
    index: usize,
) -> *const c_char {
    executable.and_then(|e| e.inputs.get(index)).map_or(std::ptr::null(), |name| name.as_ptr())
}

/// How many outputs the graph gives; 0 of null.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_executable_output_count(executable: Option<&KinographExecutable>) -> usize {
    executable.map_or(0, |executable| executable.outputs.len())
}

/// The name of an output, which lives as long as the executable; null beyond the last.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_executable_output_name(
    executable: Option<&KinographExecutable>,
    index: usize,
) -> *const c_char {
    executable.and_then(|e| e.outputs.get(index)).map_or(std::ptr::null(), |name| name.as_ptr())
}

/// Says what a compiled graph holds and needs; set `memory->struct_size` first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_executable_memory(
    executable: Option<&KinographExecutable>,
    memory: *mut KinographMemory,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let plan = given(executable, "executable")?.executable.memory();
        let value = KinographMemory {
            struct_size: 0,
            run: plan.run,
            weights_in_place: plan.weights_in_place,
            weights_copied: plan.weights_copied,
        };
        // SAFETY: a struct of the caller, or null.
        unsafe { fill(memory, value, "memory") }
    })
}

/// Runs a graph: every input by its name, in any order; `outputs` has room for all `output_count` outputs and gets them in the
/// graph's order. `control` may be null. Where it fails, all of `outputs` are null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_executable_run(
    executable: Option<&KinographExecutable>,
    inputs: *const KinographNamedTensor,
    input_count: usize,
    control: Option<&KinographControl>,
    outputs: *mut *mut KinographTensor,
    output_count: usize,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        // SAFETY: room of the caller.
        let slots = unsafe { slots(outputs, output_count, "outputs") }?;
        let executable = given(executable, "executable")?;
        // SAFETY: an array of the caller, and its objects.
        let inputs = unsafe { named(inputs, input_count, "inputs") }?;
        let expected = executable.outputs.len();
        if output_count != expected {
            let message = format!("the graph has {expected} outputs, but there is room for {output_count}");
            return Err(Failure::argument(message));
        }
        let control = control.map_or_else(Control::new, |control| control.0.clone());
        for (slot, tensor) in slots.iter_mut().zip(executable.run(&inputs, &control)?) {
            give(slot, KinographTensor(Arc::new(tensor)));
        }
        Ok(())
    })
}

impl KinographExecutable {
    fn run(
        &self,
        given: &BTreeMap<&str, &KinographTensor>,
        control: &Control,
    ) -> Result<Vec<HostTensor>, Failure> {
        let graph = self.executable.graph();
        let names: Vec<&str> = graph.inputs().iter().map(|&id| graph.value(id).name.as_str()).collect();
        if let Some(unknown) = given.keys().find(|name| !names.contains(name)) {
            let known = names.join(", ");
            return Err(Failure::argument(format!("the graph has no input `{unknown}`; it has {known}")));
        }
        let mut buffers = Vec::with_capacity(names.len());
        for name in names {
            let missing = || Failure::argument(format!("the input `{name}` is missing"));
            let tensor = given.get(name).ok_or_else(missing)?;
            buffers.push(self.device.upload(tensor.0.as_ref().clone())?);
        }
        let made = self.executable.run(&buffers, control)?;
        made.iter().map(|buffer| Ok(self.device.download(buffer)?)).collect()
    }
}

/// Frees an executable; null is fine. Runs of it must have ended.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_executable_free(executable: Option<Box<KinographExecutable>>) {
    free(executable);
}
