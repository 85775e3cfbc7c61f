//! Latents in files: noise to start from, or the end of sampling.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kinograph_backend::HostTensor;
use safetensors::{Dtype, SafeTensors};

use crate::files::{self, Unread, floats};
use crate::media::{MediaError, TensorView, write_tensors};

/// The name of the tensor in a file of latents.
pub const TENSOR: &str = "latents";

/// The largest file of latents that is read, in bytes: 1 GiB, hundreds of times a long video's.
const MAX_BYTES: u64 = 1 << 30;

/// The key of the metadata that says how far latents are, and its value at the end of sampling.
const STAGE: (&str, &str) = ("stage", "sampled");

/// Why a file of latents was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LatentsError {
    /// It is missing or cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        reason: String,
    },
}

/// Reads the tensor `latents` of a safetensors file, or its only tensor: `f32`, \[channels, frames, height, width\] in
/// latent sizes, perhaps with a leading 1.
///
/// # Errors
/// [`LatentsError`].
pub fn read(path: &Path) -> Result<HostTensor, LatentsError> {
    let (latents, metadata) = read_with_metadata(path)?;
    if metadata.get(STAGE.0).is_some_and(|stage| stage == STAGE.1) {
        log::warn!("{}: these latents are the end of sampling, not noise to start from", path.display());
    }
    Ok(latents)
}

/// Reads latents at any stage, and what the file says of them: for [`Model::decode`](crate::Model::decode).
///
/// # Errors
/// As [`read`].
pub fn read_with_metadata(path: &Path) -> Result<(HostTensor, BTreeMap<String, String>), LatentsError> {
    let io = |source| LatentsError::Io { path: path.to_owned(), source };
    let fail = |reason: String| LatentsError::Content { path: path.to_owned(), reason };
    let bytes = files::read(path, MAX_BYTES).map_err(|unread| match unread {
        Unread::Io(source) => io(source),
        Unread::NotPlain => fail("not a plain file".into()),
        Unread::TooLarge(limit) => fail(format!("larger than {limit} bytes")),
    })?;
    let file =
        SafeTensors::deserialize(&bytes).map_err(|e| fail(format!("not a whole safetensors file: {e}")))?;
    let names = file.names();
    let name = match names[..] {
        [only] => only,
        _ if names.contains(&TENSOR) => TENSOR,
        _ => {
            return Err(fail(format!(
                "it must hold a tensor `{TENSOR}`, or just one; it holds {}",
                names.len()
            )));
        }
    };
    let view = file.tensor(name).map_err(|e| fail(e.to_string()))?;
    if view.dtype() != Dtype::F32 {
        return Err(fail(format!("`{name}` is {:?}, but latents are f32", view.dtype())));
    }
    let values: Vec<f32> = floats(view.data()).collect();
    if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
        return Err(fail(format!("`{name}` holds {bad}; latents are finite")));
    }
    let latents = HostTensor::f32(view.shape(), values).map_err(|e| fail(e.to_string()))?;
    let metadata = SafeTensors::read_metadata(&bytes).ok().and_then(|(_, m)| m.metadata().clone());
    Ok((latents, metadata.unwrap_or_default().into_iter().collect()))
}

/// Checks that the folder of `path` is there, before hours of sampling.
///
/// # Errors
/// [`MediaError`] that names the folder.
pub fn check(path: &Path) -> Result<(), MediaError> {
    crate::media::check_folder(path)
}

/// Writes the latents that sampling ended with, beside `path`, and renames them to it. Returns the path.
///
/// # Errors
/// Those of the file system; latents that are not `f32`.
pub fn write(
    path: &Path,
    latents: &HostTensor,
    metadata: &BTreeMap<String, String>,
) -> Result<PathBuf, MediaError> {
    let view = TensorView { shape: &latents.desc().shape, data: latents.as_f32().unwrap_or(&[]) };
    let mut metadata = metadata.clone();
    metadata.insert(STAGE.0.to_owned(), STAGE.1.to_owned());
    write_tensors(path, &BTreeMap::from([(TENSOR.to_owned(), view)]), &metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("z.safetensors");
        let latents = HostTensor::f32([1, 2, 1, 1, 2], vec![1.0, -2.0, 0.5, 0.0]).unwrap();
        write(&path, &latents, &BTreeMap::new()).unwrap();
        assert_eq!(read(&path).unwrap(), latents);

        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("not a whole safetensors file"));

        let nan = HostTensor::f32([1], vec![f32::NAN]).unwrap();
        write(&path, &nan, &BTreeMap::new()).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("finite"));
        assert!(matches!(read(&folder.path().join("none")), Err(LatentsError::Io { .. })));
    }
}
