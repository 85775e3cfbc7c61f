//! A job that is killed at any moment goes on as if it had not been.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::folder::{Folder, text};

const JOB: [&str; 9] =
    ["generate", "a red circle moves left", "--frames", "24", "--steps", "20", "--quiet", "--solver", "heun"];
const CHECKPOINT: [&str; 4] = ["--checkpoint", "job.safetensors", "--checkpoint-every", "0"];

fn job<'a>(output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    JOB.iter().copied().chain(["-o", output]).chain(more.iter().copied()).collect()
}

/// From 0 to 1.
fn random() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[test]
fn a_killed_job_goes_on_to_the_same_bytes() {
    let folder = Folder::new();
    let begin = Instant::now();
    folder.succeed(&job("whole.gif", &[]));
    let whole = begin.elapsed();
    let expected = fs::read(folder.path("whole.gif")).unwrap();
    let mut resumed = 0;
    for attempt in 0..10 {
        let after: Duration = whole.mul_f64(random());
        let mut child = folder.command(&job("made.gif", &CHECKPOINT)).spawn().unwrap();
        sleep(after);
        // Two of them surely die when there is something to go on from.
        let patience = Instant::now();
        while attempt < 2 && !folder.path("job.safetensors").exists() && patience.elapsed().as_secs() < 60 {
            sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        let ended = child.wait().unwrap().success();
        let made = fs::read(folder.path("made.gif"));
        if ended {
            assert!(made.unwrap() == expected, "{attempt}: ended before it was killed");
        } else {
            // What is there can only be whole: it was killed between the last byte and its end.
            let half = made.is_ok_and(|made| made != expected);
            assert!(!half, "{attempt}: killed after {after:?}, and there is another file of that name");
            resumed += usize::from(folder.path("job.safetensors").exists());
            let output = folder.succeed(&job("made.gif", &CHECKPOINT));
            let made = fs::read(folder.path("made.gif")).unwrap();
            assert!(made == expected, "{attempt}: killed after {after:?}: {}", text(&output.stderr));
        }
        assert!(!folder.path("job.safetensors").exists(), "a job that is done leaves no checkpoint");
        fs::remove_file(folder.path("made.gif")).unwrap();
    }
    println!("{resumed} of 10 went on from a checkpoint");
    assert!(resumed > 0, "no job was killed when there was a checkpoint");
}

#[test]
fn a_checkpoint_of_another_job_is_not_overwritten() {
    let folder = Folder::new();
    folder.write("job.safetensors", "not one at all");
    let message = folder.fail(1, &job("made.gif", &CHECKPOINT));
    assert!(message.contains("job.safetensors") && message.contains("remove it"), "{message}");
    assert_eq!(fs::read(folder.path("job.safetensors")).unwrap(), b"not one at all");
    assert!(!folder.path("made.gif").exists());
}
