//! What an operator does with the window on two days, by what is heard of it: the same under X11 and under Wayland.

use leverframe::api::ProcessKind;
use leverframe::run::{RunState, RunSummary};

use super::heard::Ear;
use crate::support::process::{are_frozen, look_until, state_of};

#[test]
fn under_x11_a_run_and_a_job_are_worked_with_by_names_alone() {
    let Some(ear) = Ear::set() else { return };
    tell(&ear);
}

#[test]
fn under_wayland_a_run_and_a_job_are_worked_with_by_names_alone() {
    let Some(ear) = Ear::set_under_wayland() else { return };
    tell(&ear);
}

fn tell(ear: &Ear) {
    let mut window = ear.open();
    let run = start_with_a_parameter(ear);
    pause_and_resume(ear, &run);
    search_its_log(ear);
    force_stop(ear, &run);
    let fired = schedule_and_see_it_fire(ear);

    ear.ask_to_close();
    ear.reader.press("Leave running");
    assert_eq!(window.wait().code(), Some(0));
    ear.stage.seq_of(ProcessKind::Serve);

    // The window says that it was taken back, and its row is there again.
    let mut window = ear.open();
    ear.reader.hear_of("what was taken back", |heard| heard.name.contains("1 taken back"));
    ear.page("Now");
    ear.reader.hear_of("its row", |heard| heard.name.starts_with(&row_of(&fired)));
    let stored = ear.stage.store().expect("a database").load_run(&fired.run_id).expect("read");
    assert!(stored.expect("there").steps.iter().all(|step| step.attempt <= 1), "each step began once");
    ear.ask_to_close();
    ear.reader.press("Stop");
    assert_eq!(window.wait().code(), Some(0));
    ear.stage.seq_of(ProcessKind::Serve);
    ear.stage.end_server();
}

fn start_with_a_parameter(ear: &Ear) -> RunSummary {
    ear.reader.press("Start… price-list");
    ear.reader.enter("pace", "7");
    // The form says how the same is started on the command line.
    ear.reader.hear_of("the parameter in the command", |heard| heard.name.contains("pace=7"));
    ear.reader.press("Start");
    let run = ear.wait_for(RunState::Running);
    let stored = ear.stage.store().expect("a database").load_run(&run.run_id).expect("read").expect("there");
    assert_eq!(stored.params.get("pace").map(String::as_str), Some("7"));
    run
}

fn pause_and_resume(ear: &Ear, run: &RunSummary) {
    let list = look_until("the first step", || ear.stage.pid_of("list"));
    ear.reader.press(&format!("Pause {}", run.run_id));
    ear.wait_for(RunState::Paused);
    look_until("every process of the run frozen", || {
        let pids = ear.stage.step_processes();
        (pids.contains(&list) && are_frozen(&pids)).then_some(())
    });
    ear.reader.press(&format!("Resume {}", run.run_id));
    ear.wait_for(RunState::Running);
    look_until("the thaw", || (state_of(list) != Some('T')).then_some(()));
}

fn search_its_log(ear: &Ear) {
    ear.reader.press("Open the log of list");
    ear.reader.enter("Search the log", "pages");
    ear.reader.hear_of("the hits", |heard| heard.name.contains("1 of "));
    ear.reader.press("Close the log");
}

/// Nothing is killed before the question is answered.
fn force_stop(ear: &Ear, run: &RunSummary) {
    ear.reader.press(&format!("More for {}", run.run_id));
    ear.reader.press_that("the force stop", |heard| heard.name.starts_with("Force stop"));
    ear.reader.press_that("the answer", |heard| heard.name.starts_with("Confirm: Force stop"));
    ear.wait_for(RunState::ForceStopped);
    look_until("the end of every step", || ear.stage.step_processes().is_empty().then_some(()));
}

/// Adds a job of the sample; returns the run that it starts.
fn schedule_and_see_it_fire(ear: &Ear) -> RunSummary {
    ear.page("Schedule");
    ear.reader.press("New job");
    ear.reader.enter("Name", "often");
    ear.reader.enter("Pipeline", "price-list");
    ear.reader.press_that("the kind of schedule", |heard| heard.name.starts_with("When: "));
    ear.reader.press("Every");
    ear.reader.enter("At", "1s");
    // Its run does not end before the window closes.
    ear.reader.enter("pace", "600");
    ear.reader.press("Save");
    // Its later instants are skipped meanwhile.
    ear.reader.hear_of("the fire of the job", |heard| heard.name.contains(", running"));
    ear.reader.hear_of("the job", |heard| heard.name.starts_with("often, starts price-list, every second,"));
    let run = ear.wait_for(RunState::Running);
    ear.page("Now");
    ear.reader.hear_of("the row of its run", |heard| heard.name.starts_with(&row_of(&run)));
    run
}

fn row_of(run: &RunSummary) -> String {
    format!("running, {}, {},", run.pipeline_id, run.run_id)
}
