//! The list of the first page: living runs and those that have just ended, in one list of which only the visible rows are
//! painted. Its head names the section at the top.

use chrono::TimeDelta;
use egui::{Align2, Popup, Rect, Role, ScrollArea, Sense, Stroke, Ui, UiBuilder, pos2, vec2};

use super::super::command::{Command, Page};
use super::super::now_page::{NowPage, NowRow, Section};
use super::super::widgets::{AccessibleName, Card, Corners, Lever, Tone, label_at};
use super::recent::{EndedRow, RowTime, ended_row_ui};
use super::running::{pull_row, run_row_ui, shown_usage};
use super::waiting::waiting_row_ui;
use super::{Commands, View};
use crate::base::id::RunId;
use crate::run::RunState;
use crate::ui::{format, theme};
use crate::window::{NowGroups, NowOrder, RunEntry};

/// The height of the head of a further section, and of a group.
const HEAD: f32 = 30.0;

/// The list, at most `max_height` high; nothing if there are no runs.
pub(super) fn list_ui(ui: &mut Ui, view: View<'_>, page: &mut NowPage, max_height: f32, out: &mut Commands) {
    let is_pointed_at = ui.ctx().pointer_hover_pos().is_some_and(|pos| page.place.contains(pos));
    page.arrange(view.store, is_pointed_at, view.now);
    page.seen.clear();
    let n_rows = page.rows().len();
    let (tops, total) = tops(page.rows(), view.row());
    let Some(section) = section_at(page, &tops) else { return };
    let height = total.min((max_height - theme::CARD_HEAD - 2.0).floor()).max(view.row());
    let offset = offset_to_selected(ui, view, page, &tops, height);
    let card = Card::new(section_text(section));
    let card = match count_of(view, section) {
        Some(count) => card.count(count),
        None => card,
    };
    card.show(ui, |ui, head| {
        head_at(ui, view, page, (head, section), out);
        let area = ScrollArea::vertical()
            .id_salt("rows")
            .max_height(height)
            .min_scrolled_height(height)
            .auto_shrink([false, true]);
        let area = match offset {
            Some(offset) => area.vertical_scroll_offset(offset),
            None => area,
        };
        let shown = area.show_viewport(ui, |ui, viewport| {
            ui.set_height(total);
            let first = tops.partition_point(|top| *top <= viewport.top()).saturating_sub(1);
            let end = tops.partition_point(|top| *top < viewport.bottom());
            let peak_memory = peak_memory(view, &page.rows()[first..end]);
            let whole = ui.max_rect();
            for at in first..end {
                let bottom = tops.get(at + 1).copied().unwrap_or(total);
                let (top, bottom) = (whole.top() + tops[at], whole.top() + bottom);
                let rect = Rect::from_x_y_ranges(whole.x_range(), top..=bottom);
                let corners = if at + 1 == n_rows { Corners::Bottom } else { Corners::Square };
                let mut child = ui.new_child(UiBuilder::new().max_rect(rect));
                let seen = row_ui(&mut child, view, &page.rows()[at], (corners, peak_memory), out);
                page.seen.extend(seen.map(|entry| entry.run.pipeline_id.clone()));
            }
        });
        (page.offset, page.place) = (shown.state.clamped_offset().y, shown.inner_rect);
    });
}

/// The top of each row, and where the last one ends. The head of the first section is that of the list.
fn tops(rows: &[NowRow], row_height: f32) -> (Vec<f32>, f32) {
    let mut end = 0.0;
    let tops = rows.iter().enumerate().map(|(at, row)| {
        let top = end;
        end += match row {
            NowRow::Section(..) if at == 0 => 0.0,
            NowRow::Section(..) | NowRow::Group(..) => HEAD,
            NowRow::Run(..) => row_height,
        };
        top
    });
    (tops.collect(), end)
}

/// The section at the top.
fn section_at(page: &NowPage, tops: &[f32]) -> Option<Section> {
    let sections = page.rows().iter().zip(tops).filter_map(|(row, top)| match row {
        NowRow::Section(section) => Some((*section, *top)),
        NowRow::Group(..) | NowRow::Run(..) => None,
    });
    // One whose own head is visible is not named above it.
    let above = |(at, (_, top)): &(usize, (Section, f32))| *at == 0 || *top + HEAD <= page.offset;
    let last = sections.enumerate().take_while(above).last();
    last.map(|(_, (section, _))| section)
}

/// The number of its runs, as they are, though their rows keep their places; none of ended runs, of which only the newest
/// are listed here.
fn count_of(view: View<'_>, section: Section) -> Option<usize> {
    match section {
        Section::Running => Some(view.store.living().filter(|entry| !entry.is_waiting()).count()),
        Section::Waiting => Some(view.store.living().filter(|entry| entry.is_waiting()).count()),
        Section::Recent => None,
    }
}

const fn section_text(section: Section) -> &'static str {
    match section {
        Section::Running => "Running",
        Section::Waiting => "Waiting",
        Section::Recent => "Recent",
    }
}

/// The offset to scroll to when another run was selected and its row is not visible.
fn offset_to_selected(ui: &Ui, view: View<'_>, page: &mut NowPage, tops: &[f32], height: f32) -> Option<f32> {
    let selected: Option<&RunId> = view.store.selected().map(|entry| &entry.run.run_id);
    if selected == page.revealed.as_ref() {
        return None;
    }
    if (page.height - height).abs() > 0.5 {
        // The card of the selected run has just taken its room. The scroll area springs back from an offset that the
        // height of the frame before does not allow.
        page.height = height;
        ui.ctx().request_repaint();
        return None;
    }
    page.revealed = selected.cloned();
    let at = page.rows().iter().position(|row| match row {
        NowRow::Run(_, run_id) => Some(run_id) == selected,
        NowRow::Section(..) | NowRow::Group(..) => false,
    })?;
    let lowest = (tops[at] + view.row() - height).max(0.0);
    Some(page.offset.clamp(lowest, tops[at].max(lowest)))
}

/// The largest memory of all visible curves, so that they share one scale; none if no run was measured.
fn peak_memory(view: View<'_>, rows: &[NowRow]) -> Option<u64> {
    let entries = rows.iter().filter_map(|row| match row {
        NowRow::Run(_, run_id) => view.store.run(run_id),
        NowRow::Section(..) | NowRow::Group(..) => None,
    });
    entries.flat_map(shown_usage).map(|usage| usage.memory_bytes).max()
}

/// One row; returns its run.
fn row_ui<'a>(
    ui: &mut Ui,
    view: View<'a>,
    row: &NowRow,
    (corners, peak_memory): (Corners, Option<u64>),
    out: &mut Commands,
) -> Option<&'a RunEntry> {
    let (section, run_id) = match row {
        NowRow::Section(section) => {
            section_ui(ui, *section, count_of(view, *section), out);
            return None;
        }
        NowRow::Group(name, count) => {
            band_ui(ui, name, &format::count(*count, "run"), false);
            return None;
        }
        NowRow::Run(section, run_id) => (*section, run_id),
    };
    let entry = view.store.run(run_id)?;
    if entry.is_waiting() {
        waiting_row_ui(ui, view, entry, corners, out);
    } else if section == Section::Recent && entry.run.state.is_ended() {
        let selected = view.store.selected();
        let row = EndedRow {
            run: &entry.run,
            time: RowTime::Ended,
            is_selected: selected.is_some_and(|selected| selected.run.run_id == *run_id),
            is_last: corners == Corners::Bottom,
        };
        let response = ended_row_ui(ui, view, &row, out);
        pull_row(&response, run_id, out);
    } else {
        run_row_ui(ui, view, entry, (corners, peak_memory), out);
    }
    Some(entry)
}

fn section_ui(ui: &mut Ui, section: Section, count: Option<usize>, out: &mut Commands) {
    let count = count.map(format::whole).unwrap_or_default();
    let rect = band_ui(ui, section_text(section), &count, true);
    if section == Section::Recent {
        all_lever_at(ui, rect, out);
    }
}

/// The head of a section or a group within the list.
fn band_ui(ui: &mut Ui, name: &str, count: &str, is_section: bool) -> Rect {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), HEAD));
    ui.painter().rect_filled(rect, 0.0, tokens.panel.lerp_to_gamma(tokens.bg, 0.6));
    ui.painter().hline(rect.x_range(), rect.top(), Stroke::new(1.0, tokens.line));
    let inner = rect.shrink2(vec2(theme::GAP, 0.0));
    let (style, ink) =
        if is_section { (theme::strong(), tokens.text) } else { (theme::medium(), tokens.muted) };
    let title =
        label_at(ui, inner.left_center(), Align2::LEFT_CENTER, name, (style, ink), inner.width() - 120.0);
    let at = pos2(title.right() + 10.0, inner.center().y);
    label_at(ui, at, Align2::LEFT_CENTER, count, (theme::small(), tokens.muted), 100.0);
    let response = ui.interact(rect, ui.scope_id().with(("band", name)), Sense::hover());
    response.says(Role::Heading, format!("{name} {count}").trim_end());
    inner
}

/// The lever that shows all ended runs.
fn all_lever_at(ui: &mut Ui, rect: Rect, out: &mut Commands) {
    let command = Command::Show(Page::History);
    let lever = Lever::of(&command).without_icon().text("All").tone(Tone::Quiet);
    if lever.ui_before(ui, &mut (rect.right() + 12.0), rect, HEAD - 4.0).clicked() {
        out.push(command);
    }
}

/// The order and the groups at the right of the head, new runs at its left, and a summary of the last hour between them.
fn head_at(
    ui: &mut Ui,
    view: View<'_>,
    page: &NowPage,
    (rect, section): (Rect, Section),
    out: &mut Commands,
) {
    let height = theme::LEVER - 4.0;
    let mut right = rect.right() + if section == Section::Recent { -44.0 } else { 8.0 };
    // Only living runs have an order and groups.
    let is_living = |row: &NowRow| matches!(row, NowRow::Section(Section::Running | Section::Waiting));
    let levers = page.rows().iter().any(is_living).then(|| {
        let groups = Lever::of(&Command::GroupNow(page.groups)).text(page.groups.text()).tone(Tone::Quiet);
        let groups = groups.named(format!("Groups: {}", page.groups.text())).with_menu();
        let place_of_groups = groups.place_before(ui, &mut right, rect, height);
        let order = Lever::of(&Command::OrderNow(page.order)).text(page.order.text()).tone(Tone::Quiet);
        let order = order.named(format!("Order: {}", page.order.text())).with_menu();
        let place_of_order = order.place_before(ui, &mut right, rect, height);
        ((order, place_of_order), (groups, place_of_groups))
    });
    let mut left = rect.left() + 110.0;
    if page.n_new() > 0 {
        let command = Command::ShowNewRows;
        let text = format!("{} new", page.n_new());
        let lever = Lever::of(&command)
            .named(format!("Show {text}"))
            .text(text)
            .tone(Tone::Marked(theme::tokens(ui).accent));
        let width = lever.width(ui);
        let place = Rect::from_center_size(pos2(left + width / 2.0, rect.center().y), vec2(width, height));
        if lever.ui_at(ui, place).clicked() {
            out.push(command);
        }
        left = place.right();
    }
    if let Some(((order, place_of_order), (groups, place_of_groups))) = levers {
        let order = order.ui_at(ui, place_of_order);
        menu(&order, NowOrder::ALL, page.order, NowOrder::text, Command::OrderNow, out);
        let groups = groups.ui_at(ui, place_of_groups);
        menu(&groups, NowGroups::ALL, page.groups, NowGroups::text, Command::GroupNow, out);
    }
    if section == Section::Recent {
        all_lever_at(ui, rect, out);
    }
    summary_at(ui, view, Rect::from_min_max(pos2(left + theme::GAP, rect.top()), pos2(right, rect.bottom())));
}

/// A menu of a choice of one.
fn menu<T: Copy + PartialEq>(
    response: &egui::Response,
    all: impl IntoIterator<Item = T>,
    chosen: T,
    text: impl Fn(T) -> &'static str,
    command: impl Fn(T) -> Command,
    out: &mut Commands,
) {
    Popup::menu(response).show(|ui| {
        ui.set_min_width(150.0);
        for one in all {
            if ui.radio(one == chosen, text(one)).clicked() {
                out.push(command(one));
                ui.close();
            }
        }
    });
}

/// A summary of the last hour.
fn summary_at(ui: &Ui, view: View<'_>, rect: Rect) {
    let hour = view.now - TimeDelta::hours(1);
    let in_hour = || view.store.recent().take_while(|entry| entry.ended_at() > hour);
    let n_ended = in_hour().count();
    if n_ended == 0 || rect.width() < 120.0 {
        return;
    }
    let n_failed = in_hour().filter(|entry| entry.run.state == RunState::Failed).count();
    let failed = if n_failed == 0 { "none failed".to_owned() } else { format!("{n_failed} failed") };
    let text = format!("{} finished in the last hour, {failed}", format::whole(n_ended));
    let style = (theme::small(), theme::tokens(ui).muted);
    label_at(ui, rect.right_center(), Align2::RIGHT_CENTER, text, style, rect.width());
}
