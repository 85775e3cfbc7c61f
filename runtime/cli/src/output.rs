//! Files that a command writes, and what it says of them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kinograph::Control;

/// True for files of latents.
pub(crate) fn is_latents(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"))
}

/// The written files, for a message.
pub(crate) fn names(files: &[PathBuf]) -> String {
    match files {
        [] => "nothing".to_owned(),
        [one] => one.display().to_string(),
        [first, .., last] => format!("{} to {}", first.display(), last.display()),
    }
}

/// A number of frames of a size, for a message.
pub(crate) fn clip(frames: usize, width: usize, height: usize) -> String {
    let plural = if frames == 1 { "frame" } else { "frames" };
    format!("{frames} {plural} of {width}x{height}")
}

/// The first Ctrl-C asks the job to stop at the next kernel or frame; a second one ends the program at once.
pub(crate) fn cancel_on_ctrl_c() -> anyhow::Result<Control> {
    let control = Control::new();
    let handle = control.clone();
    ctrlc::set_handler(move || {
        if handle.is_cancelled() {
            std::process::exit(i32::from(crate::CANCELLED));
        }
        handle.cancel();
    })
    .context("Ctrl-C cannot be handled here")?;
    Ok(control)
}
