//! Kernels as SPIR-V whose float operations are decorated `NoContraction`, which neither WGSL nor naga can say.
//!
//! naga reads, validates and bounds the kernel as wgpu would have it do; what is added here are decorations alone.

#[cfg(test)]
use std::collections::HashSet;

use kinograph_backend::DeviceError;
use naga::back::spv::{self, Capability};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

use crate::gpu::internal;
use crate::shader::Shader;

/// Words before the first instruction of a module.
const HEADER: usize = 5;
const OP_DECORATE: u32 = 71;
const NO_CONTRACTION: u32 = 42;
/// From `OpTypeVoid` on come types and constants, behind all decorations.
const OP_TYPE_VOID: u32 = 19;
const OP_TYPE_FORWARD_POINTER: u32 = 39;
/// `OpFNegate`, `OpFAdd`, `OpFSub`, `OpFMul`, `OpFDiv`, `OpFRem`, `OpFMod`, and from `OpVectorTimesScalar` to `OpDot` the products of
/// vectors and matrices.
const FLOAT_OPERATIONS: [u32; 14] = [127, 129, 131, 133, 136, 140, 141, 142, 143, 144, 145, 146, 147, 148];

/// What kernels may ask of a device: no dot products of bytes, as it is not known here whether the device has them, and naga writes them out.
const CAPABILITIES: [Capability; 9] = [
    Capability::Shader,
    Capability::Float16,
    Capability::StorageBuffer16BitAccess,
    Capability::GroupNonUniform,
    Capability::GroupNonUniformArithmetic,
    Capability::GroupNonUniformBallot,
    Capability::GroupNonUniformShuffle,
    Capability::GroupNonUniformShuffleRelative,
    Capability::GroupNonUniformVote,
];

/// The kernel as a module of a Vulkan device that takes SPIR-V as it is.
#[allow(unsafe_code)]
pub(crate) fn module(device: &wgpu::Device, shader: &Shader) -> Result<wgpu::ShaderModule, DeviceError> {
    let words = decorated(&shader.source).map_err(|why| internal(format!("{}: {why}", shader.name)))?;
    let entry = wgpu::PassthroughShaderEntryPoint { name: "main".into(), workgroup_size: (0, 0, 0) };
    let descriptor = wgpu::ShaderModuleDescriptorPassthrough {
        label: Some(shader.name),
        entry_points: vec![entry].into(),
        spirv: Some(words.into()),
        ..Default::default()
    };
    // SAFETY: naga validated the kernel and wrote these words with every index and loop bounded, as wgpu does for WGSL; decorations change
    // what a compiler may do with a float operation and nothing else. The device has the feature, which `Gpu::open` asked for.
    Ok(unsafe { device.create_shader_module_passthrough(descriptor) })
}

/// The SPIR-V of a kernel, each float operation decorated.
pub(crate) fn decorated(source: &str) -> Result<Vec<u32>, String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let capabilities =
        Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16_IN_FLOAT32 | Capabilities::SHADER_FLOAT16;
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    let info = validator.validate(&module).map_err(|e| format!("{e:?}"))?;
    let restrict = BoundsCheckPolicy::Restrict;
    let options = spv::Options {
        lang_version: (1, 3),
        flags: spv::WriterFlags::empty(),
        capabilities: Some(CAPABILITIES.into_iter().collect()),
        bounds_check_policies: BoundsCheckPolicies {
            index: restrict,
            buffer: restrict,
            image_load: restrict,
            binding_array: restrict,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        ..Default::default()
    };
    let words = spv::write_vec(&module, &info, &options, None).map_err(|e| e.to_string())?;
    decorate(&words).ok_or_else(|| "its SPIR-V ends in the middle of an instruction".to_owned())
}

/// The module with a decoration in front of its first type for each float operation.
fn decorate(words: &[u32]) -> Option<Vec<u32>> {
    let mut results = Vec::new();
    let mut first_type = None;
    let mut at = HEADER;
    while at < words.len() {
        let (length, op) = ((words[at] >> 16) as usize, words[at] & 0xffff);
        let instruction = words.get(at..at + length).filter(|i| !i.is_empty())?;
        if (OP_TYPE_VOID..=OP_TYPE_FORWARD_POINTER).contains(&op) {
            first_type.get_or_insert(at);
        }
        if FLOAT_OPERATIONS.contains(&op) {
            results.push(*instruction.get(2)?);
        }
        at += length;
    }
    let (before, behind) = words.split_at_checked(first_type?)?;
    let decorations = results.into_iter().flat_map(|id| [3 << 16 | OP_DECORATE, id, NO_CONTRACTION]);
    Some(before.iter().copied().chain(decorations).chain(behind.iter().copied()).collect())
}

/// The results that a module decorates `NoContraction`, and those of its float operations.
#[cfg(test)]
pub(crate) fn decorations(words: &[u32]) -> (HashSet<u32>, HashSet<u32>) {
    let (mut decorated, mut operations) = (HashSet::new(), HashSet::new());
    let mut at = HEADER;
    while at < words.len() {
        match words[at] & 0xffff {
            OP_DECORATE if words[at + 2] == NO_CONTRACTION => _ = decorated.insert(words[at + 1]),
            op if FLOAT_OPERATIONS.contains(&op) => _ = operations.insert(words[at + 2]),
            _ => {}
        }
        at += (words[at] >> 16) as usize;
    }
    (decorated, operations)
}
