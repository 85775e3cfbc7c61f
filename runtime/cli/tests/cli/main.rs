//! The program as a user meets it.

mod chromium;
mod codec;
mod completions;
mod config;
mod folder;
mod generate;
mod inspect;
mod killed;
mod plugins;
mod replay;

/// Skips a test aloud for want of a tool; where everything is required, fails it.
#[track_caller]
fn skip(test: &str, reason: &str) {
    assert!(std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_none(), "required here, but {reason}");
    // Printed past the test harness, so that the run can count it.
    let _ =
        std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: {test}: {reason}\n").as_bytes());
}
