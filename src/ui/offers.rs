//! The commands that are possible now: the levers of a run, the entries of the palette, the shortcuts.

use egui::ThemePreference;

use super::command::{Command, Neighbour, Page, RunTab};
use super::log_page::LogCommand;
use crate::api;
use crate::run::{RunState, RunSummary, StopKind};
use crate::window::{Action, AppStore, Folder, HistorySpan};

/// The first lever of a run, in the same place in every row. What it does depends on the state.
pub(super) fn first_lever(run: &RunSummary) -> Action {
    Action::Do(match run.state {
        RunState::Queued => api::Command::admit(&run.run_id),
        RunState::Running => api::Command::pause(&run.run_id),
        // Not in the place of Stop: a double click must not force the end.
        RunState::Stopping => api::Command::stop(&run.run_id, StopKind::Force),
        RunState::Paused
        | RunState::Stopped
        | RunState::ForceStopped
        | RunState::Failed
        | RunState::Interrupted => api::Command::resume(&run.run_id),
        RunState::Completed => api::Command::start_like(&run.pipeline_id, &run.run_id),
    })
}

/// The second lever of a living run.
pub(super) fn second_lever(run: &RunSummary) -> Action {
    Action::Do(match run.state {
        RunState::Queued | RunState::Running | RunState::Paused | RunState::Stopping => {
            api::Command::stop(&run.run_id, StopKind::Graceful)
        }
        RunState::Stopped
        | RunState::ForceStopped
        | RunState::Failed
        | RunState::Interrupted
        | RunState::Completed => api::Command::start_like(&run.pipeline_id, &run.run_id),
    })
}

/// Starts a pipeline: at once, or by the form if it can't be started without a value.
pub(super) fn start_lever(entry: &api::PipelineView) -> Command {
    if entry.needs_values {
        Command::AskStart(entry.id.clone())
    } else {
        Command::Send(Action::Do(api::Command::start(&entry.id)))
    }
}

/// The commands for the palette, the most likely ones first.
pub(super) fn offered(store: &AppStore) -> Vec<Command> {
    let mut offered = Vec::new();
    let selected = store.selected().map(|entry| &entry.run);
    for run in selected.into_iter().chain(store.living().map(|entry| &entry.run)) {
        let is_shown = offered.contains(&Command::Select(Some(run.run_id.clone())));
        if is_shown {
            continue;
        }
        offered.push(Command::Send(first_lever(run)));
        if run.state != RunState::Stopping && run.state != RunState::Completed {
            offered.push(Command::Send(second_lever(run)));
        }
        offered.push(Command::Select(Some(run.run_id.clone())));
    }
    offered.extend(selected.map(|run| Command::AskStartLike(run.run_id.clone())));
    let runs = store
        .living()
        .map(|entry| &entry.run)
        .filter(|run| selected.is_none_or(|it| it.run_id != run.run_id));
    offered.extend(selected.into_iter().chain(runs).map(|run| Command::OpenRun(run.run_id.clone())));
    offered.extend(log_commands(store));
    let startable = store.pipelines().unwrap_or_default().iter().filter(|entry| entry.error.is_none());
    for entry in startable {
        let now = start_lever(entry);
        let is_asked = matches!(now, Command::AskStart(_));
        offered.push(now);
        offered.extend((!is_asked).then(|| Command::AskStart(entry.id.clone())));
    }
    offered.extend(Page::ALL.map(Command::Show));
    offered.extend(HistorySpan::ALL.map(Command::ShowSpan));
    offered.push(Command::NewJob);
    offered.extend(all_levers(store));
    offered.extend(order_levers(store));
    offered.extend(
        [ThemePreference::System, ThemePreference::Dark, ThemePreference::Light].map(Command::SetTheme),
    );
    offered.push(Command::AskQuit);
    offered
}

/// The levers that act on all runs, if there are any runs for them.
pub(super) fn all_levers(store: &AppStore) -> Vec<Command> {
    let mut levers = Vec::new();
    let has = |state| store.living().any(|entry| entry.run.state == state);
    if has(RunState::Running) {
        levers.push(Command::PauseAll);
    } else if has(RunState::Paused) {
        levers.push(Command::ResumeAll);
    }
    if store.living().len() > 0 {
        levers.push(Command::AskStopAll);
    }
    levers
}

/// The orders that concern all runs.
pub(super) fn order_levers(store: &AppStore) -> [Command; 2] {
    let orders = store.orders();
    let quiet = match orders.quiet {
        Some(_) => api::EndQuiet {}.into(),
        None => api::Quiet { until: None }.into(),
    };
    let drain = match orders.draining_since {
        Some(_) => api::EndDrain {}.into(),
        None => api::Drain {}.into(),
    };
    [quiet, drain].map(|order| Command::Send(Action::Do(order)))
}

/// What can be done with the open log; with none open, opening the one that is followed.
fn log_commands(store: &AppStore) -> Vec<Command> {
    match (store.log_view(), store.log()) {
        (Some(view), _) => {
            // The one with Shift stands before that without, which would take its key.
            let commands = [
                LogCommand::Find,
                LogCommand::Previous,
                LogCommand::Next,
                LogCommand::Filter,
                LogCommand::Follow,
                LogCommand::Wrap,
                LogCommand::Copy,
                LogCommand::Close,
            ];
            let attempt = view.of.attempt().cloned();
            let outside = attempt.map(|key| Command::Send(Action::OpenFolder(Folder::Log(key))));
            commands.map(Command::Log).into_iter().chain(outside).collect()
        }
        (None, Some(log)) => vec![Command::Log(LogCommand::Open(log.key.clone().into()))],
        (None, None) => Vec::new(),
    }
}

/// The commands that have a key now. A key acts only on something visible: on a page without runs, commands of runs
/// have no key.
pub(super) fn with_shortcut(store: &AppStore, page: Page) -> Vec<Command> {
    let mut commands = vec![Command::OpenPalette, Command::AskQuit];
    commands.extend(Page::ALL.map(Command::Show));
    if store.log_view().is_some() {
        commands.extend(log_commands(store));
        return commands;
    }
    let neighbours = [Neighbour::Next, Neighbour::Previous].map(Command::SelectNeighbour);
    match page {
        Page::Now | Page::History => commands.extend(neighbours),
        Page::Pipelines => {}
        Page::Schedule => {
            commands.extend(neighbours);
            commands.extend([Command::NewJob, Command::SaveJob, Command::SelectJob(None)]);
        }
        Page::Machine => commands.push(Command::SaveLimits),
        // Its rows are the steps.
        Page::Run => {
            commands.extend(neighbours);
            commands.extend([Command::CloseRun, Command::ShowRunTab(RunTab::Log)]);
        }
    }
    if page.shows_runs()
        && let Some(entry) = store.selected()
    {
        let state = entry.run.state;
        if page != Page::Run {
            commands.extend([Command::Select(None), Command::OpenRun(entry.run.run_id.clone())]);
        }
        commands.extend(log_commands(store));
        if matches!(state, RunState::Running | RunState::Paused) {
            commands.push(Command::Send(first_lever(&entry.run)));
        }
        if matches!(state, RunState::Queued | RunState::Running | RunState::Paused) {
            commands.push(Command::Send(second_lever(&entry.run)));
        }
    }
    commands
}
