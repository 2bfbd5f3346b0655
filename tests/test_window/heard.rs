//! The real window through a screen reader: every control of every page has a name, and a run is started with a parameter,
//! paused, resumed, looked at and killed by names alone.

use leverframe::run::{RunState, RunSummary};

use super::stage::{OpenWindow, Stage, skipped};
use crate::support::display::CONTROL;
use crate::support::process::{are_frozen, look_until, state_of};
use crate::support::screen_reader::{Heard, ScreenReader, is_control};

/// The window, and who hears it.
pub(super) struct Ear {
    pub(super) reader: ScreenReader,
    pub(super) stage: Stage,
}

impl Ear {
    pub(super) fn set() -> Option<Self> {
        let stage = Stage::set()?;
        let Some(reader) = ScreenReader::start(&stage.display) else {
            skipped("there is no bus for accessibility (dbus, at-spi2-core) to hear a window on");
            return None;
        };
        Some(Self { reader, stage })
    }

    pub(super) fn open(&self) -> OpenWindow {
        let mut command = self.stage.program(&[]);
        self.reader.dress(&mut command);
        self.stage.open_by(command)
    }

    /// Everything of the page of this name, once it is shown.
    fn page(&self, name: &str) -> Vec<Heard> {
        self.reader.press(name);
        look_until(&format!("the page {name}"), || {
            let all = self.reader.all();
            let n_named = all.iter().filter(|heard| heard.name == name).count();
            // Its tab, and its heading.
            (n_named > 1).then_some(all)
        })
    }

    fn wait_for(&self, state: RunState) -> RunSummary {
        self.stage.wait_for(state.as_str(), |run| run.state == state)
    }
}

#[test]
fn a_run_is_started_with_a_parameter_paused_resumed_and_killed_by_what_is_heard() {
    let Some(ear) = Ear::set() else { return };
    let mut window = ear.open();

    // The form says how the same is started on the command line.
    ear.reader.press("Start… price-list");
    ear.reader.focus("pace");
    ear.stage.display.press(&[CONTROL, u32::from('a')]);
    ear.stage.display.type_text("7");
    ear.reader.hear_of("the parameter in the command", |heard| heard.name.contains("pace=7"));
    ear.reader.press("Start");
    let run = ear.wait_for(RunState::Running);
    let stored = ear.stage.store().expect("a database").load_run(&run.run_id).expect("read").expect("there");
    assert_eq!(stored.params.get("pace").map(String::as_str), Some("7"));
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

    // Its log is opened and searched.
    ear.reader.press("Open the log of list");
    ear.reader.focus("Search the log");
    ear.stage.display.type_text("pages");
    ear.reader.hear_of("the hits", |heard| heard.name.contains("1 of "));
    ear.reader.press("Close the log");

    // Nothing is killed before the question is answered.
    ear.reader.press(&format!("More for {}", run.run_id));
    ear.reader.press_that("the force stop", |heard| heard.name.starts_with("Force stop"));
    ear.reader.press_that("the answer", |heard| heard.name.starts_with("Confirm: Force stop"));
    ear.wait_for(RunState::ForceStopped);
    look_until("the end of every step", || ear.stage.step_processes().is_empty().then_some(()));
    ear.stage.display.ask_to_close(window.id);
    assert_eq!(window.wait().code(), Some(0));
}

#[test]
fn every_control_of_every_page_has_a_name() {
    let Some(ear) = Ear::set() else { return };
    let mut window = ear.open();
    for name in ["Now", "History", "Pipelines", "Schedule", "Machine", "Settings", "While you were away"] {
        let all = ear.page(name);
        assert!(all.iter().filter(|heard| is_control(heard)).count() > 10, "{name} has controls");
        let nameless: Vec<_> =
            all.iter().filter(|heard| is_control(heard) && heard.name.is_empty()).collect();
        assert!(nameless.is_empty(), "{name}: {nameless:?}");
    }
    ear.stage.display.ask_to_close(window.id);
    assert_eq!(window.wait().code(), Some(0));
}
