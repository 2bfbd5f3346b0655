//! The first page: running runs, banners, runs that have just ended, and the machine at the bottom.

use egui::{Frame, Margin, Panel, ScrollArea, Ui};

use super::banner::banners_ui;
use super::detail::detail_ui;
use super::pipelines::first_start_ui;
use super::recent::recent_ui;
use super::running::running_ui;
use super::timeline::timeline_ui;
use super::waiting::waiting_ui;
use super::{Commands, View};
use crate::ui::theme;

/// The smallest height of the selected run's card.
const DETAIL: f32 = 236.0;

pub(crate) fn now_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let has_runs = view.store.living().len() + view.store.recent().len() > 0;
    if view.store.is_loaded() || !view.store.machine().is_empty() {
        Panel::bottom("timeline")
            .frame(Frame::NONE.inner_margin(Margin { top: theme::GAP as i8, ..Margin::ZERO }))
            .show_separator_line(false)
            .show(ui, |ui| timeline_ui(ui, view, out));
    }
    ScrollArea::vertical().id_salt("now").auto_shrink([false, false]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = theme::GAP;
        let bottom = ui.max_rect().bottom();
        banners_ui(ui, view, out);
        if !has_runs {
            if view.store.is_loaded() {
                first_start_ui(ui, view, out);
            }
            return;
        }
        let detail = if view.store.selected().is_some() { DETAIL + theme::GAP } else { 0.0 };
        let has_selected = view.store.selected().is_some();
        running_ui(ui, view, bottom - ui.cursor().top() - detail, out);
        waiting_ui(ui, view, out);
        if !has_selected || view.store.living().len() == 0 {
            recent_ui(ui, view, bottom - ui.cursor().top() - detail, out);
        }
        if has_selected {
            let height = (bottom - ui.cursor().top() - 2.0).max(DETAIL);
            detail_ui(ui, view, height, out);
        }
    });
}
