//! The example runs on the CPU, holds the bound, and says what is wrong with its arguments.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_custom_op_graph")).args(arguments).output().unwrap()
}

#[test]
fn the_device_is_what_the_op_table_says() {
    for arguments in [&["cpu"][..], &["cpu", "33", "7"], &["cpu", "1", "1"]] {
        let output = run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("sharp (Conv): Yes") && said.contains("sharpen on cpu: "), "{said}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    for (arguments, expected) in [
        (&["gpu:7"][..], "there is no device `gpu:7`"),
        (&["cpu", "wide"], "invalid digit"),
        (&["cpu", "99999999999", "99999999999"], "limit"),
    ] {
        let output = run(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
