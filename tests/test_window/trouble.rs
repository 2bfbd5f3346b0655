//! Trouble under the open window: it says what has happened, nothing hangs, and what runs goes on.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use leverframe::run::{RunState, RunSummary};

use super::heard::Ear;
use super::stage::OpenWindow;
use crate::support::process::{are_frozen, look_until};

/// Its step writes ten lines a second.
const TALKER: &str = r#"
[[step]]
id = "talk"
run = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.1; done"
"#;

#[test]
fn a_run_that_a_limit_freezes_says_why_and_goes_on_without_the_limit() {
    let Some(ear) = Ear::set() else { return };
    let (mut window, run) = open_with_a_talker(&ear);

    // More than a hundredth of the memory is always in use.
    ear.page("Machine");
    ear.reader.press("Limit of memory");
    ear.reader.enter("Above of memory", "1%");
    ear.reader.enter("Clear at of memory", "");
    ear.reader.enter("For of memory", "1s");
    ear.reader.press_that("the action", |heard| heard.name.starts_with("Action of memory: "));
    ear.reader.press("freeze");
    ear.reader.press("Save limits");
    ear.wait_for(RunState::Paused);
    wait_frozen(&ear);
    ear.page("Now");
    ear.reader.hear_of("why it is frozen", |heard| {
        let is_its_row = heard.name.starts_with("frozen ") && heard.name.contains(run.run_id.as_str());
        is_its_row && heard.name.contains("limit 1%")
    });
    ear.reader.hear_of("the alert", |heard| heard.name.contains("the heaviest run is frozen until"));

    ear.page("Machine");
    ear.reader.press("Limit of memory");
    ear.reader.press("Save limits");
    ear.wait_for(RunState::Running);
    wait_thawed(&ear);
    stop_and_close(&ear, &mut window);
}

#[test]
fn a_log_that_is_removed_while_it_is_read_goes_on_and_the_window_says_so() {
    let Some(ear) = Ear::set() else { return };
    let (mut window, run) = open_with_a_talker(&ear);
    let row = format!("running, talker, {},", run.run_id);
    ear.reader.press_that("its row", |heard| heard.name.starts_with(&row));
    ear.reader.press("Open the log of talk");
    let n_lines = ear.reader.listen("lines of the open log", |all| {
        let is_open = all.iter().any(|heard| heard.name == "Log of talk");
        all.iter().rev().filter(|_| is_open).find_map(|heard| number_of(&heard.name))
    });
    fs::remove_dir_all(ear.stage.data().join("logs").join(run.run_id.as_str())).expect("its logs");
    ear.reader.hear_of("that it is gone", |heard| heard.name.contains("its file was removed"));
    // What its step writes is still shown.
    ear.reader.hear_of("later lines", |heard| number_of(&heard.name) > Some(n_lines + 20));
    stop_and_close(&ear, &mut window);
}

/// The number of a line of the log.
fn number_of(name: &str) -> Option<u64> {
    let (number, text) = name.split_once(": ")?;
    let number: u64 = number.parse().ok()?;
    (text == format!("line {number}")).then_some(number)
}

#[test]
fn a_database_that_is_damaged_under_the_window_is_said_and_what_runs_can_be_paused_and_stopped() {
    let Some(ear) = Ear::set() else { return };
    let (mut window, run) = open_with_a_talker(&ear);
    for name in ["checkpoints.db", "checkpoints.db-wal"] {
        damage(&ear.stage.data().join(name));
    }
    ear.reader.press(&format!("Pause {}", run.run_id));
    wait_frozen(&ear);
    ear.reader.press(&format!("Resume {}", run.run_id));
    wait_thawed(&ear);

    // What is asked of it is answered by the damage.
    ear.reader.press("Start a pipeline…");
    ear.reader.press("talker");
    ear.reader.hear_of("the refusal", |heard| {
        heard.name.starts_with("Could not start talker: ")
            && heard.name.contains("checkpoints.db is damaged or not a database")
    });
    for page in ["History", "Pipelines", "Schedule", "Machine", "Settings", "Now"] {
        ear.page(page);
    }
    ear.reader.press(&format!("Stop {}", run.run_id));
    look_until("the end of its step", || ear.stage.step_processes().is_empty().then_some(()));
    ear.reader.hear_of("its end", |heard| heard.name.starts_with("stopped, talker, "));
    ear.ask_to_close();
    assert_eq!(window.wait().code(), Some(0));
}

/// The window before a run whose step writes.
fn open_with_a_talker(ear: &Ear) -> (OpenWindow, RunSummary) {
    let pipelines = ear.stage.data().join("pipelines");
    fs::create_dir_all(&pipelines).expect("a folder");
    fs::write(pipelines.join("talker.toml"), TALKER).expect("a file");
    let window = ear.open();
    ear.reader.press("Start a pipeline…");
    ear.reader.press("talker");
    let run = ear.wait_for(RunState::Running);
    look_until("its step", || ear.stage.pid_of("talk"));
    (window, run)
}

fn stop_and_close(ear: &Ear, window: &mut OpenWindow) {
    ear.ask_to_close();
    ear.reader.press("Stop");
    assert_eq!(window.wait().code(), Some(0));
}

fn wait_frozen(ear: &Ear) {
    look_until("every process of the run frozen", || {
        let pids = ear.stage.step_processes();
        (!pids.is_empty() && are_frozen(&pids)).then_some(())
    });
}

fn wait_thawed(ear: &Ear) {
    look_until("every process of the run thawed", || {
        let pids = ear.stage.step_processes();
        (!pids.is_empty() && !pids.iter().any(|pid| are_frozen(&[*pid]))).then_some(())
    });
}

/// Overwrites a file in place, as a broken disk does.
fn damage(path: &Path) {
    let mut file = OpenOptions::new().write(true).open(path).expect("a file");
    let n_bytes = file.metadata().expect("an open file").len();
    file.write_all(&vec![0xA5; usize::try_from(n_bytes).expect("it fits")]).expect("it can be written");
}
