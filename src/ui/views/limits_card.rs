//! The form of the machine's limits: a row for each, with its effect and its errors.

use egui::{Align2, Role, Sense, Stroke, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::limit_form::{LimitRow, MachinePage, name};
use super::super::widgets::{
    AccessibleName, Card, Field, Lever, Tone, choice_called, label_at, levers_before, remark, switch_at,
};
use super::{Commands, View};
use crate::resources::{LimitAction, Resource};
use crate::settings::LimitProblem;
use crate::ui::theme;

/// The widths of the switch and of the resource's name.
const SWITCH: f32 = 44.0;
const NAME: f32 = 76.0;
const FIELD: f32 = 78.0;
const ACTION: f32 = 106.0;
/// The heights of a row with captions, and of one that is off.
const ROW: f32 = 54.0;
const ROW_OFF: f32 = 38.0;
/// The smallest width for the sentence next to the fields.
const WORDS: f32 = 150.0;

pub(crate) fn limits_card_ui(ui: &mut Ui, view: View<'_>, page: &mut MachinePage, out: &mut Commands) {
    let (is_changed, may_save) = (page.is_changed(), !page.requests().is_empty());
    Card::new("Limits").show(ui, |ui, rect| {
        if is_changed {
            let save = Lever::of(&Command::SaveLimits).tone(Tone::Primary).enabled_if(may_save);
            let revert = Lever::of(&Command::RevertLimits);
            let levers = vec![(revert, Command::RevertLimits), (save, Command::SaveLimits)];
            out.extend(levers_before(ui, &mut rect.right(), (rect, 28.0), levers));
        } else {
            let style = (theme::small(), theme::tokens(ui).muted);
            let text = "a saved limit takes effect at once and is written to settings.toml";
            let at = rect.right_center();
            label_at(ui, at, Align2::RIGHT_CENTER, text, style, rect.width() - 80.0);
        }
        for row in &mut page.limits {
            row_ui(ui, view, row);
        }
    });
}

fn row_ui(ui: &mut Ui, view: View<'_>, row: &mut LimitRow) {
    let tokens = theme::tokens(ui);
    let line = ui.cursor().top();
    ui.painter().hline(ui.max_rect().x_range(), line, Stroke::new(1.0, tokens.line));
    let width = ui.available_width();
    let problems = row.check().err().unwrap_or_default();
    // A field is narrow, so it is only marked; the error stands next to the row.
    let at = |keys: &[&str]| {
        let is_it = |problem: &&LimitProblem| problem.key.is_some_and(|key| keys.contains(&key));
        problems.iter().find(is_it).map(|_| "")
    };
    let (raise, clear, sustain) = (at(&["above", "below"]), at(&["clear"]), at(&["for"]));
    let caption = if row.resource == Resource::Disk { "Free below" } else { "Above" };
    let wrong = problems.first().map(|problem| match problem.key {
        Some("above" | "below") => format!("{caption}: {}", problem.text),
        Some("clear") => format!("Clear at: {}", problem.text),
        Some("for") => format!("For: {}", problem.text),
        Some(_) | None => problem.text.clone(),
    });
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 8.0;
        ui.add_space(theme::GAP - 8.0);
        let height = if row.fields.is_on { ROW } else { ROW_OFF };
        let (_, place) = ui.allocate_space(vec2(SWITCH - 8.0, height));
        let of = row.resource;
        if switch_at(ui, place, row.fields.is_on, &format!("Limit of {}", name(of))).clicked() {
            row.fields.is_on = !row.fields.is_on;
        }
        name_ui(ui, view, of, height);
        let fields_left = ui.cursor().left();
        if row.fields.is_on {
            let example = if of == Resource::Disk { "5GiB" } else { "90%" };
            ui.vertical(|ui| {
                ui.add_space(3.0);
                ui.horizontal_top(|ui| {
                    let fields = &mut row.fields;
                    let called = |what: &str| format!("{what} of {}", name(of));
                    let (above, clear_name, long, action) =
                        (called(caption), called("Clear at"), called("For"), called("Action"));
                    let field = Field { caption, name: &above, example };
                    field.ui(ui, &mut fields.raise, FIELD, raise);
                    let field = Field { caption: "Clear at", name: &clear_name, example: "as usual" };
                    field.ui(ui, &mut fields.clear, FIELD, clear);
                    let field = Field { caption: "For", name: &long, example: "30s" };
                    field.ui(ui, &mut fields.sustain, FIELD, sustain);
                    let all = LimitAction::ALL;
                    fields.action = choice_called(
                        ui,
                        ("Action", &action),
                        fields.action,
                        &all,
                        LimitAction::name,
                        ACTION,
                    );
                });
            });
        }
        let fields_right =
            if row.fields.is_on { fields_left + 3.0 * (FIELD + 8.0) + ACTION + 8.0 } else { fields_left };
        let rest = ui.max_rect().left() + width - fields_right - theme::GAP;
        if rest >= WORDS || !row.fields.is_on {
            ui.vertical(|ui| {
                ui.set_width(rest.max(1.0));
                ui.add_space(if row.fields.is_on { 14.0 } else { 11.0 });
                words_ui(ui, row, wrong.as_deref());
            });
        }
    });
    let is_narrow = row.fields.is_on
        && width < SWITCH + NAME + 3.0 * (FIELD + 8.0) + ACTION + 8.0 + WORDS + 2.0 * theme::GAP + 16.0;
    if is_narrow {
        ui.horizontal(|ui| {
            ui.add_space(theme::GAP);
            ui.vertical(|ui| words_ui(ui, row, wrong.as_deref()));
        });
        ui.add_space(6.0);
    }
}

/// The resource's name, and whether its limit is exceeded.
fn name_ui(ui: &mut Ui, view: View<'_>, of: Resource, height: f32) {
    let tokens = theme::tokens(ui);
    let is_short = view.store.watched().is_short_of(of);
    let (_, place) = ui.allocate_space(vec2(NAME - 8.0, height));
    let title = match of {
        Resource::Cpu => "CPU",
        Resource::Memory => "Memory",
        Resource::Swap => "Swap",
        Resource::Disk => "Disk",
    };
    let ink = if is_short { tokens.failed } else { tokens.text };
    let y = place.center().y - if is_short { 8.0 } else { 0.0 };
    label_at(ui, pos2(place.left(), y), Align2::LEFT_CENTER, title, (theme::medium(), ink), NAME);
    if is_short {
        let at = pos2(place.left(), y + 17.0);
        label_at(ui, at, Align2::LEFT_CENTER, "exceeded", (theme::small(), ink), NAME);
        let response = ui.interact(place, ui.scope_id().with(("short of", title)), Sense::hover());
        response.says(Role::Label, &format!("{title} limit exceeded now"));
    }
}

/// The effect of the limit, or the error of the whole row.
fn words_ui(ui: &mut Ui, row: &LimitRow, wrong: Option<&str>) {
    let tokens = theme::tokens(ui);
    match wrong {
        Some(wrong) => remark(ui, wrong, tokens.failed),
        None => remark(ui, &row.words(), tokens.muted),
    }
}
