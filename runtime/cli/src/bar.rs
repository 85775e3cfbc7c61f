//! How far a job is, on standard error, when that is a terminal.

use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use kinograph::Progress;

pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new(quiet: bool) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(1) };
        // The template is a constant; if it were wrong, the default style would serve.
        if let Ok(style) = ProgressStyle::with_template("{prefix:>6} [{bar:40}] {pos}/{len} {elapsed} {msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    pub(crate) fn show(&self, progress: &Progress) -> ControlFlow<()> {
        self.0.set_prefix(progress.stage.to_string());
        // A length that nobody knows grows with the steps.
        self.0.set_length(progress.of.max(progress.step) as u64);
        self.0.set_position(progress.step as u64);
        let left = progress.remaining.filter(|left| *left >= Duration::from_secs(1));
        self.0.set_message(left.map_or(String::new(), |left| format!("{} left", HumanDuration(left))));
        ControlFlow::Continue(())
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
