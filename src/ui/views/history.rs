//! Ended runs: all that match the filter, the newest or the longest first, and below them the selected one.

use egui::{
    Align2, ComboBox, CornerRadius, Key, Modifiers, Rect, Role, Sense, TextEdit, Ui, UiBuilder, pos2, vec2,
};

use super::super::command::Command;
use super::super::history_filter::{HistoryState, HistoryTime};
use super::super::widgets::{
    AccessibleName, Card, Icon, Lever, Tone, label_at, levers_before, levers_width, one_line, segments_at,
    segments_width, text_width,
};
use super::detail::{DetailLayout, detail_ui};
use super::history_trend::{TREND, trend_ui};
use super::recent::{EndedRow, RowTime, ended_row_ui};
use super::{Commands, View};
use crate::run::RunState;
use crate::ui::room::Room;
use crate::ui::{format, theme};
use crate::window::HistoryOrder;

/// The least height of the selected run's card, where the window is low.
const MIN_DETAIL: f32 = 170.0;
/// Its most.
const DETAIL: f32 = 300.0;
/// How many rows of the list are visible at least; with less room, the steps of the trend's runs are not shown.
const LEAST_ROWS: f32 = 3.0;
/// The height of the line below the rows.
const FOOT: f32 = 40.0;
/// Why the lever that compares can't be pulled.
const CHOOSE_TWO: &str = "choose two";
/// The width of the scroll bar.
const BAR: f32 = 10.0;

pub(crate) fn history_ui(ui: &mut Ui, view: View<'_>, page: &mut HistoryState, out: &mut Commands) {
    ui.spacing_mut().item_spacing.y = theme::GAP;
    let before = page.list();
    filter_ui(ui, view, page, out);
    let has_selected = view.store.selected().is_some();
    let trend = view.store.history().trend();
    let detail = (ui.available_height() * 0.45).clamp(MIN_DETAIL, DETAIL);
    // In a low window the selected run needs the room.
    let has_room = !has_selected || ui.available_height() > TREND + DETAIL + 200.0;
    if !trend.is_empty() && has_room {
        let least = theme::CARD_HEAD + LEAST_ROWS * view.row() + FOOT;
        let below = least + if has_selected { detail + theme::GAP } else { 0.0 };
        let room = ui.available_height() - below - theme::GAP;
        trend_ui(ui, view, (trend, room), &mut page.hides_grid, out);
    }
    list_ui(ui, view, page, if has_selected { detail + theme::GAP } else { 0.0 }, out);
    if page.list() != before {
        page.go_to_top();
        page.marked.clear();
    }
    if has_selected {
        detail_ui(ui, view, detail, DetailLayout::Low, out);
    }
}

/// The fields of the filter, and the lever that clears them.
fn filter_ui(ui: &mut Ui, view: View<'_>, page: &mut HistoryState, out: &mut Commands) {
    let is_filtered = page.is_filtered();
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 8.0;
        let width = ui.available_width();
        let is_wide = width > 900.0;
        let is_roomy = Room::of(ui.ctx()).is_wide();
        let short = |wide: f32, narrow: f32| if is_roomy { wide } else { narrow };
        let pipelines = view.store.history().pipelines();
        let any = |text: Option<&str>| text.unwrap_or("any").to_owned();
        let chosen = any(page.pipeline.as_ref().map(|id| id.as_str()));
        combo(ui, ("Pipeline", &chosen), if is_wide { 220.0 } else { short(150.0, 118.0) }, |ui| {
            ui.selectable_value(&mut page.pipeline, None, "any");
            for id in pipelines {
                ui.selectable_value(&mut page.pipeline, Some(id.clone()), one_line(id.as_str()));
            }
        });
        let chosen = any(page.state.map(state_word));
        combo(ui, ("State", &chosen), if is_wide { 140.0 } else { short(118.0, 100.0) }, |ui| {
            ui.selectable_value(&mut page.state, None, "any");
            for state in RunState::ALL.iter().copied().filter(|state| state.is_ended()) {
                ui.selectable_value(&mut page.state, Some(state), state_word(state));
            }
        });
        let mut time = page.time();
        combo(ui, ("Time", time.text()), if is_wide { 160.0 } else { short(130.0, 100.0) }, |ui| {
            for one in HistoryTime::ALL {
                ui.selectable_value(&mut time, one, one.text());
            }
        });
        page.set_time(time, view.now);
        let clear = Command::ClearRunFilter;
        let lever = Lever::of(&clear).enabled_if(is_filtered);
        let lever = if is_roomy { lever } else { lever.text("") };
        let room = ui.available_width() - lever.width(ui) - 8.0;
        let edit = TextEdit::singleline(&mut page.text)
            .id(ui.scope_id().with("history text"))
            .hint_text("Text in names, messages, errors")
            .margin(vec2(9.0, 6.0))
            .desired_width((room - 20.0).clamp(80.0, 360.0));
        let _ = ui.add(edit).accessible_name("Text in names, messages, errors");
        let place = ui.max_rect();
        let mut right = place.right();
        if lever.ui_before(ui, &mut right, place, theme::LEVER).clicked() {
            out.push(clear);
        }
    });
}

fn state_word(state: RunState) -> &'static str {
    match state {
        RunState::ForceStopped => "force stopped",
        RunState::Queued
        | RunState::Running
        | RunState::Paused
        | RunState::Stopping
        | RunState::Stopped
        | RunState::Completed
        | RunState::Failed
        | RunState::Interrupted => state.as_str(),
    }
}

fn combo(ui: &mut Ui, (name, chosen): (&str, &str), width: f32, choices: impl FnOnce(&mut Ui)) {
    let named = format!("{name}: {chosen}");
    let combo = ComboBox::from_id_salt(name).width(width).truncate();
    let shown = combo.selected_text(one_line(&named)).show_ui(ui, choices);
    let _ = shown.response.accessible_name(named);
}

/// The card of the rows, with `below` left free under it.
fn list_ui(ui: &mut Ui, view: View<'_>, page: &mut HistoryState, below: f32, out: &mut Commands) {
    let history = view.store.history();
    let n_known = history.n_known();
    let height = ui.available_height() - below - theme::CARD_HEAD - FOOT - 4.0;
    let n_visible = (height / view.row()).floor().max(1.0) as usize;
    page.fit(n_known, n_visible);
    let card = if history.is_whole() { Card::new("Ended").count(n_known) } else { Card::new("Ended") };
    card.show(ui, |ui, rect| {
        head_at(ui, rect, view, page, out);
        let size = vec2(ui.available_width(), n_visible as f32 * view.row());
        let (_, rect) = ui.allocate_space(size);
        if n_known == 0 {
            nothing_ui(ui, rect, view, page, out);
        } else {
            rows_ui(ui, rect, view, page, out);
        }
        let (_, foot) = ui.allocate_space(vec2(ui.available_width(), FOOT));
        foot_at(ui, foot, view, page, out);
    });
}

/// How many there are in all, what is new, and the order.
fn head_at(ui: &mut Ui, rect: Rect, view: View<'_>, page: &mut HistoryState, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let orders = [
        (HistoryOrder::Newest, "Newest", "Order: newest first"),
        (HistoryOrder::Longest, "Longest", "Order: longest first"),
    ];
    let mut right = rect.right() - segments_width(ui, &orders) - 10.0;
    let n_new = view.store.history().n_new();
    if n_new > 0 {
        let command = Command::ShowNewRuns;
        let lever = Lever::of(&command)
            .tone(Tone::Marked(tokens.accent))
            .text(format!("{} new", format::whole(n_new)));
        if lever.ui_before(ui, &mut right, rect, 28.0).clicked() {
            out.push(command);
        }
    }
    page.order = segments_at(ui, rect, page.order, &orders).0.unwrap_or(page.order);
    if page.is_filtered()
        && let Some(n_ended) = view.store.n_ended()
    {
        let text = format!("of {} that have ended", format::whole(n_ended));
        let style = (theme::small(), tokens.muted);
        let at = pos2(right - 6.0, rect.center().y);
        let place = label_at(ui, at, Align2::RIGHT_CENTER, text.as_str(), style, 200.0);
        ui.interact(place, ui.scope_id().with("of all"), Sense::hover()).says(Role::Label, &text);
    }
}

/// What stands in the place of the rows if there are none.
fn nothing_ui(ui: &mut Ui, rect: Rect, view: View<'_>, page: &HistoryState, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let is_filtered = page.is_filtered();
    let text = match (view.store.history().is_whole(), is_filtered) {
        (false, false) => "Reading the runs…",
        (false, true) => "Searching…",
        (true, false) => "Runs that have ended are listed here; Start… runs the first one",
        (true, true) => "No run matches the filter",
    };
    let at = rect.center() - vec2(0.0, 20.0);
    let place = label_at(ui, at, Align2::CENTER_CENTER, text, (theme::body(), tokens.muted), rect.width());
    ui.interact(place, ui.scope_id().with("nothing"), Sense::hover()).says(Role::Label, text);
    if is_filtered && view.store.history().is_whole() {
        let clear = Command::ClearRunFilter;
        let text = "Show all runs";
        let lever = Lever::icon(Icon::List, text).text(text).tone(Tone::Plain);
        let size = vec2(lever.width(ui), theme::LEVER);
        let place = Rect::from_center_size(rect.center() + vec2(0.0, 18.0), size);
        if lever.ui_at(ui, place).clicked() {
            out.push(clear);
        }
    }
}

/// The visible rows, always whole ones, and the scroll bar beside them. Not a scroll area: with a million rows, its
/// offsets are larger than what its numbers can tell apart.
fn rows_ui(ui: &mut Ui, rect: Rect, view: View<'_>, page: &mut HistoryState, out: &mut Commands) {
    let history = view.store.history();
    let n_known = history.n_known();
    turn_by_input(ui, (rect, view.row()), page, n_known);
    let n_visible = page.rows().len();
    page.fit(n_known, n_visible);
    let has_bar = n_known > n_visible;
    let list =
        Rect::from_min_max(rect.min, pos2(rect.right() - if has_bar { BAR } else { 0.0 }, rect.bottom()));
    let mut rows = ui.new_child(UiBuilder::new().max_rect(list));
    rows.spacing_mut().item_spacing.y = 0.0;
    for at in page.rows() {
        let Some(run) = history.row(at) else {
            rows.add_space(view.row());
            continue;
        };
        let is_selected = view.store.selected().is_some_and(|entry| entry.run.run_id == run.run_id);
        let row = EndedRow {
            run,
            time: RowTime::Started,
            is_selected: is_selected || page.marked.contains(&run.run_id),
            is_last: false,
        };
        let response = ended_row_ui(&mut rows, view, &row, out);
        if response.double_clicked() {
            out.push(Command::OpenRun(run.run_id.clone()));
        } else if response.clicked() {
            let modifiers = ui.input(|input| input.modifiers);
            if modifiers.command {
                page.toggle(at, &run.run_id);
            } else if modifiers.shift {
                page.mark_to(at, history);
            } else {
                page.begin_at(at);
                out.push(Command::Select(Some(run.run_id.clone())));
            }
        }
    }
    if has_bar {
        let bar = Rect::from_min_max(pos2(list.right(), rect.top()), rect.max);
        bar_ui(ui, bar, page, n_known);
    }
}

/// Moves the rows as the wheel and the keys say.
fn turn_by_input(ui: &Ui, (rect, row): (Rect, f32), page: &mut HistoryState, n_known: usize) {
    if ui.rect_contains_pointer(rect) {
        let turned = ui.input_mut(|input| std::mem::take(&mut input.smooth_scroll_delta.y));
        page.turn(-turned / row);
    }
    if ui.ctx().text_edit_focused() || egui::Popup::is_any_open(ui.ctx()) {
        return;
    }
    let n_visible = page.rows().len();
    let first = page.rows().start;
    let goals = [
        (Key::PageDown, first + n_visible),
        (Key::PageUp, first.saturating_sub(n_visible)),
        (Key::Home, 0),
        (Key::End, n_known),
    ];
    for (key, goal) in goals {
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, key)) {
            page.go_to(goal);
        }
    }
}

/// The scroll bar: a click or a drag goes to that part of the list.
fn bar_ui(ui: &Ui, rect: Rect, page: &mut HistoryState, n_known: usize) {
    let tokens = theme::tokens(ui);
    let shown = page.rows();
    // Without the keyboard, which scrolls the rows themselves.
    let response = ui.interact(rect, ui.scope_id().with("history bar"), Sense::CLICK | Sense::DRAG);
    response.says(Role::ScrollBar, &rows_text(page, n_known, true));
    let n_hidden = n_known.saturating_sub(shown.len()).max(1);
    let thumb = (rect.height() * shown.len() as f32 / n_known as f32).clamp(24.0, rect.height());
    let way = rect.height() - thumb;
    if let Some(pos) = response.interact_pointer_pos() {
        let share = f64::from(((pos.y - rect.top() - thumb / 2.0) / way.max(1.0)).clamp(0.0, 1.0));
        page.go_to((share * n_hidden as f64).round() as usize);
    }
    let top = rect.top() + way * (page.rows().start as f64 / n_hidden as f64).min(1.0) as f32;
    let place = Rect::from_min_size(pos2(rect.left() + 2.0, top), vec2(rect.width() - 4.0, thumb));
    let is_held = response.hovered() || response.dragged();
    let ink = if is_held { tokens.muted } else { tokens.line };
    ui.painter().rect_filled(place, CornerRadius::same(3), ink);
}

fn rows_text(page: &HistoryState, n_known: usize, is_whole: bool) -> String {
    let rows = page.rows();
    let end = rows.end.min(n_known);
    let more = if is_whole { "" } else { " or more" };
    format!(
        "Rows {} to {} of {}{more}",
        format::whole(rows.start + 1),
        format::whole(end),
        format::whole(n_known)
    )
}

/// Which rows are visible, and the levers for the marked runs.
fn foot_at(ui: &mut Ui, rect: Rect, view: View<'_>, page: &HistoryState, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    ui.painter().hline(rect.x_range(), rect.top(), egui::Stroke::new(1.0, tokens.line));
    let rect = rect.shrink2(vec2(theme::GAP, 0.0));
    let history = view.store.history();
    let n_marked = page.marked.len();
    let text = if n_marked > 0 {
        format!("{} marked", format::whole(n_marked))
    } else if history.n_known() > 0 {
        rows_text(page, history.n_known(), history.is_whole())
    } else {
        return;
    };
    let at = rect.left_center();
    let style = (theme::small(), tokens.muted);
    let place = label_at(ui, at, Align2::LEFT_CENTER, text.as_str(), style, rect.width() / 2.0);
    ui.interact(place, ui.scope_id().with("foot"), Sense::hover()).says(Role::Label, &text);
    if n_marked > 0 {
        marked_levers_at(ui, Rect::from_min_max(pos2(place.right(), rect.top()), rect.max), page, out);
    } else {
        let text = "Ctrl or Shift marks several, M the selected one";
        label_at(ui, rect.right_center(), Align2::RIGHT_CENTER, text, (theme::small(), tokens.muted), 300.0);
    }
}

/// The levers for the marked runs, each always in its place.
fn marked_levers_at(ui: &mut Ui, rect: Rect, page: &HistoryState, out: &mut Commands) {
    let lever = |command: Command| (Lever::of(&command), command);
    let [retry, delete, unmark] =
        [Command::RetryMarked, Command::AskDeleteMarked, Command::UnmarkRuns].map(lever);
    let compare = Command::CompareMarked;
    let lever = Lever::of(&compare).text("Compare");
    let refusal = if page.marked_pair().is_some() { None } else { Some(CHOOSE_TWO) };
    let lever = if let Some(why) = refusal { lever.refused(why) } else { lever };
    let first = [retry, (lever, compare)];
    let last = [delete, unmark];
    // The reason has its place also while there is none, so that no lever moves.
    let mut reason = text_width(ui, CHOOSE_TWO, theme::small()) + 8.0;
    let right = rect.right() - levers_width(ui, &last);
    if right - reason - levers_width(ui, &first) < rect.left() {
        reason = 0.0;
    } else if let Some(why) = refusal {
        let style = (theme::small(), theme::tokens(ui).muted);
        label_at(ui, pos2(right - reason + 2.0, rect.center().y), Align2::LEFT_CENTER, why, style, reason);
    }
    out.extend(levers_before(ui, &mut (right - reason), (rect, 28.0), first.into()));
    out.extend(levers_before(ui, &mut rect.right(), (rect, 28.0), last.into()));
}
