//! The tab that compares a run with another one of its pipeline.

use chrono::TimeDelta;
use egui::{ComboBox, Grid, Role, Ui, vec2};

use super::super::command::Command;
use super::super::state::WindowState;
use super::super::widgets::{AccessibleName, Card, one_line, paragraph};
use super::Commands;
use super::run_facts::{facts_body, remark_ui};
use super::run_page::{RunPage, scrolled_card};
use crate::base::id::RunId;
use crate::run::{RunSummary, StepSummary};
use crate::ui::{format, theme};
use crate::window::{AppStore, Comparison, Pair, RunEntry, StepPair};

/// How many runs can be chosen.
const MAX_OTHERS: usize = 50;

/// The runs of the same pipeline, the newest first.
fn others<'a>(store: &'a AppStore, entry: &RunEntry) -> impl Iterator<Item = &'a RunSummary> {
    let (pipeline, run_id) = (entry.run.pipeline_id.clone(), entry.run.run_id.clone());
    let all = store.living().rev().chain(store.recent()).map(|entry| &entry.run);
    all.filter(move |run| run.pipeline_id == pipeline && run.run_id != run_id).take(MAX_OTHERS)
}

/// The run with which it is compared: the chosen one, or the newest.
pub(crate) fn other_run<'a>(
    store: &'a AppStore,
    state: &'a WindowState,
    entry: &RunEntry,
) -> Option<&'a RunId> {
    let chosen = state.compared_with.as_ref().filter(|chosen| **chosen != entry.run.run_id);
    chosen.or_else(|| others(store, entry).next().map(|run| &run.run_id))
}

pub(crate) fn compare_ui(ui: &mut Ui, page: RunPage<'_>, out: &mut Commands) {
    let store = page.view.store;
    let Some(other) = other_run(store, page.view.state, page.entry) else {
        scrolled_card(ui, "Compare", |ui| {
            facts_body(ui, |ui| remark_ui(ui, "Its pipeline has no other run to compare it with"));
        });
        return;
    };
    choice_ui(ui, page, other, out);
    let known = store.comparison(&page.entry.run.run_id, other);
    scrolled_card(ui, "Steps, parameters, definition", |ui| {
        facts_body(ui, |ui| match known {
            None => remark_ui(ui, "Comparing…"),
            Some(None) => remark_ui(ui, "One of the two runs is gone; choose another one"),
            Some(Some(comparison)) => comparison_ui(ui, page, comparison),
        });
    });
}

fn choice_ui(ui: &mut Ui, page: RunPage<'_>, other: &RunId, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let now = page.view.now;
    Card::frame(ui).inner_margin(egui::Margin::symmetric(12, 8)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal(|ui| {
            paragraph(ui, "Compared with", (theme::body(), tokens.muted));
            let name = |run: &RunSummary| {
                let text = format!("{}, {}, {}", run.run_id, run.state, format::when(run.started_at, now));
                one_line(&text).into_owned()
            };
            let shown = store_run(page, other).map_or_else(|| other.to_string(), name);
            let combo = ComboBox::from_id_salt("compared with").width(420.0);
            let combo = combo.selected_text(shown.clone()).show_ui(ui, |ui| {
                for run in others(page.view.store, page.entry) {
                    if ui.selectable_label(run.run_id == *other, name(run)).clicked() {
                        out.push(Command::CompareWith(run.run_id.clone()));
                    }
                }
            });
            combo.response.says(Role::ComboBox, &format!("Compared with: {shown}"));
            let open = Command::OpenRun(other.clone());
            if super::super::widgets::Lever::of(&open).text("Open it").ui(ui).clicked() {
                out.push(open);
            }
        });
    });
}

fn store_run<'a>(page: RunPage<'a>, run_id: &RunId) -> Option<&'a RunSummary> {
    page.view.store.run(run_id).map(|entry| &entry.run)
}

fn comparison_ui(ui: &mut Ui, page: RunPage<'_>, comparison: &Comparison) {
    let now = page.view.now;
    let (a, b) = &comparison.runs;
    let took = |step: &StepSummary| step.took(now).filter(|_| step.started_at.is_some());
    heading_ui(ui, "Durations and memory");
    Grid::new("compared steps").num_columns(8).spacing(vec2(18.0, 6.0)).striped(true).show(ui, |ui| {
        for text in ["", "Took", "other", "", "Peak", "other", "", "State"] {
            cell_ui(ui, text, false);
        }
        ui.end_row();
        cell_ui(ui, "the run", true);
        times_ui(ui, (Some(a.took(now)), Some(b.took(now))));
        for _ in 0..3 {
            cell_ui(ui, "", false);
        }
        cell_ui(ui, &states((Some(a.state.to_string()), Some(b.state.to_string()))), false);
        ui.end_row();
        for StepPair { step_id, steps: (a, b), .. } in &comparison.steps {
            cell_ui(ui, step_id.as_str(), true);
            times_ui(ui, (a.as_ref().and_then(took), b.as_ref().and_then(took)));
            let peak = |step: &Option<StepSummary>| step.as_ref()?.peak_rss_bytes;
            memory_ui(ui, (peak(a), peak(b)));
            let state = |step: &Option<StepSummary>| step.as_ref().map(|step| step.state.to_string());
            cell_ui(ui, &states((state(a), state(b))), false);
            ui.end_row();
        }
    });
    heading_ui(ui, "Parameters");
    if comparison.params.is_empty() {
        remark_ui(ui, "They are the same");
    }
    for (name, (a, b)) in &comparison.params {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        remark_ui(ui, &format!("{name}: {}, other {}", value(a), value(b)));
    }
    heading_ui(ui, "Definition");
    match &comparison.definition {
        Ok(differences) if differences.is_empty() => remark_ui(ui, "Both did the same"),
        Ok(differences) => differences.iter().for_each(|text| remark_ui(ui, text)),
        Err(why) => remark_ui(ui, why),
    }
    heading_ui(ui, "First line of a log that differs, apart from times");
    let differing = || comparison.steps.iter().filter_map(|step| Some((step, step.log.as_ref()?)));
    if differing().next().is_none() {
        remark_ui(ui, "No line differs, or the logs are gone");
    }
    let tokens = theme::tokens(ui);
    for (step, log) in differing() {
        remark_ui(ui, &format!("{}, line {}", step.step_id, format::number((log.line + 1) as f64)));
        for (text, ink) in [(&log.texts.0, tokens.text), (&log.texts.1, tokens.muted)] {
            let text = text.as_deref().unwrap_or("(it has ended)");
            paragraph(ui, &one_line(text), (theme::mono(), ink));
        }
    }
}

fn heading_ui(ui: &mut Ui, text: &str) {
    ui.add_space(6.0);
    paragraph(ui, text, (theme::strong(), theme::tokens(ui).text));
}

fn cell_ui(ui: &mut Ui, text: &str, is_name: bool) {
    let tokens = theme::tokens(ui);
    let ink = if is_name { tokens.text } else { tokens.muted };
    paragraph(ui, text, (theme::body(), ink));
}

/// Both, and how much the first differs.
fn times_ui(ui: &mut Ui, (a, b): Pair<TimeDelta>) {
    for took in [a, b] {
        cell_ui(ui, &took.map(format::duration).unwrap_or_default(), false);
    }
    let seconds = |took: Option<TimeDelta>| took.map(TimeDelta::as_seconds_f64);
    cell_ui(ui, &change((seconds(a), seconds(b))), false);
}

fn memory_ui(ui: &mut Ui, (a, b): Pair<u64>) {
    for bytes in [a, b] {
        cell_ui(ui, &bytes.map(format::bytes).unwrap_or_default(), false);
    }
    cell_ui(ui, &change((a.map(|a| a as f64), b.map(|b| b as f64))), false);
}

/// How much more or less the first is, in percent of the second.
fn change((a, b): Pair<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if b > 0.0 => match ((a / b - 1.0) * 100.0).round() {
            0.0 => "same".to_owned(),
            percent if percent > 0.0 => format!("+{percent} %"),
            percent => format!("−{} %", -percent),
        },
        (Some(_) | None, Some(_) | None) => String::new(),
    }
}

/// One state if both have the same.
fn states((a, b): Pair<String>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if a == b => a,
        (a, b) => {
            let word = |state: Option<String>| state.unwrap_or_else(|| "not there".to_owned());
            format!("{}, other {}", word(a), word(b))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_or_less_is_said_in_percent() {
        let shown = |a: f64, b: f64| change((Some(a), Some(b)));
        assert_eq!([shown(3.0, 2.0), shown(1.0, 2.0), shown(2.0, 2.001)], ["+50 %", "−50 %", "same"]);
        assert_eq!([change((None, Some(1.0))), shown(1.0, 0.0)], ["", ""]);
    }
}
