//! The same model as others lay it out: in shards, in several types, with the configurations of other versions.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use kinograph::{HostTensor, Model, Package, Request};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::common::cpu;
use crate::reference::{Files, close, golden};

const WEIGHTS: &str = "transformer/diffusion_pytorch_model.safetensors";

fn latents(files: Files) -> HostTensor {
    let model = Model::load(Package::in_memory(files).unwrap(), cpu()).unwrap();
    let request = Request::new("a red circle").size(32, 32).frames(5).steps(2).text_tokens(8);
    model.sample(&request, |_| ControlFlow::Continue(())).unwrap()
}

/// Numbers that lost the lower halves of their bits, as f32 and as bf16.
fn halved(data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let wide = data.chunks_exact(4).flat_map(|b| [0, 0, b[2], b[3]]).collect();
    let narrow = data.chunks_exact(4).flat_map(|b| [b[2], b[3]]).collect();
    (wide, narrow)
}

#[test]
fn shards_of_f32_and_bf16_are_the_model_in_one_file() {
    let mut files = golden("a");
    let bytes = files[WEIGHTS].clone();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let parts = |(name, view): (&str, TensorView<'_>)| {
        let halved = halved(view.data());
        (name.to_owned(), view.shape().to_vec(), halved)
    };
    let mut tensors: Vec<_> = file.iter().map(parts).collect();
    tensors.sort();
    let (mut whole, mut shards) = (Vec::new(), [Vec::new(), Vec::new()]);
    for (i, (name, shape, (wide, narrow))) in tensors.iter().enumerate() {
        let (dtype, data) = if i % 2 == 0 { (Dtype::F32, wide) } else { (Dtype::BF16, narrow) };
        whole.push((name, TensorView::new(Dtype::F32, shape.clone(), wide).unwrap()));
        shards[i / 2 % 2].push((name, TensorView::new(dtype, shape.clone(), data).unwrap()));
    }
    let (mut sharded, mut weight_map) = (files.clone(), BTreeMap::new());
    sharded.remove(WEIGHTS).unwrap();
    for (n, shard) in shards.into_iter().enumerate() {
        let name = format!("diffusion_pytorch_model-0000{}-of-00002.safetensors", n + 1);
        weight_map.extend(shard.iter().map(|(tensor, _)| ((*tensor).clone(), name.clone())));
        sharded.insert(format!("transformer/{name}"), safetensors::serialize(shard, None).unwrap().into());
    }
    let index = serde_json::json!({ "metadata": { "total_size": 1 }, "weight_map": weight_map });
    sharded.insert(format!("{WEIGHTS}.index.json"), index.to_string().into_bytes().into());
    files.insert(WEIGHTS.to_owned(), safetensors::serialize(whole, None).unwrap().into());
    close("shards", latents(sharded).as_f32().unwrap(), &latents(files));
}

#[test]
fn what_older_versions_did_not_write_is_derived() {
    let mut files = golden("b");
    let missing: [(&str, &[&str]); 2] = [
        ("model_index.json", &["boundary_ratio", "expand_timesteps", "transformer_2"]),
        ("vae/config.json", &["is_residual", "patch_size", "scale_factor_spatial", "scale_factor_temporal"]),
    ];
    for (name, keys) in missing {
        let mut config: Value = serde_json::from_slice(&files[name]).unwrap();
        for key in keys {
            config.as_object_mut().unwrap().remove(*key).unwrap();
        }
        files.insert(name.to_owned(), config.to_string().into_bytes().into());
    }
    let package = Package::in_memory(files).unwrap();
    assert_eq!(package.manifest().latent.compression, (2, 4, 4));
    Model::load(package, cpu()).unwrap();
}

#[cfg(feature = "replay")]
#[test]
fn every_configuration_counts_in_the_digest() {
    let digest = |files: Files| Package::in_memory(files).unwrap().digest().unwrap();
    let known = digest(golden("a"));
    for (name, from, to) in [
        ("transformer/config.json", "1e-06", "1e-05"),
        ("text_encoder/config.json", "1e-06", "1e-05"),
        ("scheduler/scheduler_config.json", "\"num_train_timesteps\": 1000", "\"num_train_timesteps\": 999"),
    ] {
        let mut files = golden("a");
        let text = String::from_utf8(files[name].to_vec()).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        files.insert(name.to_owned(), text.replace(from, to).into_bytes().into());
        assert_ne!(digest(files), known, "{name}");
    }
}
