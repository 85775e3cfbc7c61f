//! Latents in the safetensors format.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::MediaError;
use super::staged::Staged;

/// A tensor to be written.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    /// Its sizes; empty for a single value.
    pub shape: &'a [usize],
    /// Its values, row by row.
    pub data: &'a [f32],
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Metadata(&'a BTreeMap<String, String>),
    Tensor { dtype: &'static str, shape: &'a [usize], data_offsets: [usize; 2] },
}

const METADATA: &str = "__metadata__";

/// Writes `f32` tensors and text metadata to `path`, as a safetensors file, in the order of the names.
///
/// As with videos the file appears only when complete, and the same input gives the same bytes: keys are sorted, which the
/// usual writer does not promise of metadata.
///
/// # Errors
/// [`MediaError::BadTensor`] if a shape does not fit its data or a tensor is named `__metadata__`; the file system's.
pub fn write_tensors(
    path: &Path,
    tensors: &BTreeMap<String, TensorView<'_>>,
    metadata: &BTreeMap<String, String>,
) -> Result<PathBuf, MediaError> {
    let header = header(path, tensors, metadata)?;
    let mut staged = Staged::new(path)?;
    staged.with(|w| {
        w.write_all(&u64::try_from(header.len()).unwrap_or(u64::MAX).to_le_bytes())?;
        w.write_all(&header)?;
        let mut values = tensors.values().flat_map(|tensor| tensor.data);
        values.try_for_each(|value| w.write_all(&value.to_le_bytes()))
    })?;
    staged.commit()
}

/// The header's JSON, padded so that the data starts at a multiple of 8 bytes.
fn header(
    path: &Path,
    tensors: &BTreeMap<String, TensorView<'_>>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, MediaError> {
    let bad = |name: &str, reason: String| MediaError::BadTensor {
        path: path.to_owned(),
        name: name.to_owned(),
        reason,
    };
    let mut entries = BTreeMap::new();
    let mut end = 0usize;
    for (name, tensor) in tensors {
        let elements = tensor.shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
        if elements != Some(tensor.data.len()) {
            return Err(bad(
                name,
                format!("has {} values, which do not fit shape {:?}", tensor.data.len(), tensor.shape),
            ));
        }
        let start = end;
        // A slice is no larger than isize::MAX bytes, but the same one may be given many times.
        end = end
            .checked_add(size_of_val(tensor.data))
            .ok_or_else(|| bad(name, "makes the file too large".to_owned()))?;
        entries.insert(
            name.as_str(),
            Entry::Tensor { dtype: "F32", shape: tensor.shape, data_offsets: [start, end] },
        );
    }
    if tensors.contains_key(METADATA) {
        return Err(bad(METADATA, "has a name that the format keeps for itself".to_owned()));
    }
    if !metadata.is_empty() {
        entries.insert(METADATA, Entry::Metadata(metadata));
    }
    let mut json = serde_json::to_vec(&entries).map_err(|e| bad(METADATA, e.to_string()))?;
    json.resize(json.len().next_multiple_of(8), b' ');
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_reader_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latent.safetensors");
        let data: Vec<f32> = (0..12).map(|i| i as f32 / 3.0).collect();
        let tensors = BTreeMap::from([
            ("z".to_owned(), TensorView { shape: &[2, 2, 3], data: &data }),
            ("a".to_owned(), TensorView { shape: &[], data: &[f32::NAN] }),
            ("none".to_owned(), TensorView { shape: &[0, 4], data: &[] }),
        ]);
        let metadata = (0..20).map(|i| (format!("key {i}"), "\"quoted\"\n".to_owned())).collect();
        write_tensors(&path, &tensors, &metadata).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let z = read.tensor("z").unwrap();
        assert_eq!((z.dtype(), z.shape()), (safetensors::Dtype::F32, &[2, 2, 3][..]));
        let values: Vec<f32> =
            z.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        assert_eq!(values, data);
        assert!(read.tensor("none").unwrap().data().is_empty());
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["key 7"], "\"quoted\"\n");
        write_tensors(&path, &tensors, &metadata).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latent.safetensors");
        let refused = |name: &str, shape: &[usize]| {
            let tensors = BTreeMap::from([(name.to_owned(), TensorView { shape, data: &[0.0; 4] })]);
            write_tensors(&path, &tensors, &BTreeMap::new()).unwrap_err().to_string()
        };
        assert!(refused("x", &[3]).contains("\"x\" has 4 values"));
        assert!(refused("x", &[usize::MAX, 2]).contains("do not fit"));
        assert!(refused("__metadata__", &[4]).contains("keeps for itself"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
