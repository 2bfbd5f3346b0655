//! The tabs of a run's page that show what stands in the database: parameters, checkpoints, outputs, decisions, and the
//! definition.

use egui::{RichText, TextWrapMode, Ui, vec2};
use serde_json::Value;

use super::super::widgets::{one_line, paragraph};
use super::detail::decision_text;
use super::run_page::{RunPage, scrolled_card};
use crate::ui::{format, theme};
use crate::window::RunFacts;

/// A card with what `rows` adds; a sentence as long as the facts are not known, or if `none` says that there are none.
fn facts_card(ui: &mut Ui, page: RunPage<'_>, title: &str, rows: impl FnOnce(&mut Ui, &RunFacts)) {
    scrolled_card(ui, title, |ui| {
        facts_body(ui, |ui| match page.facts {
            Some(facts) => rows(ui, facts),
            None => remark_ui(ui, "Reading…"),
        });
    });
}

/// The inside of such a card.
pub(crate) fn facts_body(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    let margin = egui::Margin { left: 12, right: 12, top: 2, bottom: 10 };
    egui::Frame::NONE.inner_margin(margin).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing = vec2(16.0, 8.0);
        content(ui);
    });
}

pub(crate) fn remark_ui(ui: &mut Ui, text: &str) {
    let muted = theme::tokens(ui).muted;
    paragraph(ui, text, (theme::body(), muted));
}

/// A name and its value, each of which can be selected and copied.
fn pair_ui(ui: &mut Ui, name: &str, value: &str) {
    let tokens = theme::tokens(ui);
    ui.horizontal_top(|ui| {
        let width = (ui.available_width() * 0.3).clamp(120.0, 260.0);
        ui.allocate_ui_with_layout(vec2(width, 18.0), egui::Layout::top_down(egui::Align::Min), |ui| {
            ui.set_width(width);
            paragraph(ui, name, (theme::body(), tokens.muted));
        });
        ui.vertical(|ui| paragraph(ui, value, (theme::mono(), tokens.text)));
    });
}

pub(crate) fn params_ui(ui: &mut Ui, page: RunPage<'_>) {
    facts_card(ui, page, "Parameters", |ui, facts| {
        if facts.params.is_empty() {
            remark_ui(ui, "Its pipeline has no parameters");
        }
        for (name, value) in facts.params.iter() {
            pair_ui(ui, name, if value.is_empty() { "(empty)" } else { value });
        }
        if !facts.env_names.is_empty() {
            pair_ui(ui, "Environment variables set by its definition", &facts.env_names.join(", "));
        }
    });
}

pub(crate) fn checkpoints_ui(ui: &mut Ui, page: RunPage<'_>) {
    facts_card(ui, page, "Checkpoints", |ui, facts| {
        if facts.checkpoints.is_empty() {
            remark_ui(ui, "None of its steps has saved a checkpoint");
        }
        for checkpoint in &facts.checkpoints {
            let when = format::when(checkpoint.at, page.view.now);
            let title = format!("{}, {when}", checkpoint.step_id);
            match &checkpoint.tree {
                Some(tree) => tree_ui(ui, (&title, &checkpoint.step_id), tree, 0),
                None => pair_ui(ui, &title, &checkpoint.text),
            }
        }
    });
}

/// Children of a node that are shown.
const MAX_CHILDREN: usize = 200;
/// A node that is deeper is shown as text.
const MAX_DEPTH: usize = 12;

/// A value with all that is in it: a node that has something below opens and closes.
fn tree_ui(ui: &mut Ui, (name, id): (&str, &str), value: &Value, depth: usize) {
    let child = |ui: &mut Ui, name: &str, value: &Value| tree_ui(ui, (name, name), value, depth + 1);
    let n_children = match value {
        Value::Object(values) => values.len(),
        Value::Array(values) => values.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    if n_children == 0 || depth >= MAX_DEPTH {
        let text = if let Value::String(text) = value { text.clone() } else { value.to_string() };
        return pair_ui(ui, name, &text);
    }
    let n = match (value.is_array(), n_children) {
        (false, 1) => "1 entry".to_owned(),
        (false, n) => format!("{n} entries"),
        (true, n) => format::count(n, "element"),
    };
    let title = RichText::new(one_line(&format!("{name} · {n}"))).font(theme::body());
    egui::CollapsingHeader::new(title).id_salt(id).default_open(depth < 2).show(ui, |ui| {
        match value {
            Value::Object(values) => {
                values.iter().take(MAX_CHILDREN).for_each(|(name, value)| child(ui, name, value));
            }
            Value::Array(values) => {
                let rows = values.iter().enumerate().take(MAX_CHILDREN);
                rows.for_each(|(n, value)| child(ui, &n.to_string(), value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        if n_children > MAX_CHILDREN {
            remark_ui(ui, &format!("and {} more", n_children - MAX_CHILDREN));
        }
    });
}

pub(crate) fn outputs_ui(ui: &mut Ui, page: RunPage<'_>) {
    facts_card(ui, page, "Outputs", |ui, facts| {
        if facts.outputs.is_empty() {
            remark_ui(ui, "None of its steps has handed anything on");
        }
        for output in &facts.outputs {
            pair_ui(ui, &format!("{} · {}", output.step_id, output.name), &output.value);
        }
    });
}

pub(crate) fn decisions_ui(ui: &mut Ui, page: RunPage<'_>) {
    facts_card(ui, page, "Decisions of recovery", |ui, facts| {
        if let Some(fired) = &facts.fired_by {
            let due =
                fired.due_at.as_deref().map_or_else(|| "by hand".to_owned(), |due| format!("due {due}"));
            pair_ui(ui, "Fired by", &format!("job {}, {due}", fired.job_id));
        }
        if facts.decisions.is_empty() {
            remark_ui(ui, "Recovery had nothing to decide about this run");
        }
        for decision in facts.decisions.iter().rev() {
            pair_ui(ui, &format::when(decision.at, page.view.now), &decision_text(decision));
        }
    });
}

pub(crate) fn definition_ui(ui: &mut Ui, page: RunPage<'_>) {
    facts_card(ui, page, "Definition", |ui, facts| {
        let tokens = theme::tokens(ui);
        let Some(definition) = &facts.definition else {
            return remark_ui(ui, "A program drove this run; it has no definition");
        };
        remark_ui(ui, &format!("As it was when the run started, from {}", definition.path));
        egui::ScrollArea::horizontal().id_salt("definition").show(ui, |ui| {
            let text = RichText::new(&definition.text).font(theme::mono()).color(tokens.text);
            ui.add(egui::Label::new(text).wrap_mode(TextWrapMode::Extend).selectable(true));
        });
    });
}
