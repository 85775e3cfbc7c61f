use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use kinograph::media::{self, FrameRate, WriteOptions};
use kinograph::{Control, Generated, Model, Request, Stage, latents};

use crate::args::Generate;
use crate::source;

pub(crate) fn run(options: &Generate, quiet: bool) -> anyhow::Result<()> {
    let begin = Instant::now();
    // Whatever is wrong with the output shows before the work, not after it.
    let output = Output::new(&options.output)?;
    let control = cancel_on_ctrl_c()?;
    let model = source::model(options.model.as_deref(), &options.device, options.threads)?;
    let request = request(options)?.control(control.clone());
    let bar = Bar::new(quiet);
    let made = model.generate(&request, |p| {
        bar.show(p.stage, p.step, p.of);
        ControlFlow::Continue(())
    });
    bar.clear();
    let made = made?;
    for (stage, time) in &made.timings {
        log::info!("{stage}: {:.2} s", time.as_secs_f64());
    }
    let fps = options.fps.unwrap_or(model.manifest().video.fps);
    let files = output.write(&made, fps, options, &model)?;
    if !quiet {
        report(&files, &made, begin);
    }
    Ok(())
}

fn request(options: &Generate) -> anyhow::Result<Request> {
    let mut request = Request::new(&options.prompt).negative(&options.negative).seed(options.seed);
    if let Some(frames) = options.frames {
        request = request.frames(frames);
    }
    if let Some((width, height)) = options.size {
        request = request.size(width, height);
    }
    if let Some(fps) = options.fps {
        request = request.fps(fps);
    }
    if let Some(steps) = options.steps {
        request = request.steps(steps);
    }
    if let Some(schedule) = options.schedule {
        request = request.schedule(schedule);
    }
    if let Some(scale) = options.guidance {
        request = request.guidance(scale);
    }
    if let Some(path) = &options.latents {
        request = request.latents(latents::read(path)?);
    }
    Ok(request)
}

/// The first Ctrl-C asks the job to stop at the next kernel; a second one ends the program.
fn cancel_on_ctrl_c() -> anyhow::Result<Control> {
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

/// What is written at the end: frames, or latents.
enum Output<'a> {
    Frames(&'a Path),
    Latents(&'a Path),
}

impl<'a> Output<'a> {
    fn new(path: &'a Path) -> anyhow::Result<Self> {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors")) {
            return Ok(Output::Latents(path));
        }
        media::check(path)?;
        Ok(Output::Frames(path))
    }

    fn write(
        &self,
        made: &Generated,
        fps: u32,
        options: &Generate,
        model: &Model,
    ) -> anyhow::Result<Vec<PathBuf>> {
        match self {
            Output::Frames(path) => {
                Ok(media::write(path, &made.frames, FrameRate::new(fps, 1)?, &WriteOptions::default())?)
            }
            Output::Latents(path) => {
                let metadata = BTreeMap::from([
                    ("model".to_owned(), model.manifest().name.clone()),
                    ("prompt".to_owned(), options.prompt.clone()),
                    ("seed".to_owned(), options.seed.to_string()),
                ]);
                Ok(vec![latents::write(path, &made.latents, &metadata)?])
            }
        }
    }
}

fn report(files: &[PathBuf], made: &Generated, begin: Instant) {
    let name = match files {
        [] => return,
        [one] => one.display().to_string(),
        [first, .., last] => format!("{} to {}", first.display(), last.display()),
    };
    let frames = made.frames.len();
    let plural = if frames == 1 { "frame" } else { "frames" };
    let (width, height) = (made.frames.width(), made.frames.height());
    eprintln!("{name}: {frames} {plural} of {width}x{height} in {:.1} s", begin.elapsed().as_secs_f64());
}

/// A progress bar on standard error, when that is a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(quiet: bool) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(1) };
        // The template is a constant; if it were wrong, the default style would serve.
        if let Ok(style) = ProgressStyle::with_template("{msg:>6} [{bar:40}] {pos}/{len} {elapsed}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    fn show(&self, stage: Stage, step: usize, of: usize) {
        self.0.set_message(stage.to_string());
        self.0.set_length(of as u64);
        self.0.set_position(step as u64);
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}
