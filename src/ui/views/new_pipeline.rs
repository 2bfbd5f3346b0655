//! The form for a new pipeline: its name, and the template that it begins with.

use egui::{Align2, CornerRadius, CursorIcon, Key, Rect, Role, Sense, Stroke, StrokeKind, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::pipeline_list::NewPipeline;
use super::super::widgets::{AccessibleName, Field, Lever, Tone, label_at, levers_before, remark};
use super::Commands;
use super::dialogs::{dialog_ui, heading_ui};
use crate::pipeline::Template;
use crate::ui::theme;

/// The height of a template's row.
const ROW: f32 = 46.0;

pub(crate) fn new_pipeline_ui(ui: &Ui, form: &mut NewPipeline, out: &mut Commands) {
    dialog_ui(ui, "New pipeline", out, |ui, out| {
        let tokens = theme::tokens(ui);
        heading_ui(ui, "New pipeline".to_owned());
        ui.add_space(8.0);
        let wrong = form.error();
        let field = Field::new("Name", "books-nightly").ui(
            ui,
            &mut form.name,
            ui.available_width(),
            wrong.as_deref(),
        );
        // Before it gets the focus back.
        let is_entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        if ui.memory(|memory| memory.focused().is_none()) {
            field.request_focus();
        }
        ui.add_space(12.0);
        for (at, template) in Template::ALL.iter().enumerate() {
            template_ui(ui, template, at, &mut form.template);
        }
        ui.add_space(12.0);
        if let Some(refusal) = &form.refusal {
            remark(ui, refusal, tokens.failed);
        } else {
            remark(ui, "Its file is written into the folder of pipelines, for you to edit", tokens.muted);
        }
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 44.0));
        let mut right = rect.right();
        let make = Command::MakePipeline;
        let text = if form.is_saving { "Creating…" } else { "Create" };
        let lever = Lever::of(&make).text(text).tone(Tone::Primary).enabled_if(form.request().is_some());
        let cancel = Command::CloseOverlay;
        let levers = vec![(Lever::of(&cancel), cancel), (lever, make.clone())];
        let pulled = levers_before(ui, &mut right, (rect, 34.0), levers);
        out.extend(pulled.or(is_entered.then_some(make)));
    });
}

fn template_ui(ui: &mut Ui, template: &Template, at: usize, chosen: &mut usize) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), ROW));
    let is_chosen = *chosen == at;
    let response = ui
        .interact(rect, ui.scope_id().with(("template", at)), Sense::click())
        .on_hover_cursor(CursorIcon::PointingHand);
    response.says_selected(Role::RadioButton, is_chosen, &format!("{}: {}", template.title, template.about));
    let place = rect.shrink2(vec2(0.0, 2.0));
    let radius = CornerRadius::same(theme::LEVER_RADIUS);
    let fill = if is_chosen || response.hovered() { tokens.raised } else { tokens.panel };
    let line = if is_chosen { tokens.accent } else { tokens.line };
    ui.painter().rect(place, radius, fill, Stroke::new(1.0, line), StrokeKind::Inside);
    if response.has_focus() {
        ui.painter().rect_stroke(place, radius, Stroke::new(2.0, tokens.accent), StrokeKind::Inside);
    }
    let (left, width) = (rect.left() + theme::GAP, rect.width() - 2.0 * theme::GAP);
    for (y, text, style) in [
        (-8.0, template.title, (theme::medium(), tokens.text)),
        (9.0, template.about, (theme::small(), tokens.muted)),
    ] {
        label_at(ui, pos2(left, rect.center().y + y), Align2::LEFT_CENTER, text, style, width);
    }
    let mark = Rect::from_center_size(pos2(rect.right() - 20.0, rect.center().y), vec2(10.0, 10.0));
    ui.painter().circle_stroke(mark.center(), 5.0, Stroke::new(1.5, line));
    if is_chosen {
        ui.painter().circle_filled(mark.center(), 2.5, tokens.accent);
    }
    if response.clicked() {
        *chosen = at;
    }
}
