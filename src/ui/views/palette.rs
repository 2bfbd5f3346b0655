//! The palette: type a few letters of any possible command, and press Enter.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use egui::{Align2, Id, Key, Modal, Modifiers, Rect, ScrollArea, TextEdit, Ui, pos2, vec2};
use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::super::command::Command;
use super::super::offers::{offered, other_names, with_shortcut};
use super::super::widgets::{Card, Corners, Icon, RowKind, label_at, row_ui};
use super::{Commands, View};
use crate::ui::room::{Room, fitted};
use crate::ui::theme;

const WIDTH: f32 = 560.0;
const ROW: f32 = 36.0;
const MAX_ROWS: f32 = 9.0;

/// The query, and the entry that Enter runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PaletteState {
    query: String,
    /// None until something is typed or an arrow key is pressed: Enter alone must not run a command.
    index: Option<usize>,
    found: Option<Found>,
}

/// What was found. It is searched anew for another query, and as time goes by: what can be done may have changed.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    query: String,
    at: DateTime<Utc>,
    n_jobs: usize,
    entries: Vec<Command>,
}

impl PaletteState {
    /// With the text that was typed in the frame that opened it.
    pub(crate) fn typed(query: String) -> Self {
        let index = (!query.is_empty()).then_some(0);
        Self { query, index, found: None }
    }

    fn search(&mut self, view: View<'_>) {
        let n_jobs = view.store.job_names().len();
        let is_new =
            |found: &Found| found.query == self.query && found.at == view.now && found.n_jobs == n_jobs;
        if !self.found.as_ref().is_some_and(is_new) {
            let entries = search(offered(view.store), &self.query, |command| {
                let other = other_names(view.store, command).unwrap_or_default();
                format!("{} {other}", command.name())
            });
            self.found = Some(Found { query: self.query.clone(), at: view.now, n_jobs, entries });
        }
    }

    fn entries(&self) -> &[Command] {
        self.found.as_ref().map_or(&[], |found| &found.entries)
    }
}

/// The commands whose names match, the best first; equally good ones in their order. After them the search of all runs
/// of the past, most of which have no command of their own here.
fn search(commands: Vec<Command>, query: &str, names: impl Fn(&Command) -> String) -> Vec<Command> {
    let query = query.trim().replace("...", "…");
    if query.is_empty() {
        return commands;
    }
    let pattern = Pattern::new(&query, CaseMatching::Ignore, Normalization::Smart, AtomKind::Fuzzy);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut chars = Vec::new();
    let mut scored: Vec<(u32, Command)> = commands
        .into_iter()
        .filter_map(|command| {
            let score = pattern.score(Utf32Str::new(&names(&command), &mut chars), &mut matcher)?;
            Some((score, command))
        })
        .collect();
    scored.sort_by_key(|(score, _)| Reverse(*score));
    let found = scored.into_iter().map(|(_, command)| command);
    found.chain([Command::SearchHistory(query)]).collect()
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
    let top = if Room::of(ui.ctx()) == Room::Tiny { 8.0 } else { 90.0 };
    let area = Modal::default_area(Id::unique("palette"))
        .anchor(Align2::CENTER_TOP, vec2(0.0, top))
        .accessible_name(Command::OpenPalette.label().text);
    let modal = Modal::new(Id::unique("palette"))
        .area(area)
        .frame(frame)
        .backdrop_color(tokens.backdrop)
        .show(ui.ctx(), |ui| {
            let width = fitted(ui.ctx(), WIDTH);
            ui.set_width(width);
            ui.spacing_mut().item_spacing.y = 0.0;
            let (_, head) = ui.allocate_space(vec2(width, 48.0));
            Icon::Search.paint(ui.painter(), pos2(head.left() + 22.0, head.center().y), 14.0, tokens.muted);
            let place =
                Rect::from_min_max(pos2(head.left() + 42.0, head.top() + 9.0), head.max - vec2(12.0, 9.0));
            let edit = TextEdit::singleline(&mut state.query)
                .hint_text("Start, pause, stop, show…")
                .frame(egui::Frame::NONE)
                .font(theme::body())
                .desired_width(place.width())
                .margin(vec2(6.0, 0.0))
                .align(egui::Align2::LEFT_CENTER);
            let response = ui.put(place, edit).accessible_name("What to do");
            response.request_focus();
            if response.changed() {
                state.index = Some(0);
            }
            // After the text field was handled, so that Enter in the same frame applies to the new text.
            state.search(view);
            let found = state.entries();
            let index = state.index.map(|index| index.min(found.len().saturating_sub(1)));
            if enter {
                chosen = index.and_then(|index| found.get(index).cloned());
            }
            // It keeps its height, so that no entry moves while one types.
            let window = ui.ctx().content_rect().height();
            let height = (MAX_ROWS * ROW).min(window - head.bottom() - 24.0).max(ROW);
            let list = ScrollArea::vertical().max_height(height).auto_shrink([false, false]);
            list.min_scrolled_height(height).show_rows(ui, ROW, found.len(), |ui, range| {
                for at in range {
                    if entry_ui(ui, &found[at], Some(at) == index, at + 1 == found.len(), &keyed) {
                        chosen = Some(found[at].clone());
                    }
                }
            });
            state.index = index;
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

#[cfg(test)]
mod tests {
    use super::super::super::command::Page;
    use super::*;
    use crate::base::id::RunId;

    /// The names of what is found among these.
    fn found(query: &str) -> Vec<String> {
        let run = |name: &str| Command::OpenRun(RunId::new(name).unwrap());
        let commands = vec![
            Command::AskStart("price-list".to_owned()),
            run("books-20261123"),
            run("nightly-books"),
            Command::Show(Page::Pipelines),
            Command::AskStopAll,
        ];
        search(commands, query, Command::name).iter().map(Command::name).collect()
    }

    #[test]
    fn words_match_in_any_order_and_with_letters_left_out_and_the_best_is_first() {
        for (query, first) in [
            ("books 2026", "Open the run books-20261123"),
            ("ngbk", "Open the run nightly-books"),
            ("PIPE", "Pipelines"),
            ("start...", "Start… price-list"),
            ("stop all…", "Stop all…"),
            ("prlist", "Start… price-list"),
        ] {
            assert_eq!(found(query)[0], first, "{query}");
        }
        assert_eq!(found("  ").len(), 5, "nothing typed leaves nothing out");
    }

    #[test]
    fn what_nothing_here_is_named_can_still_be_searched_in_the_past() {
        assert_eq!(found("zzz"), ["Search the history for zzz"]);
        assert_eq!(found("books").last().unwrap(), "Search the history for books");
    }
}
