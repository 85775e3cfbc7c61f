//! The memory of this process, where the system tells it in files (Linux).

use std::fs;

/// Forgets the peak so far. Gives the bytes that are resident now, or nothing where the system does not tell.
pub(super) fn reset() -> Option<u64> {
    // 5 sets the peak to what is resident now: proc(5), clear_refs.
    fs::write("/proc/self/clear_refs", "5").ok()?;
    status("VmRSS:")
}

/// The most bytes that were resident since then.
pub(super) fn peak() -> Option<u64> {
    status("VmHWM:")
}

fn status(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
