//! `kinograph completions`.

use std::process::Command;

use crate::folder::{Folder, text};
use crate::skip;

#[test]
fn every_shell_gets_a_script_whatever_the_configuration() {
    let folder = Folder::new();
    folder.write("kinograph.toml", "not = toml =");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&folder.succeed(&["completions", shell]).stdout);
        for word in ["kinograph", "generate", "inspect", "memory-limit", "guidance"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert!(folder.fail(2, &["completions", "tcsh"]).contains("powershell"));
}

#[test]
fn bash_completes() {
    if Command::new("bash").arg("--version").output().is_err() {
        return skip("bash_completes", "no bash is installed");
    }
    let folder = Folder::new();
    folder.write("completions.bash", folder.succeed(&["completions", "bash"]).stdout);
    // Sets what bash sets on a tab behind `kinograph devices --js`, and calls what the script has registered.
    let tab = r#"
        source completions.bash
        COMP_WORDS=(kinograph devices --js) COMP_CWORD=2
        complete -p kinograph
        _kinograph kinograph --js devices
        printf '%s\n' "${COMPREPLY[@]}""#;
    let output = folder.tool("bash", &["--norc", "-c", tab]).output().unwrap();
    let lines = text(&output.stdout);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines[0].starts_with("complete ") && lines[0].ends_with(" -F _kinograph kinograph"), "{lines:?}");
    assert_eq!(lines[1..], ["--json"]);
}
