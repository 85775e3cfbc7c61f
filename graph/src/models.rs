//! The model families that come with the crate: graphs and the reading of their directories, as TOML.

/// The files of a family, by name: `family.toml`, and the graphs that it names.
pub type FamilyFiles = &'static [(&'static str, &'static str)];

/// Wan 2.1, text to video.
pub const WAN: FamilyFiles = &[
    ("family.toml", include_str!("../models/wan/family.toml")),
    ("text.toml", include_str!("../models/wan/text.toml")),
    ("transformer.toml", include_str!("../models/wan/transformer.toml")),
    ("vae-modules.toml", include_str!("../models/wan/vae-modules.toml")),
    ("vae-decoder.toml", include_str!("../models/wan/vae-decoder.toml")),
    ("vae-encoder.toml", include_str!("../models/wan/vae-encoder.toml")),
];

/// All of them.
pub const FAMILIES: &[FamilyFiles] = &[WAN];
