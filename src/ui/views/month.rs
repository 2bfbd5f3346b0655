//! A month of the schedule: on each day what ran, what failed, what was not run and what is to come.

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};
use egui::{
    Align2, CornerRadius, CursorIcon, Rect, Role, Sense, Stroke, StrokeKind, Ui, UiBuilder, pos2, vec2,
};

use super::super::command::Command;
use super::super::schedule_page::{CalendarPage, LedgerSpan};
use super::super::widgets::{AccessibleName, Card, Icon, Lever, label_at, segments_at};
use super::{Commands, View};
use crate::ui::{format, theme};
use crate::window::DayTally;

/// The height of the names of the days.
const NAMES: f32 = 22.0;
/// The least height of a day.
const LEAST: f32 = 40.0;

pub(crate) fn month_ui(ui: &mut Ui, view: View<'_>, page: &mut CalendarPage, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let today = view.now.with_timezone(&view.store.jobs().local()).date_naive();
    let selected = view.store.jobs().selected();
    let of = page.of(selected, today);
    let month = view.store.agenda().month(&of);
    let height = (ui.available_height() - theme::CARD_HEAD - 4.0).max(NAMES + LEAST * 6.0);
    let title = format::day(of.first, "%B %Y");
    Card::new(&title).show(ui, |ui, head| {
        let mut right = head.right() + 8.0;
        let move_by = |months: i32| {
            let by = Months::new(months.unsigned_abs());
            if months < 0 { of.first.checked_sub_months(by) } else { of.first.checked_add_months(by) }
        };
        let levers = [
            ("The month after", "›", move_by(1).or(page.month)),
            ("This month", "Today", None),
            ("The month before", "‹", move_by(-1).or(page.month)),
        ]
        .map(|(name, text, month)| {
            let lever = Lever::icon(Icon::More, name).text(text).without_icon();
            (lever.place_before(ui, &mut right, head, 28.0), lever, month)
        });
        if selected.is_some() {
            let place = Rect::from_min_max(head.min, pos2(right - 8.0, head.bottom()));
            let all = [(false, "All jobs", "All jobs"), (true, "Selected", "Only the selected job")];
            let (chosen, left) = segments_at(ui, place, page.is_of_selected, &all);
            page.is_of_selected = chosen.unwrap_or(page.is_of_selected);
            right = left;
        }
        for (place, lever, month) in levers.into_iter().rev() {
            if lever.ui_at(ui, place).clicked() {
                page.month = month;
            }
        }
        let note = match (month, &of.job_id) {
            (None, _) => "Reading the fires…".to_owned(),
            (Some(month), _) if month.is_cut => "there are more than are counted here".to_owned(),
            (Some(_), Some(job_id)) => format!("of {job_id}"),
            (Some(_), None) => String::new(),
        };
        let at = pos2(right - 8.0, head.center().y);
        let style = (theme::small(), tokens.muted);
        label_at(ui, at, Align2::RIGHT_CENTER, note, style, (right - head.left() - 160.0).max(0.0));
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), height));
        let grid = rect.shrink2(vec2(theme::GAP, 0.0));
        let width = grid.width() / 7.0;
        for (at, name) in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].into_iter().enumerate() {
            let pos = pos2(grid.left() + width * at as f32 + 8.0, grid.top() + NAMES / 2.0);
            label_at(ui, pos, Align2::LEFT_CENTER, name, (theme::small(), tokens.muted), width);
        }
        let Some(first) = of.first.week(Weekday::Mon).checked_first_day() else { return };
        let n_weeks = weeks_of(of.first, first);
        let high = (grid.height() - NAMES - 8.0) / n_weeks as f32;
        let mut cells = ui.new_child(UiBuilder::new().max_rect(grid).id_salt("month"));
        for n in 0..7 * n_weeks {
            let Some(day) = first.checked_add_days(Days::new(n)) else { continue };
            let corner = grid.min + vec2(width * (n % 7) as f32, NAMES + high * (n / 7) as f32);
            let cell = Cell {
                day,
                tally: month.and_then(|month| month.days.get(&day)).copied().unwrap_or_default(),
                is_in_month: day.month() == of.first.month(),
                is_today: day == today,
            };
            if cell.ui(&mut cells, Rect::from_min_size(corner, vec2(width, high)).shrink(2.0)) {
                out.push(Command::ShowFires(LedgerSpan::On(day), page.is_of_selected));
            }
        }
    });
}

/// How many weeks, from the Monday `monday` on, hold the month that begins on `first`.
fn weeks_of(first: NaiveDate, monday: NaiveDate) -> u64 {
    let days = first.checked_add_months(Months::new(1)).map_or(42, |end| (end - monday).num_days());
    days.unsigned_abs().div_ceil(7)
}

struct Cell {
    day: NaiveDate,
    tally: DayTally,
    is_in_month: bool,
    is_today: bool,
}

impl Cell {
    /// Paints it; whether it was clicked.
    fn ui(&self, ui: &mut Ui, rect: Rect) -> bool {
        let tokens = theme::tokens(ui);
        let DayTally { n_completed, n_failed, n_not_run, n_open, n_to_come } = self.tally;
        let parts = [
            (n_failed, "failed", Icon::Cross, tokens.failed),
            (n_completed, "completed", Icon::Check, tokens.completed),
            (n_open, "under way", Icon::Play, tokens.running),
            (n_not_run, "not run", Icon::Stop, tokens.stopped),
            (n_to_come, "to come", Icon::Clock, tokens.queued),
        ];
        let said: Vec<String> =
            parts.iter().filter(|(n, ..)| *n > 0).map(|(n, word, ..)| format!("{n} {word}")).collect();
        let date = format::day(self.day, "%A %-d %B %Y");
        let name = if said.is_empty() { date } else { format!("{date}: {}", said.join(", ")) };
        let response = ui
            .interact(rect, ui.scope_id().with(self.day), Sense::click())
            .on_hover_cursor(CursorIcon::PointingHand);
        response.says(Role::Button, &name);
        let radius = CornerRadius::same(6);
        let fill = match (response.hovered(), n_failed > 0) {
            (true, _) => tokens.raised,
            (false, true) => tokens.tint(tokens.failed, 0.08),
            (false, false) => tokens.panel,
        };
        let line = if self.is_today { tokens.accent } else { tokens.line };
        ui.painter().rect(rect, radius, fill, Stroke::new(1.0, line), StrokeKind::Inside);
        if response.has_focus() {
            ui.painter().rect_stroke(rect, radius, Stroke::new(2.0, tokens.accent), StrokeKind::Inside);
        }
        let ink = if self.is_in_month { tokens.text } else { tokens.muted };
        let at = pos2(rect.left() + 7.0, rect.top() + 12.0);
        label_at(ui, at, Align2::LEFT_CENTER, self.day.day().to_string(), (theme::medium(), ink), 30.0);
        let (mut x, mut y) = (rect.left() + 8.0, rect.top() + 31.0);
        for (n, _, icon, color) in parts {
            if n == 0 || y > rect.bottom() - 6.0 {
                continue;
            }
            icon.paint(ui.painter(), pos2(x + 5.0, y), 9.0, color);
            let style = (theme::small(), color);
            let shown = label_at(ui, pos2(x + 13.0, y), Align2::LEFT_CENTER, n.to_string(), style, 50.0);
            x = shown.right() + 10.0;
            if x > rect.right() - 30.0 {
                (x, y) = (rect.left() + 8.0, y + 16.0);
            }
        }
        response.tip(&name).clicked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_has_as_many_weeks_as_it_touches() {
        for (first, n_weeks) in [("2027-02-01", 4), ("2026-11-01", 6), ("2026-12-01", 5)] {
            let first: NaiveDate = first.parse().unwrap();
            let monday = first.week(Weekday::Mon).first_day();
            assert_eq!(weeks_of(first, monday), n_weeks);
        }
    }
}
