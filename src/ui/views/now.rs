//! The first page: living runs and those that have just ended, the selected one, and the machine at the bottom. In a wide
//! window the selected run has a panel of its own at the right, else a card below the list.

use egui::{Align2, Frame, Margin, Panel, Rect, Role, ScrollArea, Sense, Ui, UiBuilder, pos2, vec2};

use super::super::now_page::NowPage;
use super::super::widgets::{AccessibleName, Card, label_at};
use super::detail::{DetailLayout, detail_ui};
use super::now_list::list_ui;
use super::now_traffic::traffic_ui;
use super::pipelines::first_start_ui;
use super::timeline::timeline_ui;
use super::{Commands, View};
use crate::ui::theme;

/// The smallest height of the selected run's card.
const DETAIL: f32 = 236.0;
/// From this width on, the selected run has a panel at the right.
const WIDE: f32 = 1400.0;
/// In a lower window the selected run takes the place of the machine.
const LOW: f32 = 640.0;
/// On a narrower page the machine has no plots of disks and network.
const MIN_TRAFFIC: f32 = 760.0;

pub(crate) fn now_ui(ui: &mut Ui, view: View<'_>, page: &mut NowPage, out: &mut Commands) {
    let has_runs = view.store.living().len() + view.store.recent().len() > 0;
    let window = ui.ctx().content_rect();
    let is_wide = window.width() >= WIDE;
    let has_selected = view.store.selected().is_some();
    let has_room = is_wide || !has_selected || window.height() >= LOW;
    if (view.store.is_loaded() || !view.store.machine().is_empty()) && has_room {
        Panel::bottom("timeline")
            .frame(Frame::NONE.inner_margin(Margin { top: theme::GAP as i8, ..Margin::ZERO }))
            .show_separator_line(false)
            .show(ui, |ui| machine_ui(ui, view, out));
    }
    if !has_runs {
        if view.store.is_loaded() {
            ScrollArea::vertical().id_salt("now").show(ui, |ui| first_start_ui(ui, view, out));
        }
        return;
    }
    if is_wide {
        // Always there, so that no row changes its width under the pointer when it is selected.
        let width = (window.width() * 0.27).clamp(400.0, 760.0).round();
        Panel::right("selected run")
            .frame(Frame::NONE.inner_margin(Margin { left: theme::GAP as i8, ..Margin::ZERO }))
            .exact_size(width)
            .resizable(false)
            .show_separator_line(false)
            .show(ui, |ui| match view.store.selected() {
                Some(_) => detail_ui(ui, view, ui.available_height() - 2.0, DetailLayout::High, out),
                None => none_selected_ui(ui),
            });
    }
    ui.spacing_mut().item_spacing.y = theme::GAP;
    let is_below = has_selected && !is_wide;
    let detail = if is_below { DETAIL + theme::GAP } else { 0.0 };
    list_ui(ui, view, page, ui.available_height() - detail, out);
    if is_below {
        let height = (ui.available_height() - 2.0).max(DETAIL);
        detail_ui(ui, view, height, DetailLayout::Low, out);
    }
}

/// CPU, memory and the steps, and beside them disks and network.
fn machine_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let (left, width) = (ui.cursor().min, ui.available_width());
    if width < MIN_TRAFFIC {
        return timeline_ui(ui, view, out);
    }
    let traffic = (width * 0.2).clamp(176.0, 300.0).round();
    let rect = Rect::from_min_size(left, vec2(width - traffic - theme::GAP, 1.0));
    let mut child = ui.new_child(UiBuilder::new().max_rect(rect));
    timeline_ui(&mut child, view, out);
    let height = child.min_rect().height();
    let (_, whole) = ui.allocate_space(vec2(width, height));
    let rect = Rect::from_min_max(pos2(whole.right() - traffic, whole.top()), whole.max);
    traffic_ui(&mut ui.new_child(UiBuilder::new().max_rect(rect)), view, rect.height());
}

/// What the panel of the selected run says while none is selected.
fn none_selected_ui(ui: &mut Ui) {
    let height = ui.available_height() - 2.0;
    Card::frame(ui).show(ui, |ui| {
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), height));
        let text = "Select a run: its steps and its log are shown here";
        let style = (theme::body(), theme::tokens(ui).muted);
        let place = label_at(ui, rect.center(), Align2::CENTER_CENTER, text, style, rect.width() - 24.0);
        ui.interact(place, ui.scope_id().with("none selected"), Sense::hover()).says(Role::Label, text);
    });
}
