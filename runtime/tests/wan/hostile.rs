//! Directories that are cut, contradict themselves or want to harm.

use std::path::Path;

use kinograph::{Error, Model, Package, PackageError};

use crate::common::cpu;
use crate::reference::{Files, golden};

fn model() -> Files {
    golden("a")
}

/// The error of a directory with one file changed.
fn refused(name: &str, bytes: impl Into<Vec<u8>>) -> String {
    let mut files = model();
    assert!(files.insert(name.to_owned(), bytes.into().into()).is_some(), "{name} is not there");
    error(files)
}

fn error(files: Files) -> String {
    match Package::in_memory(files).map_err(Error::from).and_then(|package| Model::load(package, cpu())) {
        Ok(_) => panic!("it loads"),
        Err(error) => error.to_string(),
    }
}

/// The error of a JSON file with one text replaced.
fn edited(name: &str, from: &str, to: &str) -> String {
    let text = String::from_utf8(model()[name].to_vec()).unwrap();
    assert!(text.contains(from), "{name} has no {from}: {text}");
    refused(name, text.replacen(from, to, 1))
}

#[test]
fn what_is_not_supported_is_named() {
    let transformer = "transformer/config.json";
    let cases = [
        edited("model_index.json", "\"WanPipeline\"", "\"FluxPipeline\""),
        edited("model_index.json", "WanTransformer3DModel", "WanVACETransformer3DModel"),
        edited(transformer, "\"image_dim\": null", "\"image_dim\": 1280"),
        edited(transformer, "\"rms_norm_across_heads\"", "\"layer_norm\""),
        edited(transformer, "\"image_dim\"", "\"quantization_config\": {\"bits\": 4}, \"image_dim\""),
        edited("scheduler/scheduler_config.json", "UniPCMultistepScheduler", "DDIMScheduler"),
        edited("scheduler/scheduler_config.json", "\"flow_prediction\"", "\"epsilon\""),
        edited("scheduler/scheduler_config.json", "\"flow_prediction\"", "null"),
        edited("vae/config.json", "\"is_residual\": false", "\"is_residual\": true"),
    ];
    let expected = [
        "model_index.json: it says FluxPipeline",
        "model_index.json: `transformer.1` is WanVACETransformer3DModel",
        "transformer/config.json: `image_dim` is 1280; models that take an image",
        "transformer/config.json: `qk_norm` is layer_norm; only \"rms_norm_across_heads\"",
        "transformer/config.json: `quantization_config` is {\"bits\":4}; quantised weights",
        "scheduler/scheduler_config.json: `_class_name` is DDIMScheduler; this family knows",
        "scheduler/scheduler_config.json: `prediction_type` is epsilon; only \"flow_prediction\"",
        "scheduler/scheduler_config.json: `prediction_type` is missing; it must be one of flow_prediction",
        "vae/config.json: `is_residual` is true; only false",
    ];
    for (case, expected) in cases.iter().zip(expected) {
        assert!(case.contains(expected), "{case}\n{expected}");
    }
}

#[test]
fn absurd_and_wrong_values_are_named() {
    let file = "transformer/config.json";
    let layers = "\"num_layers\": 2";
    for bad in ["99999999999", "-1", "1.5", "\"two\"", "[2]", "1e400", "123456789012345678901234567890"] {
        let error = edited(file, layers, &format!("\"num_layers\": {bad}"));
        assert!(error.contains("transformer/config.json"), "{error}");
    }
    assert!(
        edited(file, "\"num_attention_heads\": 2", "\"num_attention_heads\": 1000")
            .contains("patch_embedding.weight")
    );
    assert!(edited(file, layers, "\"num_layers\": 3").contains("`blocks.2."));
    assert!(edited("vae/config.json", "\"z_dim\": 4", "\"z_dim\": 5").contains("latents_mean"));
    assert!(
        edited("vae/config.json", "\"scale_factor_temporal\": 4", "\"scale_factor_temporal\": 8")
            .contains("scale_factor_temporal")
    );
}

#[test]
fn broken_files_are_errors() {
    for name in model().keys().filter(|name| name.ends_with(".json") && !name.contains("tokenizer_config")) {
        let bytes = &model()[name];
        let error = refused(name, &bytes[..bytes.len() / 2]);
        assert!(error.contains(name.as_str()) || name.contains("tokenizer"), "{name}: {error}");
    }
    let nested = format!("{{\"a\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for name in model().keys().filter(|name| name.ends_with("config.json") && !name.contains("tokenizer")) {
        assert!(refused(name, nested.clone()).contains("recursion limit"), "{name}");
    }
    let error = refused("tokenizer/tokenizer.json", nested);
    assert!(error.contains("tokenizer.json"), "{error}");
    let weights = "vae/diffusion_pytorch_model.safetensors";
    let bytes = &model()[weights];
    for length in [0, 7, 100, bytes.len() - 1] {
        let error = refused(weights, &bytes[..length]);
        assert!(error.contains(weights) && error.contains("not a whole"), "{error}");
    }
}

#[test]
fn missing_files_are_named() {
    for name in
        ["vae/config.json", "transformer/diffusion_pytorch_model.safetensors", "tokenizer/tokenizer.json"]
    {
        let mut files = model();
        files.remove(name).unwrap();
        // Either file would do for the tokenizer.
        files.remove("tokenizer/spiece.model").unwrap();
        let error = error(files);
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn an_index_leads_nowhere_else() {
    let mut files = model();
    let whole = files.remove("transformer/diffusion_pytorch_model.safetensors").unwrap();
    let index =
        |file: &str| format!("{{\"metadata\": {{}}, \"weight_map\": {{\"scale_shift_table\": \"{file}\"}}}}");
    let name = "transformer/diffusion_pytorch_model.safetensors.index.json".to_owned();
    for bad in ["../vae/diffusion_pytorch_model.safetensors", "/etc/passwd", "..", "a/b.safetensors"] {
        files.insert(name.clone(), index(bad).into_bytes().into());
        let error = error(files.clone());
        assert!(error.contains("must be in a .safetensors file beside the index"), "{error}");
    }
    files.insert(name, index("shard.safetensors").into_bytes().into());
    assert!(error(files.clone()).contains("shard.safetensors"));
    files.insert("transformer/shard.safetensors".into(), whole);
    Model::load(Package::in_memory(files).unwrap(), cpu()).unwrap();
}

fn write(files: &Files, folder: &Path) {
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn links_out_of_the_directory_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    for name in ["vae/config.json", "vae/diffusion_pytorch_model.safetensors"] {
        let folder = tempfile::tempdir().unwrap();
        write(&model(), folder.path());
        let (file, target) = (folder.path().join(name), outside.path().join("target"));
        std::fs::copy(&file, &target).unwrap();
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&target, &file).unwrap();
        let opened = Package::open(folder.path()).map_err(Error::from);
        let error = opened.and_then(|package| Model::load(package, cpu())).unwrap_err();
        assert!(matches!(error, Error::Package(PackageError::Outside { .. })), "{error}");
        std::fs::remove_file(&file).unwrap();
        // Within the directory a link is fine.
        std::fs::copy(&target, folder.path().join("inside")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("inside"), &file).unwrap();
        Model::load(Package::open(folder.path()).unwrap(), cpu()).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn links_of_a_hugging_face_cache_lead_to_its_blobs_only() {
    use std::os::unix::fs::symlink;
    let cache = tempfile::tempdir().unwrap();
    let repository = cache.path().join("models--Wan-AI--tiny");
    let (blobs, snapshot) = (repository.join("blobs"), repository.join("snapshots").join("0123abcd"));
    std::fs::create_dir_all(&blobs).unwrap();
    for (i, (name, bytes)) in model().iter().enumerate() {
        let (blob, link) = (blobs.join(i.to_string()), snapshot.join(name));
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::fs::write(&blob, bytes).unwrap();
        symlink(&blob, &link).unwrap();
    }
    Model::load(Package::open(&snapshot).unwrap(), cpu()).unwrap();
    // Neither beside the blobs nor below them.
    let (name, below) = ("vae/config.json", blobs.join("below"));
    std::fs::create_dir(&below).unwrap();
    for folder in [cache.path(), repository.as_path(), below.as_path()] {
        let outside = folder.join("config.json");
        std::fs::write(&outside, &model()[name]).unwrap();
        std::fs::remove_file(snapshot.join(name)).unwrap();
        symlink(&outside, snapshot.join(name)).unwrap();
        let error = Package::open(&snapshot).unwrap_err();
        assert!(matches!(error, PackageError::Outside { .. }), "{error}");
    }
}

#[test]
fn files_that_git_lfs_has_not_fetched_are_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    for name in ["tokenizer/tokenizer.json", "vae/diffusion_pytorch_model.safetensors"] {
        let folder = tempfile::tempdir().unwrap();
        write(&model(), folder.path());
        std::fs::write(folder.path().join(name), pointer).unwrap();
        let opened = Package::open(folder.path()).map_err(Error::from);
        let error = opened.and_then(|package| Model::load(package, cpu())).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("git lfs pull"), "{error}");
    }
}

#[test]
fn a_directory_of_nothing_known_says_what_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = Package::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("model.toml") && error.contains("model_index.json"), "{error}");
}
