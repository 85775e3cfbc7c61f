//! Sampling on devices whose memory lies apart: the state stays there, and its bits are those of steps on the host.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kinograph::backend::{
    BufferRef, CompileError, DeviceError, Executable, MemoryPlan, StoredTypes, Support, Weights,
};
use kinograph::graph::{Graph, Node};
use kinograph::sampler::Solver;
use kinograph::{Device, DeviceInfo, Error, HostTensor, Model, Numerics, Package, Precision, Request};

use crate::common::{cpu, opened, safetensors, with};

/// A device that says where its memory lies, and counts what is moved back from it.
struct Counting {
    inner: Arc<dyn Device>,
    apart: bool,
    downloads: AtomicUsize,
    bytes: AtomicUsize,
}

impl Counting {
    fn of(inner: Arc<dyn Device>, apart: bool) -> Arc<Self> {
        Arc::new(Self { inner, apart, downloads: AtomicUsize::new(0), bytes: AtomicUsize::new(0) })
    }

    /// What was moved back since the last time: tensors, and their bytes.
    fn moved(&self) -> [usize; 2] {
        [&self.downloads, &self.bytes].map(|count| count.swap(0, Ordering::Relaxed))
    }
}

impl Device for Counting {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn support(&self, graph: &Graph, node: &Node) -> Support {
        self.inner.support(graph, node)
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        self.inner.compile(graph, weights)
    }

    fn plan(&self, graph: &Graph, stored: StoredTypes<'_>) -> Result<MemoryPlan, CompileError> {
        self.inner.plan(graph, stored)
    }

    fn is_apart(&self) -> bool {
        self.apart
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        self.inner.upload(tensor)
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        let tensor = self.inner.download(buffer)?;
        self.downloads.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(tensor.data().as_bytes().len(), Ordering::Relaxed);
        Ok(tensor)
    }
}

fn model(device: Arc<dyn Device>) -> Model {
    Model::load(Package::built_in(kinograph_flipbook::FILES).unwrap(), device).unwrap()
}

fn latents(model: &Model, request: &Request) -> Vec<f32> {
    let made = model.sample(request, |_| ControlFlow::Continue(())).unwrap_or_else(|e| panic!("{e}"));
    made.as_f32().unwrap().to_vec()
}

/// The CPU, and an adapter in both ways to keep values.
fn each(check: impl Fn(&Arc<dyn Device>, &str)) {
    check(&cpu(), "f32");
    #[cfg(feature = "wgpu")]
    for storage in ["f32", "f16"] {
        opened(&["wgpu:0"], &[("storage", storage)]).iter().for_each(|device| check(device, storage));
    }
}

fn request() -> Request {
    Request::new("a red circle moves left").frames(8).steps(4).seed(3)
}

/// Those that say so by themselves.
#[test]
fn the_memory_of_an_adapter_lies_apart() {
    assert!(!cpu().is_apart());
    #[cfg(feature = "wgpu")]
    opened(&["wgpu:0"], &[]).iter().for_each(|device| assert!(device.is_apart()));
}

/// With guidance in one run, in two, in the second and the third step, and without.
#[test]
fn steps_on_the_device_have_the_bits_of_steps_on_the_host() {
    each(|device, storage| {
        let (there, here) = (Counting::of(device.clone(), true), Counting::of(device.clone(), false));
        let (there, here) = (model(there), model(here));
        let large = || request().size(96, 96);
        let peak = there.plan(&large()).unwrap().peak;
        let splits = |limit: &u64| {
            let plan = there.plan(&large().memory_limit(*limit));
            plan.is_ok_and(|plan| plan.tactics.split_guidance)
        };
        let tight = (1..100).rev().map(|share| peak * share / 100).find(splits);
        let guidance = |text: &str| request().guidance(text.parse().unwrap());
        let mut requests = vec![request(), guidance("5@0.003-0.01"), guidance("1")];
        // With values in f16 the decoder is what does not fit, however small its tiles are.
        match tight {
            Some(tight) => requests.push(large().memory_limit(tight)),
            None => assert_eq!(storage, "f16"),
        }
        for (case, request) in requests.iter().enumerate() {
            let [a, b] = [&there, &here].map(|model| latents(model, request));
            assert!(a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits())), "case {case}");
        }
    });
}

/// Of several items, with negative prompts, in one run and in two.
#[test]
fn a_batch_has_the_bits_of_steps_on_the_host() {
    each(|device, _| {
        let models: [Model; 2] = [true, false].map(|apart| model(Counting::of(device.clone(), apart)));
        let request =
            |prompt: &str, seed| Request::new(prompt).negative("a blue star").frames(1).steps(3).seed(seed);
        let requests = [request("a red circle", 1), request("a green triangle", 2)];
        let [there, here] = models.each_ref().map(|model: &Model| {
            let made = model.generate_batch(&requests, |_| ControlFlow::Continue(())).unwrap();
            made.iter().map(|item| item.latents.as_f32().unwrap().to_vec()).collect::<Vec<_>>()
        });
        assert!(there == here);
        assert!(there[0] != there[1]);
    });
}

/// Other solvers, and what is reproducible, are steps of the host.
#[test]
fn what_is_of_the_host_stays_there() {
    let counting = Counting::of(cpu(), true);
    let bytes = |model: &Model, request: &Request| {
        counting.moved();
        let state = 4 * latents(model, request).len();
        (counting.moved()[1], state)
    };
    let native = model(counting.clone());
    let (euler, state) = bytes(&native, &request());
    // All but a number a step, and the state at the end.
    let texts = euler - 4 * 4 - state;
    // Two velocities a step, or one, under both prompts.
    assert_eq!(bytes(&native, &request().solver(Solver::Heun)).0, texts + 4 * 2 * 2 * state);
    let exact = Numerics::Reproducible(Precision::R16).on(counting.clone()).unwrap();
    let exact = model(exact);
    // What is made of weights once comes back when graphs are compiled.
    bytes(&exact, &request());
    assert_eq!(bytes(&exact, &request()).0, texts + 4 * 2 * state);
}

/// Between the first step and the last only a number a step comes back, and the state where someone looks at it.
#[test]
fn the_state_stays_on_the_device() {
    each(|device, _| {
        let counting = Counting::of(device.clone(), true);
        let model = model(counting.clone());
        let moved = |request: Request| {
            counting.moved();
            let bytes = 4 * latents(&model, &request).len();
            let [downloads, moved] = counting.moved();
            (downloads, moved - 4 * 4, bytes)
        };
        let texts = 3;
        let (downloads, rest, bytes) = moved(request());
        assert_eq!(downloads, texts + 4 + 1);
        // The previews of steps 2 and 4 want state and velocity.
        assert_eq!(moved(request().preview_every(2)), (downloads + 4, rest + 4 * bytes, bytes));
        assert_eq!(moved(request().on_step(|_, state| assert!(!state.is_empty()))).0, downloads + 4);
    });
}

/// What is wrong with a velocity is said as on the host: the step, the element and its value.
#[test]
fn a_velocity_that_is_not_finite_is_an_error() {
    let weights = |mix: f32| {
        let embed = vec![0.5; 259 * 3];
        let mix = vec![1.0, 0.0, 0.0, 0.0, mix, 0.0, 0.0, 0.0, 1.0];
        safetensors(&[("embed", &[259, 3], embed), ("mix.weight", &[3, 3], mix)])
    };
    each(|device, _| {
        for bad in [f32::NAN, f32::NEG_INFINITY] {
            let package = || Package::in_memory(with("weights.safetensors", weights(bad))).unwrap();
            let errors = [true, false].map(|apart| {
                let counting: Arc<dyn Device> = Counting::of(device.clone(), apart);
                let model = Model::load(package(), counting).unwrap();
                // Without guidance, or the difference of two infinities would be none.
                let request = Request::new("a").guidance("1".parse().unwrap());
                let made = model.sample(&request, |_| ControlFlow::Continue(()));
                made.unwrap_err().to_string()
            });
            let value = if bad.is_nan() { "NaN" } else { "-inf" };
            assert!(errors[0].contains("step 1 of 4") && errors[0].contains(value), "{errors:?}");
            assert_eq!(errors[0], errors[1]);
        }
    });
}

/// A job goes on from a checkpoint that was written on the way, on the device or off it.
#[test]
fn a_checkpoint_is_written_on_the_way() {
    each(|device, _| {
        let (there, here) = (Counting::of(device.clone(), true), Counting::of(device.clone(), false));
        let (there, here) = (model(there), model(here));
        let whole = latents(&there, &request());
        let folder = tempfile::tempdir().unwrap();
        for (i, (first, second)) in
            [(&there, &here), (&here, &there), (&there, &there)].into_iter().enumerate()
        {
            let request = request().checkpoint(folder.path().join(i.to_string()), Duration::ZERO);
            let stopped = first.sample(&request, |progress| match progress.step {
                2 if progress.stage == kinograph::Stage::Sample => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            });
            assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
            assert!(latents(second, &request) == whole, "{i}");
        }
    });
}
