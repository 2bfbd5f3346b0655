//! Ended runs, the newest first: as many as the window keeps, and how many there are in all.

use egui::{Align2, Role, ScrollArea, Sense, Ui, vec2};

use super::super::widgets::{AccessibleName, Card, label_at};
use super::banner::banners_ui;
use super::detail::detail_ui;
use super::recent::ended_row_ui;
use super::running::{keep_offset, offset_to_selected};
use super::{Commands, View};
use crate::ui::theme;

pub(crate) fn history_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    ui.spacing_mut().item_spacing.y = theme::GAP;
    banners_ui(ui, view, out);
    let n_recent = view.store.recent().len();
    let has_selected = view.store.selected().is_some();
    if n_recent == 0 {
        let tokens = theme::tokens(ui);
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 120.0));
        let text = "Runs that have ended are listed here";
        label_at(ui, rect.center(), Align2::CENTER_CENTER, text, (theme::body(), tokens.muted), rect.width());
    } else {
        rows_ui(ui, view, if has_selected { DETAIL + theme::GAP } else { 0.0 }, out);
    }
    if has_selected {
        detail_ui(ui, view, DETAIL, out);
    }
}

/// The height of the selected run's card.
const DETAIL: f32 = 300.0;

/// The card of the rows, with `below` left free under it.
fn rows_ui(ui: &mut Ui, view: View<'_>, below: f32, out: &mut Commands) {
    let n_recent = view.store.recent().len();
    let n_ended = view.store.n_ended().unwrap_or(n_recent);
    let max_height = (ui.available_height() - below - theme::CARD_HEAD - theme::GAP).max(theme::ROW);
    let id = ui.scope_id().with("ended");
    let n_shown = (max_height / theme::ROW).floor().max(1.0) as usize;
    let offset = offset_to_selected(ui, id, view, n_shown, |run_id| {
        view.store.recent().position(|entry| entry.run.run_id == *run_id)
    });
    Card::new("Ended").count(n_ended).show(ui, |ui, rect| {
        if n_ended > n_recent {
            let text = format!("the newest {n_recent} are listed; `leverframe runs` lists all");
            let style = (theme::small(), theme::tokens(ui).muted);
            let width = rect.width() - 160.0;
            let at = rect.right_center();
            let place = label_at(ui, at, Align2::RIGHT_CENTER, text.as_str(), style, width);
            ui.interact(place, id.with("listed"), Sense::hover()).says(Role::Label, &text);
        }
        let area =
            ScrollArea::vertical().id_salt("ended rows").max_height(max_height).auto_shrink([false, true]);
        let area = match offset {
            Some(offset) => area.vertical_scroll_offset(offset),
            None => area,
        };
        let shown = area.show_rows(ui, theme::ROW, n_recent, |ui, range| {
            for at in range {
                ended_row_ui(ui, view, at, at + 1 == n_recent, out);
            }
        });
        keep_offset(ui, id, shown.state.clamped_offset().y);
    });
}
