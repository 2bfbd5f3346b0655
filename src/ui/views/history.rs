//! All ended runs that are kept, the newest first.

use egui::{Align2, ScrollArea, Ui, vec2};

use super::super::theme;
use super::super::widgets::{Card, label_at};
use super::detail::detail_ui;
use super::recent::ended_row_ui;
use super::{Commands, View};

pub(crate) fn history_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let n_recent = view.store.recent().len();
    if n_recent == 0 {
        let tokens = theme::tokens(ui);
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 120.0));
        let text = "Runs that have ended are listed here";
        label_at(ui, rect.center(), Align2::CENTER_CENTER, text, (theme::body(), tokens.muted), rect.width());
        return;
    }
    let detail = if view.store.selected().is_some() { 300.0 } else { 0.0 };
    let gap = if detail > 0.0 { theme::GAP } else { 0.0 };
    let max_height = (ui.available_height() - detail - gap - theme::CARD_HEAD - theme::GAP).max(theme::ROW);
    Card::new("Ended").count(n_recent).show(
        ui,
        |_, _| {},
        |ui| {
            ScrollArea::vertical()
                .id_salt("ended rows")
                .max_height(max_height)
                .auto_shrink([false, true])
                .show_rows(ui, theme::ROW, n_recent, |ui, range| {
                    for at in range {
                        ended_row_ui(ui, view, at, at + 1 == n_recent, out);
                    }
                });
        },
    );
    if detail > 0.0 {
        ui.add_space(gap);
        detail_ui(ui, view, detail, out);
    }
}
