//! The pipelines that can be started, and the invalid ones with the place of the error.

use egui::{Align2, Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};

use super::super::command::Command;
use super::super::offers::start_lever;
use super::super::state::Overlay;
use super::super::widgets::{
    AccessibleName, Card, Corners, Icon, Lever, RowKind, Tone, label_at, paragraph, row_ui,
};
use super::{Commands, View};
use crate::api;
use crate::ui::{format, theme};
use crate::window::{Action, Folder};

/// The width of the lever that opens the start form, beside the one that starts at once.
const FORM: f32 = 64.0;

pub(crate) fn pipelines_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    ui.spacing_mut().item_spacing.y = theme::GAP;
    let Some(pipelines) = view.store.pipelines() else {
        paragraph(ui, "Reading the pipelines…", (theme::body(), theme::tokens(ui).muted));
        return;
    };
    // Its row stays marked while the form beside it is open.
    let asked = match &view.state.overlay {
        Overlay::Start(form) => Some(form.pipeline_id()),
        Overlay::None
        | Overlay::Palette(_)
        | Overlay::Outline(_)
        | Overlay::Quit
        | Overlay::Leaving(_)
        | Overlay::StopAll
        | Overlay::ForceStop(_)
        | Overlay::RemoveJob(_) => None,
    };
    let max_height = ui.available_height() - theme::CARD_HEAD - 4.0;
    Card::new("Pipelines").count(pipelines.len()).show(ui, |ui, rect| {
        let folder = Command::Send(Action::OpenFolder(Folder::Pipelines));
        let (lever, mut right) = (Lever::of(ui, &folder).tone(Tone::Quiet), rect.right() + 8.0);
        if lever.ui_before(ui, &mut right, rect, 28.0).clicked() {
            out.push(folder);
        }
        ScrollArea::vertical()
            .id_salt("pipelines")
            .max_height(max_height)
            .auto_shrink([false, true])
            .show_rows(ui, 68.0, pipelines.len(), |ui, range| {
                for at in range {
                    let is_asked = asked == Some(&*pipelines[at].id);
                    pipeline_row_ui(ui, &pipelines[at], is_asked, at + 1 == pipelines.len(), out);
                }
            });
    });
}

fn pipeline_row_ui(
    ui: &mut Ui,
    entry: &api::PipelineView,
    is_selected: bool,
    is_last: bool,
    out: &mut Commands,
) {
    let tokens = theme::tokens(ui);
    let described = entry.error.as_deref().or(entry.description.as_deref()).unwrap_or("No description");
    let name = format!("{}, {described}", entry.id);
    let corners = if is_last { Corners::Bottom } else { Corners::Square };
    let kind = RowKind { name: &name, is_selected, corners };
    let (rect, response) = row_ui(ui, egui::Id::unique(("pipeline", &entry.id, &entry.path)), 68.0, &kind);
    let right = rect.right() - 110.0 - FORM;
    let width = right - rect.left();
    let y = |line: f32| rect.top() + 16.0 + line * 18.0;
    let mut left = rect.left();
    if entry.error.is_some() {
        Icon::Cross.paint(ui.painter(), pos2(left + 6.0, y(0.0)), 11.0, tokens.failed);
        left += 20.0;
    }
    let style = (theme::medium(), tokens.text);
    let shown = label_at(ui, pos2(left, y(0.0)), Align2::LEFT_CENTER, &entry.id, style, width);
    if entry.error.is_none() {
        let mut facts = format::count(entry.n_steps, "step");
        if entry.source != entry.id {
            facts = format!("{facts} · source {}", entry.source);
        }
        let at = pos2(shown.right() + 12.0, y(0.0));
        label_at(ui, at, Align2::LEFT_CENTER, facts, (theme::small(), tokens.muted), width);
    }
    let ink = if entry.error.is_some() { tokens.failed } else { tokens.muted };
    let style = (if entry.error.is_some() { theme::mono() } else { theme::body() }, ink);
    let first_line = match described.lines().count() {
        0 | 1 => described.to_owned(),
        n => format!("{}  (and {} more)", described.lines().next().unwrap_or_default(), n - 1),
    };
    let shown = label_at(ui, pos2(rect.left(), y(1.0)), Align2::LEFT_CENTER, first_line, style, width);
    if shown.width() > width - 4.0 || described.lines().count() > 1 {
        response.tip(described);
    }
    let path = entry.path.to_string_lossy();
    let style = (theme::mono(), tokens.muted);
    label_at(ui, pos2(rect.left(), y(2.0)), Align2::LEFT_CENTER, path, style, width);
    if entry.error.is_none() {
        let command = start_lever(entry);
        let form = (!entry.needs_values).then(|| Command::AskStart(entry.id.clone()));
        let mut right = rect.right();
        for (command, width) in [(Some(command), 88.0), (form, FORM)] {
            let Some(command) = command else { continue };
            let place =
                Rect::from_center_size(pos2(right - width / 2.0, rect.center().y), vec2(width, theme::LEVER));
            right = place.left() - 6.0;
            let mut lever = Lever::of(ui, &command);
            if width < 88.0 {
                lever = lever.without_icon().tone(Tone::Quiet);
            }
            if lever.ui_at(ui, place).clicked() {
                out.push(command);
            }
        }
    }
}

/// The first page while nothing has ever run: what it is for, and what to do first.
pub(crate) fn first_start_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let pipelines = view.store.pipelines().unwrap_or_default();
    let startable: Vec<_> = pipelines.iter().filter(|entry| entry.error.is_none()).collect();
    Card::frame(ui).show(ui, |ui| {
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 236.0));
        let middle = rect.center().x;
        Icon::Now.paint(ui.painter(), pos2(middle, rect.top() + 44.0), 26.0, tokens.muted);
        let width = rect.width() - 40.0;
        let title = "Nothing has run yet";
        let at = pos2(middle, rect.top() + 84.0);
        label_at(ui, at, Align2::CENTER_CENTER, title, (theme::heading(), tokens.text), width);
        let text = match startable.first() {
            Some(entry) => entry.description.clone().unwrap_or_else(|| {
                format!("{} is ready: {}", entry.id, format::count(entry.n_steps, "step"))
            }),
            None if view.store.pipelines().is_some() => {
                "Put a pipeline into the folder of pipelines, and it appears here".to_owned()
            }
            None => "Reading the pipelines…".to_owned(),
        };
        let at = pos2(middle, rect.top() + 112.0);
        label_at(ui, at, Align2::CENTER_CENTER, text, (theme::body(), tokens.muted), width);
        let mut child = ui.new_child(UiBuilder::new().max_rect(rect));
        let (command, text) = match startable.first() {
            Some(entry) => {
                let more = if entry.needs_values { "…" } else { "" };
                (start_lever(entry), format!("Start {}{more}", entry.id))
            }
            None => (Command::Send(Action::OpenFolder(Folder::Pipelines)), "Open the folder".to_owned()),
        };
        let lever = Lever::of(ui, &command).text(text).tone(Tone::Primary);
        let size = vec2(lever.width(ui) + 24.0, 36.0);
        let place = Rect::from_center_size(pos2(middle, rect.top() + 154.0), size);
        if view.store.pipelines().is_some() && lever.ui_at(&mut child, place).clicked() {
            out.push(command);
        }
        let hint = "While it runs, Pause freezes it and Stop ends it. Close the window, or kill it: the steps go on.";
        let at = pos2(middle, rect.top() + 200.0);
        label_at(ui, at, Align2::CENTER_CENTER, hint, (theme::small(), tokens.muted), width);
    });
    if startable.len() > 1 {
        ui.add_space(theme::GAP);
        Card::new("Also ready").show(ui, |ui, _| {
            let n_rows = (startable.len() - 1).min(4);
            for (at, entry) in startable.iter().skip(1).take(n_rows).enumerate() {
                pipeline_row_ui(ui, entry, false, at + 1 == n_rows, out);
            }
        });
    }
}
