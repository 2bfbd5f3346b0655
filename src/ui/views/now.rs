//! The first page: living runs and those that have just ended, the selected one, and the machine at the bottom. In a wide
//! window the selected run has a panel of its own at the right, else a card below the list.

use egui::{Frame, Margin, Panel, ScrollArea, Ui};

use super::super::now_page::NowPage;
use super::detail::detail_ui;
use super::now_list::list_ui;
use super::pipelines::first_start_ui;
use super::timeline::timeline_ui;
use super::{Commands, View};
use crate::ui::theme;

/// The smallest height of the selected run's card.
const DETAIL: f32 = 236.0;

pub(crate) fn now_ui(ui: &mut Ui, view: View<'_>, page: &mut NowPage, out: &mut Commands) {
    let has_runs = view.store.living().len() + view.store.recent().len() > 0;
    if !view.store.machine().is_empty() {
        Panel::bottom("timeline")
            .frame(Frame::NONE.inner_margin(Margin { top: theme::GAP as i8, ..Margin::ZERO }))
            .show_separator_line(false)
            .show(ui, |ui| timeline_ui(ui, view, out));
    }
    ui.spacing_mut().item_spacing.y = theme::GAP;
    if !has_runs {
        if view.store.is_loaded() {
            ScrollArea::vertical().id_salt("now").show(ui, |ui| first_start_ui(ui, view, out));
        }
        return;
    }
    let has_selected = view.store.selected().is_some();
    let detail = if has_selected { DETAIL + theme::GAP } else { 0.0 };
    list_ui(ui, view, page, ui.available_height() - detail, out);
    if has_selected {
        let height = (ui.available_height() - 2.0).max(DETAIL);
        detail_ui(ui, view, height, out);
    }
}
