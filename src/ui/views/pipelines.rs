//! The pipelines: each with its last outcomes, its median and its next fire, and below them the selected one.

use egui::{
    Align2, CornerRadius, CursorIcon, Rect, Response, Role, ScrollArea, Sense, Stroke, StrokeKind, TextEdit,
    Ui, UiBuilder, pos2, vec2,
};

use super::super::command::{Command, Page};
use super::super::offers::start_lever;
use super::super::pipeline_list::PipelineList;
use super::super::state::Overlay;
use super::super::widgets::{
    AccessibleName, Card, Corners, Icon, Lever, RowKind, Tone, is_pulled_by_key, label_at, numbers_at,
    paragraph, row_ui, state_at, stepped,
};
use super::job_row::wall_text;
use super::pipeline_card::pipeline_card_ui;
use super::schedule::countdown;
use super::{Commands, View};
use crate::api;
use crate::run::RunState;
use crate::ui::{format, theme};
use crate::window::{Action, Folder, JobBrief, MAX_MARKS, PipelineFacts};

/// The width of the lever that starts at once.
const START: f32 = 88.0;
/// The width of the lever that opens the start form, beside it.
const FORM: f32 = 64.0;
/// The height of the captions.
const CAPTIONS: f32 = 26.0;
/// The distance from one mark to the next.
const MARK: f32 = 11.0;
/// The least and the most height of the selected pipeline's card.
const CARD: (f32, f32) = (220.0, 360.0);

/// Where the columns of a row are.
struct Columns {
    name: Rect,
    /// None where there is no room.
    marks: Option<Rect>,
    median: Option<Rect>,
    next: Rect,
}

impl Columns {
    fn of(rect: Rect) -> Self {
        let right = rect.right() - START - FORM - 6.0 - theme::GAP;
        let strip = MARK * MAX_MARKS as f32;
        let room = right - rect.left();
        let has_strip = room > 480.0;
        let has_median = room > 400.0;
        let next = match room {
            760.0.. => 220.0,
            300.0.. => 148.0,
            _ => 0.0,
        };
        let fixed = next + if has_strip { strip + 20.0 } else { 0.0 } + if has_median { 84.0 } else { 0.0 };
        let name = room - fixed - theme::GAP;
        let mut left = rect.left();
        let mut take = |width: f32, gap: f32| {
            let column = Rect::from_min_max(pos2(left, rect.top()), pos2(left + width, rect.bottom()));
            left += width + gap;
            column
        };
        Self {
            name: take(name, theme::GAP),
            marks: has_strip.then(|| take(strip, 20.0)),
            median: has_median.then(|| take(68.0, 16.0)),
            next: take(next, 0.0),
        }
    }
}

pub(crate) fn pipelines_ui(ui: &mut Ui, view: View<'_>, page: &mut PipelineList, out: &mut Commands) {
    ui.spacing_mut().item_spacing.y = theme::GAP;
    let list = view.store.pipeline_list();
    let Some(pipelines) = list.listed() else {
        paragraph(ui, "Reading the pipelines…", (theme::body(), theme::tokens(ui).muted));
        return;
    };
    page.follow(list);
    // Its row stays marked while the form beside it is open.
    let asked = if let Overlay::Start(form) = &view.state.overlay { Some(form.pipeline_id()) } else { None };
    let has_card = list.selected().is_some();
    let card = if has_card { (ui.available_height() * 0.5).clamp(CARD.0, CARD.1) } else { 0.0 };
    let below = if has_card { card + theme::GAP } else { 0.0 };
    let max_height =
        (ui.available_height() - below - theme::CARD_HEAD - CAPTIONS - 4.0).max(view.row() * 1.5);
    Card::new("Pipelines").count(pipelines.len()).show(ui, |ui, rect| {
        head_ui(ui, rect, pipelines, page, out);
        captions_ui(ui);
        if page.shown().is_empty() {
            nothing_ui(ui, max_height, pipelines.is_empty(), out);
            return;
        }
        let n_rows = page.shown().len();
        ScrollArea::vertical()
            .id_salt("pipelines")
            .max_height(max_height)
            .auto_shrink([false, true])
            .show_rows(ui, view.row(), n_rows, |ui, range| {
                if let Some(at) = page.scroll_to.take() {
                    let top = ui.max_rect().top() + (at as f32 - range.start as f32) * view.row();
                    let row = Rect::from_min_size(pos2(ui.max_rect().left(), top), vec2(1.0, view.row()));
                    ui.scroll_to_rect(row, None);
                }
                for at in range.clone() {
                    let Some(entry) = page.shown().get(at).and_then(|at| pipelines.get(*at)) else {
                        continue;
                    };
                    let is_selected = list.selected_path() == Some(&*entry.path);
                    let row = Row {
                        entry,
                        facts: list.facts(&entry.id),
                        is_selected: is_selected || asked == Some(&*entry.id),
                        is_last: at + 1 == n_rows,
                    };
                    let response = row.ui(ui, view, out);
                    if response.clicked() {
                        let path = (!is_selected).then(|| entry.path.clone());
                        out.push(Command::SelectPipeline(path));
                    }
                }
                page.set_rows(&range);
            });
    });
    if let Some(entry) = list.selected() {
        pipeline_card_ui(ui, view, entry, card - 2.0, out);
    }
}

/// The levers, how many have errors, and the field that searches.
fn head_ui(ui: &mut Ui, rect: Rect, all: &[api::PipelineView], page: &mut PipelineList, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let mut right = rect.right() + 8.0;
    let levers =
        [Command::AskNewPipeline, Command::Send(Action::OpenFolder(Folder::Pipelines))].map(|command| {
            let lever = Lever::of(&command).tone(Tone::Quiet);
            (lever.place_before(ui, &mut right, rect, 28.0), lever, command)
        });
    let width = (right - rect.left() - 250.0).clamp(80.0, 220.0);
    let place = Rect::from_center_size(pos2(right - width / 2.0 - 4.0, rect.center().y), vec2(width, 26.0));
    let edit = TextEdit::singleline(&mut page.text)
        .id(ui.scope_id().with("pipelines text"))
        .hint_text("Search")
        .margin(vec2(9.0, 3.0))
        .align(egui::Align2::LEFT_CENTER)
        .desired_width(width - 18.0);
    let response = ui.put(place, edit);
    response.says(Role::TextInput, "Search pipelines");
    for (place, lever, command) in levers.into_iter().rev() {
        if lever.ui_at(ui, place).clicked() {
            out.push(command);
        }
    }
    let n_wrong = all.iter().filter(|entry| entry.error.is_some()).count();
    if n_wrong > 0 {
        let text = format!("{n_wrong} with errors");
        let at = pos2(rect.left() + 130.0, rect.center().y);
        let style = (theme::small(), tokens.failed);
        let shown = label_at(ui, at, Align2::LEFT_CENTER, &*text, style, place.left() - at.x - 8.0);
        ui.interact(shown, ui.scope_id().with("wrong"), Sense::hover()).says(Role::Label, &text);
    }
}

fn captions_ui(ui: &mut Ui) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), CAPTIONS));
    let columns = Columns::of(rect.shrink2(vec2(theme::GAP, 0.0)));
    let style = (theme::small(), tokens.muted);
    let put = |column: Rect, align: Align2, text: &str| {
        let x = if align == Align2::RIGHT_CENTER { column.right() } else { column.left() };
        label_at(ui, pos2(x, rect.center().y), align, text, style.clone(), column.width().max(60.0));
    };
    put(columns.name, Align2::LEFT_CENTER, "Pipeline");
    if let Some(marks) = columns.marks {
        put(marks, Align2::RIGHT_CENTER, &format!("Last {MAX_MARKS} runs"));
    }
    if let Some(median) = columns.median {
        put(median, Align2::RIGHT_CENTER, "Median");
    }
    if columns.next.width() > 0.0 {
        put(columns.next, Align2::LEFT_CENTER, "Next fire");
    }
}

/// What stands in the place of the rows if there are none.
fn nothing_ui(ui: &mut Ui, height: f32, is_empty: bool, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), height.min(180.0)));
    let text = if is_empty {
        "A pipeline is a file that says which steps run, and in which order"
    } else {
        "No pipeline has this text"
    };
    let at = rect.center() - vec2(0.0, if is_empty { 22.0 } else { 0.0 });
    let shown = label_at(ui, at, Align2::CENTER_CENTER, text, (theme::body(), tokens.muted), rect.width());
    ui.interact(shown, ui.scope_id().with("nothing"), Sense::hover()).says(Role::Label, text);
    if is_empty {
        let new = Command::AskNewPipeline;
        let lever = Lever::of(&new).tone(Tone::Primary).named("Create the first pipeline");
        let size = vec2(lever.width(ui), theme::LEVER);
        let place = Rect::from_center_size(rect.center() + vec2(0.0, 16.0), size);
        if lever.ui_at(ui, place).clicked() {
            out.push(new);
        }
    }
}

/// One pipeline in the list.
struct Row<'a> {
    entry: &'a api::PipelineView,
    /// None until they have arrived.
    facts: Option<&'a PipelineFacts>,
    is_selected: bool,
    is_last: bool,
}

impl Row<'_> {
    fn ui(&self, ui: &mut Ui, view: View<'_>, out: &mut Commands) -> Response {
        let Self { entry, facts, is_selected, is_last } = *self;
        let living = living_text(view, &entry.id);
        let next = facts.map(|facts| next_texts(facts, view)).unwrap_or_default();
        let name = self.name(living.as_ref().map(|(text, _)| &**text), &next);
        let corners = if is_last { Corners::Bottom } else { Corners::Square };
        let kind = RowKind { name: &name, is_selected, corners };
        let id = egui::Id::unique(("pipeline", &entry.id, &entry.path));
        let (rect, response) = row_ui(ui, id, view.row(), &kind);
        if !ui.is_rect_visible(rect) {
            return response;
        }
        let tokens = theme::tokens(ui);
        if let Some(error) = &entry.error {
            return self.wrong_ui(ui, rect, error, response);
        }
        let columns = Columns::of(rect);
        let (upper, lower) = theme::two_lines(rect);
        self.title_ui(ui, columns.name, columns.name.left(), upper);
        let response = match living {
            // In the place of the description, so that nothing moves when a run begins.
            Some((text, state)) => {
                let place = Rect::from_center_size(
                    pos2(columns.name.center().x, lower),
                    vec2(columns.name.width(), 18.0),
                );
                state_at(ui, place, Icon::of_run(state), &text, tokens.run_state(state));
                response
            }
            None => {
                let text = entry.description.as_deref().unwrap_or("No description");
                let (at, width) = (pos2(columns.name.left(), lower), columns.name.width());
                let style = (theme::small(), tokens.muted);
                let shown = label_at(ui, at, Align2::LEFT_CENTER, text, style, width);
                if shown.width() > width - 4.0 { response.tip(text) } else { response }
            }
        };
        if let (Some(place), Some(facts)) = (columns.marks, facts) {
            marks_ui(ui, view, facts, pos2(place.left(), rect.center().y), out);
        }
        if let (Some(place), Some(median)) = (columns.median, facts.and_then(|facts| facts.median)) {
            let style = (theme::body(), tokens.text);
            let at = pos2(place.right(), rect.center().y);
            numbers_at(ui, at, Align2::RIGHT_CENTER, &format::duration(median), style);
        }
        if columns.next.width() > 0.0 {
            let width = columns.next.width();
            for (y, text, style) in [
                (upper, &next.0, (theme::body(), tokens.text)),
                (lower, &next.1, (theme::small(), tokens.muted)),
            ] {
                label_at(ui, pos2(columns.next.left(), y), Align2::LEFT_CENTER, &**text, style, width);
            }
        }
        self.levers_ui(ui, rect, out);
        response
    }

    /// All of it in one sentence.
    fn name(&self, living: Option<&str>, (wall, left): &(String, String)) -> String {
        let entry = self.entry;
        let described = entry.error.as_deref().or(entry.description.as_deref()).unwrap_or("No description");
        let mut name = format!("{}, {described}", entry.id);
        if let Some(living) = living {
            name += &format!(", {living}");
        }
        let Some(facts) = self.facts.filter(|_| entry.error.is_none()) else { return name };
        if !facts.marks.is_empty() {
            let n_completed = facts.marks.iter().filter(|mark| mark.state == RunState::Completed).count();
            let n_runs = format::count(facts.marks.len(), "run");
            name += &format!(", {n_completed} of the last {n_runs} completed");
        }
        if let Some(median) = facts.median {
            name += &format!(", usually {}", format::duration(median));
        }
        name + &format!(", next {wall}, {left}")
    }

    /// The id, and what there is to say in small type behind it.
    fn title_ui(&self, ui: &Ui, rect: Rect, left: f32, y: f32) {
        let (entry, tokens) = (self.entry, theme::tokens(ui));
        let style = (theme::medium(), tokens.text);
        let width = rect.right() - left;
        let shown = label_at(ui, pos2(left, y), Align2::LEFT_CENTER, &entry.id, style, width);
        let facts = match &entry.error {
            Some(_) => entry.path.to_string_lossy().into_owned(),
            None if entry.source == entry.id => format::count(entry.n_steps, "step"),
            None => format!("{} · source {}", format::count(entry.n_steps, "step"), entry.source),
        };
        let at = pos2(shown.right() + 10.0, y);
        if rect.right() - at.x > 50.0 {
            let style = (theme::small(), tokens.muted);
            label_at(ui, at, Align2::LEFT_CENTER, facts, style, rect.right() - at.x);
        }
    }

    /// A pipeline that can't be read: what is wrong, over the whole row.
    fn wrong_ui(&self, ui: &Ui, rect: Rect, error: &str, response: Response) -> Response {
        let tokens = theme::tokens(ui);
        let (upper, lower) = theme::two_lines(rect);
        Icon::Cross.paint(ui.painter(), pos2(rect.left() + 6.0, upper), 11.0, tokens.failed);
        self.title_ui(ui, rect, rect.left() + 20.0, upper);
        let first = error.lines().next().unwrap_or_default();
        // The folder stands above it.
        let folder = self.entry.path.parent().map(|folder| format!("{}/", folder.display()));
        let first = folder.and_then(|folder| first.strip_prefix(&folder)).unwrap_or(first);
        let first = match error.lines().count() {
            0 | 1 => first.to_owned(),
            n => format!("{first}  (and {} more)", n - 1),
        };
        let style = (theme::mono(), tokens.failed);
        label_at(ui, pos2(rect.left(), lower), Align2::LEFT_CENTER, first, style, rect.width());
        response.tip(error)
    }

    /// Starts at once, or by the form.
    fn levers_ui(&self, ui: &mut Ui, rect: Rect, out: &mut Commands) {
        let entry = self.entry;
        let form = (!entry.needs_values).then(|| Command::AskStart(entry.id.clone()));
        let places = [(form, START + 6.0, FORM), (Some(start_lever(entry)), 0.0, START)];
        for (command, from_right, width) in places {
            let Some(command) = command else { continue };
            let at = pos2(rect.right() - from_right - width / 2.0, rect.center().y);
            let place = Rect::from_center_size(at, vec2(width, theme::LEVER));
            let mut lever = Lever::of(&command);
            if width < START {
                lever = lever.without_icon().tone(Tone::Quiet);
            }
            if lever.ui_at(ui, place).clicked() {
                out.push(command);
            }
        }
    }
}

/// The living runs of a pipeline in a few words, and the state of the first.
fn living_text(view: View<'_>, pipeline_id: &str) -> Option<(String, RunState)> {
    let mut living = view.store.living().filter(|entry| entry.run.pipeline_id.as_str() == pipeline_id);
    let run = &living.next()?.run;
    let more = living.count();
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    Some((format!("{} {}{more}", run.state, format::percent(run.progress)), run.state))
}

/// When a job starts it next, and how long until then and which job.
fn next_texts(facts: &PipelineFacts, view: View<'_>) -> (String, String) {
    let Some(job) = &facts.job else { return ("–".to_owned(), "no job".to_owned()) };
    let (wall, left) = job_next(job, view);
    let more = if facts.n_jobs > 1 { format!(", {} more", facts.n_jobs - 1) } else { String::new() };
    (wall, format!("{left} · {}{more}", job.name))
}

/// When a job is due, and how long until then, or why it is not.
pub(super) fn job_next(job: &JobBrief, view: View<'_>) -> (String, String) {
    let never = |left: &str| ("–".to_owned(), left.to_owned());
    match job.next_at {
        _ if job.problem.is_some() => never("never fires"),
        _ if !job.enabled => never("disabled"),
        Some(at) => (wall_text(at, job.zone, view.now), countdown(view, at)),
        None if job.schedule_type == "after" => (job.words.clone(), "waits for it".to_owned()),
        None if job.schedule_type == "manual" => never("by hand"),
        None => never("never again"),
    }
}

/// The last runs, the newest at the right; a click opens one. All of them are one stop of the Tab key.
fn marks_ui(ui: &mut Ui, view: View<'_>, facts: &PipelineFacts, left: egui::Pos2, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let first = MAX_MARKS - facts.marks.len().min(MAX_MARKS);
    let strip = Rect::from_min_size(left - vec2(2.0, 12.0), vec2(MARK * MAX_MARKS as f32 + 2.0, 24.0));
    let strip = ui.interact(strip, ui.scope_id().with(("marks", &facts.id)), Sense::click());
    let stepped_to = stepped(ui, &strip, facts.marks.len());
    let mut said = format!("Last runs of {}", facts.id);
    for (at, mark) in facts.marks.iter().enumerate() {
        let x = left.x + MARK * (first + at) as f32;
        let rect = Rect::from_min_size(pos2(x, left.y - 8.0), vec2(MARK - 2.0, 16.0));
        let color = tokens.run_state(mark.state);
        let is_quiet = mark.state == RunState::Completed;
        ui.painter().rect_filled(
            rect,
            CornerRadius::same(2),
            if is_quiet { tokens.tint(color, 0.7) } else { color },
        );
        if !is_quiet {
            Icon::of_run(mark.state).paint(ui.painter(), rect.center(), 7.0, tokens.panel);
        }
        let response =
            ui.interact(rect.expand2(vec2(1.0, 4.0)), ui.scope_id().with(&mark.run_id), Sense::CLICK);
        let when = format::when(mark.started_at, view.now);
        let text = format!("{} {}, {when}, took {}", mark.run_id, mark.state, format::duration(mark.took));
        let is_stepped_to = stepped_to == Some(at);
        if is_stepped_to {
            let ring = Stroke::new(1.5, tokens.accent);
            ui.painter().rect_stroke(rect.expand(2.0), 3.0, ring, StrokeKind::Outside);
            said = format!("{said}: {text}");
        }
        let is_clicked = response.on_hover_cursor(CursorIcon::PointingHand).tip(&text).clicked();
        if is_clicked || is_stepped_to && is_pulled_by_key(&strip) {
            out.push(Command::OpenRun(mark.run_id.clone()));
        }
    }
    strip.says(Role::Button, &said);
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
        let lever = Lever::of(&command).text(text).tone(Tone::Primary);
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
                let row = Row { entry, facts: None, is_selected: false, is_last: at + 1 == n_rows };
                if row.ui(ui, view, out).clicked() {
                    out.push(Command::Show(Page::Pipelines));
                    out.push(Command::SelectPipeline(Some(entry.path.clone())));
                }
            }
        });
    }
}
