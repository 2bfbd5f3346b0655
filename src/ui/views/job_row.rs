//! A job in the list: its switch, its name, when it is due, and the outcomes of its last instants.

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use egui::{Align2, Color32, CornerRadius, Id, Rect, Sense, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::theme::Tokens;
use super::super::widgets::{
    AccessibleName, Corners, Icon, Lever, RowKind, label_at, numbers_at, paragraph, row_ui, switch_at,
};
use super::schedule::countdown;
use super::{Commands, View};
use crate::api;
use crate::base::tz::Tz;
use crate::run::RunState;
use crate::schedule::Outcome;
use crate::ui::{format, theme};
use crate::window::{Action, FireRow, JobRow, MAX_MARKS};

/// The height of a row.
pub(crate) fn job_row_height(view: View<'_>) -> f32 {
    view.row().min(44.0)
}

/// The distance from one mark to the next.
const MARK: f32 = 11.0;
const LEVER: f32 = 96.0;
/// From this width on, a row has room for everything.
const LONG: f32 = 800.0;

/// The row at this index of the list; an empty row while it is being loaded.
pub(crate) fn job_row_ui(ui: &mut Ui, view: View<'_>, at: usize, is_last: bool, out: &mut Commands) {
    let corners = if is_last { Corners::Bottom } else { Corners::Square };
    let Some(row) = view.store.jobs().row(at) else {
        let kind = RowKind { name: "a job that is being read", is_selected: false, corners };
        row_ui(ui, Id::unique(("unread job", at)), job_row_height(view), &kind);
        return;
    };
    let tokens = theme::tokens(ui);
    let job = &row.job;
    let (wall, left) = (next_wall(row, view.now), next_left(row, view));
    let wrong = job.problem.as_deref().or(job.held.as_deref());
    let words = wrong.unwrap_or(&job.words);
    let last = row.marks.last().map_or_else(String::new, |fire| format!(", last {}", fire_text(view, fire)));
    let state = if job.enabled { "" } else { "disabled, " };
    let is_same = job.pipeline_id == job.job_id;
    let pipeline = if is_same { String::new() } else { format!("starts {}, ", job.pipeline_id) };
    let name = format!("{state}{}, {pipeline}{words}, next {wall}, {left}{last}", job.job_id);
    let is_selected = row.job_id.is_some() && view.store.jobs().selected() == row.job_id.as_ref();
    let kind = RowKind { name: &name, is_selected, corners };
    let (rect, response) = row_ui(ui, Id::unique(("job", job.job_id.as_str())), job_row_height(view), &kind);
    let Some(job_id) = &row.job_id else {
        let style = (theme::body(), tokens.failed);
        let text = format!("{}: no command can name it; rename it in scheduler.db", job.job_id);
        label_at(ui, rect.left_center(), Align2::LEFT_CENTER, text, style, rect.width());
        return;
    };
    if response.clicked() {
        out.push(Command::SelectJob((!is_selected).then(|| job_id.clone())));
    }
    let y = rect.center().y;
    let (upper, lower) = theme::two_lines(rect);
    let turn = Command::Send(Action::Do(if job.enabled {
        api::DisableJob { job_id: job_id.clone() }.into()
    } else {
        api::EnableJob { job_id: job_id.clone() }.into()
    }));
    let place = Rect::from_center_size(pos2(rect.left() + 16.0, y), vec2(32.0, rect.height()));
    let switch = switch_at(ui, place, job.enabled, &format!("{job_id} fires"));
    if switch.tip(turn.label().tooltip.unwrap_or_default()).clicked() {
        out.push(turn);
    }
    let run = Command::Send(Action::Do(api::RunJobNow { job_id: job_id.clone() }.into()));
    let is_long = rect.width() > LONG;
    let width = if is_long { LEVER } else { theme::LEVER };
    let size = vec2(width, theme::lever_in(rect));
    let place = Rect::from_center_size(pos2(rect.right() - width / 2.0, y), size);
    if Lever::of(&run).ui_at(ui, place).clicked() {
        out.push(run);
    }
    let marks_left = place.left() - 24.0 - MARK * MAX_MARKS as f32;
    // In a short row the countdown is below the time, and the outcomes are on the job's card alone.
    let (wall_at, left_at) = if is_long {
        let left = pos2(marks_left - 126.0, y);
        (left - vec2(136.0, 0.0), left)
    } else {
        let left = place.left() - theme::GAP - 110.0;
        (pos2(left, y - 8.0), pos2(left, y + 9.0))
    };
    let wall_left = wall_at.x;
    let name_left = rect.left() + 50.0;
    let name_width = ((wall_left - name_left) * 0.42).min(240.0);
    let words_left = name_left + name_width + theme::GAP;
    let ink = if job.enabled { tokens.text } else { tokens.muted };
    let style = (theme::medium(), ink);
    label_at(ui, pos2(name_left, upper), Align2::LEFT_CENTER, job.job_id.as_str(), style, name_width);
    let style = (theme::small(), tokens.muted);
    let at = pos2(name_left, lower);
    label_at(ui, at, Align2::LEFT_CENTER, job.pipeline_id.as_str(), style, name_width);
    let ink = if wrong.is_some() { tokens.failed } else { tokens.muted };
    let width = wall_left - theme::GAP - words_left;
    let shown = label_at(ui, pos2(words_left, y), Align2::LEFT_CENTER, words, (theme::body(), ink), width);
    if shown.width() > width - 3.0 {
        response.tip(words);
    }
    let style = (theme::body(), if job.enabled { tokens.text } else { tokens.muted });
    numbers_at(ui, wall_at, Align2::LEFT_CENTER, &wall, style);
    let style = (theme::small(), tokens.muted);
    numbers_at(ui, left_at, Align2::LEFT_CENTER, &left, style);
    if is_long {
        marks_ui(ui, view, row, pos2(marks_left, y));
    }
}

/// The last outcomes, the newest at the right.
fn marks_ui(ui: &mut Ui, view: View<'_>, row: &JobRow, left: egui::Pos2) {
    let tokens = theme::tokens(ui);
    let first = MAX_MARKS - row.marks.len().min(MAX_MARKS);
    for (at, fire) in row.marks.iter().enumerate() {
        let x = left.x + MARK * (first + at) as f32;
        let rect = Rect::from_min_size(pos2(x, left.y - 7.0), vec2(MARK - 2.0, 14.0));
        ui.painter().rect_filled(rect, CornerRadius::same(2), fire_ink(view, tokens, fire));
    }
    if row.marks.is_empty() {
        return;
    }
    let size = vec2(MARK * MAX_MARKS as f32, 20.0);
    let place = Rect::from_min_size(pos2(left.x, left.y - 10.0), size);
    let response = ui.interact(place, ui.scope_id().with(("marks", &row.job.job_id)), Sense::hover());
    response.on_hover_ui(|ui| {
        ui.set_max_width(520.0);
        for fire in row.marks.iter().rev() {
            let when = wall_text(fire.due_at, row.zone, view.now);
            let why = fire.reason.as_deref().map_or_else(String::new, |why| format!(": {why}"));
            let text = format!("{when}   {}{why}", fire_text(view, fire));
            paragraph(ui, &text, (theme::body(), theme::tokens(ui).text));
        }
    });
}

/// When a job is due, in the local time of its zone.
fn next_wall(row: &JobRow, now: DateTime<Utc>) -> String {
    // An instant of a disabled job that has passed will not fire.
    let to_come = row.job.next_run.filter(|at| row.job.enabled || *at > now);
    to_come.map_or_else(|| "–".to_owned(), |at| wall_text(at, row.zone, now))
}

/// How long until then, or why it is not due.
fn next_left(row: &JobRow, view: View<'_>) -> String {
    match row.job.next_run {
        _ if row.job.problem.is_some() => "never".to_owned(),
        _ if !row.job.enabled => "disabled".to_owned(),
        Some(at) => countdown(view, at),
        None if row.job.schedule_type == "after" => "waits for it".to_owned(),
        None if row.job.schedule_type == "manual" => "by hand".to_owned(),
        None => "never again".to_owned(),
    }
}

/// An instant in a zone's local time: the time if it is today, the day if it is this week, else the date.
pub(crate) fn wall_text(at: DateTime<Utc>, zone: Tz, now: DateTime<Utc>) -> String {
    let (at, now) = (at.with_timezone(&zone), now.with_timezone(&zone));
    let form = if at.date_naive() == now.date_naive() {
        "%H:%M"
    } else if (at - now).abs() < TimeDelta::days(6) {
        "%a %H:%M"
    } else if at.year() == now.year() || (at - now).abs() < TimeDelta::days(180) {
        "%a %-d %b %H:%M"
    } else {
        "%-d %b %Y %H:%M"
    };
    let form = if at.second() == 0 { form.to_owned() } else { form.replace("%M", "%M:%S") };
    format::instant(&at, &form)
}

/// The state of its run: from the window's runs, else from the fire's record.
fn run_state(view: View<'_>, fire: &FireRow) -> Option<RunState> {
    let known = fire.run_id.as_ref().and_then(|run_id| view.store.run(run_id)).map(|entry| entry.run.state);
    known.or(fire.state)
}

/// The outcome of a fire, in a word or two.
pub(crate) fn fire_text(view: View<'_>, fire: &FireRow) -> String {
    let word = match (fire.outcome, run_state(view, fire)) {
        (Some(Outcome::Ran | Outcome::Backfilled | Outcome::Claimed), Some(state)) => match state {
            RunState::Completed => "ran",
            RunState::Queued
            | RunState::Running
            | RunState::Paused
            | RunState::Stopping
            | RunState::Stopped
            | RunState::ForceStopped
            | RunState::Failed
            | RunState::Interrupted => state.as_str(),
        },
        (Some(Outcome::Ran), None) => "started",
        (Some(outcome), _) => outcome.as_str(),
        (None, _) => "unknown",
    };
    let word = word.replace('_', " ");
    if fire.is_by_hand { format!("{word} by hand") } else { word }
}

pub(crate) fn fire_ink(view: View<'_>, tokens: &Tokens, fire: &FireRow) -> Color32 {
    match (fire.outcome, run_state(view, fire)) {
        (Some(Outcome::Ran | Outcome::Backfilled | Outcome::Claimed), Some(state)) => tokens.run_state(state),
        (Some(Outcome::Ran | Outcome::Claimed | Outcome::Backfilled), None) => tokens.running,
        (Some(Outcome::Queued | Outcome::Coalesced), _) => tokens.queued,
        (Some(Outcome::Skipped | Outcome::Disabled) | None, _) => tokens.stopped,
        (Some(Outcome::Expired), _) => tokens.interrupted,
        (Some(Outcome::FailedToStart), _) => tokens.failed,
    }
}

pub(crate) fn fire_icon(view: View<'_>, fire: &FireRow) -> Icon {
    match (fire.outcome, run_state(view, fire)) {
        (Some(Outcome::Ran | Outcome::Backfilled | Outcome::Claimed), Some(state)) => Icon::of_run(state),
        (Some(Outcome::Ran | Outcome::Claimed | Outcome::Backfilled), None) => Icon::Play,
        (Some(Outcome::Queued | Outcome::Coalesced), _) => Icon::Clock,
        (Some(Outcome::Skipped | Outcome::Disabled) | None, _) => Icon::Stop,
        (Some(Outcome::Expired), _) => Icon::Bolt,
        (Some(Outcome::FailedToStart), _) => Icon::Cross,
    }
}
