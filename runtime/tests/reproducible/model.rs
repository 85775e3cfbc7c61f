//! The bundled model with reproducible numerics.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use kinograph::replay::Digests;
use kinograph::{Device, DeviceOptions, Model, Numerics, Package, Precision, Reproducible, Request, Runtime};

use crate::alternating::Alternating;
use crate::common::{self, psnr};

const R16: Numerics = Numerics::Reproducible(Precision::R16);
const R8: Numerics = Numerics::Reproducible(Precision::R8);

/// A prompt, frames, and size.
type Job = (&'static str, usize, (usize, usize));

const JOBS: [Job; 3] = [
    ("a red circle moves left", 16, (64, 64)),
    ("a yellow star moves up on a blue background", 8, (96, 64)),
    ("a white letter \"K\" moves down", 1, (64, 96)),
];

/// What the jobs make, on any device: a change is a change of the arithmetic, and of its version. Where the file is removed,
/// `KINOGRAPH_BLESS=1` lets the first device write it anew.
fn check(made: &[Digests], what: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reproducible/golden.txt");
    let mut found =
        format!("# BLAKE3 of latents and of frames, version {}\n", kinograph::graph::exact::VERSION);
    for ((prompt, ..), Digests { latents, frames, .. }) in JOBS.iter().zip(made) {
        writeln!(found, "{latents} {frames} {prompt}").unwrap();
    }
    if std::env::var_os("KINOGRAPH_BLESS").is_some() && !path.exists() {
        std::fs::write(&path, &found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert_eq!(found, wanted, "{what}");
    println!("{what}: the same bits");
}

fn cpu(threads: usize, simd: &str) -> Arc<dyn Device> {
    let extra = [("simd".to_owned(), simd.to_owned())].into();
    Runtime::new()
        .open("cpu", &DeviceOptions { threads: Some(threads), extra, ..Default::default() })
        .unwrap()
}

/// The levels of instructions that this machine has.
fn levels() -> Vec<&'static str> {
    let has = |simd: &&&str| {
        let extra = [("simd".to_owned(), (**simd).to_owned())].into();
        Runtime::new().open("cpu", &DeviceOptions { threads: Some(1), extra, ..Default::default() }).is_ok()
    };
    ["avx512", "avx2", "neon", "plain"].iter().filter(has).copied().collect()
}

/// The other devices that can be reproducible.
fn others() -> Vec<Arc<dyn Device>> {
    let mut devices = common::others();
    devices.retain(|device| match R16.on(device.clone()) {
        Ok(_) => true,
        // tract rewrites graphs as it likes; should a version of it change bits, it is refused by name.
        Err(why) if device.info().id == "tract" => {
            println!("skipped: {why}");
            false
        }
        Err(why) => panic!("{why}"),
    });
    devices
}

fn model(device: Arc<dyn Device>, numerics: Numerics) -> Model {
    let device = numerics.on(device).unwrap_or_else(|e| panic!("{e}"));
    Model::load(Package::built_in(kinograph_flipbook::FILES).unwrap(), device).unwrap()
}

fn request(prompt: &str, frames: usize, (width, height): (usize, usize)) -> Request {
    Request::new(prompt).frames(frames).size(width, height).steps(3).seed(11)
}

fn digests(model: &Model, request: &Request) -> Digests {
    let made = model.generate_digests(request, |_| Ok(()), |_| ControlFlow::Continue(()));
    made.unwrap_or_else(|e| panic!("{e}")).0
}

fn all(model: &Model) -> Vec<Digests> {
    JOBS.iter().map(|(prompt, frames, size)| digests(model, &request(prompt, *frames, *size))).collect()
}

#[test]
fn threads_and_instructions_change_no_bit() {
    for level in levels() {
        for threads in [1, 2] {
            check(&all(&model(cpu(threads, level), R16)), &format!("{level}, {threads} threads"));
        }
    }
}

#[test]
fn other_devices_give_the_same_bits() {
    for device in others() {
        let id = device.info().id.clone();
        check(&all(&model(device, R16)), &id);
    }
}

#[test]
fn r16_makes_the_frames_of_native_numerics() {
    let request =
        Request::new("a green triangle spins on a red to yellow gradient").frames(16).steps(12).seed(2);
    let make = |numerics| {
        let made =
            model(cpu(2, levels()[0]), numerics).generate(&request, |_| ControlFlow::Continue(())).unwrap();
        made.frames.data().to_vec()
    };
    let native = make(Numerics::Native);
    let (r16, r8) = (psnr(&make(R16), &native), psnr(&make(R8), &native));
    println!("r16 {r16:.1} dB, r8 {r8:.1} dB");
    assert!(r16 >= 50.0, "{r16:.1} dB");
    assert!(r8 < r16, "{r8:.1} dB");
}

/// Tiles that different devices decode join without a seam.
#[test]
fn tiles_of_several_devices_join() {
    let request = request("a red circle moves left", 48, (64, 64)).steps(1);
    let alone = digests(&model(cpu(1, "plain"), R16), &request);
    let mut devices = vec![cpu(2, levels()[0]), cpu(1, "plain")];
    devices.extend(others());
    let names: Vec<String> = devices.iter().map(|d| d.info().id.clone()).collect();
    let devices = devices
        .into_iter()
        .map(|device| Arc::new(Reproducible::open(device, Precision::R16).unwrap()) as Arc<dyn Device>)
        .collect();
    let alternating = Arc::new(Alternating::new(devices));
    let package = Package::built_in(kinograph_flipbook::FILES).unwrap();
    let model = Model::load(package, alternating.clone() as Arc<dyn Device>).unwrap();
    assert_eq!(digests(&model, &request), alone);
    println!("{names:?} took turns {} times", alternating.runs());
    assert!(alternating.runs() > 4);
}

/// Text and a single forward of the backbone, in relative L2 of native numerics: what r16 and r8 lose.
#[test]
fn a_forward_is_near_that_of_native_numerics() {
    let request =
        Request::new("a red circle moves left").frames(32).steps(1).guidance("1".parse().unwrap()).seed(4);
    let latents = |numerics| -> Vec<f64> {
        let made =
            model(cpu(2, levels()[0]), numerics).sample(&request, |_| ControlFlow::Continue(())).unwrap();
        made.data().to_f64()
    };
    let native = latents(Numerics::Native);
    let error = |other: Vec<f64>| {
        let distance: f64 = other.iter().zip(&native).map(|(a, b)| (a - b).powi(2)).sum();
        (distance / native.iter().map(|v| v * v).sum::<f64>()).sqrt()
    };
    let (r16, r8) = (error(latents(R16)), error(latents(R8)));
    println!("text and one forward: r16 {r16:.1e}, r8 {r8:.1e}");
    assert!(r16 <= 2e-3, "{r16:e}");
    assert!(r8 > r16, "{r8:e}");
}
