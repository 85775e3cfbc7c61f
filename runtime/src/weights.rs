//! Safetensors files as weights, mapped and read in place.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
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
    // SAFETY: nobody may change the file in place while it is mapped, which `Package::open` asks of its caller: bytes
    // that change under a shared slice are undefined behaviour, and a file cut short raises SIGBUS. Every program that
    // maps its inputs asks this; copying weights instead would double a model's memory.
    unsafe { memmap2::Mmap::map(file) }
}

#[cfg(unix)]
#[allow(unsafe_code)]
fn forget_pages(map: &memmap2::Mmap) {
    // SAFETY: the mapping is of a file and nobody writes to it, so pages that are dropped come back with the same bytes.
    // It is a hint: a system that refuses it just keeps the pages.
    if let Err(error) = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) } {
        log::debug!("pages of weights are kept: {error}");
    }
}

#[cfg(not(unix))]
fn forget_pages(_: &memmap2::Mmap) {}

#[derive(Clone)]
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
    /// Tensors of types that no graph can read, which is fine as long as no graph asks.
    unreadable: HashMap<String, String>,
}

impl FileWeights {
    /// Reads the headers of the files; the data stays where it is.
    ///
    /// # Errors
    /// A file that is not safetensors, a name that stands twice.
    pub(crate) fn new(files: Vec<(String, Bytes)>) -> Result<Self, PackageError> {
        let mut weights = Self { files: Vec::new(), index: HashMap::new(), unreadable: HashMap::new() };
        for (name, bytes) in files {
            weights.add(&name, bytes)?;
        }
        Ok(weights)
    }

    fn add(&mut self, file: &str, bytes: Bytes) -> Result<(), PackageError> {
        let fail = |reason: String| PackageError::Weights { file: file.to_owned(), reason };
        let all = bytes.as_slice();
        let tensors =
            SafeTensors::deserialize(all).map_err(|e| fail(format!("not a whole safetensors file: {e}")))?;
        for (name, view) in tensors.iter() {
            let Some(dtype) = dtype(view.dtype()) else {
                self.unreadable.insert(name.to_owned(), format!("{:?}", view.dtype()));
                continue;
            };
            let start = view.data().as_ptr() as usize - all.as_ptr() as usize;
            let end = start + view.data().len();
            let entry = Entry { file: self.files.len(), dtype, shape: view.shape().to_vec(), start, end };
            if self.index.insert(name.to_owned(), entry).is_some() {
                return Err(fail(format!("`{name}` is also in another file of the component")));
            }
        }
        self.files.push(bytes);
        Ok(())
    }

    /// Finds tensors under their other names where they are not stored under their own.
    pub(crate) fn with_aliases(mut self, aliases: &BTreeMap<String, Vec<String>>) -> Self {
        for (name, others) in aliases {
            if !self.index.contains_key(name)
                && let Some(entry) = others.iter().find_map(|other| self.index.get(other)).cloned()
            {
                self.index.insert(name.clone(), entry);
            }
        }
        self
    }

    /// The stored type of a tensor that is there but cannot be read.
    pub(crate) fn unreadable(&self, name: &str) -> Option<&str> {
        self.unreadable.get(name).map(String::as_str)
    }

    /// Lets the system have the memory of mapped files; what is read again comes from the files.
    pub(crate) fn release(&self) {
        for file in &self.files {
            if let Bytes::Mapped(map) = file {
                forget_pages(map);
            }
        }
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.as_slice().len() as u64).sum()
    }
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
