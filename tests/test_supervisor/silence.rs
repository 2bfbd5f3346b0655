//! A supervisor that hangs: it is noticed, said, and waited for by nobody in silence.

use leverframe::supervisor::{ConnectError, HostEvent, HostRequest};
use rustix::process::Signal;

use super::bench::{Bench, connect, key, signal, state, wait_until};
use crate::support::process::{look_until, wait_gone};
use crate::test_command_line::{Home, waiting};

fn stop(supervisor: u32) {
    signal(supervisor, Signal::STOP);
    wait_until("its stop", || (state(supervisor) == Some('T')).then_some(()));
}

#[test]
fn an_engine_is_told_of_a_supervisor_that_is_stopped_and_that_it_goes_on() {
    let mut bench = Bench::new();
    bench.sh("a", "sleep 1000");
    let supervisor = bench.supervisor();
    stop(supervisor);
    let silent = bench.engine().wait_for(|event| match event {
        HostEvent::Silent { pid, is_stopped } => Some((*pid, *is_stopped)),
        _ => None,
    });
    assert_eq!(silent, (supervisor, true));
    signal(supervisor, Signal::CONT);
    bench.engine().wait_for(|event| matches!(event, HostEvent::Answers { .. }).then_some(()));
}

#[test]
fn the_next_engine_says_which_process_is_stopped() {
    let mut bench = Bench::new();
    bench.sh("a", "sleep 1000");
    let supervisor = bench.supervisor();
    stop(supervisor);
    bench.engine = None;
    let error = connect(&bench.data_dir, 2).err().unwrap();
    assert!(matches!(error, ConnectError::Silent { pid, is_stopped: true } if pid == supervisor), "{error}");
    assert!(error.to_string().contains(&format!("process {supervisor} is stopped (state T)")), "{error}");
    signal(supervisor, Signal::CONT);
    bench.epoch = 2;
    bench.reconnect();
    assert_eq!(bench.engine().inventory.len(), 1);
}

#[test]
fn what_an_engine_said_before_it_hung_up_is_done_although_answers_reach_it_no_more() {
    let mut bench = Bench::new();
    let spec = bench.spec("a", "exit 3");
    bench.start(spec.clone());
    bench.exit("a");
    let supervisor = bench.supervisor();
    stop(supervisor);
    // One that is answered before the one that matters.
    bench.send(HostRequest::Start(Box::new(spec)));
    bench.send(HostRequest::Acknowledge(key("a", 1)));
    bench.engine = None;
    signal(supervisor, Signal::CONT);
    // Nothing is left to be remembered.
    wait_gone(&[supervisor]);
}

#[test]
fn neither_a_lever_nor_the_next_engine_waits_in_silence() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(&home.folder(), ""));
    let mut serving = home.start(&["serve"]);
    serving.hear("serving");
    let mut run = home.start(&["run", "waiting", "--run-id", "r"]);
    run.hear("pid ");
    let supervisor = look_until("a supervisor", || leverframe::supervisor::probe(home.data())).pid;
    stop(supervisor);
    let says = format!("process {supervisor} is stopped (state T)");
    // It is asked before it is known, and again once it is.
    home.say(&["pause", "r"]).check(1, &["the supervisor does not answer", &says]);
    serving.hear(&says);
    home.say(&["pause", "r"]).check(1, &["the supervisor does not answer", &says]);
    serving.signal(Signal::KILL);
    serving.end();
    run.signal(Signal::KILL);
    run.end();
    home.say(&["serve"]).check(1, &["the supervisor does not answer", &says]);
    signal(supervisor, Signal::CONT);
    let resumed = home.start(&["resume", "r"]);
    home.file("go", "");
    resumed.end().check(0, &[]);
    wait_gone(&[supervisor]);
}
