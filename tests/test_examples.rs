//! The examples are run as a reader runs them: each ends well and shows what it promises.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::PROGRAM;

/// What each example shows, in this order.
const EXAMPLES: [(&str, &[&str]); 6] = [
    ("basic", &["basic-1 is running at 0 %", "{\"page\":12}", "basic-1 is completed at 100 %"]),
    ("signals", &["signals-1 is paused", "resumed: the worker did piece", "signals-1 is stopped"]),
    (
        "checkpoints",
        &["pages-1 is interrupted", "after page 6", "pages-1 is completed at 100 %", "{\"page\":10}"],
    ),
    ("pipeline", &["step join: completed", "left heard hello, right heard hello", "is completed at 100 %"]),
    (
        "events",
        &["channel:  execution_progress", "channel:  execution_completed", "callback: execution_completed"],
    ),
    ("recovery", &["as process ", "SIGKILL", "attempt 1, process ", "its true exit: code 7 of attempt 1"]),
];

#[test]
fn every_example_ends_well_and_shows_what_it_promises() {
    let program = built("execution_example");
    for (name, promised) in EXAMPLES {
        check_shown(name, Command::new("timeout").arg("60").arg(&program).arg(name), promised);
    }
}

/// The programs that the crate's documentation shows, and what each shows, in this order.
const LIBRARY: [(&str, &[&str]); 3] = [
    ("library_engine", &["alfabeta-1 is completed"]),
    ("library_scheduler", &["after is after", "alfabeta-daily is daily", "weekly is weekly"]),
    (
        "library_integration",
        &["execution_started", "execution_stopping", "execution_stopped", "is stopped in the store"],
    ),
];

#[test]
fn every_program_of_the_documentation_ends_well_and_shows_what_it_promises() {
    for (name, promised) in LIBRARY {
        check_shown(name, Command::new("timeout").arg("60").arg(built(name)), promised);
    }
}

/// Runs it. An example that hangs is a failure, not a wait.
fn check_shown(name: &str, command: &mut Command, promised: &[&str]) {
    let output = command.output().expect("it starts");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {}\n{shown}\n{said}", output.status);
    let mut rest = shown.as_str();
    for line in promised {
        let at = rest.find(line).unwrap_or_else(|| panic!("{name} does not show {line:?} there:\n{shown}"));
        rest = &rest[at + line.len()..];
    }
}

#[test]
fn an_example_that_is_not_there_is_refused_with_the_names_of_those_that_are() {
    let output = Command::new(built("execution_example")).arg("nonsense").output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(EXAMPLES.iter().all(|(name, _)| said.contains(name)), "{said}");
}

/// An example, built if it is not or is older than its source: `cargo test --test all` alone does not.
fn built(name: &str) -> PathBuf {
    let folder = Path::new(PROGRAM).parent().expect("the folder of the profile");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "--example", name]);
    cargo.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    cargo.arg("--target-dir").arg(folder.parent().expect("the target folder"));
    if !cfg!(feature = "gui") {
        cargo.arg("--no-default-features");
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo starts").success(), "example {name} does not build");
    folder.join("examples").join(name)
}
