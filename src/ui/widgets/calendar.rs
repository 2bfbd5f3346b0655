//! A calendar of one month, from which a day is chosen.

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};
use egui::{Align2, CornerRadius, CursorIcon, Rect, Role, Sense, Stroke, StrokeKind, Ui, pos2, vec2};

use super::{AccessibleName, Icon, Lever, label_at};
use crate::ui::{format, theme};

/// The size of one day.
const DAY: egui::Vec2 = vec2(27.0, 24.0);
const WEEKS: u64 = 6;

/// The first day that a calendar of the month of `month` shows: the Monday on or before its first day. None at the end
/// of what a date can hold.
fn first_shown(month: NaiveDate) -> Option<NaiveDate> {
    month.with_day(1)?.week(Weekday::Mon).checked_first_day()
}

/// Puts the calendar at the cursor of `ui`. `month` is a day of the month that is shown; the arrows at its name change
/// it. Returns the day that was just chosen.
pub(crate) fn calendar_ui(
    ui: &mut Ui,
    month: &mut NaiveDate,
    chosen: Option<NaiveDate>,
    today: NaiveDate,
) -> Option<NaiveDate> {
    let tokens = theme::tokens(ui);
    ui.spacing_mut().item_spacing = vec2(0.0, 0.0);
    let (_, head) = ui.allocate_space(vec2(DAY.x * 7.0, 30.0));
    let title = format::day(*month, "%B %Y");
    let style = (theme::strong(), tokens.text);
    let shown = label_at(ui, head.center(), Align2::CENTER_CENTER, &*title, style, head.width() - 60.0);
    ui.interact(shown, ui.scope_id().with("month"), Sense::hover()).says(Role::Heading, &title);
    let size = vec2(26.0, 26.0);
    let before = Rect::from_center_size(pos2(head.left() + size.x / 2.0, head.center().y), size);
    let after = Rect::from_center_size(pos2(head.right() - size.x / 2.0, head.center().y), size);
    let lever = |name: &str, text: &str| Lever::icon(Icon::More, name).text(text).without_icon();
    if lever("The month before", "‹").ui_at(ui, before).clicked() {
        *month = month.checked_sub_months(Months::new(1)).unwrap_or(*month);
    }
    if lever("The month after", "›").ui_at(ui, after).clicked() {
        *month = month.checked_add_months(Months::new(1)).unwrap_or(*month);
    }
    let (_, names) = ui.allocate_space(vec2(DAY.x * 7.0, 20.0));
    for (at, name) in ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"].into_iter().enumerate() {
        let pos = pos2(names.left() + DAY.x * (at as f32 + 0.5), names.center().y);
        label_at(ui, pos, Align2::CENTER_CENTER, name, (theme::small(), tokens.muted), DAY.x);
    }
    let (_, days) = ui.allocate_space(vec2(DAY.x * 7.0, DAY.y * WEEKS as f32));
    let mut taken = None;
    let first = first_shown(*month);
    for n in 0..7 * WEEKS {
        let Some(day) = first.and_then(|first| first.checked_add_days(Days::new(n))) else { continue };
        let corner = days.min + vec2(DAY.x * (n % 7) as f32, DAY.y * (n / 7) as f32);
        let rect = Rect::from_min_size(corner, DAY).shrink(1.0);
        let response = ui
            .interact(rect, ui.scope_id().with(("day", day)), Sense::click())
            .on_hover_cursor(CursorIcon::PointingHand);
        let is_chosen = chosen == Some(day);
        response.says_selected(Role::Button, is_chosen, &format::day(day, "%A %-d %B %Y"));
        let ink = if is_chosen {
            tokens.panel
        } else if day.month() == month.month() {
            tokens.text
        } else {
            tokens.muted
        };
        let radius = CornerRadius::same(6);
        if is_chosen {
            ui.painter().rect_filled(rect, radius, tokens.accent);
        } else if response.hovered() {
            ui.painter().rect_filled(rect, radius, tokens.raised);
        }
        if day == today {
            ui.painter().rect_stroke(rect, radius, Stroke::new(1.0, tokens.accent), StrokeKind::Inside);
        }
        let style = (theme::body(), ink);
        label_at(ui, rect.center(), Align2::CENTER_CENTER, day.day().to_string(), style, DAY.x);
        if response.clicked() {
            taken = Some(day);
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_begins_with_the_monday_on_or_before_its_first_day_and_has_room_for_all_its_days() {
        for (day, first) in
            [("2026-11-16", "2026-10-26"), ("2027-02-28", "2027-02-01"), ("2026-03-31", "2026-02-23")]
        {
            assert_eq!(first_shown(date(day)), Some(date(first)));
        }
        for month in 1..=12 {
            let first = NaiveDate::from_ymd_opt(2026, month, 1).unwrap();
            let last = first + Months::new(1) - Days::new(1);
            assert!((last - first_shown(first).unwrap()).num_days() < 7 * WEEKS as i64);
        }
    }
}
