//! The selected job, or a new one: its form at the left, its preview in the middle, its past fires at the right.

use std::sync::OnceLock;

use egui::{
    Align2, CornerRadius, Frame, Margin, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, UiBuilder,
    pos2, vec2,
};

use super::super::command::{Command, Page};
use super::super::job_form::{Checked, JobForm, When};
use super::super::widgets::{
    AccessibleName, AtFirst, Card, Field, Icon, Lever, Tone, choice, label_at, levers_before, numbers_at,
    paragraph, remark, state_at, text_width,
};
use super::job_row::{fire_icon, fire_ink, fire_text, wall_text};
use super::ledger::whole_wall;
use super::schedule::countdown;
use super::start_sheet::fields_ui;
use super::{Commands, View};
use crate::base::tz::Tz;
use crate::schedule::{AfterOn, Misfire, Overlap};
use crate::ui::room::Room;
use crate::ui::{format, spoken, theme};
use crate::window::FireRow;

/// A row of a fire.
const FIRE: f32 = 24.0;

/// The card, `height` high; without a form while the job is being loaded.
pub(crate) fn job_card_ui(
    ui: &mut Ui,
    view: View<'_>,
    form: Option<&mut JobForm>,
    height: f32,
    out: &mut Commands,
) {
    let Some(form) = form else {
        Card::new("Reading the job…").show(ui, |ui, _| ui.add_space(height - theme::CARD_HEAD));
        return;
    };
    let checked = form.check(view.now);
    let title = form.job_id.as_ref().map_or("New job", |job_id| job_id.as_str()).to_owned();
    let (is_new, is_changed, file) = (form.job_id.is_none(), form.is_changed(), form.file.clone());
    let removable = form.job_id.clone().filter(|_| file.is_none());
    let may_save = form.request(view.now).is_some();
    let is_saving = form.is_saving;
    Card::new(&title).show(ui, |ui, rect| {
        let mut right = rect.right();
        let mut levers = Vec::new();
        if let Some(job_id) = removable {
            let remove = Command::AskRemoveJob(job_id);
            levers.push((Lever::of(&remove).text("Remove…").without_icon().tone(Tone::Quiet), remove));
        }
        if let Some(job_id) = form.job_id.clone() {
            let backfill = Command::AskBackfill(job_id);
            levers.push((Lever::of(&backfill).text("Backfill…").tone(Tone::Quiet), backfill));
        }
        if is_changed && !is_new {
            levers.push((Lever::of(&Command::RevertJob), Command::RevertJob));
        }
        if is_new || is_changed {
            let save = Command::SaveJob;
            let text = if is_saving { "Saving…" } else { "Save" };
            let lever = Lever::of(&save).text(text).tone(Tone::Primary).enabled_if(may_save);
            levers.push((lever, save));
        }
        let close = if is_new { Command::RevertJob } else { Command::SelectJob(None) };
        let lever = if is_new { Lever::of(&close).named("Cancel") } else { Lever::of(&close) };
        levers.push((lever.with_only(Icon::Close), close));
        out.extend(levers_before(ui, &mut right, (rect, 28.0), levers));
        if let Some(file) = &file {
            let left = rect.left() + text_width(ui, &title, theme::strong()) + 14.0;
            let style = (theme::small(), theme::tokens(ui).muted);
            let text = format!("its [[schedule]] is in {file}; saving writes it there");
            label_at(ui, pos2(left, rect.center().y), Align2::LEFT_CENTER, text, style, right - left - 8.0);
        }
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), height - theme::CARD_HEAD));
        let line = Stroke::new(1.0, theme::tokens(ui).line);
        ui.painter().hline(rect.x_range(), rect.top(), line);
        let inner = rect.shrink2(vec2(theme::GAP, 8.0));
        let places = places(inner, Room::of(ui.ctx()));
        let scrolled = |ui: &mut Ui, rect: Rect, salt: &str, add: &mut dyn FnMut(&mut Ui)| {
            let mut ui = ui.new_child(UiBuilder::new().max_rect(rect));
            ScrollArea::vertical().id_salt(salt).auto_shrink([false, false]).show(&mut ui, |ui| {
                ui.spacing_mut().item_spacing.y = 5.0;
                add(ui);
            });
        };
        scrolled(ui, places[0], "form", &mut |ui| form_ui(ui, view, form, &checked));
        scrolled(ui, places[1], "preview", &mut |ui| preview_ui(ui, view, &checked));
        fires_ui(&mut ui.new_child(UiBuilder::new().max_rect(places[2])), view, out);
    });
}

/// The places of the form, of the next fires and of the past ones: beside one another, or the fires one above the other.
fn places(inner: Rect, room: Room) -> [Rect; 3] {
    let n = if room.is_wide() { 3.0 } else { 2.0 };
    let width = (inner.width() - (n - 1.0) * 20.0) / n;
    let column = |at: f32| {
        let left = inner.left() + at * (width + 20.0);
        Rect::from_min_size(pos2(left, inner.top()), vec2(width, inner.height()))
    };
    if room.is_wide() {
        return [0.0, 1.0, 2.0].map(column);
    }
    let (next, past) = column(1.0).split_top_bottom_at_fraction(0.6);
    [column(0.0), next, past]
}

fn form_ui(ui: &mut Ui, view: View<'_>, form: &mut JobForm, checked: &Checked) {
    let half = (ui.available_width() - 8.0) / 2.0;
    if let Some(refusal) = &form.refusal {
        remark(ui, refusal, theme::tokens(ui).failed);
    }
    let error = |outcome: &Result<_, String>, typed: &str| {
        outcome.as_ref().err().filter(|_| !typed.is_empty()).cloned()
    };
    if form.job_id.is_none() {
        let wrong = error(&checked.name.as_ref().map(drop).map_err(Clone::clone), &form.fields.name);
        let unknown = unknown_pipeline(view, &form.fields.pipeline);
        ui.horizontal_top(|ui| {
            let (name, pipeline) = (&mut form.fields.name, &mut form.fields.pipeline);
            Field::new("Name", "books-nightly").ui(ui, name, half, wrong.as_deref());
            let listed = view.store.pipelines().unwrap_or_default();
            let all = listed.iter().filter(|entry| entry.error.is_none()).map(|entry| &*entry.id);
            let wrong = unknown.as_deref();
            Field::new("Pipeline", "books").suggest_ui(ui, pipeline, (half, wrong), AtFirst::Matching, all);
        });
    }
    let wrong = error(&checked.schedule.as_ref().map(drop).map_err(Clone::clone), &form.fields.text);
    let kinds = form.kinds();
    ui.horizontal_top(|ui| {
        let chosen = choice(ui, "When", form.fields.when, kinds, When::text, 150.0);
        if chosen != form.fields.when {
            form.fields.when = chosen;
            form.fields.text.clear();
        }
        let rest = 2.0 * half - 150.0;
        match chosen {
            When::Manual => {}
            When::Daily | When::Weekly | When::Every | When::Cron | When::Once | When::After => {
                let field = Field { caption: "", name: "At", example: chosen.example() };
                field.ui(ui, &mut form.fields.text, rest, None);
            }
        }
    });
    match wrong {
        Some(wrong) => remark(ui, &wrong, theme::tokens(ui).failed),
        None if !checked.words.is_empty() => remark(ui, &checked.words, theme::tokens(ui).muted),
        None => {}
    }
    let wrong = checked.zone.as_ref().err().cloned();
    ui.horizontal_top(|ui| {
        let zones = zone_names();
        let all = zones.iter().map(|name| &**name);
        let zone = &mut form.fields.zone;
        Field::new("Zone", "Europe/Madrid").suggest_ui(
            ui,
            zone,
            (half, wrong.as_deref()),
            AtFirst::Matching,
            all,
        );
        if form.fields.when == When::After {
            form.fields.on =
                choice(ui, "When they have", form.fields.on, &AfterOn::ALL, AfterOn::as_str, half);
        }
    });
    ui.horizontal_top(|ui| {
        let fields = &mut form.fields;
        fields.misfire = choice(ui, "If a fire was missed", fields.misfire, Misfire::ALL, misfire_text, half);
        fields.overlap =
            choice(ui, "If a run has not ended", fields.overlap, Overlap::ALL, overlap_text, half);
    });
    ui.add_space(8.0);
    match (&mut form.run, &form.file) {
        (Some(run), _) => drop(fields_ui(ui, view, run)),
        (None, Some(_)) => {
            remark(ui, "Its parameters and priority are in its file", theme::tokens(ui).muted);
        }
        (None, None) => {}
    }
}

/// The names of all zones, and the word for that of the machine. They are those of the program.
fn zone_names() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| [vec!["local".to_owned()], Tz::names()].concat())
}

fn misfire_text(misfire: Misfire) -> &'static str {
    match misfire {
        Misfire::RunOnce => "run once, late",
        Misfire::RunAll => "run all of them",
        Misfire::Skip => "skip it",
    }
}

fn overlap_text(overlap: Overlap) -> &'static str {
    match overlap {
        Overlap::Skip => "skip the new one",
        Overlap::Queue => "wait for it",
        Overlap::Allow => "run beside it",
        Overlap::CancelPrevious => "stop it first",
    }
}

/// What is wrong with the pipeline's name, as far as the window knows. The engine checks it as well.
fn unknown_pipeline(view: View<'_>, typed: &str) -> Option<String> {
    let pipelines = view.store.pipelines()?;
    if typed.is_empty() {
        return None;
    }
    match pipelines.iter().find(|entry| entry.id == typed.trim()) {
        Some(entry) => entry.error.clone(),
        None => Some(format!("no pipeline file has the id {typed:?}; all ids are listed under Pipelines")),
    }
}

/// The next fires, and the effect of the coming clock changes.
fn preview_ui(ui: &mut Ui, view: View<'_>, checked: &Checked) {
    let tokens = theme::tokens(ui);
    // The preview is also shown for a disabled job, although it does not fire.
    let is_off = view.store.jobs().detail().is_some_and(|detail| !detail.row.job.enabled);
    heading(ui, if is_off { "Next fires, if it were enabled" } else { "Next fires" });
    if checked.preview.fires.is_empty() {
        let text = match &checked.schedule {
            Err(_) => "Nothing yet: the schedule is not understood",
            Ok(_) => "It is due at no fixed time",
        };
        remark(ui, text, tokens.muted);
    }
    for fire in &checked.preview.fires {
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 20.0));
        let when = whole_wall(fire.at, checked.tz);
        let left = if is_off { String::new() } else { countdown(view, fire.at) };
        let at = rect.left_center();
        let shown = numbers_at(ui, at, Align2::LEFT_CENTER, &when, (theme::body(), tokens.text));
        let at = pos2((rect.left() + 206.0).max(shown.right() + 10.0), rect.center().y);
        // In a narrow column it is said, and not shown.
        if at.x + text_width(ui, &left, theme::small()) < rect.right() {
            numbers_at(ui, at, Align2::LEFT_CENTER, &left, (theme::small(), tokens.muted));
        }
        let response = ui.interact(rect, ui.scope_id().with(("fire", fire.at)), Sense::hover());
        response.says(Role::Label, &format!("{when}, {left}"));
    }
    if checked.preview.clock_changes.is_empty() {
        return;
    }
    ui.add_space(6.0);
    heading(ui, "Clock changes ahead");
    for change in &checked.preview.clock_changes {
        let touches = !change.text.contains(": no effect");
        let ink = if touches { tokens.interrupted } else { tokens.completed };
        let shown = Frame::NONE.inner_margin(Margin { left: 11, ..Margin::ZERO }).show(ui, |ui| {
            paragraph(ui, &change.text, (theme::small(), tokens.text));
        });
        let rect = shown.response.rect;
        let edge = Rect::from_min_size(rect.min, vec2(3.0, rect.height()));
        ui.painter().rect_filled(edge, CornerRadius::ZERO, ink);
    }
}

/// The job's past instants with their outcomes, the newest first.
fn fires_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    ui.spacing_mut().item_spacing.y = 0.0;
    heading(ui, "Fires");
    let Some(detail) = view.store.jobs().detail() else { return };
    if detail.fires.is_empty() {
        remark(ui, "It has not been due yet", tokens.muted);
        return;
    }
    let zone = detail.row.zone;
    ScrollArea::vertical().id_salt(("fires", &detail.row.job.job_id)).auto_shrink([false, false]).show_rows(
        ui,
        FIRE,
        detail.fires.len(),
        |ui, range| {
            for (at, fire) in detail.fires[range.clone()].iter().enumerate() {
                fire_row_ui(ui, view, fire, zone, range.start + at, out);
            }
        },
    );
}

fn fire_row_ui(ui: &mut Ui, view: View<'_>, fire: &FireRow, zone: Tz, at: usize, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), FIRE));
    let mut when = wall_text(fire.due_at, zone, view.now);
    if fire.n_instants > 1 {
        when = format!("{} × to {}", fire.n_instants, wall_text(fire.through_at, zone, view.now));
    }
    let what = fire_text(view, fire);
    let why = match (&fire.reason, fire.took) {
        (Some(reason), _) => reason.clone(),
        (None, Some(took)) => format::duration(took),
        (None, None) => String::new(),
    };
    let response = ui.interact(rect, ui.scope_id().with(("fire", at)), Sense::click());
    let name = spoken::listed([&*when, &*what, &*why]);
    response.says_enabled(Role::Button, fire.run_id.is_some(), &name);
    if response.hovered() && fire.run_id.is_some() {
        ui.painter().rect_filled(rect, CornerRadius::same(4), tokens.raised);
    }
    if response.has_focus() {
        let ring = Stroke::new(1.5, tokens.accent);
        ui.painter().rect_stroke(rect, CornerRadius::same(4), ring, StrokeKind::Inside);
    }
    let y = rect.center().y;
    let style = (theme::body(), tokens.text);
    label_at(ui, pos2(rect.left() + 2.0, y), Align2::LEFT_CENTER, when, style, 112.0);
    let state =
        Rect::from_min_max(pos2(rect.left() + 120.0, rect.top()), pos2(rect.left() + 234.0, rect.bottom()));
    state_at(ui, state, fire_icon(view, fire), &what, fire_ink(view, tokens, fire));
    let left = state.right() + 6.0;
    let style = (theme::small(), tokens.muted);
    label_at(ui, pos2(left, y), Align2::LEFT_CENTER, why.as_str(), style, rect.right() - left - 8.0);
    if let Some(run_id) = &fire.run_id {
        if response.clicked() {
            out.push(Command::Select(Some(run_id.clone())));
            out.push(Command::Show(Page::History));
        }
        response.tip(&format!("{name}\nShow {run_id}"));
    } else {
        response.tip(&name);
    }
}

fn heading(ui: &mut Ui, text: &str) {
    let tokens = theme::tokens(ui);
    let response = paragraph(ui, text, (theme::small(), tokens.muted));
    response.says(Role::Heading, text);
    ui.add_space(4.0);
}
