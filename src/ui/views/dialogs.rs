//! The overlays: the questions before leaving and before stopping everything, and the palette.

use egui::{Align2, Id, Modal, Rect, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};

use super::super::command::Command;
use super::super::state::Overlay;
use super::super::widgets::{Card, Lever, Tone, label_at};
use super::{Commands, View, backfill, new_pipeline, outline, palette, start_sheet};
use crate::api;
use crate::base::id::{JobId, RunId};
use crate::run::StopKind;
use crate::ui::room::{Room, fitted};
use crate::ui::{format, theme};
use crate::window::{Action, QuitChoice};

/// Shows the overlay, if there is one. `overlay` is taken out of the window's state, because the palette's text is
/// edited in place.
pub(crate) fn overlay_ui(ui: &mut Ui, view: View<'_>, overlay: &mut Overlay, out: &mut Commands) {
    match overlay {
        Overlay::None => {}
        Overlay::Palette(state) => palette::palette_ui(ui, view, state, out),
        Overlay::Outline(state) => outline::outline_ui(ui, view, state, out),
        Overlay::Quit => quit_ui(ui, view, out),
        Overlay::Leaving(choice) => leaving_ui(ui, view, *choice),
        Overlay::StopAll => stop_all_ui(ui, view, out),
        Overlay::Start(form) => start_sheet::start_sheet_ui(ui, view, form, out),
        Overlay::RemoveJob(job_id) => remove_job_ui(ui, job_id, out),
        Overlay::ForceStop(run_id) => force_stop_ui(ui, run_id, out),
        Overlay::DeleteRuns(run_ids) => delete_runs_ui(ui, run_ids, out),
        Overlay::Backfill(form) => backfill::backfill_ui(ui, view, form, out),
        Overlay::NewPipeline(form) => new_pipeline::new_pipeline_ui(ui, form, out),
    }
}

pub(super) const WIDTH: f32 = 460.0;

pub(super) fn dialog_ui(
    ui: &Ui,
    name: &str,
    out: &mut Commands,
    content: impl FnOnce(&mut Ui, &mut Commands),
) {
    let tokens = theme::tokens(ui);
    let frame = Card::frame(ui).inner_margin(20).shadow(ui.visuals().window_shadow);
    let area = Modal::default_area(Id::unique(name)).accessible_name(name);
    let modal = Modal::new(Id::unique(name)).area(area).frame(frame).backdrop_color(tokens.backdrop);
    let modal = modal.show(ui.ctx(), |ui| {
        ui.set_width(fitted(ui.ctx(), WIDTH));
        ui.spacing_mut().item_spacing.y = 0.0;
        let height = ui.ctx().content_rect().height() - 64.0;
        // As high as its content is now, which may have grown since the last frame.
        let area = ScrollArea::vertical().max_height(height).min_scrolled_height(height);
        area.auto_shrink([false, true]).show(ui, |ui| content(ui, out));
    });
    if modal.should_close() {
        out.push(Command::CloseOverlay);
    }
}

pub(super) fn heading_ui(ui: &mut Ui, text: String) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 30.0));
    let style = (theme::heading(), tokens.text);
    label_at(ui, rect.left_center(), Align2::LEFT_CENTER, text.as_str(), style, rect.width());
    let response = ui.interact(rect, ui.scope_id().with(&text), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Heading, true, &text));
}

fn names_of_living(view: View<'_>) -> String {
    let n_living = view.store.living().len();
    let mut names: Vec<String> =
        view.store.living().take(3).map(|entry| entry.run.pipeline_id.to_string()).collect();
    if n_living > names.len() {
        names.push(format!("{} more", n_living - names.len()));
    }
    names.join(", ")
}

/// Which answer Enter gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The one that loses nothing: it has the focus when the question appears.
    Safe,
    Other,
}

/// A choice: a lever as wide as the column, with its meaning to the right.
fn choice_ui(ui: &mut Ui, command: Command, answer: (Tone, Answer), meaning: &str, out: &mut Commands) {
    let name = command.name();
    choice_named_ui(ui, command, (name, answer), meaning, out);
}

/// The same with another name for screen readers.
fn choice_named_ui(
    ui: &mut Ui,
    command: Command,
    (name, (tone, answer)): (String, (Tone, Answer)),
    meaning: &str,
    out: &mut Commands,
) {
    let tokens = theme::tokens(ui);
    let width = ui.available_width();
    let left = if Room::of(ui.ctx()) == Room::Tiny { 100.0 } else { 132.0 };
    let galley = ui.painter().layout(meaning.to_owned(), theme::small(), tokens.muted, width - left - 16.0);
    let (_, rect) = ui.allocate_space(vec2(width, (galley.size().y + 14.0).max(46.0)));
    let place = Rect::from_center_size(pos2(rect.left() + left / 2.0, rect.center().y), vec2(left, 34.0));
    let lever = Lever::of(&command).without_icon().tone(tone).named(name);
    let response = lever.ui_at(ui, place);
    response.ctx.accesskit_node_builder(response.id, |node| node.set_description(meaning));
    let focused = ui.memory(|memory| memory.focused()).and_then(|id| ui.ctx().read_response(id));
    if answer == Answer::Safe && focused.is_none_or(|focused| focused.layer_id != ui.layer_id()) {
        response.request_focus();
    }
    if response.clicked() {
        out.push(command);
    }
    let at = pos2(place.right() + 16.0, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, tokens.muted);
}

const CANCEL: (Tone, Answer) = (Tone::Quiet, Answer::Other);
const SAFE_CANCEL: (Tone, Answer) = (Tone::Plain, Answer::Safe);

fn quit_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let (n_living, n_jobs) = (view.store.living().len(), view.store.n_jobs_left());
    dialog_ui(ui, "Close the window?", out, |ui, out| {
        if n_living == 0 {
            heading_ui(ui, "Close the window?".to_owned());
        } else {
            heading_ui(ui, format!("{} still alive", format::count(n_living, "run")));
            line_ui(ui, names_of_living(view));
        }
        if n_jobs > 0 {
            let are = if n_jobs == 1 { "is" } else { "are" };
            line_ui(ui, format!("{} {are} due again", format::count(n_jobs, "enabled job")));
        }
        ui.add_space(12.0);
        let choices: &[(QuitChoice, (Tone, Answer), &str)] = if n_living == 0 {
            &[(QuitChoice::Close, (Tone::Primary, Answer::Safe), "")]
        } else {
            &[
                (
                    QuitChoice::LeaveRunning,
                    (Tone::Primary, Answer::Safe),
                    "Runs: their steps go on without the window; the next start takes them back.",
                ),
                (
                    QuitChoice::Freeze,
                    (Tone::Plain, Answer::Other),
                    "Runs: they stand still where they are and keep their memory until they are resumed.",
                ),
                (
                    QuitChoice::Stop,
                    (Tone::Plain, Answer::Other),
                    "Runs: they are asked to stop; what has finished stays finished and is not run again.",
                ),
            ]
        };
        for (choice, kind, of_runs) in choices {
            let parts = [(*of_runs).to_owned(), of_jobs(n_jobs)];
            let meaning =
                parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("\n");
            choice_ui(ui, Command::Send(Action::Quit(*choice)), *kind, &meaning, out);
        }
        choice_ui(ui, Command::CloseOverlay, CANCEL, "Go on working in the window.", out);
    });
}

/// What becomes of jobs when the window closes, whatever becomes of runs.
fn of_jobs(n_jobs: usize) -> String {
    match n_jobs {
        0 => String::new(),
        1 => "Jobs: it goes on firing in the background.".to_owned(),
        _ => "Jobs: they go on firing in the background.".to_owned(),
    }
}

fn line_ui(ui: &mut Ui, text: String) {
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 26.0));
    let style = (theme::body(), theme::tokens(ui).muted);
    label_at(ui, rect.left_center(), Align2::LEFT_CENTER, text.as_str(), style, rect.width());
    let response = ui.interact(rect, ui.scope_id().with(&text), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
}

fn leaving_ui(ui: &mut Ui, view: View<'_>, choice: QuitChoice) {
    let n_living = view.store.living().len();
    let runs = format::count(n_living, "run");
    let (title, text) = match choice {
        QuitChoice::LeaveRunning => ("Leaving…".to_owned(), "What runs goes on."),
        QuitChoice::Close => ("Closing…".to_owned(), "A process in the background takes over."),
        QuitChoice::Freeze => (format!("Freezing {runs}…"), "The window closes when they stand still."),
        QuitChoice::Stop => (
            format!("Stopping {runs}…"),
            "The window closes when they have ended. Close it once more to leave at once.",
        ),
    };
    let mut ignored = Commands::new();
    dialog_ui(ui, "Leaving", &mut ignored, |ui, _| {
        heading_ui(ui, title);
        ui.label(egui::RichText::new(text).color(theme::tokens(ui).muted));
    });
}

fn remove_job_ui(ui: &mut Ui, job_id: &JobId, out: &mut Commands) {
    dialog_ui(ui, "Remove the job?", out, |ui, out| {
        heading_ui(ui, format!("Remove {job_id}?"));
        ui.add_space(8.0);
        let remove = Command::Send(Action::Do(api::RemoveJob { job_id: job_id.clone() }.into()));
        let mut removed = Commands::new();
        let meaning = "The record of its fires is removed, too; its runs stay.";
        let marked = (Tone::Marked(theme::tokens(ui).failed), Answer::Other);
        choice_ui(ui, remove, marked, meaning, &mut removed);
        if !removed.is_empty() {
            out.push(Command::CloseOverlay);
            out.append(&mut removed);
        }
        choice_ui(ui, Command::CloseOverlay, SAFE_CANCEL, "Keep it.", out);
    });
}

fn force_stop_ui(ui: &mut Ui, run_id: &RunId, out: &mut Commands) {
    dialog_ui(ui, "Kill its processes?", out, |ui, out| {
        heading_ui(ui, "Kill its processes?".to_owned());
        line_ui(ui, run_id.to_string());
        ui.add_space(8.0);
        let force = Command::Send(Action::Do(api::Command::stop(run_id, StopKind::Force)));
        let meaning = "At once, without their grace period; its `finally` steps do not run.";
        // The lever behind the question has the command's own name.
        let name = format!("Confirm: {}", force.name());
        let marked = (Tone::Marked(theme::tokens(ui).failed), Answer::Other);
        choice_named_ui(ui, force, (name, marked), meaning, out);
        choice_ui(ui, Command::CloseOverlay, SAFE_CANCEL, "Let it go on as it does.", out);
    });
}

fn delete_runs_ui(ui: &mut Ui, run_ids: &[RunId], out: &mut Commands) {
    dialog_ui(ui, "Delete runs?", out, |ui, out| {
        heading_ui(ui, format!("Delete {}?", format::count(run_ids.len(), "run")));
        ui.add_space(8.0);
        let delete = Command::DeleteRuns(run_ids.to_vec());
        let meaning = "Their records, logs and reports are removed for good; what they made stays.";
        choice_ui(ui, delete, (Tone::Marked(theme::tokens(ui).failed), Answer::Other), meaning, out);
        choice_ui(ui, Command::CloseOverlay, SAFE_CANCEL, "Keep them.", out);
    });
}

fn stop_all_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let n_living = view.store.living().len();
    dialog_ui(ui, "Stop all runs?", out, |ui, out| {
        heading_ui(ui, format!("Stop {}?", format::count(n_living, "run")));
        ui.add_space(8.0);
        let (are, them) = if n_living == 1 { ("is", "it") } else { ("are", "them") };
        let meaning = format!("{} {are} asked to stop and can be resumed later.", names_of_living(view));
        let marked = (Tone::Marked(theme::tokens(ui).failed), Answer::Other);
        choice_ui(ui, Command::StopAll, marked, &meaning, out);
        choice_ui(ui, Command::CloseOverlay, SAFE_CANCEL, &format!("Let {them} go on."), out);
    });
}
