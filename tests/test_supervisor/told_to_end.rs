//! A supervisor that is told to end by a TERM: it serves on, and what ends with it was interrupted.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use leverframe::supervisor::{ExitCause, HostRequest};
use rustix::process::Signal;

use super::bench::{Bench, code, key, signal, state, wait_gone};
use crate::support::process::{let_pass, look_until};
use crate::test_command_line::{Home, Running};

/// What ends this long after a TERM has nothing to do with it: the ten seconds, and a little.
const LATER: Duration = Duration::from_millis(11_500);

#[test]
fn what_ends_soon_after_a_term_was_interrupted_unless_it_ended_well() {
    let mut bench = Bench::new();
    let supervisor = bench.supervisor();
    bench.sh("a", "until [ -e go ]; do sleep 0.01; done; exit 1");
    bench.sh("b", "sleep 1000");
    bench.sh("d", "until [ -e go ]; do sleep 0.01; done; exit 0");
    let pid = bench.sh("c", "sleep 1000");
    // As a session's end may do it: the step hears of it before the supervisor does. It finds both at once,
    // however long this test is kept from its processor in between.
    signal(supervisor, Signal::STOP);
    signal(pid, Signal::TERM);
    signal(supervisor, Signal::TERM);
    signal(supervisor, Signal::CONT);
    let exit = bench.exit("c");
    assert!(exit.interrupted && exit.cause == ExitCause::Signal(libc::SIGTERM));
    std::fs::write(bench.data_dir.join("go"), "").unwrap();
    assert!(bench.exit("a").interrupted);
    let well = bench.exit("d");
    assert!(!well.interrupted && well.cause == code(0), "an end with code 0 stands: {well:?}");
    assert!(state(supervisor).is_some_and(|state| state != 'Z'), "it stays while a step lives");
    bench.send(HostRequest::Kill(key("b", 1)));
    assert!(bench.exit("b").interrupted);
    assert_eq!(bench.supervisor(), supervisor);
    bench.engine = None;
    wait_gone(&[supervisor]);
    bench.reconnect();
    assert_eq!(bench.engine().inventory.len(), 4, "the journal keeps what nobody acknowledged");
}

#[test]
fn after_a_term_every_start_is_made() {
    let mut bench = Bench::new();
    let supervisor = bench.supervisor();
    bench.run("before", "true");
    signal(supervisor, Signal::TERM);
    assert_eq!(bench.run("after", "echo ran >> ran; exit 0").cause, code(0));
    assert_eq!(std::fs::read_to_string(bench.data_dir.join("ran")).unwrap(), "ran\n");
    assert_eq!(bench.supervisor(), supervisor);
    assert!(state(supervisor).is_some_and(|state| state != 'Z'), "it serves while an engine listens");
}

#[test]
fn what_lives_ten_seconds_after_a_term_ends_as_any_other() {
    let mut bench = Bench::new();
    let supervisor = bench.supervisor();
    bench.sh("a", "until [ -e go ]; do sleep 0.01; done; exit 1");
    signal(supervisor, Signal::TERM);
    // Nothing tells that they are over: it is what is tested.
    let_pass(LATER);
    std::fs::write(bench.data_dir.join("go"), "").unwrap();
    let exit = bench.exit("a");
    assert!(!exit.interrupted && exit.cause == code(1), "{exit:?}");
}

/// logind is asked by its own client; here a script of that name answers.
#[test]
fn while_logind_reports_a_shutdown_what_ends_later_was_interrupted_too() {
    let home = Home::new();
    let busctl = home.file("bin/busctl", "#!/bin/sh\necho 'b true'\n");
    std::fs::set_permissions(&busctl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let step = "id = \"a\"\non_interrupt = \"ask\"\n\
        run = '''until [ -e \"$LEVERFRAME_DATA_DIR/go\" ]; do sleep 0.05; done; exit 1'''\n";
    home.pipeline("p.toml", &format!("[[step]]\n{step}"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = home.folder().join("bin");
    let path = std::env::join_paths([first].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut command = home.command(["run", "p", "--run-id", "r"]);
    command.env("PATH", path);
    let run = Running::listen(command);
    let supervisor = look_until("a supervisor with a step", || {
        leverframe::supervisor::probe(home.data()).filter(|info| info.n_steps == 1)
    });
    signal(supervisor.pid, Signal::TERM);
    let_pass(LATER);
    home.data_file("go", "");
    run.end();
    assert_eq!(home.json(&["show", "r"])["state"], "interrupted");
    wait_gone(&[supervisor.pid]);
}
