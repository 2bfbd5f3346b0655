//! Menus: the pipelines that can be started, and the further commands of a run.

use egui::{Button, KeyboardShortcut, Popup, Response, Ui};

use super::super::command::{Command, Page};
use super::super::offers::start_lever;
use super::super::widgets::{AccessibleName, Icon, Lever, Tone};
use super::{Commands, View};
use crate::api;
use crate::run::{RunState, RunSummary, StopKind};
use crate::window::{Action, Folder};

/// The pipelines that can be started.
fn startable(view: View<'_>) -> Vec<&api::PipelineView> {
    let all = view.store.pipelines().unwrap_or_default();
    all.iter().filter(|entry| entry.error.is_none()).collect()
}

/// The lever that lists the pipelines to start, if there are some.
pub(crate) fn start_menu_lever(view: View<'_>) -> Option<Lever> {
    let lever = Lever::icon(Icon::Play, "Start a pipeline…").text("Start…").tone(Tone::Plain);
    (!startable(view).is_empty()).then_some(lever)
}

/// The menu under that lever.
pub(crate) fn start_menu_ui(response: &Response, view: View<'_>, out: &mut Commands) {
    let startable = startable(view);
    Popup::menu(response).show(|ui| {
        ui.set_min_width(220.0);
        for entry in startable.iter().take(20) {
            let more = if entry.needs_values { "…" } else { "" };
            entry_ui(ui, &format!("{}{more}", entry.id), None, start_lever(entry), out);
        }
        if startable.len() > 20 {
            let all = Command::Show(Page::Pipelines);
            entry_ui(ui, "All pipelines", all.label().shortcut, all, out);
        }
    });
}

/// An entry of a menu, with the key that does the same.
fn entry_ui(ui: &mut Ui, text: &str, key: Option<KeyboardShortcut>, command: Command, out: &mut Commands) {
    let button = Button::new(text);
    let button = match &key {
        Some(key) => button.shortcut_text(ui.ctx().format_shortcut(key)),
        None => button,
    };
    let mut response = ui.add(button).accessible_name(text);
    if let Some(key) = &key {
        response.says_key(key);
    }
    if let Some(tooltip) = command.label().tooltip {
        response = response.tip(tooltip);
    }
    if response.clicked() {
        out.push(command);
        ui.close();
    }
}

/// The menu of a run's further commands, under the lever `response`.
pub(crate) fn run_menu_ui(response: &Response, run: &RunSummary, is_selected: bool, out: &mut Commands) {
    Popup::menu(response).show(|ui| {
        ui.set_min_width(200.0);
        let open = Command::OpenRun(run.run_id.clone());
        // Its key opens the selected run.
        let key = open.label().shortcut.filter(|_| is_selected);
        entry_ui(ui, open.label().text, key, open, out);
        more_ui(ui, run, out);
    });
}

/// The same on the run's own page.
pub(crate) fn more_menu_ui(response: &Response, run: &RunSummary, out: &mut Commands) {
    Popup::menu(response).show(|ui| {
        ui.set_min_width(200.0);
        more_ui(ui, run, out);
    });
}

fn more_ui(ui: &mut Ui, run: &RunSummary, out: &mut Commands) {
    let run_id = &run.run_id;
    // A held run has a reason, and will go on by itself.
    let is_held = run.state == RunState::Paused && run.error.is_some();
    let keep = is_held.then(|| ("Keep it frozen", Action::Do(api::Command::pause(run_id))));
    let first = if run.state.is_ended() {
        let text =
            if run.state == RunState::Completed { "Retry all steps" } else { "Retry what did not complete" };
        (text, Action::Do(api::Command::retry(run_id, None)))
    } else {
        ("Force stop", Action::Do(api::Command::stop(run_id, StopKind::Force)))
    };
    let sent = keep.into_iter().chain([first]).map(|(text, action)| (text, Command::Send(action)));
    let again = ("Again with…", Command::AskStartLike(run_id.clone()));
    let logs = Command::Send(Action::OpenFolder(Folder::Logs(run_id.clone())));
    for (text, command) in sent.chain([again, ("Open its logs", logs)]) {
        entry_ui(ui, text, None, command, out);
    }
    if ui.button("Copy its id").clicked() {
        ui.ctx().copy_text(run_id.to_string());
        ui.close();
    }
}
