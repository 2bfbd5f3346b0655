//! The whole log of an attempt: only its visible lines are laid out. It has a scroll bar of its own, which counts lines:
//! the height of ten million of them in points has no exact `f32`.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Local, Utc};
use egui::text::{LayoutJob, TextFormat};
use egui::{
    Align2, ComboBox, CornerRadius, Event, Frame, Galley, Key, Margin, Modifiers, Rect, Role, Sense, Stroke,
    TextEdit, Ui, UiBuilder, pos2, vec2,
};

use super::super::command::Command;
use super::super::labels::log_label;
use super::super::log_page::{LogCommand, LogPage};
use super::super::widgets::{
    AccessibleName, Card, Icon, Lever, Tone, label_at, levers_before, region, text_width,
};
use super::{Commands, View};
use crate::base::id::AttemptKey;
use crate::ui::theme::Tokens;
use crate::ui::{format, theme};
use crate::window::{Action, Folder, LogOf, LogRow, LogView, Look};

const ROW: f32 = 18.0;
const BAR: f32 = 14.0;

/// The open log, in the whole of `ui`.
pub(crate) fn log_view_ui(
    ui: &mut Ui,
    view: View<'_>,
    log: &LogView,
    page: &mut LogPage,
    out: &mut Commands,
) {
    let title = match &log.of {
        LogOf::Attempt(key) => format!("Log of {}", key.step_id),
        LogOf::Merged(keys) => format!("{} logs, merged by time", keys.len()),
    };
    let height = ui.available_height();
    Card::new(&title).show(ui, |ui, head| {
        head_ui(ui, view, log, (&title, head), out);
        tools_ui(ui, log, page, out);
        let (_, rect) =
            ui.allocate_space(vec2(ui.available_width(), height - theme::CARD_HEAD - TOOLS - 2.0));
        ui.painter().hline(rect.x_range(), rect.top(), Stroke::new(1.0, theme::tokens(ui).line));
        let rect = rect.shrink2(vec2(1.0, 1.0));
        match remark_of(log) {
            Some(remark) => {
                let style = (theme::body(), theme::tokens(ui).muted);
                let at = rect.center();
                let place =
                    label_at(ui, at, Align2::CENTER_CENTER, remark.as_str(), style, rect.width() - 24.0);
                ui.interact(place, ui.scope_id().with("remark"), Sense::hover()).says(Role::Label, &remark);
            }
            None => lines_ui(ui, log, page, rect, out),
        }
    });
}

/// What is said instead of lines.
fn remark_of(log: &LogView) -> Option<String> {
    if let Some(trouble) = log.trouble() {
        return Some(format!("The log can't be read ({trouble}); close it and open it again"));
    }
    let text = match log.extent() {
        None => "Reading the log…",
        Some(extent) if !extent.exists => {
            "There is no log: the attempt has written nothing so far, or its log was removed"
        }
        Some(extent) if extent.log_len == 0 => "It has written nothing so far",
        Some(_) if log.is_filtered() && log.searched().is_empty() => "Type what the lines shall have",
        Some(_) => return None,
    };
    Some(text.to_owned())
}

/// Whose log it is, how long, the other attempts, and the lever that closes it.
fn head_ui(ui: &mut Ui, view: View<'_>, log: &LogView, (title, head): (&str, Rect), out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let close = Command::Log(LogCommand::Close);
    let place = Rect::from_center_size(pos2(head.right() - 6.0, head.center().y), vec2(26.0, 26.0));
    let mut right = place.left() - 6.0;
    let outside = log.of.attempt().map(|key| {
        let command = Command::Send(Action::OpenFolder(Folder::Log(key.clone())));
        let lever = Lever::of(&command).tone(Tone::Quiet);
        (lever.place_before(ui, &mut right, head, 26.0), lever, command)
    });
    let attempts = log.of.attempt().map(|key| (key, attempts_of(view, key))).filter(|(_, n)| *n > 1);
    let attempts = attempts.map(|(key, n_attempts)| {
        let place =
            Rect::from_min_max(pos2(right - 116.0, head.top() + 4.0), pos2(right, head.bottom() - 4.0));
        right = place.left() - 8.0;
        (place, key, n_attempts)
    });
    if let (Some(this), Some(all)) = both_of(view, &log.of) {
        let is_merged = log.of.attempt().is_none();
        let levers = [("One step", this, !is_merged), ("All steps, merged", all, is_merged)].map(
            |(text, of, is_on)| {
                let command = Command::Log(LogCommand::Open(of));
                let tone = if is_on { Tone::Marked(tokens.accent) } else { Tone::Quiet };
                (Lever::of(&command).text(text).named(text).without_icon().tone(tone), command)
            },
        );
        let pulled = levers_before(ui, &mut right, (head, 26.0), levers.into());
        // The one that is open already stays as it is.
        out.extend(pulled.filter(|pulled| *pulled != Command::Log(LogCommand::Open(log.of.clone()))));
    }
    if let Some((place, key, n_attempts)) = attempts {
        attempt_ui(&mut ui.new_child(UiBuilder::new().max_rect(place)), key, n_attempts, out);
    }
    if let Some((place, lever, command)) = outside
        && lever.ui_at(ui, place).clicked()
    {
        out.push(command);
    }
    if Lever::of(&close).icon_alone(Icon::Close).ui_at(ui, place).clicked() {
        out.push(close);
    }
    let mut left = head.left() + text_width(ui, title, theme::strong()) + 12.0;
    let style = (theme::mono(), tokens.muted);
    let run_id = match &log.of {
        LogOf::Attempt(key) => key.run_id.as_str(),
        LogOf::Merged(keys) => runs_text(keys),
    };
    let place = pos2(left, head.center().y);
    let width = (right - left - 170.0).max(0.0);
    left = label_at(ui, place, Align2::LEFT_CENTER, run_id, style, width).right() + 12.0;
    let Some(extent) = log.extent() else { return };
    let about = if extent.is_exact() { "" } else { "about " };
    let n_lines = format::number(extent.n_lines as f64);
    let size = format!("{about}{n_lines} lines · {}", format::bytes(extent.log_len));
    let (text, ink) = match extent.is_removed {
        true => (format!("{size} · its file was removed, it can be read until it is closed"), tokens.failed),
        false => (size, tokens.muted),
    };
    let at = pos2(right - 4.0, head.center().y);
    let shown = label_at(ui, at, Align2::RIGHT_CENTER, &*text, (theme::small(), ink), right - left);
    let role = if extent.is_removed { Role::Alert } else { Role::Label };
    ui.interact(shown, ui.scope_id().with("size"), Sense::hover()).says(role, &text);
}

/// Whose logs are merged.
fn runs_text(keys: &[AttemptKey]) -> &str {
    let first = keys.first().map_or("", |key| key.run_id.as_str());
    if keys.iter().all(|key| key.run_id.as_str() == first) { first } else { "of several runs" }
}

/// The log of one step of the run that it is of, and those of all its steps; none where that is the same or not known.
fn both_of(view: View<'_>, of: &LogOf) -> (Option<LogOf>, Option<LogOf>) {
    let key = match of {
        LogOf::Attempt(key) => Some(key),
        LogOf::Merged(keys) => keys.first(),
    };
    let Some(key) = key else { return (None, None) };
    let Some(entry) = view.store.run(&key.run_id) else { return (None, None) };
    let attempts = entry.steps().iter().flat_map(|step| {
        let key = |attempt| AttemptKey { run_id: key.run_id.clone(), step_id: step.step_id.clone(), attempt };
        (1..=step.attempt).map(key)
    });
    let all: Vec<AttemptKey> = attempts.take(MAX_MERGED).collect();
    let one = view.store.log().map_or(key, |log| &log.key);
    if all.len() < 2 { (None, None) } else { (Some(one.clone().into()), Some(LogOf::Merged(all.into()))) }
}

/// The most logs that are merged.
const MAX_MERGED: usize = 64;

/// The last attempt of its step, as far as known.
fn attempts_of(view: View<'_>, key: &AttemptKey) -> u32 {
    let entry = view.store.run(&key.run_id);
    let step = entry.and_then(|entry| entry.steps().iter().find(|step| step.step_id == key.step_id));
    step.map_or(key.attempt, |step| step.attempt.max(key.attempt))
}

fn attempt_ui(ui: &mut Ui, key: &AttemptKey, n_attempts: u32, out: &mut Commands) {
    let mut chosen = key.attempt;
    let combo = ComboBox::from_id_salt("attempt").width(ui.available_width());
    let shown = combo.selected_text(format!("Attempt {chosen}")).show_ui(ui, |ui| {
        for attempt in 1..=n_attempts {
            ui.selectable_value(&mut chosen, attempt, format!("Attempt {attempt} of {n_attempts}"));
        }
    });
    let _ = shown.response.accessible_name(format!("Attempt: {chosen}"));
    if chosen != key.attempt {
        let key = AttemptKey { attempt: chosen, ..key.clone() };
        out.push(Command::Log(LogCommand::Open(key.into())));
    }
}

const TOOLS: f32 = 40.0;

/// The search at the left, and how it is shown at the right.
fn tools_ui(ui: &mut Ui, log: &LogView, page: &mut LogPage, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), TOOLS));
    ui.painter().hline(rect.x_range(), rect.top(), Stroke::new(1.0, tokens.line));
    let inner = rect.shrink2(vec2(theme::GAP, 5.0));
    let field =
        Rect::from_min_size(inner.min, vec2((inner.width() * 0.28).clamp(140.0, 340.0), inner.height()));
    let frame = Frame::NONE
        .fill(tokens.bg)
        .stroke(Stroke::new(1.0, tokens.line))
        .corner_radius(CornerRadius::same(theme::LEVER_RADIUS))
        .inner_margin(Margin { left: 28, right: 8, top: 6, bottom: 6 });
    let edit = TextEdit::singleline(&mut page.query)
        .id(egui::Id::unique("log search"))
        .frame(frame)
        .font(theme::mono())
        .hint_text("Search the log")
        .desired_width(field.width());
    let find = log_label(&LogCommand::Find);
    let response = ui.put(field, edit).accessible_name(find.text).tip_with_key(find.text, find.shortcut);
    Icon::Search.paint(ui.painter(), pos2(field.left() + 14.0, field.center().y), 12.0, tokens.muted);
    if std::mem::take(&mut page.is_find_wanted) {
        response.request_focus();
    }
    if response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
        let back = ui.input(|input| input.modifiers.shift);
        out.push(Command::Log(if back { LogCommand::Previous } else { LogCommand::Next }));
        response.request_focus();
    }
    let mut left = field.right() + 8.0;
    let has_hits = log.found().is_some_and(|found| found.n_hits > 0);
    for (command, text) in [(LogCommand::Previous, "‹"), (LogCommand::Next, "›")] {
        let command = Command::Log(command);
        let place = Rect::from_min_size(pos2(left, inner.top()), vec2(28.0, inner.height()));
        if Lever::of(&command).text(text).enabled_if(has_hits).ui_at(ui, place).clicked() {
            out.push(command);
        }
        left = place.right() + 4.0;
    }
    let filter = Command::Log(LogCommand::Filter);
    let tone = if log.is_filtered() { Tone::Marked(tokens.accent) } else { Tone::Plain };
    let lever = Lever::of(&filter).tone(tone).enabled_if(log.is_filtered() || !log.searched().is_empty());
    let place = Rect::from_min_size(pos2(left, inner.top()), vec2(lever.width(ui), inner.height()));
    if lever.ui_at(ui, place).clicked() {
        out.push(filter);
    }
    left = place.right() + 4.0;
    let mut right = inner.right();
    let levers =
        [(LogCommand::Follow, page.follows), (LogCommand::Wrap, page.wraps)].map(|(command, is_on)| {
            let command = Command::Log(command);
            let tone = if is_on { Tone::Marked(tokens.accent) } else { Tone::Plain };
            let lever = Lever::of(&command).tone(tone);
            (lever.place_before(ui, &mut right, inner, inner.height()), lever, command)
        });
    let time = log.extent().and_then(|extent| extent.begun_at).map(|begun_at| {
        let place = Rect::from_min_max(pos2(right - TIME, inner.top()), pos2(right, inner.bottom()));
        right = place.left() - 6.0;
        (begun_at, place)
    });
    if page.selected.is_some() {
        let copy = Command::Log(LogCommand::Copy);
        if Lever::of(&copy).ui_before(ui, &mut right, inner, inner.height()).clicked() {
            out.push(copy);
        }
    }
    if let Some((begun_at, place)) = time {
        time_ui(ui, page, begun_at, place, out);
    }
    for (place, lever, command) in levers.into_iter().rev() {
        if lever.ui_at(ui, place).clicked() {
            out.push(command);
        }
    }
    if let Some(text) = hits_text(log) {
        let at = pos2(left + 6.0, inner.center().y);
        let shown =
            label_at(ui, at, Align2::LEFT_CENTER, &*text, (theme::small(), tokens.muted), right - at.x - 8.0);
        ui.interact(shown, ui.scope_id().with("hits"), Sense::hover()).says(Role::Status, &text);
    }
}

/// The width of the field for a time.
const TIME: f32 = 108.0;

/// The field for the time to go to.
fn time_ui(ui: &mut Ui, page: &mut LogPage, begun_at: DateTime<Utc>, place: Rect, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let is_wrong = !page.time.trim().is_empty() && page.moment(begun_at, &Local).is_none();
    let frame = Frame::NONE
        .fill(tokens.bg)
        .stroke(Stroke::new(1.0, if is_wrong { tokens.failed } else { tokens.line }))
        .corner_radius(CornerRadius::same(theme::LEVER_RADIUS))
        .inner_margin(Margin { left: 8, right: 8, top: 6, bottom: 6 });
    let edit = TextEdit::singleline(&mut page.time)
        .id(egui::Id::unique("log time"))
        .frame(frame)
        .font(theme::mono())
        .hint_text("Go to 14:05")
        .desired_width(place.width());
    let name = if is_wrong { "Go to time: write it as 14:05 or 14:05:30" } else { "Go to time" };
    let response = ui.put(place, edit).accessible_name(name).tip(name);
    if response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
        out.push(Command::Log(LogCommand::GoToTime));
        response.request_focus();
    }
}

/// How many lines match, and which of them is shown.
fn hits_text(log: &LogView) -> Option<String> {
    if log.searched().is_empty() {
        return None;
    }
    let Some(found) = log.found() else { return Some("Searching…".to_owned()) };
    let n_hits = format::number(found.n_hits as f64);
    let more = if found.is_whole { "" } else { "…" };
    Some(match (log.hit(), found.n_hits) {
        (_, 0) if found.is_whole => "No line has it".to_owned(),
        (_, 0) => "Searching…".to_owned(),
        (Some(hit), _) => format!("{} of {n_hits}{more}", format::number((hit.ordinal + 1) as f64)),
        (None, 1) => format!("1 line{more}"),
        (None, _) => format!("{n_hits} lines{more}"),
    })
}

fn lines_ui(ui: &mut Ui, log: &LogView, page: &mut LogPage, rect: Rect, out: &mut Commands) {
    let n_lines = log.n_lines();
    let bar = Rect::from_min_max(pos2(rect.right() - BAR, rect.top()), rect.max);
    let n_numbers = log.extent().map_or(0, |extent| extent.n_lines).max(100);
    let digits = "8".repeat(n_numbers.to_string().len());
    let gutter = text_width(ui, &digits, theme::mono()) + theme::GAP * 2.0;
    let text = Rect::from_min_max(
        pos2(rect.left() + gutter, rect.top() + 2.0),
        pos2(bar.left() - 4.0, rect.bottom()),
    );
    let n_fit = f64::from(text.height() / ROW);
    let width = if page.wraps { text.width() } else { f32::INFINITY };
    let max_top = if page.wraps { n_lines as f64 - 1.0 } else { n_lines as f64 - n_fit }.max(0.0);
    take_input(ui, page, rect, (n_fit, max_top), out);
    bar_ui(ui, log, page, bar, (n_fit, max_top));
    page.top =
        if page.follows { top_at_end(ui, log, page, (text.height(), width)) } else { page.top.min(max_top) };

    let mut inner = ui.new_child(UiBuilder::new().max_rect(rect));
    inner.set_clip_rect(
        Rect::from_min_max(rect.min, pos2(bar.left(), rect.bottom())).intersect(ui.clip_rect()),
    );
    region(&inner, Role::List, "Lines of the log");
    let first = page.top.floor() as u64;
    let (mut y, mut line) = (text.top(), first);
    while y < text.bottom() && line < n_lines {
        let galley = log.row(line).map(|row| layout(&inner, log, row, width));
        let height = galley.as_ref().map_or(ROW, |galley| (galley.size().y + 2.0).max(ROW));
        if line == first {
            y -= height * page.top.fract() as f32;
        }
        let place = Rect::from_min_max(pos2(rect.left(), y), pos2(bar.left(), y + height));
        row_ui(&mut inner, log, page, (line, galley), (place, text.left()));
        y += height;
        line += 1;
    }
    page.visible = first..line;
}

/// The top at which the last line ends at the bottom.
fn top_at_end(ui: &Ui, log: &LogView, page: &LogPage, (height, width): (f32, f32)) -> f64 {
    let mut line = log.n_lines();
    if !page.wraps {
        return (line as f64 - f64::from(height / ROW)).max(0.0);
    }
    let mut left = height;
    while line > 0 {
        line -= 1;
        let row = log.row(line).map(|row| layout(ui, log, row, width).size().y + 2.0);
        let row = row.unwrap_or(ROW).max(ROW);
        left -= row;
        if left <= 0.0 {
            return line as f64 + f64::from(-left / row);
        }
    }
    0.0
}

/// The wheel, and the keys when no text is typed and no dialog is open.
fn take_input(ui: &mut Ui, page: &mut LogPage, rect: Rect, (n_fit, max_top): (f64, f64), out: &mut Commands) {
    let is_under = ui.rect_contains_pointer(rect);
    let delta = ui.input(|input| input.smooth_scroll_delta());
    if is_under && delta != egui::Vec2::ZERO {
        page.scroll(f64::from(-delta.y / ROW), max_top);
        page.left = (page.left - delta.x).max(0.0);
    }
    let is_covered = ui.ctx().memory(|memory| memory.top_modal_layer().is_some());
    if is_covered || ui.ctx().text_edit_focused() || egui::Popup::is_any_open(ui.ctx()) {
        return;
    }
    let take = |key| ui.input_mut(|input| input.count_and_consume_key(Modifiers::NONE, key)) as f64;
    let by_lines = take(Key::ArrowDown) - take(Key::ArrowUp);
    let by_pages = take(Key::PageDown) - take(Key::PageUp);
    page.scroll(by_lines + by_pages * (n_fit - 1.0).max(1.0), max_top);
    if take(Key::Home) > 0.0 {
        page.scroll(-page.top - 1.0, max_top);
    }
    if take(Key::End) > 0.0 {
        page.follows = true;
    }
    let aside = (take(Key::ArrowRight) - take(Key::ArrowLeft)) as f32;
    page.left = (page.left + aside * 40.0).max(0.0);
    if page.selected.is_some() && ui.input(|input| input.events.contains(&Event::Copy)) {
        out.push(Command::Log(LogCommand::Copy));
    }
}

/// The scroll bar, with marks where lines match.
fn bar_ui(ui: &mut Ui, log: &LogView, page: &mut LogPage, bar: Rect, (n_fit, max_top): (f64, f64)) {
    let tokens = theme::tokens(ui);
    let share = (n_fit / log.n_lines().max(1) as f64).min(1.0) as f32;
    let thumb = (bar.height() * share).clamp(24.0_f32.min(bar.height()), bar.height());
    let way = bar.height() - thumb;
    // Without the keyboard, which scrolls the lines themselves.
    let response = ui.interact(bar, ui.scope_id().with("bar"), Sense::CLICK | Sense::DRAG);
    response.says(Role::ScrollBar, &format!("Line {} of {}", page.visible.start + 1, log.n_lines()));
    if let Some(at) = response.interact_pointer_pos().filter(|_| response.is_pointer_button_down_on()) {
        let part = f64::from(((at.y - bar.top() - thumb / 2.0) / way.max(1.0)).clamp(0.0, 1.0));
        page.top = part * max_top;
        page.follows = part >= 1.0;
    }
    let painter = ui.painter();
    painter.vline(bar.left(), bar.y_range(), Stroke::new(1.0, tokens.line));
    let part = if page.follows || max_top == 0.0 { 1.0 } else { (page.top / max_top).min(1.0) as f32 };
    let top = if max_top == 0.0 { bar.top() } else { bar.top() + way * part };
    let thumb = Rect::from_min_size(pos2(bar.left() + 3.0, top), vec2(BAR - 6.0, thumb));
    let ink = if response.hovered() || response.dragged() { tokens.muted } else { tokens.line };
    painter.rect_filled(thumb, CornerRadius::same(4), ink);
    let Some(found) = log.found().filter(|_| !log.is_filtered()) else { return };
    let height = bar.height() / found.places.len().max(1) as f32;
    for (at, _) in found.places.iter().enumerate().filter(|(_, is_hit)| **is_hit) {
        let top = bar.top() + height * at as f32;
        // At the right half, so that the thumb stays visible however many there are.
        let mark = Rect::from_min_size(pos2(bar.right() - 6.0, top), vec2(5.0, height.max(2.0)));
        painter.rect_filled(mark, CornerRadius::ZERO, tokens.paused);
    }
}

/// One line: its number, and its text or what is said instead.
fn row_ui(
    ui: &mut Ui,
    log: &LogView,
    page: &mut LogPage,
    (line, galley): (u64, Option<Arc<Galley>>),
    (place, left): (Rect, f32),
) {
    let tokens = theme::tokens(ui);
    let is_selected = page.selection().is_some_and(|lines| lines.contains(&line));
    let response = ui.interact(place, ui.scope_id().with(("line", line)), Sense::click_and_drag());
    let name = galley.as_ref().map_or("", |galley| galley.text());
    let number = log.number(line).unwrap_or(line);
    response.says_selected(Role::ListItem, is_selected, &format!("{}: {name}", number + 1));
    if response.clicked() || response.drag_started() {
        let extends = ui.input(|input| input.modifiers.shift);
        page.selected = match page.selected {
            Some((from, _)) if extends => Some((from, line)),
            Some((from, to)) if from == line && to == line => None,
            Some(_) | None => Some((line, line)),
        };
    }
    let is_pulled = ui.input(|input| input.pointer.is_decidedly_dragging());
    if is_pulled
        && response.contains_pointer()
        && let Some((from, _)) = page.selected
    {
        let is_ours = ui.ctx().dragged_id().is_some_and(|id| id == ui.scope_id().with(("line", from)));
        if is_ours {
            page.selected = Some((from, line));
        }
    }
    let is_hit = log.hit().is_some_and(|hit| hit.line == number) || log.reached() == Some(number);
    if is_selected || is_hit {
        let fill = if is_hit { tokens.tint(tokens.paused, 0.18) } else { tokens.tint(tokens.accent, 0.22) };
        ui.painter().rect_filled(place, CornerRadius::ZERO, fill);
    }
    let number = (number + 1).to_string();
    let at = pos2(left - theme::GAP, place.top() + ROW / 2.0);
    label_at(ui, at, Align2::RIGHT_CENTER, number, (theme::mono(), tokens.muted), left);
    if let Some(galley) = galley {
        let clip = Rect::from_min_max(pos2(left, place.top()), place.max);
        let painter = ui.painter().with_clip_rect(clip.intersect(ui.clip_rect()));
        let shift = if page.wraps { 0.0 } else { page.left };
        painter.galley(pos2(left - shift, place.top() + 1.0), galley, tokens.text);
    }
}

/// The layout of a line, with its colours and what matches marked.
fn layout(ui: &Ui, log: &LogView, row: &LogRow, width: f32) -> Arc<Galley> {
    let tokens = theme::tokens(ui);
    let mut job = LayoutJob { break_on_newline: false, ..LayoutJob::default() };
    job.wrap.max_width = width;
    let muted = TextFormat::simple(theme::mono(), tokens.muted);
    match row {
        LogRow::Dropped(n_bytes) => {
            let text = format!(
                "… {} were dropped here: the log is longer than its limit …",
                format::bytes(*n_bytes)
            );
            job.append(&text, 0.0, muted);
        }
        LogRow::Text { text, n_cut } => {
            let hits = hits_in(&text.text, log.searched());
            let whole = [(text.text.len(), Look::default())];
            let parts = if text.parts.is_empty() { &whole[..] } else { &text.parts[..] };
            let mut at = 0;
            for (end, look) in parts {
                for (range, is_hit) in split(at..*end, &hits) {
                    job.append(&text.text[range], 0.0, format_of(tokens, look, is_hit));
                }
                at = *end;
            }
            if *n_cut > 0 {
                job.append(&format!(" … and {} more", format::bytes(*n_cut)), 0.0, muted);
            }
        }
    }
    ui.painter().layout_job(job)
}

fn format_of(tokens: &Tokens, look: &Look, is_hit: bool) -> TextFormat {
    let ink = look.ink.map_or(tokens.text, |ink| tokens.log_ink(ink));
    let ink = if look.is_faint { tokens.muted } else { ink };
    let mut format = TextFormat::simple(theme::mono(), ink);
    if look.is_underlined {
        format.underline = Stroke::new(1.0, ink);
    }
    if is_hit {
        format.background = tokens.tint(tokens.paused, 0.45);
        format.color = tokens.text;
    }
    format
}

/// Where `searched` is in a line; letters are compared as the search does.
fn hits_in(text: &str, searched: &str) -> Vec<Range<usize>> {
    if searched.is_empty() {
        return Vec::new();
    }
    let ranges = |text: &str| text.match_indices(searched).map(|(at, hit)| at..at + hit.len()).collect();
    if searched.contains(char::is_uppercase) { ranges(text) } else { ranges(&text.to_ascii_lowercase()) }
}

/// A range in pieces that are hits or not.
fn split(range: Range<usize>, hits: &[Range<usize>]) -> Vec<(Range<usize>, bool)> {
    let mut pieces = Vec::new();
    let mut at = range.start;
    for hit in hits.iter().filter(|hit| hit.start < range.end && hit.end > range.start) {
        let hit = hit.start.max(range.start)..hit.end.min(range.end);
        pieces.push((at..hit.start, false));
        at = hit.end;
        pieces.push((hit, true));
    }
    pieces.push((at..range.end, false));
    pieces.retain(|(range, _)| !range.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches_is_marked_across_colours_as_the_search_finds_it() {
        assert_eq!(hits_in("Error, error", "error"), [0..5, 7..12]);
        assert_eq!(hits_in("Error, error, Error", "Error"), [0..5, 14..19]);
        assert!(hits_in("Error", "").is_empty());
        assert_eq!(split(0..3, &[1..5, 8..9]), [(0..1, false), (1..3, true)]);
        assert_eq!(split(3..8, &[1..5, 8..9]), [(3..5, true), (5..8, false)]);
    }
}
