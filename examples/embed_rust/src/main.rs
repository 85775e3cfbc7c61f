//! A host with a loop of its own, such as an editor or a game has: a worker thread generates, the loop ticks on, shows how far the
//! job is and what it will look like, and may cancel it at any tick.
//!
//! ```text
//! cargo run --release -p kinograph-example-embed-rust -- "a red circle moves left" [CANCEL_AT_STEP]
//! ```

use std::error::Error;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use kinograph::media::Frames;
use kinograph::{Control, DeviceOptions, Generated, Model, Package, Progress, Request, Runtime, Stage};

/// What the worker tells the loop.
enum Event {
    Progress(Progress),
    Done(Result<Generated, kinograph::Error>),
}

/// Sixty ticks a second.
const TICK: Duration = Duration::from_micros(16_667);

fn main() -> ExitCode {
    match host() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn host() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let prompt = arguments.next().unwrap_or_else(|| "a red circle moves left".to_owned());
    let cancel_at = arguments.next().map(|step| step.parse::<usize>()).transpose()?;

    // Leaves one processor to the loop.
    let threads = thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1));
    let device =
        Runtime::new().open("cpu", &DeviceOptions { threads: Some(threads), ..Default::default() })?;
    let model = Model::load(Package::built_in(kinograph_flipbook::FILES)?, device)?;

    let control = Control::new();
    let request = Request::new(prompt).frames(16).preview_every(5).control(control.clone());
    let (events, from_worker) = mpsc::channel();
    // A scope lets the worker borrow the model, which further jobs may use at the same time.
    let (made, ticks) = thread::scope(|scope| {
        scope.spawn(|| work(&model, &request, events));
        run_loop(&from_worker, &control, cancel_at)
    });
    match made {
        Ok(video) => println!("made {} frames in {ticks} ticks", video.frames.len()),
        Err(kinograph::Error::Cancelled) => println!("cancelled after {ticks} ticks"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The worker: its progress goes to the loop, which may be gone already.
fn work(model: &Model, request: &Request, events: mpsc::Sender<Event>) {
    let tell = |progress| match events.send(Event::Progress(progress)) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    let made = model.generate(request, tell);
    // Nobody is left to hear it when the loop is gone.
    let _ = events.send(Event::Done(made));
}

/// The host's loop, until the job ends; its result, and how often the loop ticked.
fn run_loop(
    from_worker: &mpsc::Receiver<Event>,
    control: &Control,
    cancel_at: Option<usize>,
) -> (Result<Generated, kinograph::Error>, usize) {
    let mut ticks = 0;
    loop {
        match from_worker.recv_timeout(TICK) {
            Ok(Event::Progress(progress)) => {
                show(&progress);
                // Here a host would ask whether its user pressed the button.
                if progress.stage == Stage::Sample && Some(progress.step) == cancel_at {
                    control.cancel();
                }
            }
            Ok(Event::Done(made)) => return (made, ticks),
            // Nothing new: this is where a host draws, reads input, plays sound.
            Err(RecvTimeoutError::Timeout) => ticks += 1,
            Err(RecvTimeoutError::Disconnected) => return (Err(kinograph::Error::Cancelled), ticks),
        }
    }
}

/// One line for the progress, and the middle of the clip so far, if it is shown.
fn show(progress: &Progress) {
    let left = progress.remaining.map(|left| format!(", {:.1} s left", left.as_secs_f64()));
    println!("{} {}/{}{}", progress.stage, progress.step, progress.of, left.unwrap_or_default());
    if let Some(preview) = &progress.preview {
        println!("{}", drawn(preview));
    }
}

/// The middle frame in letters, the brighter the denser.
fn drawn(preview: &Frames) -> String {
    const SHADES: &[u8] = b" .:-=+*#%@";
    let middle = preview.iter().nth(preview.len() / 2).unwrap_or_default();
    let letter = |pixel: &[u8]| {
        let brightness = pixel.iter().map(|&c| usize::from(c)).sum::<usize>() / 3;
        char::from(SHADES[brightness * (SHADES.len() - 1) / 255])
    };
    let line =
        |row: &[u8]| row.chunks(3).map(|pixel| String::from(letter(pixel)).repeat(2)).collect::<String>();
    middle.chunks(3 * preview.width()).map(line).collect::<Vec<_>>().join("\n")
}
