//! The backend of wgpu as a plugin, for hosts that are built without it. A host that has the backend built in refuses the
//! plugin, as a plugin never takes the name of another backend.

kinograph_plugin_sdk::export_backend!(= kinograph_wgpu::WgpuBackend);
