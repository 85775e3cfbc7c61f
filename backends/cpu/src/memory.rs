//! Bytes on cache lines, the device's buffers, and the typed views that kernels read.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytemuck::{AnyBitPattern, Pod, Zeroable};
use half::{bf16, f16};
use kinograph_backend::{Buffer, DeviceError, HostData, HostTensor};
use kinograph_graph::{DType, TensorDesc};

use crate::halves::{widen_bf16, widen_f16};

/// One cache line: what every allocation and every planned offset is aligned to.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; 64]);

/// The size of a [`Line`] in bytes.
pub(crate) const LINE: usize = size_of::<Line>();

/// A fixed number of bytes, zeroed and aligned to a cache line.
pub(crate) struct Bytes {
    lines: Box<[Line]>,
    len: usize,
}

impl Bytes {
    /// So many zero bytes, or the error that there is no room.
    pub(crate) fn zeroed(len: usize) -> Result<Self, DeviceError> {
        let lines = bytemuck::allocation::try_zeroed_slice_box(len.div_ceil(LINE))
            .map_err(|()| DeviceError::OutOfMemory { bytes: len as u64 })?;
        Ok(Self { lines, len })
    }

    /// No bytes.
    pub(crate) fn empty() -> Self {
        Self { lines: Box::default(), len: 0 }
    }

    /// A copy of these bytes.
    pub(crate) fn copy_of(bytes: &[u8]) -> Result<Self, DeviceError> {
        let mut copy = Self::zeroed(bytes.len())?;
        copy.as_mut_slice().copy_from_slice(bytes);
        Ok(copy)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// Bytes that stay as they are: in memory, or in a mapped file.
pub(crate) type Held = dyn AsRef<[u8]> + Send + Sync;

/// What is made when a graph is compiled.
pub(crate) type Constant = Arc<Held>;

/// Memory of outputs that were dropped, for the next run of any executable of a device: fresh pages cost more than many
/// kernels.
#[derive(Default)]
pub(crate) struct Spares(Mutex<Vec<Bytes>>);

impl Spares {
    /// How many are kept.
    const MOST: usize = 8;
    /// The least bytes of one: what is smaller costs no fresh pages.
    const LEAST: usize = 1 << 16;

    /// So many bytes, of any content. When none fits, those that wait longest make room, so that what is kept is never a reason
    /// to need more.
    pub(crate) fn take(&self, len: usize) -> Result<Bytes, DeviceError> {
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(i) = spares.iter().position(|spare| spare.len() == len) {
            return Ok(spares.remove(i));
        }
        let mut freed = 0;
        while freed < len && !spares.is_empty() {
            freed += spares.remove(0).len();
        }
        drop(spares);
        Bytes::zeroed(len)
    }

    /// The one that waits longest makes room.
    fn give_back(&self, bytes: Bytes) {
        if bytes.len() < Self::LEAST {
            return;
        }
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() >= Self::MOST {
            spares.remove(0);
        }
        spares.push(bytes);
    }

    /// Frees all.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Arenas that no run uses now, for all executables of a device: as many as runs went on at a time, the largest as large as
/// was asked for.
#[derive(Default)]
pub(crate) struct Arenas(Mutex<Vec<Bytes>>);

impl Arenas {
    /// At least so many bytes, of any content: the tightest arena that fits. If none does, one that is too small makes
    /// room for it.
    pub(crate) fn take(&self, len: usize) -> Result<Bytes, DeviceError> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = || free.iter().enumerate();
        let fitting = all().filter(|(_, a)| a.len() >= len).min_by_key(|(_, a)| a.len());
        let taken =
            fitting.or(all().max_by_key(|(_, a)| a.len())).map(|(i, _)| i).map(|i| free.swap_remove(i));
        match taken {
            Some(arena) if arena.len() >= len => Ok(arena),
            small => {
                drop((small, free));
                Bytes::zeroed(len)
            }
        }
    }

    pub(crate) fn give_back(&self, arena: Bytes) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(arena);
    }

    /// Frees all.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A tensor of this device: as the host gave it, or as a run made it.
pub(crate) struct CpuBuffer {
    desc: TensorDesc,
    data: Data,
}

enum Data {
    Host(HostTensor),
    /// The bytes, and where they go afterwards, if that still is.
    Made(Bytes, Weak<Spares>),
}

impl Drop for CpuBuffer {
    fn drop(&mut self) {
        if let Data::Made(bytes, home) = &mut self.data
            && let Some(home) = home.upgrade()
        {
            home.give_back(std::mem::replace(bytes, Bytes::empty()));
        }
    }
}

impl CpuBuffer {
    /// Takes a host tensor without copying it.
    pub(crate) fn from_host(tensor: HostTensor) -> Self {
        Self { desc: tensor.desc().clone(), data: Data::Host(tensor) }
    }

    /// A buffer of a run's result, whose memory goes back when it is dropped.
    pub(crate) fn made(desc: TensorDesc, bytes: Bytes, home: &Arc<Spares>) -> Self {
        Self { desc, data: Data::Made(bytes, Arc::downgrade(home)) }
    }

    /// The elements as bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Host(tensor) => tensor.data().as_bytes(),
            Data::Made(bytes, _) => bytes.as_slice(),
        }
    }

    /// A copy for the host.
    pub(crate) fn to_host(&self) -> Result<HostTensor, DeviceError> {
        match &self.data {
            Data::Host(tensor) => Ok(tensor.clone()),
            Data::Made(bytes, _) => {
                let data = View { dtype: self.desc.dtype, bytes: bytes.as_slice() }.to_host();
                HostTensor::new(self.desc.shape.clone(), data)
                    .map_err(|e| DeviceError::Internal(e.to_string()))
            }
        }
    }
}

impl Buffer for CpuBuffer {
    fn desc(&self) -> &TensorDesc {
        &self.desc
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The elements of a value, as a kernel reads them. The bytes are aligned to the type.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) dtype: DType,
    pub(crate) bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// The elements as a type of the same size. The plan has placed values on their alignment.
    pub(crate) fn of<T: AnyBitPattern>(self) -> &'a [T] {
        // No bytes may stand anywhere.
        if self.bytes.is_empty() { &[] } else { bytemuck::cast_slice(self.bytes) }
    }

    /// The elements of an `f32` value.
    pub(crate) fn f32(self) -> &'a [f32] {
        self.of()
    }

    fn to_host(self) -> HostData {
        match self.dtype {
            DType::F32 => HostData::F32(self.of().to_vec()),
            DType::F16 => HostData::F16(self.of().to_vec()),
            DType::BF16 => HostData::BF16(self.of().to_vec()),
            DType::I8 => HostData::I8(self.of().to_vec()),
            DType::U8 => HostData::U8(self.of().to_vec()),
            DType::I32 => HostData::I32(self.of().to_vec()),
            DType::I64 => HostData::I64(self.of().to_vec()),
            DType::Bool => HostData::Bool(self.of().to_vec()),
        }
    }
}

/// Float elements in the type that they are stored in: a weight in the mapped file, an activation.
#[derive(Clone, Copy)]
pub(crate) enum Floats<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    BF16(&'a [bf16]),
}

impl<'a> Floats<'a> {
    /// The elements of a float view.
    pub(crate) fn of(view: View<'a>) -> Self {
        match view.dtype {
            DType::F16 => Floats::F16(view.of()),
            DType::BF16 => Floats::BF16(view.of()),
            _ => Floats::F32(view.of()),
        }
    }

    /// So many elements from there on.
    pub(crate) fn slice(self, start: usize, len: usize) -> Self {
        match self {
            Floats::F32(v) => Floats::F32(&v[start..start + len]),
            Floats::F16(v) => Floats::F16(&v[start..start + len]),
            Floats::BF16(v) => Floats::BF16(&v[start..start + len]),
        }
    }

    /// The elements as they are when they are `f32`.
    pub(crate) fn as_f32(self) -> Option<&'a [f32]> {
        match self {
            Floats::F32(v) => Some(v),
            _ => None,
        }
    }

    /// The elements widened, into a slice of as many.
    pub(crate) fn widen_into(self, out: &mut [f32]) {
        match self {
            Floats::F32(v) => out.copy_from_slice(v),
            Floats::F16(v) => widen_f16(v, out),
            Floats::BF16(v) => widen_bf16(v, out),
        }
    }
}

/// Bytes of a float type as bytes of another, rounding to nearest even.
pub(crate) fn convert_floats(bytes: &[u8], from: DType, to: DType) -> Result<Bytes, DeviceError> {
    let count = bytes.len() / from.size();
    let mut out = Bytes::zeroed(count * to.size())?;
    let value = |i: usize| -> f32 {
        let at = &bytes[i * from.size()..(i + 1) * from.size()];
        match *at {
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            [a, b] if from == DType::F16 => f16::from_le_bytes([a, b]).to_f32(),
            [a, b] => bf16::from_le_bytes([a, b]).to_f32(),
            _ => f32::NAN,
        }
    };
    let target = out.as_mut_slice();
    match to {
        DType::F16 => fill(bytemuck::cast_slice_mut(target), |i| f16::from_f32(value(i))),
        DType::BF16 => fill(bytemuck::cast_slice_mut(target), |i| bf16::from_f32(value(i))),
        _ => fill(bytemuck::cast_slice_mut(target), value),
    }
    Ok(out)
}

fn fill<T>(out: &mut [T], value: impl Fn(usize) -> T) {
    out.iter_mut().enumerate().for_each(|(i, slot)| *slot = value(i));
}
