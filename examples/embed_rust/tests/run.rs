//! The example runs to its end, and ends when it is told to.

use std::process::Command;

fn run(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_embed_rust")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_shows_progress_and_previews_and_ends() {
    let said = run(&["a red circle moves left"]);
    assert!(said.contains("sample 25/25") && said.contains("decode 1/1"), "{said}");
    // Five previews of eight lines, each two letters a latent position.
    let drawn =
        said.lines().filter(|line| line.len() == 16 && line.bytes().all(|b| b" .:-=+*#%@".contains(&b)));
    assert_eq!(drawn.count(), 5 * 8, "{said}");
    assert!(said.lines().last().unwrap().starts_with("made 16 frames in "), "{said}");
}

#[test]
fn it_is_cancelled_at_a_step() {
    let said = run(&["a blue star", "3"]);
    assert!(said.lines().last().unwrap().starts_with("cancelled after "), "{said}");
    assert!(said.contains("sample 3/25") && !said.contains("decode"), "{said}");
}
