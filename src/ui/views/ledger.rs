//! The ledger: what became of every due instant of all jobs, with filters, and as a file.

use egui::{
    Align2, ComboBox, CornerRadius, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, pos2, vec2,
};

use super::super::command::Command;
use super::super::schedule_page::{KINDS, Ledger, LedgerSpan, kind_text};
use super::super::widgets::{
    AccessibleName, Card, Lever, Tone, label_at, numbers_at, one_line, region, state_at,
};
use super::job_row::{fire_icon, fire_ink, fire_text};
use super::{Commands, View};
use crate::base::tz::Tz;
use crate::ui::{format, spoken, theme};
use crate::window::{Action, Folder, LedgerFilter, LedgerRow};

const ROW: f32 = 30.0;
/// The height of the line below the rows.
const FOOT: f32 = 36.0;

pub(crate) fn ledger_ui(ui: &mut Ui, view: View<'_>, page: &mut Ledger, out: &mut Commands) {
    let selected = view.store.jobs().selected();
    filter_ui(ui, view, page, out);
    let question = page.question(selected);
    let known = view.store.agenda().fires(&question);
    let height = (ui.available_height() - theme::CARD_HEAD - FOOT - 4.0).max(ROW * 2.0);
    let card = known.map_or(Card::new("Fires"), |page| Card::new("Fires").count(page.total));
    card.show(ui, |ui, head| {
        let tokens = theme::tokens(ui);
        let mut right = head.right() + 8.0;
        let export = Command::Send(Action::ExportFires(Box::new(question.filter.clone())));
        let has_rows = known.is_some_and(|page| page.total > 0);
        let lever = Lever::of(&export).tone(Tone::Quiet).enabled_if(has_rows);
        if lever.ui_before(ui, &mut right, head, 28.0).clicked() {
            out.push(export);
        }
        let muted = (theme::body(), tokens.muted);
        match known {
            Some(known) if known.total > 0 => {
                ScrollArea::vertical()
                    .id_salt("ledger")
                    .max_height(height)
                    .auto_shrink([false, false])
                    .show_rows(ui, ROW, known.total, |ui, range| {
                        region(ui, Role::List, "Fires");
                        for at in range.clone() {
                            let row = at.checked_sub(known.offset).and_then(|at| known.rows.get(at));
                            row_ui(ui, view, at, row, out);
                        }
                        page.set_rows(range);
                    });
            }
            known => {
                let (_, rect) = ui.allocate_space(vec2(ui.available_width(), height));
                let is_filtered = question.filter != LedgerFilter::default();
                let text = match (known, is_filtered) {
                    (None, _) => "Reading the fires…",
                    (Some(_), true) => "No fire matches",
                    (Some(_), false) => "What becomes of each due instant is listed here; none was due yet",
                };
                label_at(ui, rect.center(), Align2::CENTER_CENTER, text, muted, rect.width());
                ui.interact(rect, ui.scope_id().with("no fires"), Sense::hover()).says(Role::Label, text);
            }
        }
        let (_, foot) = ui.allocate_space(vec2(ui.available_width(), FOOT));
        foot_at(ui, foot, view, out);
    });
}

fn filter_ui(ui: &mut Ui, view: View<'_>, page: &mut Ledger, out: &mut Commands) {
    let jobs = view.store.jobs();
    let local = jobs.local();
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 8.0;
        let combo = |ui: &mut Ui, name: &str, chosen: &str, width: f32, choices: &mut dyn FnMut(&mut Ui)| {
            let named = format!("{name}: {chosen}");
            let combo = ComboBox::from_id_salt(name).width(width).truncate();
            let shown = combo.selected_text(one_line(&named)).show_ui(ui, choices);
            let _ = shown.response.accessible_name(named);
        };
        combo(ui, "Outcome", kind_text(page.kind), 180.0, &mut |ui| {
            for kind in KINDS {
                ui.selectable_value(&mut page.kind, kind, kind_text(kind));
            }
        });
        let mut span = page.span();
        combo(ui, "Time", &span.text(), 200.0, &mut |ui| {
            for one in LedgerSpan::ALL {
                ui.selectable_value(&mut span, one, one.text());
            }
        });
        page.set_span(span, view.now, local);
        if let Some(job_id) = jobs.selected() {
            let shown = if page.is_of_selected { job_id.as_str() } else { "all" };
            combo(ui, "Job", shown, 200.0, &mut |ui| {
                ui.selectable_value(&mut page.is_of_selected, false, "all");
                ui.selectable_value(&mut page.is_of_selected, true, job_id.as_str());
            });
        }
        let clear = Command::ShowFires(LedgerSpan::Any, false);
        let is_filtered = page.kind != Default::default() || span != LedgerSpan::Any || page.is_of_selected;
        let place = ui.max_rect();
        let mut right = place.right();
        let lever = Lever::of(&clear).text("Clear filters").named("Clear filters").enabled_if(is_filtered);
        if lever.ui_before(ui, &mut right, place, theme::LEVER).clicked() {
            page.kind = Default::default();
            out.push(clear);
        }
    });
}

/// An instant with its year and its zone.
pub(super) fn whole_wall(at: chrono::DateTime<chrono::Utc>, zone: Tz) -> String {
    let form = if at.timestamp() % 60 == 0 { "%a %-d %b %Y %H:%M %Z" } else { "%a %-d %b %Y %H:%M:%S %Z" };
    format::instant(&at.with_timezone(&zone), form)
}

fn row_ui(ui: &mut Ui, view: View<'_>, at: usize, row: Option<&LedgerRow>, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), ROW));
    ui.painter().hline(rect.x_range(), rect.top(), Stroke::new(1.0, tokens.line));
    let Some(LedgerRow { name, zone, fire }) = row else { return };
    let when = whole_wall(fire.due_at, *zone);
    let span = match fire.n_instants {
        0 | 1 => String::new(),
        n => format!("{} to {}", format::count(n as usize, "instant"), whole_wall(fire.through_at, *zone)),
    };
    let what = fire_text(view, fire);
    let took = fire.took.map(format::duration).unwrap_or_default();
    let why = [&*span, fire.reason.as_deref().unwrap_or_default()];
    let why = why.iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join("; ");
    let said = spoken::listed([&*when, name, &*what, &*took, &*why]);
    let response = ui.interact(rect, ui.scope_id().with(("ledger row", at)), Sense::click());
    response.says_enabled(Role::ListItem, fire.run_id.is_some(), &said);
    if response.hovered() && fire.run_id.is_some() {
        ui.painter().rect_filled(rect.shrink(1.0), CornerRadius::same(4), tokens.raised);
    }
    if response.has_focus() {
        let ring = Stroke::new(1.5, tokens.accent);
        ui.painter().rect_stroke(rect.shrink(1.0), CornerRadius::same(4), ring, StrokeKind::Inside);
    }
    let inner = rect.shrink2(vec2(theme::GAP, 0.0));
    let y = rect.center().y;
    let at = |x: f32| pos2(inner.left() + x, y);
    numbers_at(ui, at(0.0), Align2::LEFT_CENTER, &when, (theme::body(), tokens.text));
    let job = (inner.width() * 0.22).clamp(110.0, 260.0);
    label_at(ui, at(206.0), Align2::LEFT_CENTER, &**name, (theme::medium(), tokens.text), job);
    let left = 206.0 + job + theme::GAP;
    let state = Rect::from_min_size(pos2(inner.left() + left, rect.top()), vec2(128.0, ROW));
    state_at(ui, state, fire_icon(view, fire), &what, fire_ink(view, tokens, fire));
    let style = (theme::body(), tokens.muted);
    numbers_at(ui, pos2(state.right() + 64.0, y), Align2::RIGHT_CENTER, &took, style);
    let x = state.right() + 80.0;
    let style = (theme::small(), tokens.muted);
    label_at(ui, pos2(x, y), Align2::LEFT_CENTER, &*why, style, inner.right() - x);
    if let Some(run_id) = &fire.run_id {
        if response.clicked() {
            out.push(Command::OpenRun(run_id.clone()));
        }
        response.tip(&format!("{said}\nOpen {run_id}"));
    } else {
        response.tip(&said);
    }
}

/// The file that was written.
fn foot_at(ui: &mut Ui, rect: Rect, view: View<'_>, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    ui.painter().hline(rect.x_range(), rect.top(), Stroke::new(1.0, tokens.line));
    let inner = rect.shrink2(vec2(theme::GAP, 0.0));
    let Some((path, n_rows)) = view.store.agenda().exported() else {
        let text = "A click on a row opens its run";
        let style = (theme::small(), tokens.muted);
        label_at(ui, inner.left_center(), Align2::LEFT_CENTER, text, style, inner.width());
        return;
    };
    let mut right = inner.right();
    let show = Command::Send(Action::OpenFolder(Folder::Of(path.clone())));
    let lever = Lever::of(&show).text("Show the folder").named("Show the folder of the CSV file");
    if lever.tone(Tone::Quiet).ui_before(ui, &mut right, rect, 28.0).clicked() {
        out.push(show);
    }
    let text = format!("{} written to {}", format::count(*n_rows, "row"), path.display());
    let style = (theme::small(), tokens.completed);
    let place =
        label_at(ui, inner.left_center(), Align2::LEFT_CENTER, &*text, style, right - inner.left() - 8.0);
    ui.interact(place, ui.scope_id().with("exported"), Sense::hover()).says(Role::Status, &text);
}
