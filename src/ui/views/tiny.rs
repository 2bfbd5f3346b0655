//! What a window shows that has room for one thing: the living runs, else those that have just ended, each with its state,
//! its progress and its levers as icons. The palette and all keys work as ever.

use egui::{Align2, Id, Rect, Role, ScrollArea, Sense, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::offers::{first_lever, second_lever};
use super::super::widgets::{
    AccessibleName, Card, Corners, Icon, Lever, RowKind, label_at, levers_before, numbers_at, progress_bar,
    row_ui,
};
use super::running::{place_text, pull_row, state_text};
use super::{Commands, View};
use crate::ui::{format, theme};
use crate::window::RunEntry;

/// The most rows; what is more is shown where there is more room.
const MAX_ROWS: usize = 50;

pub(crate) fn tiny_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let living: Vec<&RunEntry> = view.store.living().take(MAX_ROWS).collect();
    let ended = view.store.recent().take(MAX_ROWS).collect();
    let (title, rows): (_, Vec<&RunEntry>) =
        if living.is_empty() { ("Recent", ended) } else { ("Running", living) };
    let height = (ui.available_height() - theme::CARD_HEAD - 6.0).max(view.row());
    Card::new(title).show(ui, |ui, head| {
        let search = Command::OpenPalette;
        let lever = Lever::of(&search).text("");
        if lever.ui_before(ui, &mut (head.right() + 8.0), head, theme::LEVER).clicked() {
            out.push(search);
        }
        if rows.is_empty() {
            let (_, rect) = ui.allocate_space(vec2(ui.available_width(), view.row()));
            let text = if view.store.is_loaded() { "Nothing has run yet" } else { "Reading…" };
            let style = (theme::body(), theme::tokens(ui).muted);
            label_at(ui, rect.center(), Align2::CENTER_CENTER, text, style, rect.width());
            ui.interact(rect, ui.scope_id().with("nothing"), Sense::hover()).says(Role::Label, text);
            return;
        }
        let area = ScrollArea::vertical().max_height(height).min_scrolled_height(height);
        area.show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for (at, entry) in rows.iter().enumerate() {
                let corners = if at + 1 == rows.len() { Corners::Bottom } else { Corners::Square };
                run_ui(ui, view, entry, corners, out);
            }
        });
    });
}

/// A run in two lines: name and share, what it does and how far it is.
fn run_ui(ui: &mut Ui, view: View<'_>, entry: &RunEntry, corners: Corners, out: &mut Commands) {
    let run = &entry.run;
    let tokens = theme::tokens(ui);
    let (state, percent) = (state_text(run, view), format::percent(run.progress));
    let place = place_text(entry);
    let name = format!("{state}, {}, {}, {place}, {percent}", run.pipeline_id, run.run_id);
    let is_selected = view.store.selected().is_some_and(|selected| selected.run.run_id == run.run_id);
    let kind = RowKind { name: &name, is_selected, corners };
    let row_id = Id::unique(("tiny run", run.run_id.as_str()));
    let (rect, response) = row_ui(ui, row_id, view.row(), &kind);
    pull_row(&response, &run.run_id, out);
    let color = tokens.run_state(run.state);
    let mut right = rect.right();
    if !run.state.is_ended() {
        let levers = [first_lever(run), second_lever(run)].map(|action| {
            let command = Command::Send(action);
            (Lever::of(&command).text(""), command)
        });
        out.extend(levers_before(ui, &mut right, (rect, theme::lever_in(rect)), levers.into()));
    }
    let (upper, lower) = (rect.center().y - 9.0, rect.center().y + 8.0);
    let mark = Rect::from_center_size(pos2(rect.left() + 6.0, upper), vec2(12.0, 12.0));
    Icon::of_run(run.state).paint(ui.painter(), mark.center(), 12.0, color);
    let left = rect.left() + 20.0;
    let style = (theme::body(), tokens.text);
    let share = numbers_at(ui, pos2(right - 4.0, upper), Align2::RIGHT_CENTER, &percent, style);
    let style = (theme::medium(), tokens.text);
    let name = run.pipeline_id.as_str();
    label_at(ui, pos2(left, upper), Align2::LEFT_CENTER, name, style, share.left() - left - 8.0);
    let said = if run.state.is_ended() { state } else { place };
    let half = (right - left) * 0.6;
    let style = (theme::small(), tokens.muted);
    label_at(ui, pos2(left, lower), Align2::LEFT_CENTER, said, style, half - 8.0);
    let bar = Rect::from_min_max(pos2(left + half, lower - 3.0), pos2(right - 4.0, lower + 3.0));
    progress_bar(ui, bar, run.progress, color);
}
