//! The flipbook model, whole and in parts, against goldens that the exact evaluation made once (`tests/goldens.rs`), and that
//! PyTorch's agree with (`tests/oracle.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use kinograph::Package;
use kinograph::package::{ComponentSpec, ParamValue};
use kinograph::sampler::{Solver, Step};
use kinograph::schedule::Schedule;
use kinograph_backend::{Control, Device, HostData, HostTensor};
use kinograph_flipbook::FILES;
use kinograph_graph::{Bindings, DType, Number, Source, Tensor, TensorDesc};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::score::Stopped;
use super::{Ended, Host, RuntimeHost, Score, Subject};
use crate::oracle::{self, Mode};
use crate::problem::{Problem, Spread};
use crate::replay;

const GOLDENS: &[u8] = include_bytes!("../../goldens/flipbook.safetensors");

/// A part of the model, or a job that goes through several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    T5,
    Clip,
    Bytes,
    Velocity,
    Encoder,
    Decoder,
    /// Four Euler steps with guidance.
    Steps,
    /// From tokens to pixels.
    Whole,
}

/// Latent frames, rows and columns of the jobs.
const LATENT: [usize; 3] = [2, 8, 8];
const STEPS: usize = 4;
const GUIDANCE: f32 = 3.0;
/// Of the pixels of a video every so many-th is in the goldens.
const STRIDE: usize = 11;
/// The prompts of the goldens that PyTorch made of which the job has the first as its prompt and the last, which is empty, as
/// its negative one.
const PROMPTS: [usize; 2] = [0, 3];

impl Part {
    pub(super) const ALL: [Part; 8] = [
        Part::T5,
        Part::Clip,
        Part::Bytes,
        Part::Velocity,
        Part::Encoder,
        Part::Decoder,
        Part::Steps,
        Part::Whole,
    ];

    pub(super) fn quick(self) -> bool {
        !matches!(self, Part::Steps | Part::Whole)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::T5 => "text-t5",
            Part::Clip => "text-clip",
            Part::Bytes => "text-byte",
            Part::Velocity => "backbone",
            Part::Encoder => "encoder",
            Part::Decoder => "decoder",
            Part::Steps => "four steps",
            Part::Whole => "from tokens to pixels",
        })
    }
}

/// What runs a graph.
enum Engine<'a> {
    Device(&'a dyn Device),
    Oracle(Mode),
}

/// A graph that is ready to run on inputs of its sizes.
type Ready<'a> = Box<dyn FnMut(&[HostTensor]) -> Result<Vec<f32>, String> + 'a>;

impl Engine<'_> {
    fn ready<'a>(&'a self, problem: &'a Problem) -> Result<Ready<'a>, Stopped> {
        match self {
            Engine::Device(device) => {
                let executable = problem.compile(*device)?;
                Ok(Box::new(move |inputs| {
                    let words = |e: &dyn fmt::Display| e.to_string();
                    let upload = |t: &HostTensor| device.upload(t.clone()).map_err(|e| words(&e));
                    let buffers = inputs.iter().map(upload).collect::<Result<Vec<_>, _>>()?;
                    let made = executable.run(&buffers, &Control::new()).map_err(|e| words(&e))?;
                    let made = device.download(&made[0]).map_err(|e| words(&e))?;
                    Ok(made.as_f32().unwrap_or_default().to_vec())
                }))
            }
            Engine::Oracle(mode) => Ok(Box::new(move |inputs| {
                let graph = problem.graph();
                let feed = |name: &str| {
                    let input = graph.inputs().iter().position(|&id| graph.value(id).name == name);
                    Ok(input.map_or_else(|| problem.feed[name].clone(), |i| inputs[i].to_reference()))
                };
                let values = oracle::evaluate(graph, *mode, feed).map_err(|e| e.to_string())?;
                let made = oracle::outputs(graph, &values).map_err(|e| e.to_string())?;
                Ok(made[0].data().iter().map(|&v| v as f32).collect())
            })),
        }
    }
}

fn package() -> Result<&'static Package, String> {
    static PACKAGE: OnceLock<Result<Package, String>> = OnceLock::new();
    let package = PACKAGE.get_or_init(|| Package::built_in(FILES).map_err(|e| e.to_string()));
    package.as_ref().map_err(Clone::clone)
}

/// A component at some sizes. Inputs that are not given are zeros.
fn component(
    spec: &ComponentSpec,
    sizes: &[(&str, usize)],
    inputs: &[HostTensor],
) -> Result<Problem, String> {
    let file = package()?.graph(&spec.graph).map_err(|e| e.to_string())?;
    let known = |name: &str| file.symbols.iter().any(|(symbol, _)| symbol == name);
    let sizes = sizes.iter().filter(|(name, _)| known(name));
    let bindings = sizes.fold(Bindings::new(), |b, (name, size)| b.symbol(*name, *size));
    let bindings = spec.params.iter().fold(bindings, |b, (name, value)| {
        b.number(
            name,
            match *value {
                ParamValue::Bool(v) => Number::Int(v.into()),
                ParamValue::Int(v) => Number::Int(v),
                ParamValue::Float(v) => Number::Float(v),
            },
        )
    });
    let graph = file.bind(&bindings).map_err(|e| e.to_string())?;
    let bytes = FILES.iter().find(|(name, _)| Some(*name) == spec.weights.first().map(String::as_str));
    let (_, bytes) = bytes.ok_or("a weight file is missing")?;
    let weights = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let (mut feed, mut stored) = (BTreeMap::new(), BTreeMap::new());
    for (i, &id) in graph.inputs().iter().enumerate() {
        let value = graph.value(id);
        let zeros = || Tensor::from_fn(value.desc.clone(), |_| 0.0);
        feed.insert(value.name.clone(), inputs.get(i).map_or_else(zeros, HostTensor::to_reference));
    }
    for value in graph.weights().iter().map(|&id| graph.value(id)) {
        debug_assert_eq!(value.source, Source::Weight);
        let tensor = replay::host_tensor(&weights, &value.name)?;
        stored.insert(value.name.clone(), tensor.desc().dtype);
        // In the type that the graph computes it in; what it is stored in is the device's affair.
        let tensor = Tensor::new(value.desc.clone(), tensor.data().to_f64()).map_err(|e| e.to_string())?;
        feed.insert(value.name.clone(), tensor);
    }
    Problem::new(graph, feed, &stored).map_err(|e| e.to_string())
}

/// Tokens of both prompts for the text encoders, in the order of the manifest.
struct Tokens(Vec<[HostTensor; 2]>);

impl Tokens {
    fn of(file: &SafeTensors<'_>) -> Result<Self, String> {
        let names = ["t5", "clip", "byte"];
        let pair = |name: &str| {
            let ids = replay::host_tensor(file, &format!("{name}.ids"))?;
            Ok([ids, replay::host_tensor(file, &format!("{name}.mask"))?])
        };
        Ok(Self(names.into_iter().map(pair).collect::<Result<_, String>>()?))
    }

    /// An encoder on its tokens.
    fn problem(&self, encoder: usize) -> Result<Problem, String> {
        let spec = &package()?.manifest().text[encoder];
        let inputs = &self.0[encoder];
        let [batch, length] = inputs[0].desc().shape[..] else { return Err("ids are [B, L]".into()) };
        let component_spec = ComponentSpec {
            graph: spec.graph.clone(),
            weights: spec.weights.clone(),
            dtype: None,
            params: spec.params.clone(),
            aliases: spec.aliases.clone(),
        };
        component(&component_spec, &[("B", batch), ("L", length)], inputs)
    }

    /// What all encoders make, and the mask, each joined along the sequence.
    fn text(&self, engine: &Engine<'_>) -> Result<[HostTensor; 2], Stopped> {
        let (mut parts, mut masks, mut length) = (Vec::new(), Vec::new(), 0);
        for (i, inputs) in self.0.iter().enumerate() {
            let problem = self.problem(i)?;
            parts.push(engine.ready(&problem)?(&problem.inputs)?);
            masks.push(inputs[1].data().as_bytes());
            length += inputs[1].desc().shape[1];
        }
        let batch = PROMPTS.len();
        let mut joined = Vec::new();
        let mut mask = Vec::new();
        for b in 0..batch {
            parts
                .iter()
                .for_each(|p| joined.extend_from_slice(&p[b * p.len() / batch..(b + 1) * p.len() / batch]));
            masks
                .iter()
                .for_each(|m| mask.extend_from_slice(&m[b * m.len() / batch..(b + 1) * m.len() / batch]));
        }
        let width = joined.len() / (batch * length);
        let text = HostTensor::f32([batch, length, width], joined)?;
        Ok([text, HostTensor::new([batch, length], HostData::Bool(mask))?])
    }
}

fn latent_shape(batch: usize) -> [usize; 5] {
    let [t, h, w] = LATENT;
    [batch, 16, t, h, w]
}

fn noise(host: &dyn Host) -> Vec<f32> {
    let mut noise = vec![0.0; latent_shape(1).iter().product()];
    host.noise(&mut noise, 7, 0, 0);
    noise
}

fn sizes(batch: usize, length: usize) -> [(&'static str, usize); 5] {
    let [t, h, w] = LATENT;
    [("B", batch), ("T", t), ("H", h), ("W", w), ("L", length)]
}

fn backbone_inputs(x: &[f32], t: f32, text: &[HostTensor; 2]) -> Result<Vec<HostTensor>, String> {
    let words = |e: kinograph_graph::OpError| e.to_string();
    let latent = HostTensor::f32(latent_shape(2), x.repeat(2)).map_err(words)?;
    let time = HostTensor::f32([2], vec![t; 2]).map_err(words)?;
    Ok(vec![latent, time, text[0].clone(), text[1].clone()])
}

/// The states after each Euler step with guidance.
fn steps(engine: &Engine<'_>, host: &dyn Host, text: &[HostTensor; 2]) -> Result<Vec<Vec<f32>>, Stopped> {
    let spec = &package()?.manifest().backbone;
    let mut state = noise(host);
    let problem = component(spec, &sizes(2, text[1].desc().shape[1]), &backbone_inputs(&state, 0.0, text)?)?;
    let mut backbone = engine.ready(&problem)?;
    let times = host.times(&Schedule::default(), STEPS)?;
    let mut velocity = |x: &[f32], t: f64, out: &mut [f32]| {
        let both = backbone(&backbone_inputs(x, t as f32, text)?)?;
        let (prompt, negative) = both.split_at(both.len() / 2);
        out.copy_from_slice(prompt);
        host.guide(out, negative, GUIDANCE);
        Ok(())
    };
    let mut path = Vec::new();
    let mut after = |_: &Step, state: &[f32]| path.push(state.to_vec());
    host.sample(Solver::Euler, &times, &mut state, &mut velocity, &mut after)?;
    Ok(path)
}

/// What the decoder makes of latents as the backbone sees them.
fn decoder(latents: &[f32]) -> Result<Problem, String> {
    let manifest = package()?.manifest();
    let (shift, scale) = (&manifest.latent.shift, &manifest.latent.scale);
    let channel = latents.len() / shift.len();
    let factor = |c: usize| scale.get(c).or(scale.first()).copied().unwrap_or(1.0);
    let z = latents.iter().enumerate().map(|(i, x)| x / factor(i / channel) + shift[i / channel]).collect();
    let input = HostTensor::f32(latent_shape(1), z).map_err(|e| e.to_string())?;
    component(&manifest.decoder, &sizes(1, 0), &[input])
}

fn clip() -> Result<HostTensor, String> {
    let value = |i: usize| ((i % 97) as f32 / 48.0 - 1.0) * ((i / 1024 % 7) as f32 / 6.0);
    let data = (0..3 * 8 * 32 * 32).map(value).collect();
    HostTensor::f32([1, 3, 8, 32, 32], data).map_err(|e| e.to_string())
}

/// What a part makes: pieces to compare, with their names, and the graph to look into when they are wrong.
type Made = (Vec<(String, Vec<f32>)>, Option<Problem>);

fn make(engine: &Engine<'_>, host: &dyn Host, part: Part, file: &SafeTensors<'_>) -> Result<Made, Stopped> {
    let one = |problem: Problem, stride: usize| -> Result<Made, Stopped> {
        let made = engine.ready(&problem)?(&problem.inputs)?;
        let made = made.into_iter().step_by(stride).collect();
        Ok((vec![(part.to_string(), made)], Some(problem)))
    };
    let golden = |name: &str| replay::host_tensor(file, name);
    let text = || Ok::<_, String>([golden("text")?, golden("text.mask")?]);
    match part {
        Part::T5 => one(Tokens::of(file)?.problem(0)?, 1),
        Part::Clip => one(Tokens::of(file)?.problem(1)?, 1),
        Part::Bytes => one(Tokens::of(file)?.problem(2)?, 1),
        Part::Velocity => {
            let text = text()?;
            let inputs = backbone_inputs(&noise(host), 0.3, &text)?;
            let spec = &package()?.manifest().backbone;
            one(component(spec, &sizes(2, text[1].desc().shape[1]), &inputs)?, 1)
        }
        Part::Encoder => {
            let spec = package()?.manifest().encoder.clone().ok_or("flipbook has an encoder".to_owned())?;
            one(component(&spec, &[("B", 1), ("T", 8), ("H", 32), ("W", 32)], &[clip()?])?, 1)
        }
        Part::Decoder => one(decoder(&noise(host))?, STRIDE),
        Part::Steps => {
            let path = steps(engine, host, &text()?)?;
            let pieces = path.into_iter().enumerate().map(|(i, state)| (format!("step {}", i + 1), state));
            Ok((pieces.collect(), None))
        }
        Part::Whole => {
            let text = Tokens::of(file)?.text(engine)?;
            let path = steps(engine, host, &text)?;
            let end = path.last().ok_or("no step was taken".to_owned())?;
            let problem = decoder(end)?;
            let video = engine.ready(&problem)?(&problem.inputs)?;
            Ok((vec![("video".to_owned(), video.into_iter().step_by(STRIDE).collect())], None))
        }
    }
}

pub(super) fn run(subject: &Subject, part: Part) -> Ended {
    let words = |e: safetensors::SafeTensorError| e.to_string();
    let file = SafeTensors::deserialize(GOLDENS).map_err(words)?;
    let (_, header) = SafeTensors::read_metadata(GOLDENS).map_err(words)?;
    let begin = std::time::Instant::now();
    let (pieces, problem) = make(&Engine::Device(&*subject.device), &*subject.host, part, &file)?;
    let mut score = Score { seconds: begin.elapsed().as_secs_f64(), ..Score::default() };
    for (name, found) in pieces {
        let key = format!("{part}/{name}");
        let due = replay::host_tensor(&file, &key)?.data().to_f64();
        let spread = header.metadata().as_ref().and_then(|m| m.get(&key)).and_then(|text| parse(text));
        let spread = spread.ok_or_else(|| format!("the goldens say nothing of the bound of `{key}`"))?;
        let found: Vec<f64> = found.iter().map(|&v| f64::from(v)).collect();
        if found.len() != due.len() {
            return Err(format!("{name}: {} numbers came, due are {}", found.len(), due.len()).into());
        }
        let difference = Spread::between(&due, &found);
        let share = spread.share(difference);
        score.elements += found.len();
        score.worst = score.worst.max(share);
        score.largest = score.largest.max(difference.largest);
        score.squares += share * share * found.len() as f64;
        if share > 1.0 && score.first.is_none() {
            score.first = Some(format!("{name} is {share:.3} of what may be away"));
            score.problem = problem.clone().map(Box::new);
        }
        if part == Part::Whole || part == Part::Decoder {
            let mean: f64 =
                due.iter().zip(&found).map(|(d, f)| (d - f).powi(2)).sum::<f64>() / due.len() as f64;
            score.notes.push(format!("{:.1} dB", 10.0 * (4.0 / mean).log10()));
        }
    }
    Ok(score)
}

fn parse(text: &str) -> Option<Spread> {
    let (relative, largest) = text.split_once(' ')?;
    Some(Spread { relative: relative.parse().ok()?, largest: largest.parse().ok()? })
}

/// The goldens, from the tokens that PyTorch's goldens of the text encoders hold.
pub(super) fn goldens(text_goldens: &[u8]) -> Result<Vec<u8>, String> {
    let words = |e: &dyn fmt::Display| e.to_string();
    let from = SafeTensors::deserialize(text_goldens).map_err(|e| words(&e))?;
    let mut tensors: Vec<(String, HostTensor)> = Vec::new();
    for name in ["t5.ids", "t5.mask", "clip.ids", "clip.mask", "byte.ids", "byte.mask"] {
        let dtype = if name.ends_with("mask") { DType::Bool } else { DType::I64 };
        tensors.push((name.to_owned(), rows(&replay::host_tensor(&from, name)?, dtype)?));
    }
    let stopped = |s: Stopped| match s {
        Stopped::Refused(reason) | Stopped::Wrong(reason, _) => reason,
    };
    let bytes = write(&tensors, &BTreeMap::new())?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| words(&e))?;
    let exact = Engine::Oracle(Mode::Exact);
    let [text, mask] = Tokens::of(&file)?.text(&exact).map_err(stopped)?;
    tensors.extend([("text".to_owned(), text), ("text.mask".to_owned(), mask)]);
    let bytes = write(&tensors, &BTreeMap::new())?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| words(&e))?;
    let mut metadata = BTreeMap::new();
    for part in Part::ALL {
        let (pieces, _) = make(&exact, &RuntimeHost, part, &file).map_err(stopped)?;
        let moved = Engine::Oracle(Mode::AtBounds(1));
        let (strayed, _) = make(&moved, &RuntimeHost, part, &file).map_err(stopped)?;
        for ((name, due), (_, strayed)) in pieces.into_iter().zip(strayed) {
            let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            let spread = Spread::between(&wide(&due), &wide(&strayed));
            metadata.insert(format!("{part}/{name}"), format!("{:e} {:e}", spread.relative, spread.largest));
            let tensor = HostTensor::f32([due.len()], due).map_err(|e| words(&e))?;
            tensors.push((format!("{part}/{name}"), tensor));
        }
    }
    write(&tensors, &metadata)
}

/// The rows of the two prompts.
fn rows(tensor: &HostTensor, dtype: DType) -> Result<HostTensor, String> {
    let width = tensor.desc().shape[1];
    let values = tensor.data().to_f64();
    let picked = PROMPTS.iter().flat_map(|r| values[r * width..(r + 1) * width].to_vec()).collect();
    let picked =
        Tensor::new(TensorDesc::new(dtype, [PROMPTS.len(), width]), picked).map_err(|e| e.to_string())?;
    Ok(HostTensor::from_reference(&picked, dtype))
}

fn write(tensors: &[(String, HostTensor)], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, String> {
    let dtype = |t: &HostTensor| match t.desc().dtype {
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::Bool => Dtype::BOOL,
        _ => Dtype::F32,
    };
    let view = |(name, t): &(String, HostTensor)| -> Result<_, String> {
        let bytes = t.data().as_bytes().to_vec();
        let shape = t.desc().shape.clone();
        Ok((name.clone(), dtype(t), shape, bytes))
    };
    let owned = tensors.iter().map(view).collect::<Result<Vec<_>, String>>()?;
    let mut views = Vec::new();
    for (name, dtype, shape, bytes) in &owned {
        views.push((name.clone(), TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| e.to_string())?));
    }
    replay::encode(views, metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anew(bytes: &[u8]) -> Vec<u8> {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
        let metadata = header.metadata().clone().unwrap().into_iter().collect();
        replay::encode(file.tensors(), &metadata).unwrap()
    }

    #[test]
    fn goldens_written_anew_change_only_where_the_model_does() {
        let once = anew(GOLDENS);
        assert_eq!(once.len(), GOLDENS.len());
        assert!(anew(&once) == once);
    }
}
