//! Every stage by itself: ids, embeddings, blocks, calls, steps, autoencoder.

use std::convert::Infallible;
use std::ops::ControlFlow;

use kinograph::tokenize::{Tokenizer, TokenizerOptions};
use kinograph::{HostData, HostTensor, sampler};

use crate::graphs::{Part, States};
use crate::reference::{Reference, all, close, everywhere, with_encoded};

fn tokens(reference: &Reference, text: &str) -> (Vec<i64>, Vec<bool>) {
    let package = reference.package();
    let options = TokenizerOptions {
        max_length: reference.number("max_sequence_length"),
        ..package.manifest().text[0].tokenizer.clone()
    };
    let file = reference.files[options.file.as_ref().unwrap()].clone();
    let tokens = Tokenizer::new(options, Some(&file)).unwrap().encode(text).unwrap();
    (tokens.ids, tokens.mask)
}

/// The prompts of a call with the names under which the file has them.
fn prompts(reference: &Reference) -> Vec<(&str, &str)> {
    let mut prompts = vec![(reference.text("prompt"), "prompt")];
    if reference.is_guided() {
        prompts.push((reference.text("negative_prompt"), "negative_prompt"));
    }
    prompts
}

#[test]
fn prompts_become_the_same_ids() {
    for reference in all() {
        for (text, name) in prompts(&reference) {
            let (ids, _) = tokens(&reference, text);
            assert_eq!(
                HostData::I64(ids),
                *reference.tensor(&format!("{name}_ids")).data(),
                "{}: {name}",
                reference.name
            );
        }
    }
}

#[test]
fn a_sentencepiece_model_gives_the_ids_of_its_tokenizer_json() {
    let mut seen = 0;
    for mut reference in all() {
        if !reference.files.contains_key("tokenizer/spiece.model") {
            continue;
        }
        reference.files.remove("tokenizer/tokenizer.json").unwrap();
        for (text, name) in prompts(&reference) {
            let (ids, _) = tokens(&reference, text);
            let expected = reference.tensor(&format!("{name}_ids")).data();
            assert_eq!(HostData::I64(ids), *expected, "{}: {name}", reference.name);
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn text_is_encoded_alike() {
    for (device, mut reference) in everywhere() {
        reference.name = format!("{}: {}", device.info().id, reference.name);
        let package = reference.package();
        let part = Part::new(&device, &reference.files, &package, package.manifest().text[0].component());
        let length = reference.number("max_sequence_length");
        let executable = part.compile(part.graph(&[("B", 1), ("L", length)], &[], &[]));
        for (text, name) in prompts(&reference) {
            let (ids, mask) = tokens(&reference, text);
            let mask = HostData::Bool(mask.into_iter().map(u8::from).collect());
            let inputs =
                [HostTensor::new([1, length], HostData::I64(ids)), HostTensor::new([1, length], mask)];
            let made = part.run(&*executable, &inputs.map(Result::unwrap), &mut States::new());
            let name = format!("{name}_embeds");
            close(&format!("{}: {name}", reference.name), &made["text"], reference.tensor(&name));
        }
    }
}

/// The inputs of a call of the transformer: latents before a step, the time that it is told, the text.
fn inputs(reference: &Reference, step: usize, text: &str) -> Vec<HostTensor> {
    let latents = match step.checked_sub(1) {
        None => reference.tensor("latents_init"),
        Some(last) => reference.tensor(&format!("step{last:02}.latents")),
    };
    let time = reference.tensor(&format!("step{step:02}.t")).as_f32().unwrap()[0];
    let text = reference.tensor(text).clone();
    let shape = [1, text.desc().shape[1]];
    let mask = HostData::Bool(vec![1; shape[1]]);
    let time = HostTensor::f32([1], vec![time]).unwrap();
    vec![latents.clone(), time, text, HostTensor::new(shape, mask).unwrap()]
}

fn sizes(reference: &Reference) -> Vec<(&'static str, usize)> {
    let shape = &reference.tensor("latents_init").desc().shape;
    let length = reference.tensor("prompt_embeds").desc().shape[1];
    vec![("B", 1), ("T", shape[2]), ("H", shape[3]), ("W", shape[4]), ("L", length)]
}

#[test]
fn every_block_of_the_first_call_is_alike() {
    for (device, mut reference) in everywhere() {
        reference.name = format!("{}: {}", device.info().id, reference.name);
        let package = reference.package();
        let part = Part::new(&device, &reference.files, &package, package.manifest().backbone.clone());
        let mut block = 0;
        while let Some(expected) = reference.tensors.get(&format!("call00.blocks.{block}.0")) {
            let graph = part.graph(&sizes(&reference), &[("layers", block + 1)], &["x"]);
            let executable = part.compile(graph);
            let made = part.run(&*executable, &inputs(&reference, 0, "prompt_embeds"), &mut States::new());
            close(&format!("{}: block {block}", reference.name), &made["x"], expected);
            block += 1;
        }
        assert!(block > 0, "{}", reference.name);
    }
}

/// What the transformer predicts is the negative of the velocity.
fn predicted(velocity: &[f32]) -> Vec<f32> {
    velocity.iter().map(|v| -v).collect()
}

#[test]
fn every_call_is_alike() {
    for (device, mut reference) in everywhere() {
        reference.name = format!("{}: {}", device.info().id, reference.name);
        let package = reference.package();
        let part = Part::new(&device, &reference.files, &package, package.manifest().backbone.clone());
        let executable = part.compile(part.graph(&sizes(&reference), &[], &[]));
        let texts: &[&str] = if reference.is_guided() {
            &["prompt_embeds", "negative_prompt_embeds"]
        } else {
            &["prompt_embeds"]
        };
        for step in 0..reference.number("num_inference_steps") {
            for (i, text) in texts.iter().enumerate() {
                let made = part.run(&*executable, &inputs(&reference, step, text), &mut States::new());
                let call = format!("call{:02}.out", step * texts.len() + i);
                let what = format!("{}: {call}", reference.name);
                close(&what, &predicted(&made["velocity"]), reference.tensor(&call));
            }
        }
    }
}

#[test]
fn every_step_is_alike() {
    for (device, mut reference) in everywhere() {
        reference.name = format!("{}: {}", device.info().id, reference.name);
        let package = reference.package();
        let spec = &package.manifest().sampler;
        let part = Part::new(&device, &reference.files, &package, package.manifest().backbone.clone());
        let executable = part.compile(part.graph(&sizes(&reference), &[], &[]));
        let times = spec.schedule.times(reference.number("num_inference_steps")).unwrap();
        let begin = reference.tensor("latents_init");
        let mut state = begin.as_f32().unwrap().to_vec();
        let length = state.len();
        state.resize(length * (1 + spec.solver.carried()), 0.0);
        let scale = reference.call["guidance_scale"].as_f64().unwrap() as f32;
        let velocity = |x: &[f32], t: f64, out: &mut [f32]| {
            let evaluate = |text: &str| {
                let mut inputs = inputs(&reference, 0, text);
                inputs[0] = HostTensor::f32(begin.desc().shape.clone(), x.to_vec()).unwrap();
                inputs[1] = HostTensor::f32([1], vec![spec.told.unwrap().at(t)]).unwrap();
                part.run(&*executable, &inputs, &mut States::new()).remove("velocity").unwrap()
            };
            out.copy_from_slice(&evaluate("prompt_embeds"));
            if reference.is_guided() {
                sampler::guide(out, &evaluate("negative_prompt_embeds"), scale);
            }
            Ok::<(), Infallible>(())
        };
        sampler::sample(spec.solver, &times, &mut state, None, velocity, |step, state| {
            let told = spec.told.unwrap().at(step.from);
            let expected = reference.tensor(&format!("step{:02}.t", step.index)).as_f32().unwrap()[0];
            assert!((told - expected).abs() <= expected * 1e-6, "{}: told {told}", reference.name);
            let name = format!("step{:02}.latents", step.index);
            close(&format!("{}: {name}", reference.name), &state[..length], reference.tensor(&name));
            ControlFlow::Continue(())
        })
        .unwrap();
    }
}

#[test]
fn videos_are_encoded_alike() {
    for (device, (files, tensors)) in with_encoded() {
        let package = kinograph::Package::in_memory(files.clone()).unwrap();
        let part = Part::new(&device, &files, &package, package.manifest().encoder.clone().unwrap());
        let video = &tensors["video"];
        let &[_, _, t, h, w] = &video.desc().shape[..] else { panic!("a video has five axes") };
        let sizes = [("B", 1), ("T", t), ("H", h), ("W", w), ("FIRST", 1)];
        let executable = part.compile(part.graph(&sizes, &[], &[]));
        let made = part.run(&*executable, std::slice::from_ref(video), &mut States::new());
        close(&format!("{}: mean", device.info().id), &made["latent"], &tensors["mean"]);
        close(&format!("{}: log variance", device.info().id), &made["log_variance"], &tensors["logvar"]);
    }
}
