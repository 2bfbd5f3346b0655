//! The commands that are possible now: the levers of a run, the entries of the palette, the shortcuts.

use egui::ThemePreference;

use super::command::{Command, Neighbour, Page, RunTab};
use super::log_page::LogCommand;
use crate::api;
use crate::base::id::{JobId, PipelineId};
use crate::run::{RunState, RunSummary, StopKind};
use crate::window::{
    Action, AppStore, AwayItem, AwayKind, AwayWhat, Density, Folder, Formats, HistorySpan, NowGroups,
    NowOrder, RunEntry,
};

/// The scales that are offered, in percent.
pub(super) const SCALES: [u16; 5] = [90, 100, 125, 150, 200];

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

/// The lever of what happened while the operator was away; none if there is nothing to do but to look at it.
pub(super) fn away_lever(item: &AwayItem, store: &AppStore) -> Option<Command> {
    match &item.what {
        AwayWhat::Run { run, .. } => {
            let run = store.run(&run.run_id).map_or(&**run, |entry| &entry.run);
            run.state.is_resumable().then(|| Command::Send(first_lever(run)))
        }
        AwayWhat::Fire { job_id, .. } => {
            let run_now = |job_id: &JobId| api::RunJobNow { job_id: job_id.clone() }.into();
            job_id.as_ref().map(|job_id| Command::Send(Action::Do(run_now(job_id))))
        }
        AwayWhat::Alert { .. } => None,
    }
}

/// Whether it is still to be handled: a run that was resumed since is not.
pub(super) fn is_open_away(item: &AwayItem, store: &AppStore) -> bool {
    match (&item.what, item.kind()) {
        (AwayWhat::Run { run, .. }, AwayKind::Interrupted | AwayKind::Failed) => {
            let is_known = |entry: &RunEntry| entry.run.state == run.state;
            store.run(&run.run_id).is_none_or(is_known)
        }
        (AwayWhat::Run { .. } | AwayWhat::Fire { .. } | AwayWhat::Alert { .. }, _) => true,
    }
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
    let is_other = |run: &&RunSummary| selected.is_none_or(|it| it.run_id != run.run_id);
    let living: Vec<&RunSummary> =
        selected.into_iter().chain(store.living().map(|entry| &entry.run).filter(is_other)).collect();
    for run in &living {
        offered.push(Command::Send(first_lever(run)));
        if run.state != RunState::Stopping && run.state != RunState::Completed {
            offered.push(Command::Send(second_lever(run)));
        }
        offered.push(Command::Select(Some(run.run_id.clone())));
    }
    offered.extend(selected.map(|run| Command::AskStartLike(run.run_id.clone())));
    offered.extend(living.iter().map(|run| Command::OpenRun(run.run_id.clone())));
    offered.extend(log_commands(store));
    let pipelines = store.pipelines().unwrap_or_default();
    for entry in pipelines.iter().filter(|entry| entry.error.is_none()) {
        let now = start_lever(entry);
        let is_asked = matches!(now, Command::AskStart(_));
        offered.push(now);
        offered.extend((!is_asked).then(|| Command::AskStart(entry.id.clone())));
    }
    for (job_id, is_enabled) in store.job_names() {
        offered.push(Command::SelectJob(Some(job_id.clone())));
        let job_id = || job_id.clone();
        let switch = if *is_enabled {
            api::DisableJob { job_id: job_id() }.into()
        } else {
            api::EnableJob { job_id: job_id() }.into()
        };
        let now = api::RunJobNow { job_id: job_id() }.into();
        offered.extend([now, switch].map(|command| Command::Send(Action::Do(command))));
    }
    offered.extend(Page::ALL.map(Command::Show));
    offered.extend(Page::MORE.map(Command::Show));
    offered.extend(HistorySpan::ALL.map(Command::ShowSpan));
    offered.push(Command::NewJob);
    offered.push(Command::AskNewPipeline);
    offered.push(Command::OpenOutline);
    let levers = all_levers(store).into_iter();
    offered.extend(levers.filter_map(|(lever, is_active)| is_active.then_some(lever)));
    offered.extend(order_levers(store));
    offered.extend(
        [ThemePreference::System, ThemePreference::Dark, ThemePreference::Light].map(Command::SetTheme),
    );
    offered.extend(SCALES.map(Command::SetScale));
    offered.extend([Formats::System, Formats::Neutral].map(Command::SetFormats));
    offered.extend([Density::Comfortable, Density::Compact].map(Command::SetDensity));
    offered.extend(NowOrder::ALL.map(Command::OrderNow));
    offered.extend(NowGroups::ALL.map(Command::GroupNow));
    offered.push(Command::AskQuit);
    let of_pipelines = pipelines.iter().filter_map(|entry| PipelineId::new(&entry.id).ok());
    offered.extend(of_pipelines.map(Command::ShowHistoryOf));
    let ended = store.recent().map(|entry| &entry.run).filter(is_other);
    offered.extend(ended.map(|run| Command::OpenRun(run.run_id.clone())));
    offered
}

/// Further names by which a command is found: those of the run that it acts on.
pub(super) fn other_names(store: &AppStore, command: &Command) -> Option<String> {
    let (Command::OpenRun(run_id) | Command::Select(Some(run_id)) | Command::AskStartLike(run_id)) = command
    else {
        return None;
    };
    let run = &store.run(run_id)?.run;
    Some(format!("{} {}", run.pipeline_id, run.source))
}

/// The levers that act on all runs, in the order of their places, and whether there are runs for them.
pub(super) fn all_levers(store: &AppStore) -> [(Command, bool); 3] {
    let has = |state| store.living().any(|entry| entry.run.state == state);
    [
        (Command::PauseAll, has(RunState::Running)),
        (Command::ResumeAll, has(RunState::Paused)),
        (Command::AskStopAll, store.living().len() > 0),
    ]
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

/// Opens the selected pipeline's file, at its first problem if it has one.
pub(super) fn edit_command(store: &AppStore) -> Option<Command> {
    let list = store.pipeline_list();
    let path = list.selected()?.path.clone();
    let line = list.detail().and_then(|detail| detail.problems.first()).and_then(|problem| problem.line);
    Some(Command::Send(Action::EditFile { path, line }))
}

/// The commands that have a key now. A key acts only on something visible: on a page without runs, commands of runs
/// have no key.
pub(super) fn with_shortcut(store: &AppStore, page: Page) -> Vec<Command> {
    let mut commands = vec![Command::OpenPalette, Command::OpenOutline, Command::AskQuit];
    commands.extend(Page::ALL.map(Command::Show));
    commands.extend(Page::MORE.map(Command::Show));
    if store.log_view().is_some() {
        commands.extend(log_commands(store));
        return commands;
    }
    let neighbours = [Neighbour::Next, Neighbour::Previous].map(Command::SelectNeighbour);
    match page {
        // Those with Shift stand before those without, which would take their keys.
        Page::History => {
            commands.extend([Neighbour::Next, Neighbour::Previous].map(Command::MarkNeighbour));
            commands.extend(neighbours);
            commands.push(Command::MarkRun);
        }
        Page::Now => commands.extend(neighbours),
        Page::Pipelines => {
            commands.extend(neighbours);
            commands.extend([Command::AskNewPipeline, Command::SelectPipeline(None)]);
            commands.extend(edit_command(store));
        }
        Page::Away => {}
        Page::Schedule => {
            commands.extend(neighbours);
            commands.extend([Command::NewJob, Command::SaveJob, Command::SelectJob(None)]);
        }
        Page::Machine => commands.push(Command::SaveLimits),
        Page::Settings => commands.push(Command::SaveSettings),
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
