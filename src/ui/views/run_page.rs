//! A run's own page: its head with levers and figures, and below it one of its tabs.

use chrono::TimeDelta;
use egui::{
    Align2, CursorIcon, FontId, Rect, Response, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, UiBuilder,
    pos2, vec2,
};

use super::super::command::{Command, RunTab};
use super::super::offers::{first_lever, second_lever};
use super::super::widgets::{
    AccessibleName, Card, Icon, Lever, label_at, levers_before, numbers_at, paragraph, progress_bar, region,
    state_at, text_width,
};
use super::log_tail::log_tail_ui;
use super::run_compare::compare_ui;
use super::run_facts::{checkpoints_ui, decisions_ui, definition_ui, outputs_ui, params_ui};
use super::run_gantt::{gantt_height, gantt_ui};
use super::run_graph::Graph;
use super::run_steps::steps_ui;
use super::running::state_text;
use super::{Commands, View, menus};
use crate::api;
use crate::base::id::StepId;
use crate::run::{RunState, StepState, StepSummary, Trigger};
use crate::ui::{format, theme};
use crate::window::{Action, RunEntry, RunFacts};

/// The height of the figures.
const FIGURES: f32 = 64.0;
/// The height of the tabs.
const TABS: f32 = 34.0;
/// From this width on, the log stands beside the steps.
const WIDE: f32 = 1020.0;

/// The run's name and state between the way back and the levers, in the place of the other pages' header.
pub(crate) fn run_header_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 40.0));
    let y = rect.center().y;
    let back = Command::CloseRun;
    let to = view.state.back.label().text;
    let lever = Lever::of(&back).text(format!("‹ {to}")).named(format!("Back to {to}"));
    let place =
        Rect::from_min_size(pos2(rect.left(), y - theme::LEVER / 2.0), vec2(lever.width(ui), theme::LEVER));
    if lever.ui_at(ui, place).clicked() {
        out.push(back);
    }
    let Some(entry) = view.store.selected() else { return };
    let run = &entry.run;
    let mut levers: Vec<(Lever, Command)> = levers_of(entry)
        .into_iter()
        .map(Command::Send)
        .map(|command| (Lever::of_selected(&command), command))
        .collect();
    if run.state.is_ended() {
        levers.extend(retry_from(view, entry).map(|command| {
            let lever = Lever::of(&command);
            (lever.text(command.label().text).named(retry_name(view)), command)
        }));
        let again = Command::AskStartLike(run.run_id.clone());
        levers.push((Lever::of(&again), again));
    }
    let mut right = rect.right();
    let more = Lever::icon(Icon::More, format!("More for {}", run.run_id));
    let place_of_more = more.place_before(ui, &mut right, rect, theme::LEVER);
    out.extend(levers_before(ui, &mut right, (rect, theme::LEVER), levers));
    menus::more_menu_ui(&more.ui_at(ui, place_of_more), run, out);
    let right = right - theme::GAP;
    let left = place.right() + theme::GAP;
    let state = state_text(&entry.run, view);
    let state_width = text_width(ui, &state, theme::body()) + 24.0;
    let style = (theme::heading(), tokens.text);
    let name = run.pipeline_id.as_str();
    let width = (right - left - state_width - theme::GAP).max(60.0);
    let title = label_at(ui, pos2(left, y), Align2::LEFT_CENTER, name, style, width);
    let heading = ui.interact(title, ui.scope_id().with("title"), Sense::hover());
    heading.says(Role::Heading, name);
    let at = Rect::from_min_size(pos2(title.right() + theme::GAP, rect.top()), vec2(state_width, 40.0));
    if at.right() > right {
        return;
    }
    state_at(ui, at, Icon::of_run(run.state), &state, tokens.run_state(run.state));
    ui.interact(at, ui.scope_id().with("state"), Sense::hover()).says(Role::Label, &state);
    let left = at.right() + theme::GAP;
    if right - left > 80.0 {
        let style = (theme::mono(), tokens.muted);
        let id = run.run_id.as_str();
        let place = label_at(ui, pos2(left, y), Align2::LEFT_CENTER, id, style, right - left);
        ui.interact(place, ui.scope_id().with("id"), Sense::hover()).says(Role::Label, id);
    }
}

/// Runs the chosen step of an ended run again, and all that need it.
fn retry_from(view: View<'_>, entry: &RunEntry) -> Option<Command> {
    let chosen = view.store.chosen_step()?;
    let has_begun = |step: &&StepSummary| step.step_id == *chosen && step.attempt > 0;
    let step = entry.steps().iter().find(has_begun)?;
    Some(Command::Send(Action::Do(api::Command::retry(&entry.run.run_id, Some(step.step_id.clone())))))
}

fn retry_name(view: View<'_>) -> String {
    format!("Retry from {}", view.store.chosen_step().map_or("", StepId::as_str))
}

/// The levers of the run in their order.
fn levers_of(entry: &RunEntry) -> Vec<Action> {
    let (first, second) = (first_lever(&entry.run), second_lever(&entry.run));
    if first == second || entry.run.state == RunState::Stopping { vec![first] } else { vec![first, second] }
}

/// The page below its head.
pub(crate) fn run_page_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    ui.spacing_mut().item_spacing.y = theme::GAP;
    let tokens = theme::tokens(ui);
    let Some(entry) = view.store.selected() else {
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 120.0));
        let text = "This run is gone; go back and choose another one";
        label_at(ui, rect.center(), Align2::CENTER_CENTER, text, (theme::body(), tokens.muted), rect.width());
        ui.interact(rect, ui.scope_id().with("gone"), Sense::hover()).says(Role::Label, text);
        return;
    };
    let facts = view.store.facts(&entry.run.run_id);
    let page = RunPage { view, entry, facts };
    Card::frame(ui).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        page.figures_ui(ui);
        page.tabs_ui(ui, out);
    });
    if let Some(error) = &entry.run.error {
        error_ui(ui, error, tokens.run_state(entry.run.state));
    }
    match view.state.run_tab {
        RunTab::Overview => page.overview_ui(ui, out),
        RunTab::Steps => steps_ui(ui, page, out),
        RunTab::Parameters => params_ui(ui, page),
        RunTab::Checkpoints => checkpoints_ui(ui, page),
        RunTab::Outputs => outputs_ui(ui, page),
        RunTab::Decisions => decisions_ui(ui, page),
        RunTab::Definition => definition_ui(ui, page),
        RunTab::Compare => compare_ui(ui, page, out),
        RunTab::Log => page.log_ui(ui, ui.available_height(), out),
    }
}

/// Why the run failed or is held, in a line; whole in the tooltip.
fn error_ui(ui: &mut Ui, error: &str, color: egui::Color32) {
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 20.0));
    let left = Icon::Warning.paint_before(ui.painter(), rect.shrink2(vec2(theme::GAP, 0.0)), 12.0, color);
    let at = pos2(left, rect.center().y);
    label_at(ui, at, Align2::LEFT_CENTER, error, (theme::body(), color), rect.right() - left - theme::GAP);
    let response = ui.interact(rect, ui.scope_id().with("error"), Sense::hover());
    response.says(Role::Label, error);
    response.on_hover_ui(|ui| {
        ui.set_max_width(620.0);
        paragraph(ui, error, (theme::body(), color));
    });
}

/// The run whose page is open.
#[derive(Clone, Copy)]
pub(crate) struct RunPage<'a> {
    pub(crate) view: View<'a>,
    pub(crate) entry: &'a RunEntry,
    /// None until they arrive.
    pub(crate) facts: Option<&'a RunFacts>,
}

/// A caption, a value and a remark.
struct Figure {
    caption: &'static str,
    value: String,
    remark: String,
}

impl<'a> RunPage<'a> {
    /// The chosen step, or else that of the followed log.
    pub(crate) fn step(self) -> Option<&'a StepId> {
        self.view.store.chosen_step().or(self.view.store.log().map(|log| &log.key.step_id))
    }

    /// Attempts of steps before the present ones: those on disk, and those seen since.
    pub(crate) fn earlier(self) -> Vec<&'a StepSummary> {
        let mut earlier: Vec<&StepSummary> = Vec::new();
        let on_disk = self.facts.map_or(&[][..], |facts| &facts.earlier);
        for attempt in on_disk.iter().chain(&self.entry.earlier) {
            let is_same = |it: &StepSummary| it.step_id == attempt.step_id && it.attempt == attempt.attempt;
            let is_current = self.entry.steps().iter().any(is_same);
            if !is_current && !earlier.iter().any(|it| is_same(it)) {
                earlier.push(attempt);
            }
        }
        earlier
    }

    /// How long a step usually takes.
    pub(crate) fn usual(self, step_id: &StepId) -> Option<TimeDelta> {
        self.facts?.usual.steps.get(step_id).copied()
    }

    /// How a step's row or node answers: a click chooses the step, a second one or Enter opens its log.
    pub(crate) fn pull_step(self, response: &Response, step_id: &StepId, out: &mut Commands) {
        let is_entered =
            response.clicked() && response.ctx.input(|input| input.key_pressed(egui::Key::Enter));
        if response.clicked() {
            out.push(Command::ChooseStep(Some(step_id.clone())));
        }
        if response.double_clicked() || (is_entered && self.step() == Some(step_id)) {
            out.push(Command::ShowRunTab(RunTab::Log));
        }
    }

    fn figures(self) -> Vec<Figure> {
        let (run, now) = (&self.entry.run, self.view.now);
        let earlier = self.earlier();
        let attempts = || self.entry.steps().iter().chain(earlier.iter().copied());
        if matches!(run.state, RunState::Running | RunState::Stopping) {
            self.view.beat.second();
        }
        let by = match self.facts.and_then(|facts| facts.fired_by.as_ref()) {
            Some(fired) => format!("by job {}", fired.job_id),
            None if run.trigger == Trigger::Manual => "by hand".to_owned(),
            None => format!("by {}", run.trigger),
        };
        let took = run.took(now);
        let took = if run.state.is_ended() { format::duration(took) } else { format::clock(took) };
        let frozen = TimeDelta::milliseconds((run.frozen_seconds * 1000.0) as i64)
            + run.frozen_since.map_or(TimeDelta::zero(), |since| (now - since).max(TimeDelta::zero()));
        let usual = self.facts.and_then(|facts| facts.usual.run).map(format::duration);
        let took_remark = match (self.entry.remaining_time(now), usual) {
            (Some(left), Some(usual)) => format!("{} left, usually {usual}", format::about(left)),
            (Some(left), None) => format!("{} left", format::about(left)),
            (None, _) if frozen > TimeDelta::zero() => format!("and {} frozen", format::about(frozen)),
            (None, Some(usual)) => format!("usually {usual}"),
            (None, None) => String::new(),
        };
        let ended = match run.finished_at {
            Some(at) => format::when(at, now),
            None => "not yet".to_owned(),
        };
        let cpu: f64 = attempts().filter_map(|step| step.cpu_seconds).sum();
        let cpu = TimeDelta::milliseconds((cpu * 1000.0) as i64);
        let peak = attempts().filter_map(|step| step.peak_rss_bytes).max();
        let n_done = self.entry.steps().iter().filter(|step| step.state == StepState::Completed).count();
        let figure = |caption, value, remark| Figure { caption, value, remark };
        let mut figures = vec![
            figure("Progress", format::percent(run.progress), String::new()),
            figure("Started", format::when(run.started_at, now), by),
            figure("Took", took, took_remark),
            figure(
                "Ended",
                ended,
                if run.attempt > 1 { format!("attempt {}", run.attempt) } else { String::new() },
            ),
            figure("Steps", format!("{n_done} of {}", self.entry.steps().len()), "completed".to_owned()),
            figure("Type, place", run.run_type.to_string(), run.environment.to_string()),
            figure(
                "Peak memory",
                peak.map_or_else(|| "unknown".to_owned(), format::bytes),
                "of a step".to_owned(),
            ),
            figure("CPU time", format::duration(cpu), "of all steps".to_owned()),
        ];
        if let Some(usage) = self.entry.usage().back().filter(|_| !run.state.is_ended()) {
            figures.push(figure("CPU now", format::percent(usage.cpu_fraction), "of all cores".to_owned()));
            figures.push(figure("Memory now", format::bytes(usage.memory_bytes), String::new()));
        }
        figures
    }

    /// As many figures as there is room for.
    fn figures_ui(self, ui: &mut Ui) {
        let tokens = theme::tokens(ui);
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), FIGURES));
        let inner = rect.shrink2(vec2(theme::GAP, 0.0));
        let mut left = inner.left();
        for Figure { caption, value, remark } in self.figures() {
            let width = [
                text_width(ui, caption, theme::small()),
                text_width(ui, &value, theme::medium()) + 6.0,
                text_width(ui, &remark, theme::small()) + 4.0,
                if caption == "Progress" { 110.0 } else { 64.0 },
            ];
            let width = width.into_iter().fold(0.0, f32::max);
            if left + width > inner.right() {
                break;
            }
            let place = Rect::from_min_size(pos2(left, rect.top()), vec2(width, FIGURES));
            let muted = (theme::small(), tokens.muted);
            let row = |n: f32| pos2(left, rect.top() + n);
            label_at(ui, row(15.0), Align2::LEFT_CENTER, caption, muted.clone(), width);
            numbers_at(ui, row(33.0), Align2::LEFT_CENTER, &value, (theme::medium(), tokens.text));
            if caption == "Progress" {
                let bar = Rect::from_min_size(row(47.0), vec2(width, 5.0));
                progress_bar(ui, bar, self.entry.run.progress, tokens.run_state(self.entry.run.state));
            } else {
                numbers_at(ui, row(50.0), Align2::LEFT_CENTER, &remark, muted);
            }
            let response = ui.interact(place, ui.scope_id().with(("figure", caption)), Sense::hover());
            response.says(Role::Label, format!("{caption} {value} {remark}").trim_end());
            left += width + 24.0;
        }
    }

    fn tabs_ui(self, ui: &mut Ui, out: &mut Commands) {
        let tokens = theme::tokens(ui);
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), TABS));
        let mut tabs_ui = ui.new_child(UiBuilder::new().max_rect(rect));
        let ui = &mut tabs_ui;
        region(ui, Role::TabList, "Parts of the run");
        ui.painter().hline(rect.x_range(), rect.top(), Stroke::new(1.0, tokens.line));
        let tabs = RunTab::ALL.map(|tab| match self.count(tab) {
            Some(n) => (tab, format!("{} {n}", tab.text())),
            None => (tab, tab.text().to_owned()),
        });
        let width_in = |font: FontId| -> f32 {
            tabs.iter().map(|(_, text)| text_width(ui, text, font.clone()) + 6.0).sum()
        };
        let has_room = width_in(theme::medium()) < rect.width() - 2.0 * theme::GAP;
        let font = if has_room { theme::medium() } else { theme::small() };
        let tabs = if width_in(font.clone()) < rect.width() - 2.0 * theme::GAP {
            tabs
        } else {
            RunTab::ALL.map(|tab| (tab, tab.text().to_owned()))
        };
        let widths: f32 = tabs.iter().map(|(_, text)| text_width(ui, text, font.clone())).sum();
        let gap = ((rect.width() - 2.0 * theme::GAP - widths) / (tabs.len() - 1) as f32).clamp(6.0, 20.0);
        let mut left = rect.left() + theme::GAP;
        for (tab, text) in tabs {
            let width = text_width(ui, &text, font.clone()).min(rect.right() - theme::GAP - left);
            let place = Rect::from_min_size(pos2(left, rect.top()), vec2(width.max(1.0), TABS));
            let is_open = self.view.state.run_tab == tab;
            let response = ui
                .interact(
                    place.expand2(vec2(gap / 2.0, 0.0)),
                    ui.scope_id().with(("tab", tab.text())),
                    Sense::click(),
                )
                .on_hover_cursor(CursorIcon::PointingHand);
            response.says_selected(Role::Tab, is_open, &text);
            let ink = if is_open || response.hovered() { tokens.text } else { tokens.muted };
            let at = place.left_center();
            label_at(ui, at, Align2::LEFT_CENTER, text, (font.clone(), ink), place.width() + 1.0);
            if is_open {
                let line = Stroke::new(2.0, tokens.accent);
                ui.painter().hline(place.x_range(), place.bottom() - 1.0, line);
            }
            if response.has_focus() {
                let ring = Stroke::new(2.0, tokens.accent);
                let place = place.expand2(vec2(4.0, -3.0));
                ui.painter().rect_stroke(place, 4.0, ring, StrokeKind::Inside);
            }
            let show = Command::ShowRunTab(tab);
            let key = show.label().shortcut;
            let response = if key.is_some() { response.tip_with_key(tab.text(), key) } else { response };
            if response.clicked() {
                out.push(show);
            }
            left += width + gap;
        }
    }

    /// How much a tab has to show, where that can be counted.
    fn count(self, tab: RunTab) -> Option<usize> {
        let facts = self.facts;
        match tab {
            RunTab::Overview | RunTab::Definition | RunTab::Compare | RunTab::Log => None,
            RunTab::Steps => Some(self.entry.steps().len()),
            RunTab::Parameters => facts.map(|facts| facts.params.len()),
            RunTab::Checkpoints => facts.map(|facts| facts.checkpoints.len()),
            RunTab::Outputs => facts.map(|facts| facts.outputs.len()),
            RunTab::Decisions => facts.map(|facts| facts.decisions.len()),
        }
    }

    /// The steps as a graph and over time, and the log beside them if there is room. In a narrow window the log has its
    /// own tab, one key away.
    fn overview_ui(self, ui: &mut Ui, out: &mut Commands) {
        let rect = ui.available_rect_before_wrap();
        ui.allocate_rect(rect, Sense::hover());
        let mut steps = rect;
        if rect.width() >= WIDE {
            let middle = rect.left() + (rect.width() * 0.58).round();
            steps.max.x = middle - theme::GAP / 2.0;
            let log = rect.with_min_x(middle + theme::GAP / 2.0);
            let mut right = ui.new_child(UiBuilder::new().id_salt("log").max_rect(log));
            self.log_ui(&mut right, log.height(), out);
        }
        let mut lanes = steps;
        if let Some(graph) = Graph::of(self) {
            // Both have what they need, or half each, or one what the other leaves.
            let half = (steps.height() - theme::GAP) / 2.0;
            let left = steps.height() - theme::GAP - gantt_height(self);
            let height = graph.height().min(half.max(left)).round();
            lanes.min.y = steps.top() + height + theme::GAP;
            let mut upper = ui.new_child(UiBuilder::new().id_salt("graph").max_rect(steps));
            graph.ui(&mut upper, self, height, out);
        }
        let mut lower = ui.new_child(UiBuilder::new().id_salt("lanes").max_rect(lanes));
        gantt_ui(&mut lower, self, lanes.height(), out);
    }

    /// The card of the followed log.
    fn log_ui(self, ui: &mut Ui, height: f32, out: &mut Commands) {
        Card::frame(ui).show(ui, |ui| {
            let (_, rect) = ui.allocate_space(vec2(ui.available_width(), (height - 2.0).max(60.0)));
            log_tail_ui(&mut ui.new_child(UiBuilder::new().max_rect(rect)), self.view, self.entry, out);
        });
    }
}

/// A card that takes the rest of the page and scrolls.
pub(crate) fn scrolled_card(ui: &mut Ui, title: &str, rows: impl FnOnce(&mut Ui)) {
    let height = (ui.available_height() - theme::CARD_HEAD - 2.0).max(theme::ROW_SMALL);
    Card::new(title).show(ui, |ui, _| {
        let area = ScrollArea::vertical().id_salt(title).max_height(height).auto_shrink([false, true]);
        area.show(ui, rows);
    });
}
