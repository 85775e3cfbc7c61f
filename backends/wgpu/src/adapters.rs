//! The adapters of this machine, and how hosts name them.

use kinograph_backend::{DeviceError, DeviceInfo};

/// An adapter with its place in the list.
pub(crate) struct Listed {
    pub(crate) adapter: wgpu::Adapter,
    pub(crate) info: DeviceInfo,
    /// A name that does not depend on the order, such as `wgpu:vulkan:llvmpipe`.
    alias: String,
}

/// All adapters that compute. Those of OpenGL are asked for only when there are no others or when they are wanted by name, as
/// they are the same devices once more, with less, and their libraries print to the terminal.
pub(crate) fn list(with_gl: bool) -> Vec<Listed> {
    let primary = wgpu::Backends::PRIMARY;
    let mut adapters = enumerate(primary);
    if adapters.is_empty() || with_gl {
        adapters.extend(enumerate(wgpu::Backends::GL));
    }
    let compute = |adapter: &wgpu::Adapter| {
        adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
    };
    adapters.into_iter().filter(compute).enumerate().map(|(i, adapter)| listed(i, adapter)).collect()
}

fn enumerate(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    // Validation layers where the environment asks for them (WGPU_VALIDATION=1, and to have them logged WGPU_DEBUG=1).
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    let instance = wgpu::Instance::new(descriptor);
    pollster::block_on(instance.enumerate_adapters(backends))
}

fn listed(position: usize, adapter: wgpu::Adapter) -> Listed {
    let (about, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let backend = about.backend.to_str();
    let word = about.name.split([' ', '(', ',']).next().unwrap_or_default().to_lowercase();
    let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
    let mut facts = vec![
        ("backend".to_owned(), backend.to_owned()),
        ("driver".to_owned(), format!("{} {}", about.driver, about.driver_info).trim().to_owned()),
        ("type".to_owned(), kind(about.device_type).to_owned()),
        ("largest binding".to_owned(), mebibytes(limits.max_storage_buffer_binding_size)),
        ("largest buffer".to_owned(), mebibytes(limits.max_buffer_size)),
        ("storages a kernel".to_owned(), limits.max_storage_buffers_per_shader_stage.to_string()),
    ];
    let known = [
        (wgpu::Features::SUBGROUP, "subgroups"),
        (wgpu::Features::SHADER_F16, "f16"),
        (wgpu::Features::SHADER_INT64, "i64"),
        (wgpu::Features::PIPELINE_CACHE, "pipeline cache"),
        (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative matrices"),
    ];
    let present: Vec<&str> =
        known.iter().filter(|(f, _)| features.contains(*f)).map(|(_, name)| *name).collect();
    facts.push(("features".to_owned(), present.join(", ")));
    Listed {
        info: DeviceInfo { id: format!("wgpu:{position}"), name: about.name, facts },
        alias: format!("wgpu:{backend}:{word}"),
        adapter,
    }
}

/// What sort of processor it is, in the words by which a policy ranks devices.
fn kind(device: wgpu::DeviceType) -> &'static str {
    match device {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "cpu",
        wgpu::DeviceType::Other => "other",
    }
}

/// Finds an adapter by `wgpu`, `wgpu:N`, `wgpu:BACKEND` or `wgpu:BACKEND:NAME`.
pub(crate) fn find(id: &str) -> Result<Listed, DeviceError> {
    let adapters = list(id.starts_with("wgpu:gl"));
    let names: Vec<String> = adapters.iter().map(|a| format!("{} ({})", a.info.id, a.alias)).collect();
    let wanted = |a: &Listed| a.info.id == id || a.alias == id || a.alias.starts_with(&format!("{id}:"));
    adapters.into_iter().find(wanted).ok_or_else(|| {
        let there = if names.is_empty() {
            "there is no adapter: install a driver for Vulkan, such as Debian's mesa-vulkan-drivers"
                .to_owned()
        } else {
            format!("there are {}", names.join(", "))
        };
        DeviceError::Internal(format!("there is no device `{id}`; {there}"))
    })
}
