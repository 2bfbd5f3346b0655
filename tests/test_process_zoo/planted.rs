//! What a step plants in the place of another step's files: it blocks nobody, nothing is written through it, and it is that
//! other step's affair alone.

use leverframe::run::{EventKind, RunState, StepState};

use crate::support::bench::{Bench, stored_step};
use crate::support::process::look_until;
use crate::support::{run_id, start, wait_for, wait_for_end};
use crate::test_command_line::Home;

/// Where the logs and the reports of run `r1` lie, for a step of it.
const PLACES: &str = "logs=$LEVERFRAME_DATA_DIR/logs/r1 reports=$LEVERFRAME_DATA_DIR/reports/r1\n\
    echo precious > \"$HERE/precious\"\n";

/// Plants something, and then runs a step in its place; what that one ended as and why. Another run beside it is not
/// harmed.
fn plant(what: &str, script: &str) -> (Bench, StepState, Option<String>) {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let planter = format!("{PLACES}{what}\n");
    let steps = [("a", "", planter.as_str()), ("b", "", script)];
    start(&engine, "r1", &bench.pipeline("", &steps));
    wait_for_end(&events, &run_id("r1"));
    start(&engine, "r2", &bench.pipeline("", &[("other", "", "echo other\n")]));
    wait_for_end(&events, &run_id("r2"));
    assert_eq!(bench.stored("r2").summary.state, RunState::Completed, "another run is not harmed");
    assert_eq!(bench.lines("precious"), ["precious"], "nothing was written through a link");
    let run = bench.stored("r1");
    assert_eq!(stored_step(&run, "a").state(), StepState::Completed);
    let step = stored_step(&run, "b");
    (bench, step.state(), step.error.map(|error| error.to_string()))
}

#[test]
fn a_fifo_or_a_link_in_the_place_of_a_log_fails_that_start_and_says_what_it_is() {
    for (what, named) in [
        ("mkfifo $logs/b.1.log", "a FIFO (a named pipe) is there"),
        ("ln -s \"$HERE/precious\" $logs/b.1.log", "a symbolic link is there"),
        ("mkdir $logs/b.1.log", "a folder is there"),
    ] {
        let (_bench, state, error) = plant(what, "echo never\n");
        let error = error.expect("it says why");
        assert_eq!(state, StepState::Failed, "{what}: {error}");
        assert!(error.contains("could not open the log") && error.contains(named), "{what}: {error}");
    }
}

#[test]
fn a_fifo_or_a_link_in_the_place_of_a_time_index_costs_the_index_alone() {
    for what in ["mkfifo $logs/b.1.log.idx", "ln -s \"$HERE/precious\" $logs/b.1.log.idx"] {
        let (bench, state, _) = plant(what, "echo one; sleep 0.2; echo two\n");
        assert_eq!(state, StepState::Completed, "{what}");
        assert_eq!(bench.log("b", 1), "one\ntwo\n");
    }
}

#[test]
fn whatever_stands_in_the_place_of_what_a_step_is_given_is_taken_away() {
    let given = "cat \"$LEVERFRAME_OUTPUTS\"\n";
    let output = "echo '{\"output\": {\"n\": 1}}' >> \"$LEVERFRAME_REPORT\"\n";
    for plant_it in ["mkfifo", "ln -s \"$HERE/precious\""] {
        let (bench, state, _) = plant(&format!("{output}{plant_it} $reports/b.1.outputs.json"), given);
        assert_eq!((state, bench.log("b", 1)), (StepState::Completed, "{\"a\":{\"n\":1}}".to_owned()));
        // The file that steps without outputs above them share.
        let shared = format!("rm $reports/outputs.none.json; {plant_it} $reports/outputs.none.json");
        let (bench, state, _) = plant(&shared, given);
        assert_eq!((state, bench.log("b", 1)), (StepState::Completed, "{}\n".to_owned()));
    }
}

#[test]
fn a_fifo_in_the_place_of_a_report_is_said_and_keeps_nobody() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let script =
        "mkfifo \"$LEVERFRAME_REPORT\"\n\"$LEVERFRAME_BIN\" report --progress 0.5 && exit 1\nexit 0\n";
    start(&engine, "r1", &bench.pipeline("", &[("a", "", script)]));
    wait_for(
        &events,
        "a warning",
        |event| matches!(&event.kind, EventKind::WarningRaised { text } if text.contains("a FIFO")),
    );
    wait_for_end(&events, &run_id("r1"));
    assert_eq!(bench.stored("r1").summary.state, RunState::Completed, "{}", bench.log("a", 1));
}

#[test]
fn a_log_that_meets_the_largest_file_that_the_shell_allows_is_cut_off_and_the_step_goes_on() {
    let home = Home::new();
    let script = "head -c 60000000 /dev/zero; echo $(ulimit -f) >> limit; kill -XFSZ $$; echo survived";
    home.pipeline("big.toml", &format!("[[step]]\nid = \"a\"\nrun = '''{script}'''\n"));
    let plain = home.command(["run", "big", "--run-id", "r"]);
    let mut command = std::process::Command::new("sh");
    // Blocks of 512 bytes.
    command
        .args(["-c", "ulimit -f 80000 && exec \"$@\"", "sh"])
        .arg(plain.get_program())
        .args(plain.get_args());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = crate::test_command_line::said(command.output().expect("it runs"));
    // The step meets its own signal as ever: it is the supervisor that must not die of it.
    said.check(1, &["the log of step a can't be written: File too large", "bytes of its log were dropped"]);
    let shown = look_until("the run", || {
        serde_json::from_str::<serde_json::Value>(&home.say(&["show", "r", "--json"]).out).ok()
    });
    assert_eq!(shown["steps"][0]["signal"], libc::SIGXFSZ, "{shown}");
    let log = std::fs::metadata(home.data().join("logs/r/a.1.log")).expect("a log");
    assert_eq!(log.len(), 80000 * 512, "all that may be is there");
    assert_eq!(said.err.matches("can't be written").count(), 1, "it is said once: {said:?}");
}
