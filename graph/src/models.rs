//! The graphs of `models/`, for programs that want them without the directory, and the families that are read by them.

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

macro_rules! movie_gen {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../models/movie-gen/", $name)))),*]
    };
}

/// The graphs of the Movie Gen models, as pairs of file name and text. They hold no weights.
pub const MOVIE_GEN: &[(&str, &str)] = movie_gen![
    "backbone.toml",
    "tae-decoder.toml",
    "tae-encoder.toml",
    "tae-modules.toml",
    "text-clip.toml",
    "text-t5.toml",
];

#[cfg(test)]
mod tests {
    use super::MOVIE_GEN;
    use crate::{GraphFile, Limits};

    #[test]
    fn each_graph_parses_with_what_it_includes() {
        let find =
            |name: &str| MOVIE_GEN.iter().find(|(file, _)| *file == name).map(|(_, text)| (*text).to_owned());
        let include = |name: &str| find(name).ok_or_else(|| format!("{name} is not listed"));
        // A file of modules is no graph by itself.
        for (name, text) in MOVIE_GEN.iter().filter(|(name, _)| !name.contains("modules")) {
            GraphFile::parse_with(name, text, &Limits::default(), &include).unwrap();
        }
    }
}
