//! The real window through a screen reader, by names alone. Under X11 and under Wayland it is the same.

use leverframe::run::{RunState, RunSummary};
use leverframe::store::RunFilter;

use super::stage::{OpenWindow, Stage, skipped};
use crate::support::compositor::Compositor;
use crate::support::process::look_until;
use crate::support::screen_reader::{Heard, ScreenReader, is_control, is_frame};

/// A place for the window, and who hears it.
pub(super) struct Ear {
    pub(super) reader: ScreenReader,
    /// None under X11.
    compositor: Option<Compositor>,
    pub(super) stage: Stage,
}

impl Ear {
    /// Under X11; none, and said so, where it can't be.
    pub(super) fn set() -> Option<Self> {
        Self::before(Stage::set()?, None)
    }

    /// The same under Wayland.
    pub(super) fn set_under_wayland() -> Option<Self> {
        let (stage, compositor) = Stage::set_under_wayland()?;
        Self::before(stage, Some(compositor))
    }

    fn before(stage: Stage, compositor: Option<Compositor>) -> Option<Self> {
        let Some(reader) = ScreenReader::start(&stage.display) else {
            skipped("there is no bus for accessibility (dbus, at-spi2-core) to hear a window on");
            return None;
        };
        Some(Self { reader, compositor, stage })
    }

    /// Starts the program and waits until its window is heard.
    pub(super) fn open(&self) -> OpenWindow {
        let mut command = self.stage.program(&[]);
        self.reader.dress(&mut command);
        let window = match &self.compositor {
            Some(compositor) => self.stage.open_under(compositor, command),
            None => self.stage.open_by(command),
        };
        self.reader.hear_of("the window", |heard| is_frame(heard) && heard.name == "Leverframe");
        window
    }

    /// Everything of the page of this name, once it is shown.
    pub(super) fn page(&self, name: &str) -> Vec<Heard> {
        self.reader.press(name);
        self.reader.listen(&format!("the page {name}"), |all| {
            let n_named = all.iter().filter(|heard| heard.name == name).count();
            // Its tab, and its heading.
            (n_named > 1).then_some(all)
        })
    }

    /// Waits until a run is in this state.
    pub(super) fn wait_for(&self, state: RunState) -> RunSummary {
        let filter = RunFilter { states: vec![state], ..RunFilter::default() };
        look_until(state.as_str(), || self.stage.store()?.list_runs(&filter).ok()?.pop())
    }

    /// Asks the window to close, by the palette.
    pub(super) fn ask_to_close(&self) {
        self.reader.press("Search or do anything");
        self.reader.enter("What to do", "quit");
        self.reader.press("Quit…");
    }
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
    ear.ask_to_close();
    assert_eq!(window.wait().code(), Some(0));
}
