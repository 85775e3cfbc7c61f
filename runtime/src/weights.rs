//! Safetensors files as weights, mapped and read in place.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use kinograph_backend::{WeightView, Weights};
use kinograph_graph::DType;
use safetensors::{Dtype, SafeTensors};

use crate::package::PackageError;

/// Bytes that stay where they are: a mapped file, data inside the program, or memory that is shared.
pub(crate) enum Bytes {
    Mapped(memmap2::Mmap),
    Static(&'static [u8]),
    Shared(Arc<[u8]>),
}

impl Bytes {
    /// Maps a file. An empty file cannot be mapped and gives no bytes.
    pub(crate) fn map(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Bytes::Static(&[]));
        }
        map_file(&file).map(Bytes::Mapped)
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Static(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

#[allow(unsafe_code)]
fn map_file(file: &File) -> std::io::Result<memmap2::Mmap> {
    // SAFETY: the map is read-only and private to this process. Another process that truncates the
    // file while it is mapped can raise SIGBUS, as for every program that maps its inputs; weights
    // are read for as long as a model lives, and copying them would double its memory.
    unsafe { memmap2::Mmap::map(file) }
}

struct Entry {
    file: usize,
    dtype: DType,
    shape: Vec<usize>,
    start: usize,
    end: usize,
}

/// The tensors of one or several safetensors files.
pub(crate) struct FileWeights {
    files: Vec<Bytes>,
    index: HashMap<String, Entry>,
}

impl FileWeights {
    /// Reads the headers of the files; the data stays where it is.
    ///
    /// # Errors
    /// A file that is not safetensors, a tensor of a type that no graph can read, a name that stands twice.
    pub(crate) fn new(files: Vec<(String, Bytes)>) -> Result<Self, PackageError> {
        let mut index = HashMap::new();
        for (number, (name, bytes)) in files.iter().enumerate() {
            index_file(number, name, bytes.as_slice(), &mut index)?;
        }
        Ok(Self { files: files.into_iter().map(|(_, bytes)| bytes).collect(), index })
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.as_slice().len() as u64).sum()
    }
}

fn index_file(
    number: usize,
    name: &str,
    bytes: &[u8],
    index: &mut HashMap<String, Entry>,
) -> Result<(), PackageError> {
    let fail = |reason: String| PackageError::Weights { file: name.to_owned(), reason };
    let tensors =
        SafeTensors::deserialize(bytes).map_err(|e| fail(format!("not a whole safetensors file: {e}")))?;
    for (tensor, view) in tensors.iter() {
        let Some(dtype) = dtype(view.dtype()) else {
            return Err(fail(format!("`{tensor}` is {:?}, which graphs cannot read", view.dtype())));
        };
        let start = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        let end = start + view.data().len();
        let entry = Entry { file: number, dtype, shape: view.shape().to_vec(), start, end };
        if index.insert(tensor.to_owned(), entry).is_some() {
            return Err(fail(format!("`{tensor}` is also in another file of the component")));
        }
    }
    Ok(())
}

fn dtype(stored: Dtype) -> Option<DType> {
    Some(match stored {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I8 => DType::I8,
        Dtype::U8 => DType::U8,
        Dtype::I32 => DType::I32,
        Dtype::I64 => DType::I64,
        Dtype::BOOL => DType::Bool,
        _ => return None,
    })
}

impl Weights for FileWeights {
    fn get(&self, name: &str) -> Option<WeightView<'_>> {
        let entry = self.index.get(name)?;
        let bytes = self.files.get(entry.file)?.as_slice().get(entry.start..entry.end)?;
        Some(WeightView { dtype: entry.dtype, shape: &entry.shape, bytes })
    }
}

/// The bytes of a small file of a package: owned when read, borrowed when built in.
pub(crate) type Text = Cow<'static, [u8]>;
