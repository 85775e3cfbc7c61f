use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use kinograph::media::{self, FrameRate, FrameSink, WriteOptions};
use kinograph::{Control, Generated, Model, Progress, Request, Stage, latents};

use crate::args::Generate;
use crate::source;

pub(crate) fn run(options: &Generate, quiet: bool) -> anyhow::Result<()> {
    let begin = Instant::now();
    let control = cancel_on_ctrl_c()?;
    let model = source::model(options.model.as_deref(), &options.device, options.threads)?;
    let request = request(options)?.control(control.clone());
    let bar = Bar::new(quiet);
    let on_progress = |p: Progress| {
        bar.show(p.stage, p.step, p.of);
        ControlFlow::Continue(())
    };
    let (files, what) = if is_latents(&options.output) {
        latents::check(&options.output)?;
        let made = model.sample(&request, on_progress);
        bar.clear();
        let made = made?;
        let file = latents::write(&options.output, &made, &metadata(options, &model))?;
        (vec![file], format!("latents {}", made.desc()))
    } else {
        // Opened before the work: whatever is wrong with the output shows now.
        let sink = sink(options, &model)?;
        let made = model.generate(&request, on_progress);
        bar.clear();
        let made = made?;
        for (stage, time) in &made.timings {
            log::info!("{stage}: {:.2} s", time.as_secs_f64());
        }
        (write(sink, &made, &control)?, describe(&made))
    };
    if !quiet {
        eprintln!("{}: {what} in {:.1} s", names(&files), begin.elapsed().as_secs_f64());
    }
    Ok(())
}

fn is_latents(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"))
}

/// The output file for frames, of the size and rate that the request asks for.
fn sink(options: &Generate, model: &Model) -> anyhow::Result<Box<dyn FrameSink>> {
    let video = &model.manifest().video;
    let (width, height) = options.size.unwrap_or((video.width, video.height));
    let rate = FrameRate::new(options.fps.unwrap_or(video.fps), 1)?;
    Ok(media::create(&options.output, width, height, rate, &WriteOptions::default())?)
}

/// Writes the frames; Ctrl-C between two of them leaves no file.
fn write(mut sink: Box<dyn FrameSink>, made: &Generated, control: &Control) -> anyhow::Result<Vec<PathBuf>> {
    for frame in made.frames.iter() {
        if control.is_cancelled() {
            return Err(kinograph::Error::Cancelled.into());
        }
        sink.frame(frame)?;
    }
    Ok(sink.finish()?)
}

fn metadata(options: &Generate, model: &Model) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("model".to_owned(), model.manifest().name.clone()),
        ("prompt".to_owned(), options.prompt.clone()),
        ("seed".to_owned(), options.seed.to_string()),
    ])
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

/// The first Ctrl-C asks the job to stop at the next kernel or frame; a second one ends the program at once.
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

fn names(files: &[PathBuf]) -> String {
    match files {
        [] => "nothing".to_owned(),
        [one] => one.display().to_string(),
        [first, .., last] => format!("{} to {}", first.display(), last.display()),
    }
}

fn describe(made: &Generated) -> String {
    let frames = made.frames.len();
    let plural = if frames == 1 { "frame" } else { "frames" };
    format!("{frames} {plural} of {}x{}", made.frames.width(), made.frames.height())
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
