//! The row of a living run. It shows in this order: state, run, current step, elapsed and remaining time, cost,
//! levers.

use egui::{Align2, Id, Rect, Response, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::offers::{first_lever, second_lever};
use super::super::widgets::{
    AccessibleName, Corners, Icon, Lever, RowKind, Tone, label_at, numbers_at, progress_bar, row_ui,
    sparkline, state_at,
};
use super::{Commands, View, menus};
use crate::base::id::RunId;
use crate::run::{RunState, RunSummary, StepSummary};
use crate::ui::room::Room;
use crate::ui::{format, theme};
use crate::window::{Left, RunEntry, RunUsage, left_of};

const FIRST: f32 = 98.0;
const SECOND: f32 = 82.0;

/// The widths of the first two levers of a row.
fn lever_widths(room: Room) -> (f32, f32) {
    if room.is_wide() { (FIRST, SECOND) } else { (theme::LEVER, theme::LEVER) }
}

struct Columns {
    state: Rect,
    job: Rect,
    place: Rect,
    time: Rect,
    cost: Option<Rect>,
    levers: Rect,
}

fn columns(rect: Rect, room: Room, wants_cost: bool) -> Columns {
    let (first, second) = lever_widths(room);
    let levers_width = first + 6.0 + second + 2.0 + theme::LEVER;
    let mut left = rect.left();
    let mut take = |width: f32| {
        let column = Rect::from_min_max(pos2(left, rect.top()), pos2(left + width, rect.bottom()));
        left += width + theme::GAP;
        column
    };
    let (state, time) = if room.is_wide() { (112.0, 92.0) } else { (98.0, 84.0) };
    let state = take(state);
    let job = take(if rect.width() < 820.0 { 150.0 } else { 186.0 });
    let rest = rect.right() - levers_width - job.right() - 3.0 * theme::GAP - time;
    let cost_width = if !wants_cost || rest < 300.0 {
        0.0
    } else if rest < 470.0 {
        130.0
    } else {
        254.0
    };
    let gap = if cost_width > 0.0 { theme::GAP } else { 0.0 };
    let place = take((rest - cost_width - gap).max(80.0));
    let time = take(time);
    let cost = (cost_width > 0.0).then(|| take(cost_width));
    let levers = Rect::from_min_max(pos2(rect.right() - levers_width, rect.top()), rect.max);
    Columns { state, job, place, time, cost, levers }
}

/// The current step of a run and its message, with `·` between.
pub(crate) fn place_text(entry: &RunEntry) -> String {
    let run = &entry.run;
    let is_over = |step: &StepSummary| Some(step.step_id.as_str()) == run.current_step.as_deref();
    let is_stale = entry.steps().iter().any(|step| is_over(step) && step.state.is_ended());
    if is_stale && let Some(live) = entry.steps().iter().find(|step| step.state.is_live()) {
        // It has begun since, and may not have reported anything yet.
        return match &live.message {
            Some(message) => format!("{} · {message}", live.step_id),
            None => live.step_id.to_string(),
        };
    }
    match (&run.current_step, &run.message) {
        (Some(step), Some(message)) => format!("{step} · {message}"),
        (Some(text), None) | (None, Some(text)) => text.to_string(),
        (None, None) => String::new(),
    }
}

/// The state in a word, with its duration where that matters.
pub(crate) fn state_text(run: &RunSummary, view: View<'_>) -> String {
    match (run.state, run.frozen_since) {
        (RunState::Paused, Some(since)) => {
            view.beat.about(view.now - since);
            format!("frozen {}", format::about(view.now - since))
        }
        (RunState::Paused, None) => "pausing".to_owned(),
        (RunState::ForceStopped, _) => "force stopped".to_owned(),
        (state, _) => state.as_str().to_owned(),
    }
}

/// The row. A run that has ended while the pointer kept its row in place has no levers.
pub(crate) fn run_row_ui(
    ui: &mut Ui,
    view: View<'_>,
    entry: &RunEntry,
    (corners, peak_memory): (Corners, Option<u64>),
    out: &mut Commands,
) {
    let run = &entry.run;
    let is_selected = view.store.selected().is_some_and(|selected| selected.run.run_id == run.run_id);
    let state = state_text(run, view);
    let place = place_text(entry);
    let percent = format::percent(run.progress);
    let elapsed = format::clock(entry.run.took(view.now));
    let second = time_text(entry, view);
    let cost = cost_text(entry, view).map_or_else(String::new, |cost| format!(", {cost}"));
    // Why it is frozen, unless it was paused by hand.
    let cause = run.error.as_deref().filter(|_| run.state == RunState::Paused);
    let said_cause = cause.map_or_else(String::new, |cause| format!(", {cause}"));
    let name = format!(
        "{state}, {}, {}, {place}{said_cause}, {percent}, {elapsed}, {second}{cost}",
        run.pipeline_id, run.run_id
    );
    let kind = RowKind { name: &name, is_selected, corners };
    let row_id = Id::unique(("living run", run.run_id.as_str()));
    let (rect, response) = row_ui(ui, row_id, view.row(), &kind);
    pull_row(&response, &run.run_id, out);
    let room = Room::of(ui.ctx());
    if ui.is_rect_visible(rect) {
        let columns = columns(rect, room, peak_memory.is_some());
        let tokens = theme::tokens(ui);
        let color = tokens.run_state(run.state);
        let (upper, lower) = theme::two_lines(rect);
        state_at(ui, columns.state, Icon::of_run(run.state), &state, color);
        names_at(ui, columns.job, run);

        let place_right = columns.place.right() - 46.0;
        let width = place_right - columns.place.left();
        let at = pos2(columns.place.left(), upper);
        match cause {
            Some(cause) => label_at(ui, at, Align2::LEFT_CENTER, cause, (theme::body(), color), width),
            None => label_at(ui, at, Align2::LEFT_CENTER, place, (theme::body(), tokens.muted), width),
        };
        let at = pos2(columns.place.right(), upper);
        numbers_at(ui, at, Align2::RIGHT_CENTER, &percent, (theme::body(), tokens.text));
        let bar =
            Rect::from_min_size(pos2(columns.place.left(), lower - 1.0), vec2(columns.place.width(), 6.0));
        progress_bar(ui, bar, run.progress, color);

        let at = pos2(columns.time.left(), upper);
        numbers_at(ui, at, Align2::LEFT_CENTER, &elapsed, (theme::medium(), tokens.text));
        let at = pos2(columns.time.left(), lower);
        numbers_at(ui, at, Align2::LEFT_CENTER, &second, (theme::small(), tokens.muted));
        if let (Some(cost), Some(peak_memory)) = (columns.cost, peak_memory) {
            cost_at(ui, cost, entry, peak_memory);
            if let Some(text) = cost_text(entry, view).filter(|_| response.hovered())
                && ui.rect_contains_pointer(cost)
            {
                response.tip(&text);
            }
        }
    }
    let levers = columns(rect, room, peak_memory.is_some()).levers;
    levers_ui(ui, (levers, room), entry, is_selected, out);
}

/// A click on a run's row selects the run; a second one opens its page.
pub(crate) fn pull_row(response: &Response, run_id: &RunId, out: &mut Commands) {
    if response.double_clicked() {
        out.push(Command::OpenRun(run_id.clone()));
    } else if response.clicked() {
        out.push(Command::Select(Some(run_id.clone())));
    }
}

/// The pipeline over the run's id.
pub(crate) fn names_at(ui: &Ui, rect: Rect, run: &RunSummary) {
    let tokens = theme::tokens(ui);
    let (upper, lower) = theme::two_lines(rect);
    let name = run.pipeline_id.as_str();
    let style = (theme::medium(), tokens.text);
    label_at(ui, pos2(rect.left(), upper), Align2::LEFT_CENTER, name, style, rect.width());
    let style = (theme::mono(), tokens.muted);
    let id = run.run_id.as_str();
    label_at(ui, pos2(rect.left(), lower), Align2::LEFT_CENTER, id, style, rect.width());
}

fn time_text(entry: &RunEntry, view: View<'_>) -> String {
    // A clock stands next to it, which runs unless the run is frozen.
    if matches!(entry.run.state, RunState::Running | RunState::Stopping) {
        view.beat.second();
    }
    match entry.run.state {
        RunState::Paused => "clock stopped".to_owned(),
        RunState::Stopping => "ending".to_owned(),
        RunState::Queued => "waiting".to_owned(),
        RunState::Running => match left_of(entry, view.store.estimate(&entry.run.pipeline_id), view.now) {
            Some(Left::About(left)) => format!("{} left", format::about(left)),
            Some(Left::Over(over)) => format!("{} over usual", format::about(over)),
            None => String::new(),
        },
        RunState::Stopped
        | RunState::ForceStopped
        | RunState::Completed
        | RunState::Failed
        | RunState::Interrupted => "ended".to_owned(),
    }
}

/// The part of its usage that a curve shows.
pub(crate) fn shown_usage(entry: &RunEntry) -> impl ExactSizeIterator<Item = &RunUsage> {
    let n_older = entry.usage().len().saturating_sub(60);
    entry.usage().range(n_older..)
}

/// Its usage in words, with what the share of CPU is of.
fn cost_text(entry: &RunEntry, view: View<'_>) -> Option<String> {
    let last = entry.usage().back()?;
    let n_cores = view.store.machine().back().map_or(0, |sample| sample.cores.len());
    let of = format::of_cores(n_cores);
    let memory = format::bytes(last.memory_bytes);
    Some(
        format!("CPU {} {of}", format::percent(last.cpu_fraction)).trim_end().to_owned()
            + ", memory "
            + &memory,
    )
}

/// Its usage of CPU and memory, each as a curve and a figure if there is room.
fn cost_at(ui: &Ui, rect: Rect, entry: &RunEntry, peak_memory: u64) {
    let Some(last) = entry.usage().back() else { return };
    let tokens = theme::tokens(ui);
    let is_frozen = entry.run.state == RunState::Paused;
    let (cpu_text, memory_text) = (
        format::percent(last.cpu_fraction),
        format!("{}{}", format::bytes(last.memory_bytes), if is_frozen { " held" } else { "" }),
    );
    let has_curves = rect.width() > 200.0;
    let margin = vec2(0.0, 12.0_f32.min(rect.height() / 4.0));
    let curve = if has_curves { 58.0 } else { 0.0 };
    let cpu = Rect::from_min_size(rect.min, vec2(curve, rect.height())).shrink2(margin);
    let memory_left = rect.left() + if has_curves { 108.0 } else { 44.0 };
    let memory =
        Rect::from_min_size(pos2(memory_left, rect.top()), vec2(curve, rect.height())).shrink2(margin);
    if has_curves {
        let newest = shown_usage(entry);
        let n = newest.len().max(2);
        let curve = |rect: Rect, at: usize, share: f64| {
            let x = rect.left() + rect.width() * at as f32 / (n - 1) as f32;
            pos2(x, rect.bottom() - rect.height() * share.clamp(0.0, 1.0) as f32)
        };
        let (mut cpus, mut memories) = (Vec::new(), Vec::new());
        for (at, usage) in newest.enumerate() {
            cpus.push(curve(cpu, at, usage.cpu_fraction));
            memories.push(curve(memory, at, 0.9 * usage.memory_bytes as f64 / peak_memory.max(1) as f64));
        }
        sparkline(ui, &cpus, cpu.bottom(), if is_frozen { tokens.stopped } else { tokens.running }, 1.25);
        sparkline(ui, &memories, memory.bottom(), tokens.queued, 1.25);
    }
    let style = (theme::small(), tokens.text);
    let y = rect.center().y;
    let at = pos2(cpu.right() + if has_curves { 42.0 } else { 36.0 }, y);
    numbers_at(ui, at, Align2::RIGHT_CENTER, &cpu_text, style.clone());
    numbers_at(ui, pos2(memory.right() + 8.0, y), Align2::LEFT_CENTER, &memory_text, style);
}

fn levers_ui(
    ui: &mut Ui,
    (rect, room): (Rect, Room),
    entry: &RunEntry,
    is_selected: bool,
    out: &mut Commands,
) {
    let lever_of = if is_selected { Lever::of_selected } else { Lever::of };
    let (run_id, state) = (&entry.run.run_id, entry.run.state);
    let tokens = theme::tokens(ui);
    let height = theme::lever_in(rect);
    let top = rect.center().y - height / 2.0;
    let mut left = rect.left();
    let mut take = |width: f32, gap: f32| {
        let place = Rect::from_min_size(pos2(left, top), vec2(width, height));
        left += width + gap;
        place
    };
    let (first, second) = lever_widths(room);
    let (first, second, more) = (take(first, 6.0), take(second, 2.0), take(theme::LEVER, 0.0));
    // A run that has ended while the pointer kept its row in place has no levers.
    if !state.is_ended() {
        let command = Command::Send(first_lever(&entry.run));
        let tone = match state {
            RunState::Paused => Tone::Marked(tokens.paused),
            RunState::Stopping => Tone::Marked(tokens.failed),
            RunState::Queued
            | RunState::Running
            | RunState::Stopped
            | RunState::ForceStopped
            | RunState::Completed
            | RunState::Failed
            | RunState::Interrupted => Tone::Plain,
        };
        let lever = lever_of(&command).tone(tone);
        let lever = if state == RunState::Stopping { lever.without_icon() } else { lever };
        if lever.ui_at(ui, first).clicked() {
            out.push(command);
        }
        let command = Command::Send(second_lever(&entry.run));
        let lever = lever_of(&command).enabled_if(state != RunState::Stopping);
        if lever.ui_at(ui, second).clicked() {
            out.push(command);
        }
    }
    let response = Lever::icon(Icon::More, format!("More for {run_id}")).ui_at(ui, more);
    menus::run_menu_ui(&response, &entry.run, is_selected, out);
}
