//! The selected pipeline: its graph, its jobs and parameters; or, if its file can't be read, what is wrong with it, with
//! the lines of the file.

use egui::{
    Align2, CornerRadius, CursorIcon, Frame, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui,
    UiBuilder, pos2, vec2,
};

use super::super::command::Command;
use super::super::offers::edit_command;
use super::super::widgets::{
    AccessibleName, Card, Icon, Lever, Tone, label_at, levers_before, one_line, paragraph, region, text_width,
};
use super::pipelines::job_next;
use super::run_graph::Graph;
use super::{Commands, View};
use crate::api::PipelineView;
use crate::ui::{format, theme};
use crate::window::{
    Action, FileProblem, Folder, JobBrief, ParamBrief, PipelineDetail, StepBrief, StepNeeds,
};

/// The width of the column of jobs and parameters.
const FACTS: f32 = 300.0;
/// The height of a job's or parameter's row.
const ROW: f32 = 40.0;

/// The card, `height` high.
pub(crate) fn pipeline_card_ui(
    ui: &mut Ui,
    view: View<'_>,
    entry: &PipelineView,
    height: f32,
    out: &mut Commands,
) {
    let list = view.store.pipeline_list();
    Card::new(&entry.id).show(ui, |ui, rect| {
        let mut right = rect.right();
        let mut levers = Vec::new();
        if entry.error.is_none() {
            let job = Command::NewJobOf(entry.id.clone());
            levers.push((Lever::of(&job).tone(Tone::Quiet), job));
        }
        let folder = Command::Send(Action::OpenFolder(Folder::Of(entry.path.clone())));
        let lever = Lever::of(&folder).text("Show the folder").named("Show the folder of the file");
        levers.push((lever.tone(Tone::Quiet), folder));
        if let Some(edit) = edit_command(view.store) {
            let tone = if entry.error.is_some() { Tone::Primary } else { Tone::Plain };
            levers.push((Lever::of_selected(&edit).tone(tone), edit));
        }
        let close = Command::SelectPipeline(None);
        levers.push((Lever::of(&close).icon_alone(Icon::Close), close));
        out.extend(levers_before(ui, &mut right, (rect, 28.0), levers));
        let left = rect.left() + text_width(ui, &entry.id, theme::strong()) + 14.0;
        let tokens = theme::tokens(ui);
        let (text, font) = match list.edited_with(&entry.path) {
            Some(with) => (format!("Open in {with}; errors show here as it is saved"), theme::small()),
            None => (entry.path.to_string_lossy().into_owned(), theme::mono()),
        };
        let at = pos2(left, rect.center().y);
        let shown = label_at(ui, at, Align2::LEFT_CENTER, &*text, (font, tokens.muted), right - left - 8.0);
        if shown.is_positive() {
            ui.interact(shown, ui.scope_id().with("file"), Sense::hover()).says(Role::Label, &text);
        }
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), height - theme::CARD_HEAD));
        ui.painter().hline(rect.x_range(), rect.top(), Stroke::new(1.0, tokens.line));
        let inner = rect.shrink2(vec2(0.0, 1.0));
        let mut child = ui.new_child(UiBuilder::new().max_rect(inner));
        child.spacing_mut().item_spacing.y = 0.0;
        match list.detail() {
            None => {
                let style = (theme::body(), tokens.muted);
                let at = rect.left_top() + vec2(theme::GAP, 20.0);
                label_at(&child, at, Align2::LEFT_CENTER, "Reading the file…", style, rect.width());
            }
            Some(detail) if detail.problems.is_empty() => whole_ui(&mut child, view, detail, out),
            Some(detail) => problems_ui(&mut child, detail, out),
        }
    });
}

/// The graph at the left, jobs and parameters at the right.
fn whole_ui(ui: &mut Ui, view: View<'_>, detail: &PipelineDetail, out: &mut Commands) {
    let rect = ui.max_rect();
    let tokens = theme::tokens(ui);
    let split = rect.right() - FACTS.min(rect.width() * 0.45);
    ui.painter().vline(split, rect.y_range(), Stroke::new(1.0, tokens.line));
    let graph = Rect::from_min_max(rect.min, pos2(split - 1.0, rect.bottom()));
    let mut left = ui.new_child(UiBuilder::new().max_rect(graph).id_salt("steps"));
    if let Some(graph) = Graph::of_steps(&detail.needs) {
        let height = rect.height();
        graph.nodes_ui(
            &mut left,
            height,
            |_| false,
            |ui, at, rect| {
                if let (Some(needs), Some(step)) = (detail.needs.get(at), detail.steps.get(at)) {
                    node_ui(ui, needs, step, rect);
                }
            },
        );
    }
    let facts = Rect::from_min_max(pos2(split + 1.0, rect.top()), rect.max);
    let mut right = ui.new_child(UiBuilder::new().max_rect(facts).id_salt("facts"));
    ScrollArea::vertical().id_salt("pipeline facts").auto_shrink([false, false]).show(&mut right, |ui| {
        Frame::NONE.inner_margin(egui::Margin::symmetric(theme::GAP as i8, 8)).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            heading(
                ui,
                &match detail.n_jobs {
                    0 => "Jobs: none".to_owned(),
                    n if n > detail.jobs.len() => format!("Jobs: the first {} of {n}", detail.jobs.len()),
                    n => format!("Jobs: {n}"),
                },
            );
            for job in &detail.jobs {
                job_ui(ui, view, job, out);
            }
            ui.add_space(10.0);
            heading(
                ui,
                &match detail.params.len() {
                    0 => "Parameters: none".to_owned(),
                    n => format!("Parameters: {n}"),
                },
            );
            ui.scope(|ui| {
                region(ui, Role::List, "Parameters");
                detail.params.iter().for_each(|param| param_ui(ui, param));
            });
        });
    });
}

/// A step: how long it usually takes, and how often it failed.
fn node_ui(ui: &mut Ui, needs: &StepNeeds, step: &StepBrief, rect: Rect) {
    let tokens = theme::tokens(ui);
    let usual = step.usual.map_or_else(|| "not run yet".to_owned(), format::duration);
    let (second, ink) = match step.n_failed {
        0 => (usual, tokens.muted),
        n => (format!("{usual}, failed {n} ×"), tokens.failed),
    };
    let response = ui.interact(rect, ui.scope_id().with(("node", needs.step_id.as_str())), Sense::click());
    response.says(Role::ListItem, &format!("Step {}: {second}; {}", needs.step_id, step.command));
    if !ui.is_rect_visible(rect) {
        return;
    }
    let radius = CornerRadius::same(6);
    let fill = if response.hovered() { tokens.raised } else { tokens.bg };
    ui.painter().rect(rect, radius, fill, Stroke::new(1.0, tokens.line), StrokeKind::Inside);
    if response.has_focus() {
        let ring = Stroke::new(2.0, tokens.accent);
        ui.painter().rect_stroke(rect.expand(3.0), radius, ring, StrokeKind::Inside);
    }
    let (left, width) = (rect.left() + 9.0, rect.width() - 18.0);
    let style = (theme::medium(), tokens.text);
    let name = needs.step_id.as_str();
    label_at(ui, pos2(left, rect.top() + 13.0), Align2::LEFT_CENTER, name, style, width);
    let at = pos2(left, rect.top() + 30.0);
    label_at(ui, at, Align2::LEFT_CENTER, second, (theme::small(), ink), width);
    response.tip(&format!("{name}\n{}", step.command));
}

fn job_ui(ui: &mut Ui, view: View<'_>, job: &JobBrief, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), ROW));
    let (wall, left) = job_next(job, view);
    let name = format!("Job {}, {}, next {wall}, {left}", job.name, job.words);
    let response = ui
        .interact(rect, ui.scope_id().with(("job", &job.name)), Sense::click())
        .on_hover_cursor(CursorIcon::PointingHand);
    response.says_enabled(Role::Button, job.job_id.is_some(), &name);
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect.expand2(vec2(6.0, 0.0)), CornerRadius::same(6), tokens.raised);
    }
    if response.has_focus() {
        let ring = Stroke::new(1.5, tokens.accent);
        let place = rect.expand2(vec2(6.0, 0.0));
        ui.painter().rect_stroke(place, CornerRadius::same(6), ring, StrokeKind::Inside);
    }
    let (upper, lower) = (rect.center().y - 8.0, rect.center().y + 8.0);
    let ink = if job.enabled { tokens.text } else { tokens.muted };
    let shown = label_at(
        ui,
        pos2(rect.right(), upper),
        Align2::RIGHT_CENTER,
        &*left,
        (theme::small(), tokens.muted),
        110.0,
    );
    let width = shown.left() - rect.left() - 8.0;
    label_at(ui, pos2(rect.left(), upper), Align2::LEFT_CENTER, &*job.name, (theme::medium(), ink), width);
    let words = job.problem.as_deref().unwrap_or(&job.words);
    let ink = if job.problem.is_some() { tokens.failed } else { tokens.muted };
    let at = pos2(rect.left(), lower);
    label_at(ui, at, Align2::LEFT_CENTER, words, (theme::small(), ink), rect.width());
    if let Some(job_id) = &job.job_id
        && response.tip(&name).clicked()
    {
        out.push(Command::OpenJob(job_id.clone()));
    }
}

fn param_ui(ui: &mut Ui, param: &ParamBrief) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), ROW));
    let (upper, lower) = (rect.center().y - 8.0, rect.center().y + 8.0);
    let at = pos2(rect.left(), upper);
    let style = (theme::medium(), tokens.text);
    let shown = label_at(ui, at, Align2::LEFT_CENTER, &*param.name, style, rect.width() * 0.5);
    let at = pos2(shown.right() + 8.0, upper);
    let width = rect.right() - at.x;
    label_at(ui, at, Align2::LEFT_CENTER, &*param.kind, (theme::small(), tokens.muted), width);
    let text = param.description.as_deref().unwrap_or_default();
    let at = pos2(rect.left(), lower);
    label_at(ui, at, Align2::LEFT_CENTER, text, (theme::small(), tokens.muted), rect.width());
    let response = ui.interact(rect, ui.scope_id().with(("param", &param.name)), Sense::hover());
    let name = format!("Parameter {}, {}; {text}", param.name, param.kind);
    response.says(Role::ListItem, &name);
    response.tip(&name);
}

fn heading(ui: &mut Ui, text: &str) {
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 20.0));
    let style = (theme::small(), theme::tokens(ui).muted);
    let shown = label_at(ui, rect.left_center(), Align2::LEFT_CENTER, text, style, rect.width());
    ui.interact(shown, ui.scope_id().with(text), Sense::hover()).says(Role::Heading, text);
}

/// What is wrong with the file, each with its lines.
fn problems_ui(ui: &mut Ui, detail: &PipelineDetail, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    ScrollArea::vertical().id_salt("problems").auto_shrink([false, false]).show(ui, |ui| {
        Frame::NONE.inner_margin(egui::Margin::symmetric(theme::GAP as i8, 8)).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for problem in &detail.problems {
                problem_ui(ui, detail, problem, out);
            }
            let n_more = detail.n_problems.saturating_sub(detail.problems.len());
            if n_more > 0 {
                let text = format!("and {} more", format::count(n_more, "problem"));
                paragraph(ui, &text, (theme::body(), tokens.muted));
            }
        });
    });
}

fn problem_ui(ui: &mut Ui, detail: &PipelineDetail, problem: &FileProblem, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 30.0));
    let mut right = rect.right();
    if let Some(line) = problem.line {
        let edit = Command::Send(Action::EditFile { path: detail.path.clone(), line: Some(line) });
        let text = format!("Edit line {line}");
        let lever = Lever::of(&edit).named(&*text).text(&*text).without_icon().tone(Tone::Quiet);
        if lever.ui_before(ui, &mut right, rect, 26.0).clicked() {
            out.push(edit);
        }
    }
    let x = Icon::Cross.paint_before(ui.painter(), rect, 11.0, tokens.failed);
    let place = problem.line.map_or_else(String::new, |line| format!("line {line}: "));
    let text = format!("{place}{}", problem.message);
    let at = pos2(x, rect.center().y);
    let width = right - x - 8.0;
    let shown = label_at(ui, at, Align2::LEFT_CENTER, &*text, (theme::medium(), tokens.failed), width);
    let response = ui.interact(shown, ui.scope_id().with(&text), Sense::hover());
    response.says(Role::Label, &text);
    response.tip(&text);
    for (number, line) in &problem.excerpt {
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 18.0));
        let is_wrong = Some(*number) == problem.line;
        if is_wrong {
            ui.painter().rect_filled(rect, CornerRadius::same(3), tokens.tint(tokens.failed, 0.14));
        }
        let style = (theme::mono(), if is_wrong { tokens.failed } else { tokens.muted });
        let at = pos2(rect.left() + 34.0, rect.center().y);
        label_at(ui, at, Align2::RIGHT_CENTER, number.to_string(), style.clone(), 40.0);
        let style = (style.0, if is_wrong { tokens.text } else { tokens.muted });
        let at = pos2(rect.left() + 48.0, rect.center().y);
        let shown = one_line(line);
        label_at(ui, at, Align2::LEFT_CENTER, &*shown, style, rect.right() - at.x);
        let response = ui.interact(rect, ui.scope_id().with((&text, number)), Sense::hover());
        response.says(Role::Label, &format!("{number}: {shown}"));
    }
    ui.add_space(8.0);
}
