//! The files of the flipbook model as part of a program, so that a copied binary works anywhere.
//!
//! The same directory also opens from disk, like any package.
#![forbid(unsafe_code)]

/// Weights are read in place, which needs alignment that `include_bytes!` does not give.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

macro_rules! file {
    ($name:literal) => {{
        static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!("../", $name)));
        ($name, &FILE.0)
    }};
}

/// Each file of the package: its name and its content.
pub static FILES: &[(&str, &[u8])] = &[
    file!("model.toml"),
    file!("backbone.toml"),
    file!("tae-decoder.toml"),
    file!("tae-encoder.toml"),
    file!("tae-modules.toml"),
    file!("text-clip.toml"),
    file!("text-t5.toml"),
    file!("tokenizer.json"),
    file!("backbone.safetensors"),
    file!("tae.safetensors"),
    file!("text_byte.safetensors"),
    file!("text_clip.safetensors"),
    file!("text_t5.safetensors"),
];
