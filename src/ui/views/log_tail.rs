//! The newest lines of a step's log. The view stays at the end unless the user scrolls up.

use std::borrow::Cow;

use egui::{Align2, Label, Rect, RichText, ScrollArea, TextWrapMode, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::log_page::LogCommand;
use super::super::widgets::{Lever, Tone, label_at, one_line};
use super::{Commands, View};
use crate::ui::{format, theme};
use crate::window::{LogTail, RunEntry};

/// The most characters of a line that are shown.
const MAX_LINE: usize = 600;

/// The log that is followed, in the whole of `ui`.
pub(crate) fn log_tail_ui(ui: &mut Ui, view: View<'_>, entry: &RunEntry, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    ui.spacing_mut().item_spacing.y = 0.0;
    let (_, head) = ui.allocate_space(vec2(ui.available_width(), 24.0));
    let left = pos2(head.left() + theme::GAP, head.center().y);
    let muted = (theme::small(), tokens.muted);
    let Some(log) = view.store.log() else {
        label_at(ui, left, Align2::LEFT_CENTER, "No step has begun", muted, head.width());
        return;
    };
    let title = format!("Log of {} · attempt {}", log.key.step_id, log.key.attempt);
    let title = label_at(ui, left, Align2::LEFT_CENTER, title, muted.clone(), head.width() * 0.6);
    let is_live = entry.steps().iter().any(|step| step.state.is_live());
    let is_chosen = view.store.chosen_step().is_some();
    let right = if is_chosen && is_live {
        let lever = Lever::of(&Command::ChooseStep(None)).tone(Tone::Quiet);
        let width = lever.width(ui);
        let place = Rect::from_min_size(pos2(head.right() - width, head.top() + 1.0), vec2(width, 22.0));
        if lever.ui_at(ui, place).clicked() {
            out.push(Command::ChooseStep(None));
        }
        place.left()
    } else {
        head.right()
    };
    let open = Command::Log(LogCommand::Open(log.key.clone().into()));
    let lever = Lever::of(&open).tone(Tone::Quiet);
    let place = vec2(lever.width(ui), 22.0);
    let place = Rect::from_min_size(pos2(right - place.x, head.top() + 1.0), place);
    if lever.ui_at(ui, place).clicked() {
        out.push(open);
    }
    let right = place.left() - theme::GRID;
    let Some(tail) = &log.tail else {
        let at = pos2(left.x, head.bottom() + 14.0);
        label_at(ui, at, Align2::LEFT_CENTER, "Reading the log…", muted, head.width());
        return;
    };
    let at = pos2(right, head.center().y);
    label_at(ui, at, Align2::RIGHT_CENTER, extent_text(tail), muted.clone(), right - title.right() - 16.0);
    if tail.lines.is_empty() {
        let at = pos2(left.x, head.bottom() + 14.0);
        let is_over =
            entry.steps().iter().any(|step| step.step_id == log.key.step_id && step.finished_at.is_some());
        let text = if is_over { "It wrote nothing" } else { "It has written nothing yet" };
        label_at(ui, at, Align2::LEFT_CENTER, text, muted, head.width());
        return;
    }
    lines_ui(ui, entry, log.key.step_id.as_str(), tail);
}

/// How much of the log is shown, and how much is lost.
fn extent_text(tail: &LogTail) -> String {
    let size = format::bytes(tail.total_bytes);
    match (tail.dropped_bytes, tail.truncated_front) {
        (0, false) => size,
        (0, true) => format!("the newest lines of {size}"),
        (dropped, _) => {
            format!("the newest lines of {size}; {} were dropped by its limit", format::bytes(dropped))
        }
    }
}

fn lines_ui(ui: &mut Ui, entry: &RunEntry, step_id: &str, tail: &LogTail) {
    let row_height = ui.text_style_height(&egui::TextStyle::Monospace) + 1.0;
    let rect = ui.available_rect_before_wrap().shrink2(vec2(theme::GAP, theme::GRID));
    let mut inner = ui.new_child(egui::UiBuilder::new().max_rect(rect));
    ScrollArea::both()
        .id_salt(("log", entry.run.run_id.as_str(), step_id))
        .auto_shrink([false, false])
        .stick_to_bottom(true)
        .show_rows(&mut inner, row_height, tail.lines.len(), |ui, range| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for line in &tail.lines[range] {
                let text = RichText::new(one_line(&shown_line(line))).font(theme::mono());
                ui.allocate_ui(vec2(ui.available_width(), row_height), |ui| {
                    ui.add(Label::new(text).wrap_mode(TextWrapMode::Extend));
                });
            }
        });
}

/// A line without colours and other control characters, and of bounded length.
fn shown_line(line: &str) -> Cow<'_, str> {
    let is_plain = line.len() <= MAX_LINE && !line.chars().any(char::is_control);
    if is_plain {
        return Cow::Borrowed(line);
    }
    // A terminal would show the text after the last carriage return.
    let line = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    let mut shown = String::new();
    let mut n_shown = 0;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                chars.by_ref().find(|c| ('@'..='~').contains(c));
            }
            '\t' => shown.push_str("    "),
            c if c.is_control() => {}
            c => shown.push(c),
        }
        n_shown += 1;
        if n_shown >= MAX_LINE {
            let rest = chars.count();
            if rest > 0 {
                shown.push_str(&format!("… and {rest} more characters"));
            }
            break;
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_without_control_characters_and_not_endlessly() {
        for (line, shown) in [
            ("page 12 of 30", "page 12 of 30"),
            ("\u{1b}[31mred\u{1b}[0m alert", "red alert"),
            ("10 %\r20 %\r30 %\r", "30 %"),
            ("a\tb\u{7}c", "a    bc"),
        ] {
            assert_eq!(shown_line(line), shown);
        }
        let shown = shown_line(&"x".repeat(100_000)).into_owned();
        assert!(shown.ends_with("… and 99400 more characters") && shown.len() < 700, "{shown}");
    }

    #[test]
    fn what_a_log_has_lost_is_said() {
        let tail =
            LogTail { lines: vec![], dropped_bytes: 3 << 30, total_bytes: 4 << 30, truncated_front: true };
        assert_eq!(extent_text(&tail), "the newest lines of 4.0 GiB; 3.0 GiB were dropped by its limit");
    }
}
