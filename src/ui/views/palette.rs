//! The palette: type a few letters of any possible command, and press Enter.

use egui::{Align2, Id, Key, Modal, Modifiers, Rect, ScrollArea, TextEdit, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::offers::{offered, with_shortcut};
use super::super::widgets::{Card, Corners, Icon, RowKind, label_at, row_ui};
use super::{Commands, View};
use crate::ui::theme;

const WIDTH: f32 = 560.0;
const ROW: f32 = 36.0;
const MAX_ROWS: f32 = 9.0;

/// The query, and the entry that Enter runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PaletteState {
    query: String,
    /// None until something is typed or an arrow key is pressed: Enter alone must not run a command.
    index: Option<usize>,
}

impl PaletteState {
    /// With the text that was typed in the frame that opened it.
    pub(crate) fn typed(query: String) -> Self {
        let index = (!query.is_empty()).then_some(0);
        Self { query, index }
    }
}

pub(crate) fn palette_ui(ui: &mut Ui, view: View<'_>, state: &mut PaletteState, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let keyed = with_shortcut(view.store, view.state.page);
    let (down, up, enter) = ui.input_mut(|input| {
        (
            input.consume_key(Modifiers::NONE, Key::ArrowDown),
            input.consume_key(Modifiers::NONE, Key::ArrowUp),
            input.consume_key(Modifiers::NONE, Key::Enter),
        )
    });
    if down {
        state.index = Some(state.index.map_or(0, |index| index + 1));
    }
    if up {
        state.index = state.index.map(|index| index.saturating_sub(1));
    }
    let mut chosen = None;

    let frame = Card::frame(ui).shadow(ui.visuals().window_shadow);
    let area = Modal::default_area(Id::unique("palette"))
        .anchor(Align2::CENTER_TOP, vec2(0.0, 90.0))
        .accessible_name(Command::OpenPalette.label().text);
    let modal = Modal::new(Id::unique("palette"))
        .area(area)
        .frame(frame)
        .backdrop_color(tokens.backdrop)
        .show(ui.ctx(), |ui| {
            ui.set_width(WIDTH);
            ui.spacing_mut().item_spacing.y = 0.0;
            let (_, head) = ui.allocate_space(vec2(WIDTH, 48.0));
            Icon::Search.paint(ui.painter(), pos2(head.left() + 22.0, head.center().y), 14.0, tokens.muted);
            let place =
                Rect::from_min_max(pos2(head.left() + 42.0, head.top() + 9.0), head.max - vec2(12.0, 9.0));
            let edit = TextEdit::singleline(&mut state.query)
                .hint_text("Start, pause, stop, show…")
                .frame(egui::Frame::NONE)
                .font(theme::body())
                .desired_width(place.width())
                .align(egui::Align2::LEFT_CENTER);
            let response = ui.put(place, edit).accessible_name("What to do");
            response.request_focus();
            if response.changed() {
                state.index = Some(0);
            }
            // After the text field was handled, so that Enter in the same frame applies to the new text.
            let found: Vec<Command> = offered(view.store)
                .into_iter()
                .filter(|command| matches_query(&command.name(), &state.query))
                .collect();
            state.index = state.index.map(|index| index.min(found.len().saturating_sub(1)));
            if enter {
                chosen = state.index.and_then(|index| found.get(index).cloned());
            }
            if found.is_empty() {
                let (_, rect) = ui.allocate_space(vec2(WIDTH, ROW));
                let style = (theme::body(), tokens.muted);
                let at = pos2(rect.left() + 42.0, rect.center().y);
                label_at(ui, at, Align2::LEFT_CENTER, "No action has this name", style, WIDTH);
            }
            let list = ScrollArea::vertical().max_height(MAX_ROWS * ROW).auto_shrink([false, true]);
            // Otherwise the list would keep the small height that it had for few entries.
            list.min_scrolled_height(MAX_ROWS * ROW).show_rows(ui, ROW, found.len(), |ui, range| {
                for at in range {
                    if entry_ui(ui, &found[at], Some(at) == state.index, at + 1 == found.len(), &keyed) {
                        chosen = Some(found[at].clone());
                    }
                }
            });
        });
    if let Some(command) = chosen {
        out.push(Command::CloseOverlay);
        out.push(command);
    } else if modal.should_close() {
        out.push(Command::CloseOverlay);
    }
}

fn entry_ui(ui: &mut Ui, command: &Command, is_selected: bool, is_last: bool, keyed: &[Command]) -> bool {
    let tokens = theme::tokens(ui);
    let name = command.name();
    let corners = if is_last { Corners::Bottom } else { Corners::Square };
    let kind = RowKind { name: &name, is_selected, corners };
    let (rect, response) = row_ui(ui, Id::unique(("palette", &name)), ROW, &kind);
    if is_selected && !ui.clip_rect().contains_rect(response.rect) {
        response.scroll_to_me(None);
    }
    let (y, label) = (rect.center().y, command.label());
    if let Some(icon) = label.icon {
        icon.paint(ui.painter(), pos2(rect.left() + 10.0, y), 12.0, tokens.muted);
    }
    let style = (theme::medium(), tokens.text);
    let text = label_at(ui, pos2(rect.left() + 30.0, y), Align2::LEFT_CENTER, label.text, style, WIDTH);
    if let Some(subject) = command.subject() {
        let at = pos2(text.right() + 8.0, y);
        label_at(
            ui,
            at,
            Align2::LEFT_CENTER,
            subject,
            (theme::mono(), tokens.muted),
            rect.right() - at.x - 90.0,
        );
    }
    // Keys of runs act only on the selected run.
    if let Some(shortcut) = label.shortcut.filter(|_| keyed.contains(command)) {
        let style = (theme::small(), tokens.muted);
        let key = ui.ctx().format_shortcut(&shortcut);
        label_at(ui, pos2(rect.right(), y), Align2::RIGHT_CENTER, key, style, 90.0);
    }
    response.clicked()
}

/// Whether every word of `query` is in `name`.
fn matches_query(name: &str, query: &str) -> bool {
    let name = name.to_lowercase();
    query.to_lowercase().split_whitespace().all(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::matches_query;

    #[test]
    fn every_word_typed_must_occur() {
        assert!(matches_query("Pause books-20261123", "bo pau"));
        assert!(matches_query("Pause books-20261123", ""));
        assert!(!matches_query("Pause books-20261123", "resume"));
    }
}
