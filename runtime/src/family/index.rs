//! Where the weights of a component are: one safetensors file, or several with an index.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::{Directory, FamilyError};
use crate::package::PackageError;

/// The largest index, in bytes: hundreds of thousands of tensors.
const MAX_BYTES: u64 = 64 << 20;
/// The most files of one component.
const MAX_FILES: usize = 4096;
/// What stands in the names of files that were written in another type than the default.
const VARIANTS: [&str; 3] = ["", ".fp16", ".bf16"];

#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, Value>,
}

/// The weight files of a component: with index, alone, and by variants, the first that is there; else the name that the
/// plain one would have.
pub(super) fn weights(
    folder: &str,
    stem: &str,
    directory: &dyn Directory,
) -> Result<Vec<String>, PackageError> {
    for variant in VARIANTS {
        let index = format!("{folder}/{stem}.safetensors.index{variant}.json");
        if directory.exists(&index) {
            return Ok(shards(folder, &index, &directory.read(&index, MAX_BYTES)?)?);
        }
        let file = format!("{folder}/{stem}{variant}.safetensors");
        if directory.exists(&file) {
            return Ok(vec![file]);
        }
    }
    Ok(vec![format!("{folder}/{stem}.safetensors")])
}

/// The files that an index names, each once.
fn shards(folder: &str, index: &str, bytes: &[u8]) -> Result<Vec<String>, FamilyError> {
    let fail = |reason: String| FamilyError::Index { file: index.to_owned(), reason };
    let parsed: Index = serde_json::from_slice(bytes).map_err(|e| fail(e.to_string()))?;
    let mut files = BTreeSet::new();
    for (tensor, file) in &parsed.weight_map {
        match file.as_str() {
            Some(file) if is_plain(file) => files.insert(format!("{folder}/{file}")),
            _ => {
                let shown = super::configs::words(file);
                return Err(fail(format!(
                    "`{tensor}` is said to be in {shown}, but it must be in a .safetensors file beside the index"
                )));
            }
        };
        if files.len() > MAX_FILES {
            return Err(fail(format!("it names more than {MAX_FILES} files")));
        }
    }
    if files.is_empty() {
        return Err(fail("it names no file".into()));
    }
    Ok(files.into_iter().collect())
}

/// A name without any folder in it.
fn is_plain(name: &str) -> bool {
    name.ends_with(".safetensors") && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_outside_are_refused() {
        let index = |file: &str| format!(r#"{{"metadata": {{}}, "weight_map": {{"a": {file}}}}}"#);
        let of = |file: &str| shards("vae", "vae/i.json", index(file).as_bytes());
        assert_eq!(of(r#""x.safetensors""#).unwrap(), ["vae/x.safetensors"]);
        for bad in [
            r#""../x.safetensors""#,
            r#""/x.safetensors""#,
            r#""a/x.safetensors""#,
            r#""x.bin""#,
            "1",
            r#""C:x.safetensors""#,
        ] {
            let error = of(bad).unwrap_err().to_string();
            assert!(error.starts_with("vae/i.json: `a` is said to be in"), "{error}");
        }
        assert!(shards("vae", "i", br#"{"weight_map": {}}"#).is_err());
        assert!(shards("vae", "i", br#"{"weight_map": 3}"#).is_err());
    }
}
