//! `LEVERFRAME_LOG`: what the program writes about its inside, where, and what never stands there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use super::{Home, Running, Said, said};
use crate::support::process::{is_gone, look_until, signal};

/// A value of a parameter, and one of a variable.
const VALUES: [&str; 2] = ["value-of-a-parameter", "value-of-a-variable"];

fn home() -> Home {
    let home = Home::new();
    let text = "id = \"p\"\nenv = { WORD = \"value-of-a-variable\" }\n[params.word]\ndefault = \"none\"\n\
        [[step]]\nid = \"a\"\nrun = \"true\"\n";
    home.pipeline("p.toml", text);
    home
}

fn run(home: &Home, filter: Option<&str>) -> Said {
    let mut command = home.command(["run", "p", "--param", "word=value-of-a-parameter"]);
    if let Some(filter) = filter {
        command.env("LEVERFRAME_LOG", filter);
    }
    said(command.output().expect("it runs"))
}

fn holds_no_values(text: &str) {
    for value in VALUES {
        assert!(!text.contains(value), "{value} stands in {text}");
    }
}

#[test]
fn diagnostics_are_off_unless_asked_for_and_then_a_verb_writes_them_to_standard_error() {
    let home = home();
    for filter in [None, Some(""), Some("off")] {
        let said = run(&home, filter);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{filter:?}: {said:?}");
    }
    let said = run(&home, Some("trace"));
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains(" INFO leverframe::daemon::service: the engine is in service"), "{said:?}");
    assert!(
        said.err.contains("DEBUG leverframe::engine::publisher: told kind=\"execution_started\""),
        "{said:?}"
    );
    holds_no_values(&said.err);
    assert!(!home.data().join("leverframe.log").exists());
}

#[test]
fn a_filter_that_is_not_understood_is_said_in_one_line_and_ignored() {
    let said = run(&home(), Some("leverframe=loud"));
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.starts_with("leverframe: LEVERFRAME_LOG is ignored: "), "{said:?}");
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
}

#[test]
fn a_server_in_the_background_writes_them_into_a_file_of_the_data_directory() {
    let home = home();
    let mut command = home.command(["serve", "--detach"]);
    command.env("LEVERFRAME_LOG", "debug");
    Running::listen(command).end().check(0, &[]);
    run(&home, None).check(0, &[]);
    let log = home.data().join("leverframe.log");
    let text = fs::read_to_string(&log).expect("a log");
    assert!(
        text.contains("the engine is in service") && text.contains("kind=\"execution_started\""),
        "{text}"
    );
    holds_no_values(&text);
    assert_eq!(fs::metadata(&log).expect("it is there").permissions().mode() & 0o777, 0o600);
    let served = fs::read_to_string(home.data().join("serve.log")).expect("its own log");
    assert!(!served.contains("INFO") && served.contains("started"), "{served}");
    let pid = crate::test_hand_over::client(&home).welcome().engine.pid;
    signal(pid, Signal::TERM);
    look_until("its end", || is_gone(pid).then_some(()));
}
