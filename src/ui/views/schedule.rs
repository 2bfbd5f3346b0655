//! The page of jobs: each with its next fire and the outcomes of the last ones, and below them the selected job.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use egui::{Align2, ScrollArea, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::job_form::SchedulePage;
use super::super::schedule_page::ScheduleTab;
use super::super::widgets::{Card, Lever, Tone, label_at, paragraph, segments_at};
use super::day_ahead::{DAY, day_ahead_ui};
use super::job_card::job_card_ui;
use super::job_row::{job_row_height, job_row_ui};
use super::ledger::ledger_ui;
use super::month::month_ui;
use super::{Commands, View};
use crate::ui::{format, theme};

/// The height of the selected job's card.
const CARD: f32 = 300.0;

pub(crate) fn schedule_ui(ui: &mut Ui, view: View<'_>, page: &mut SchedulePage, out: &mut Commands) {
    ui.spacing_mut().item_spacing.y = theme::GAP;
    let jobs = view.store.jobs();
    if jobs.total().is_some_and(|total| total > 0) {
        tabs_ui(ui, page.tab, out);
    }
    match page.tab {
        ScheduleTab::Jobs => {}
        ScheduleTab::Calendar => {
            ask(view, page, 0..1, out);
            return month_ui(ui, view, &mut page.calendar, out);
        }
        ScheduleTab::Fires => {
            ask(view, page, 0..1, out);
            return ledger_ui(ui, view, &mut page.ledger, out);
        }
    }
    let Some(total) = jobs.total() else {
        ask(view, page, 0..1, out);
        paragraph(ui, "Reading the jobs…", (theme::body(), theme::tokens(ui).muted));
        return;
    };
    if total == 0 && page.form.is_none() {
        ask(view, page, 0..1, out);
        no_jobs_ui(ui, out);
        return;
    }
    let has_card = page.form.is_some() || jobs.selected().is_some();
    // In a low window the selected job needs the room.
    let row_height = job_row_height(view);
    let least = DAY + theme::CARD_HEAD + row_height * 3.0 + if has_card { CARD } else { 0.0 };
    page.shows_day = total > 0 && ui.available_height() > least;
    if page.shows_day {
        day_ahead_ui(ui, view, out);
    }
    let card = if has_card { CARD + theme::GAP } else { 0.0 };
    let max_height = (ui.available_height() - card - theme::CARD_HEAD - 4.0).max(row_height * 2.0);
    Card::new("Jobs").count(total).show(ui, |ui, rect| {
        let new = Command::NewJob;
        let (lever, mut right) = (Lever::of(&new).tone(Tone::Quiet), rect.right() + 8.0);
        if lever.ui_before(ui, &mut right, rect, 28.0).clicked() {
            out.push(new);
        }
        if jobs.n_disabled() > 0 {
            let text = format!("{} disabled", jobs.n_disabled());
            let at = pos2(right - 6.0, rect.center().y);
            let style = (theme::small(), theme::tokens(ui).muted);
            label_at(ui, at, Align2::RIGHT_CENTER, text, style, 160.0);
        }
        ScrollArea::vertical().id_salt("jobs").max_height(max_height).auto_shrink([false, true]).show_rows(
            ui,
            row_height,
            total,
            |ui, range| {
                if let Some(at) = page.scroll_to.take() {
                    let top = ui.max_rect().top() + (at as f32 - range.start as f32) * row_height;
                    let row =
                        egui::Rect::from_min_size(pos2(ui.max_rect().left(), top), vec2(1.0, row_height));
                    ui.scroll_to_rect(row, None);
                }
                for at in range.clone() {
                    job_row_ui(ui, view, at, at + 1 == total, out);
                }
                ask(view, page, range, out);
            },
        );
    });
    if has_card {
        job_card_ui(ui, view, page.form.as_mut(), CARD - 2.0, out);
    }
}

/// The tabs of the page.
fn tabs_ui(ui: &mut Ui, chosen: ScheduleTab, out: &mut Commands) {
    let all = ScheduleTab::ALL.map(|tab| (tab, tab.text(), tab.text()));
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 26.0));
    let place = egui::Rect::from_min_size(rect.min, vec2(64.0 * all.len() as f32, rect.height()));
    if let (Some(tab), _) = segments_at(ui, place, chosen, &all) {
        out.push(Command::ShowScheduleTab(tab));
    }
}

/// Has the store load the visible rows, when they have changed or the page was just opened.
fn ask(view: View<'_>, page: &mut SchedulePage, rows: std::ops::Range<usize>, out: &mut Commands) {
    page.shown = rows.clone();
    if view.store.jobs().wanted() != Some(&rows) {
        out.push(Command::ShowJobs(Some(rows)));
    }
}

/// The page without jobs: what it is for, and what to do first.
fn no_jobs_ui(ui: &mut Ui, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    Card::frame(ui).show(ui, |ui| {
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 180.0));
        let middle = rect.center().x;
        let lines = [
            (56.0, "Nothing starts by itself yet", theme::strong(), tokens.text),
            (
                80.0,
                "A job starts a pipeline when it is due, and records what happened at every due instant",
                theme::body(),
                tokens.muted,
            ),
        ];
        for (y, text, font, color) in lines {
            let at = pos2(middle, rect.top() + y);
            label_at(ui, at, Align2::CENTER_CENTER, text, (font, color), rect.width() - 40.0);
        }
        let command = Command::NewJob;
        let lever = Lever::of(&command).tone(Tone::Primary);
        let size = vec2(lever.width(ui), theme::LEVER);
        let place = egui::Rect::from_center_size(pos2(middle, rect.top() + 120.0), size);
        if lever.ui_at(ui, place).clicked() {
            out.push(command);
        }
    });
}

/// How long until a job is due, as text for a row.
pub(crate) fn countdown(view: View<'_>, next_at: DateTime<Utc>) -> String {
    let (text, holds) = countdown_text(next_at, view.now);
    if let Some(holds) = holds {
        view.beat.holds_for(holds);
    }
    text
}

/// The same, and how long the text stays valid from `now` on.
fn countdown_text(next_at: DateTime<Utc>, now: DateTime<Utc>) -> (String, Option<Duration>) {
    let left = next_at - now;
    if left <= TimeDelta::zero() {
        // An event brings the outcome.
        return ("due".to_owned(), None);
    }
    // A text is valid until its second, minute or day is over.
    let unit = match left.num_seconds() {
        0..60 => TimeDelta::seconds(1),
        60..86_400 => TimeDelta::minutes(1),
        _ => TimeDelta::days(1),
    };
    let over = left.num_milliseconds() % unit.num_milliseconds() + 1;
    (format!("in {}", format::about(left)), Some(Duration::from_millis(over.unsigned_abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_countdown_says_when_it_changes_next() {
        let now = Utc::now();
        for (left, text, holds_ms) in [
            (41_500, "in 41 s", Some(501)),
            (90_000, "in 1 min", Some(30_001)),
            (2 * 86_400_000 + 5, "in 2 d", Some(6)),
            (0, "due", None),
        ] {
            let (said, holds) = countdown_text(now + TimeDelta::milliseconds(left), now);
            assert_eq!((said.as_str(), holds), (text, holds_ms.map(Duration::from_millis)));
        }
    }
}
