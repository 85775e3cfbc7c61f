//! A host's own tensors and graphs.

use std::ffi::{CStr, CString};
use std::ptr::null;

use kinograph_capi::*;

use crate::support::{Failed, call, device, make, refusal, tensor_f32, values};

const GRAPH: &CStr = cr#"
format = 1
name = "gate"
symbols = { B = 1 }
params = { dim = 2 }
inputs = { x = ["B", "dim"], gain = ["dim"] }
weights = { "fc.weight" = ["dim", "dim"] }
nodes = [
  { op = "Linear", in = ["x", "fc.weight"], out = "h" },
  { op = "Mul", in = ["h", "gain"], out = "y" },
]
outputs = { y = "y", h = "h" }
"#;

fn named(name: &'static CStr, tensor: &KinographTensor) -> KinographNamedTensor {
    KinographNamedTensor { name: name.as_ptr(), tensor }
}

fn compile(toml: &CStr, weights: &[KinographNamedTensor]) -> Result<Box<KinographExecutable>, Failed> {
    let symbols = [KinographSymbol { name: c"B".as_ptr(), size: 3 }];
    let params = [KinographParam { name: c"dim".as_ptr(), value: 2.0 }];
    let bindings = KinographBindings {
        struct_size: size_of::<KinographBindings>(),
        symbols: symbols.as_ptr(),
        symbol_count: symbols.len(),
        params: params.as_ptr(),
        param_count: params.len(),
        weights: weights.as_ptr(),
        weight_count: weights.len(),
    };
    let device = device(1);
    // SAFETY: text, structs and objects are alive.
    make(|out, error| unsafe {
        kinograph_device_compile(Some(&device), toml.as_ptr(), &raw const bindings, out, error)
    })
}

fn run(
    executable: &KinographExecutable,
    inputs: &[KinographNamedTensor],
    control: Option<&KinographControl>,
    room: usize,
) -> Result<Vec<KinographTensor>, Failed> {
    let mut outputs = vec![std::ptr::dangling_mut::<KinographTensor>(); room];
    // SAFETY: inputs are alive, and there is room for so many outputs.
    let done = call(|error| unsafe {
        let (inputs, count) = (inputs.as_ptr(), inputs.len());
        kinograph_executable_run(Some(executable), inputs, count, control, outputs.as_mut_ptr(), room, error)
    });
    if done.is_err() {
        assert!(outputs.iter().all(|output| output.is_null()), "a failure with objects");
    }
    // SAFETY: a run that succeeds gives its outputs to the caller.
    let own = |output| *unsafe { Box::from_raw(output) };
    done.map(|()| outputs.into_iter().map(own).collect())
}

#[test]
fn a_graph_of_the_host_runs() {
    let weight = tensor_f32(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let executable = compile(GRAPH, &[named(c"fc.weight", &weight)]).unwrap();
    // The executable keeps what it needs.
    drop(weight);
    // SAFETY: texts of the executable, which is alive.
    let text = |pointer| unsafe { CStr::from_ptr(pointer) };
    let object = Some(&*executable);
    assert_eq!((kinograph_executable_input_count(object), kinograph_executable_output_count(object)), (2, 2));
    assert_eq!(text(kinograph_executable_input_name(object, 1)), c"gain");
    assert_eq!(text(kinograph_executable_output_name(object, 0)), c"y");
    assert!(kinograph_executable_output_name(object, 2).is_null());
    // SAFETY: zeros are valid, and the size is set.
    let mut memory: KinographMemory = unsafe { std::mem::zeroed() };
    memory.struct_size = size_of::<KinographMemory>();
    // SAFETY: the struct is alive.
    call(|error| unsafe { kinograph_executable_memory(object, &raw mut memory, error) }).unwrap();
    assert_eq!(memory.weights_in_place + memory.weights_copied, 16);

    let x = tensor_f32(&[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let gain = tensor_f32(&[2], &[1.0, 10.0]);
    let outputs = run(&executable, &[named(c"gain", &gain), named(c"x", &x)], None, 2).unwrap();
    assert_eq!(values(&outputs[0]), (vec![3, 2], vec![1.0, 30.0, 2.0, 40.0, 3.0, 70.0]));
    assert_eq!(values(&outputs[1]).1, [1.0, 3.0, 2.0, 4.0, 3.0, 7.0]);

    let refused = |inputs: &[KinographNamedTensor], room| refusal(run(&executable, inputs, None, room));
    let both = [named(c"gain", &gain), named(c"x", &x)];
    assert_eq!(refused(&both, 1).0, KinographStatus::Argument);
    assert!(refused(&both[..1], 2).1.contains("`x` is missing"));
    assert!(refused(&[both[0], both[1], named(c"z", &x)], 2).1.contains("no input `z`; it has x, gain"));
    assert!(refused(&[both[0], both[0]], 2).1.contains("twice"));
    assert_eq!(refused(&[named(c"gain", &x), named(c"x", &gain)], 2).0, KinographStatus::Run);
    let nothing = KinographNamedTensor { name: c"x".as_ptr(), tensor: null() };
    assert_eq!(refused(&[both[0], nothing], 2).0, KinographStatus::Null);
    let control = make(|out, error| kinograph_control_new(out, error)).unwrap();
    kinograph_control_cancel(Some(&control));
    assert_eq!(refusal(run(&executable, &both, Some(&control), 2)).0, KinographStatus::Cancelled);
    // After all of that it runs as before.
    assert_eq!(values(&run(&executable, &both, None, 2).unwrap()[1]), values(&outputs[1]));
}

#[test]
fn graphs_that_are_wrong_are_refused() {
    let weight = tensor_f32(&[3], &[0.0; 3]);
    assert_eq!(refusal(compile(c"format = ", &[])).0, KinographStatus::Graph);
    let (status, message) = refusal(compile(GRAPH, &[]));
    assert_eq!((status, message.contains("fc.weight")), (KinographStatus::Compile, true), "{message}");
    assert_eq!(refusal(compile(GRAPH, &[named(c"fc.weight", &weight)])).0, KinographStatus::Compile);
    let unknown = CString::new(GRAPH.to_str().unwrap().replace("Mul", "Mull")).unwrap();
    let (status, message) = refusal(compile(&unknown, &[]));
    assert_eq!((status, message.contains("graph.toml:")), (KinographStatus::Graph, true), "{message}");
}

#[test]
fn tensors_keep_every_type() {
    for (dtype, size) in [
        (KinographDtype::F32, 4),
        (KinographDtype::F16, 2),
        (KinographDtype::Bf16, 2),
        (KinographDtype::I8, 1),
        (KinographDtype::U8, 1),
        (KinographDtype::I32, 4),
        (KinographDtype::I64, 8),
        (KinographDtype::Bool, 1),
    ] {
        // One byte off, as data needs no alignment.
        let data: Vec<u8> = (0..=6 * size as u8).map(|i| i % 2).collect();
        let shape = [2, 3];
        // SAFETY: shape and data are alive.
        let tensor = make(|out, error| unsafe {
            let data = data[1..].as_ptr().cast();
            kinograph_tensor_new(dtype as i32, shape.as_ptr(), 2, data, 6 * size, out, error)
        });
        let tensor = tensor.unwrap();
        let mut view = KinographTensorView {
            struct_size: size_of::<KinographTensorView>(),
            dtype: -1,
            rank: 0,
            shape: null(),
            data: null(),
            size: 0,
        };
        // SAFETY: the struct is alive; its bytes are of the tensor, which is alive.
        let bytes = unsafe {
            call(|error| kinograph_tensor_view(Some(&tensor), &raw mut view, error)).unwrap();
            std::slice::from_raw_parts(view.data.cast::<u8>(), view.size)
        };
        assert_eq!((view.dtype, view.rank), (dtype as i32, 2));
        assert_eq!(bytes, &data[1..], "{dtype:?}");
    }
}

#[test]
fn tensors_that_cannot_be_are_refused() {
    let data = [2u8; 16];
    let make_one = |dtype: i32, shape: &[usize], size: usize| {
        // SAFETY: shape and data are alive; no more is read than there is, as the sizes do not fit.
        refusal(make(|out, error| unsafe {
            kinograph_tensor_new(dtype, shape.as_ptr(), shape.len(), data.as_ptr().cast(), size, out, error)
        }))
        .0
    };
    let (f32s, bools) = (KinographDtype::F32 as i32, KinographDtype::Bool as i32);
    assert_eq!(make_one(99, &[4], 16), KinographStatus::Argument);
    assert_eq!(make_one(-1, &[4], 16), KinographStatus::Argument);
    assert_eq!(make_one(f32s, &[3], 16), KinographStatus::Argument);
    assert_eq!(make_one(f32s, &[1; 9], 4), KinographStatus::Argument);
    assert_eq!(make_one(f32s, &[usize::MAX, 2], 16), KinographStatus::Argument);
    assert_eq!(make_one(f32s, &[usize::MAX / 4], usize::MAX), KinographStatus::Argument);
    assert_eq!(make_one(bools, &[16], 16), KinographStatus::Argument);
    // SAFETY: null is what is tested.
    let missing =
        make(|out, error| unsafe { kinograph_tensor_new(f32s, [4].as_ptr(), 1, null(), 16, out, error) });
    assert_eq!(refusal(missing).0, KinographStatus::Null);
    // SAFETY: an empty tensor needs no data, and a single value no shape.
    unsafe {
        make(|out, error| kinograph_tensor_new(f32s, [0].as_ptr(), 1, null(), 0, out, error)).unwrap();
        make(|out, error| kinograph_tensor_new(f32s, null(), 0, data.as_ptr().cast(), 4, out, error))
            .unwrap();
        // No error object is wanted.
        let status = kinograph_tensor_new(99, null(), 0, null(), 0, None, None);
        assert_eq!(status, KinographStatus::Null);
    }
}
