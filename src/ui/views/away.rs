//! What happened while the operator was away: one line on the first page, and a page with the levers of each entry.

use egui::{Align2, Id, Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};

use super::super::command::{Command, Page};
use super::super::offers::{away_lever, is_open_away};
use super::super::widgets::{
    AccessibleName, Card, Corners, Icon, Lever, RowKind, Tone, label_at, numbers_at, paragraph, row_ui,
    state_at,
};
use super::recent::{EndedRow, RowTime, ended_row_ui};
use super::running::{names_at, state_text};
use super::{Commands, View};
use crate::run::RunState;
use crate::schedule::Outcome;
use crate::ui::{format, theme};
use crate::window::{AwayItem, AwayKind, AwayMark, AwayPage, AwayWhat};

/// Ended runs that are listed; History has the others.
const MAX_ENDED: usize = 8;
const STATE: f32 = 124.0;
/// The widths of the levers of a row, from the left.
const LEVERS: [f32; 3] = [98.0, 66.0, 84.0];
const GAP: f32 = 6.0;

/// The entries of a page that are still to be handled.
fn open_items<'a>(page: &'a AwayPage, view: View<'a>) -> impl Iterator<Item = &'a AwayItem> {
    page.items.iter().filter(move |item| is_open_away(item, view.store))
}

/// What there is, in a few words: `2 interrupted, 1 failed, 12 ended`. Empty if there is nothing.
pub(super) fn summary_text(page: &AwayPage, view: View<'_>) -> String {
    let mut parts = Vec::new();
    for kind in AwayKind::ALL {
        let n = open_items(page, view).filter(|item| item.kind() == kind).count();
        if n > 0 {
            parts.push(match kind {
                AwayKind::Interrupted => format!("{n} interrupted"),
                AwayKind::Failed => format!("{n} failed"),
                AwayKind::Fire => format!("{} did not run", format::count(n, "fire")),
                AwayKind::Alert => format!("{} raised", format::count(n, "limit")),
                AwayKind::TakenBack => format!("{n} taken back"),
            });
        }
    }
    if page.n_ended > 0 {
        parts.push(format!("{} ended", format::number(page.n_ended as f64)));
    }
    parts.join(", ")
}

/// How many entries are still to be handled.
pub(crate) fn n_open(view: View<'_>) -> usize {
    view.store.away().map_or(0, |page| open_items(page, view).count())
}

pub(crate) fn away_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    ui.spacing_mut().item_spacing.y = theme::GAP;
    let tokens = theme::tokens(ui);
    let Some(page) = view.store.away() else {
        paragraph(ui, "Reading what happened…", (theme::body(), tokens.muted));
        return;
    };
    head_ui(ui, view, page, out);
    ScrollArea::vertical().id_salt("away").auto_shrink([false, false]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = theme::GAP;
        let mut is_empty = page.ended.is_empty();
        for kind in AwayKind::ALL {
            let items: Vec<&AwayItem> = open_items(page, view).filter(|item| item.kind() == kind).collect();
            if !items.is_empty() {
                is_empty = false;
                card_ui(ui, view, kind, &items, out);
            }
        }
        ended_ui(ui, view, page, out);
        if is_empty {
            nothing_ui(ui);
        }
    });
}

/// The span, and the lever that ends it.
fn head_ui(ui: &mut Ui, view: View<'_>, page: &AwayPage, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), theme::LEVER));
    let since = format::when(page.since, view.now);
    let until = format::when(page.until, view.now);
    let text = format!("What happened from {since} to {until}, and was not handled yet");
    let command = Command::MarkAway(AwayMark::All(page.until));
    let mut right = rect.right();
    if Lever::of(&command).ui_before(ui, &mut right, rect, theme::LEVER).clicked() {
        out.push(command);
    }
    let style = (theme::body(), tokens.muted);
    let shown =
        label_at(ui, rect.left_center(), Align2::LEFT_CENTER, text.as_str(), style, right - rect.left());
    ui.interact(shown, ui.scope_id().with("span"), egui::Sense::hover()).says(egui::Role::Label, &text);
}

fn nothing_ui(ui: &mut Ui) {
    let tokens = theme::tokens(ui);
    Card::frame(ui).show(ui, |ui| {
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 150.0));
        let middle = rect.center().x;
        Icon::Check.paint(ui.painter(), pos2(middle, rect.top() + 40.0), 22.0, tokens.completed);
        let title = "Nothing waits for you";
        let at = pos2(middle, rect.top() + 78.0);
        let shown =
            label_at(ui, at, Align2::CENTER_CENTER, title, (theme::strong(), tokens.text), rect.width());
        ui.interact(shown, ui.scope_id().with("nothing"), egui::Sense::hover())
            .says(egui::Role::Label, title);
        let text = "Runs that are interrupted or fail, and fires that do not run, are listed here until they are handled";
        let at = pos2(middle, rect.top() + 106.0);
        label_at(
            ui,
            at,
            Align2::CENTER_CENTER,
            text,
            (theme::body(), tokens.muted),
            rect.width() - 40.0,
        );
    });
}

const fn title(kind: AwayKind) -> &'static str {
    match kind {
        AwayKind::Interrupted => "Interrupted",
        AwayKind::Failed => "Failed",
        AwayKind::Fire => "Fires that did not run",
        AwayKind::Alert => "Limits that were raised",
        AwayKind::TakenBack => "Taken back",
    }
}

/// The entries of one kind, with the levers for all of them in the head.
fn card_ui(ui: &mut Ui, view: View<'_>, kind: AwayKind, items: &[&AwayItem], out: &mut Commands) {
    Card::new(title(kind)).count(items.len()).show(ui, |ui, rect| {
        let mut right = rect.right() + 12.0;
        let height = theme::LEVER - 4.0;
        let what = title(kind).to_lowercase();
        let keys = items.iter().map(|item| item.key.clone()).collect();
        let mark = Command::MarkAway(AwayMark::Handled(keys));
        let lever = Lever::of(&mark).text(format!("{} all", skip_word(kind)));
        let skip = lever.named(format!("{} all: {what}", skip_word(kind))).tone(Tone::Quiet);
        let place_of_skip = skip.place_before(ui, &mut right, rect, height);
        let mut sent: Vec<Command> = Vec::new();
        for command in items.iter().filter_map(|item| away_lever(item, view.store)) {
            // A job that missed several instants runs once.
            if !sent.contains(&command) {
                sent.push(command);
            }
        }
        let text = match kind {
            AwayKind::Interrupted | AwayKind::Failed => "Resume all",
            AwayKind::Fire => "Run all now",
            AwayKind::Alert | AwayKind::TakenBack => "",
        };
        if let Some(first) = sent.first().filter(|_| items.len() > 1 && !text.is_empty()) {
            let lever = Lever::of(first).text(text).named(format!("{text}: {what}")).tone(Tone::Quiet);
            if lever.ui_before(ui, &mut right, rect, height).clicked() {
                out.extend(sent);
                let keys = items.iter().map(|item| item.key.clone()).collect();
                out.push(Command::MarkAway(AwayMark::Handled(keys)));
            }
        }
        if skip.ui_at(ui, place_of_skip).clicked() {
            out.push(mark);
        }
        for (at, item) in items.iter().enumerate() {
            let corners = if at + 1 == items.len() { Corners::Bottom } else { Corners::Square };
            item_row_ui(ui, view, item, corners, out);
        }
    });
}

/// The word for marking an entry as handled without doing anything.
const fn skip_word(kind: AwayKind) -> &'static str {
    match kind {
        AwayKind::Interrupted | AwayKind::Failed | AwayKind::Fire => "Skip",
        AwayKind::Alert | AwayKind::TakenBack => "Dismiss",
    }
}

/// What a row shows of an entry.
struct Shown {
    icon: Icon,
    color: egui::Color32,
    state: String,
    /// Its name; for a run the pipeline, with the run's id below.
    name: String,
    why: String,
    opens: Vec<Command>,
}

fn shown(ui: &Ui, view: View<'_>, item: &AwayItem) -> Shown {
    let tokens = theme::tokens(ui);
    match &item.what {
        AwayWhat::Run { run, decided } => {
            let now = view.store.run(&run.run_id).map_or(&**run, |entry| &entry.run);
            let why = match &run.error {
                Some(error) if run.state.is_ended() && run.state != RunState::Completed => error.to_string(),
                Some(_) | None => String::new(),
            };
            let parts: Vec<&str> = decided.iter().map(String::as_str).chain([why.as_str()]).collect();
            let mut parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            parts.dedup();
            Shown {
                icon: Icon::of_run(now.state),
                color: tokens.run_state(now.state),
                state: state_text(now, view),
                name: format!("{}, {}", run.pipeline_id, run.run_id),
                why: parts.join("; "),
                opens: vec![Command::OpenRun(run.run_id.clone())],
            }
        }
        AwayWhat::Fire { job, job_id, n_instants, outcome, reason } => {
            let (icon, color) = match outcome {
                Outcome::FailedToStart => (Icon::Cross, tokens.failed),
                Outcome::Claimed
                | Outcome::Ran
                | Outcome::Queued
                | Outcome::Coalesced
                | Outcome::Skipped
                | Outcome::Expired
                | Outcome::Disabled
                | Outcome::Backfilled => (Icon::Clock, tokens.interrupted),
            };
            let times = match n_instants {
                0 | 1 => String::new(),
                n => format!("{n} instants: "),
            };
            let opens = job_id
                .iter()
                .flat_map(|job_id| [Command::Show(Page::Schedule), Command::SelectJob(Some(job_id.clone()))]);
            Shown {
                icon,
                color,
                state: outcome.as_str().replace('_', " "),
                name: job.clone(),
                why: format!("{times}{}", reason.as_deref().unwrap_or("no reason was recorded")),
                opens: opens.collect(),
            }
        }
        AwayWhat::Alert { text, cleared_at } => Shown {
            icon: Icon::Warning,
            color: if cleared_at.is_some() { tokens.stopped } else { tokens.failed },
            state: match cleared_at {
                Some(at) => format!("for {}", format::about(*at - item.at)),
                None => "raised".to_owned(),
            },
            name: "Machine".to_owned(),
            why: text.clone(),
            opens: vec![Command::Show(Page::Machine)],
        },
    }
}

fn item_row_ui(ui: &mut Ui, view: View<'_>, item: &AwayItem, corners: Corners, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let Shown { icon, color, state, name, why, opens } = shown(ui, view, item);
    let when = format::when(item.at, view.now);
    let said = format!("{state}, {name}, {why}, {when}");
    let kind = RowKind { name: &said, is_selected: false, corners };
    let (rect, mut response) = row_ui(ui, Id::unique(("away", &item.key)), view.row(), &kind);
    let levers_width = LEVERS.iter().sum::<f32>() + 2.0 * GAP;
    let levers = Rect::from_min_max(pos2(rect.right() - levers_width, rect.top()), rect.max);
    if ui.is_rect_visible(rect) {
        let state_column = Rect::from_min_size(rect.min, vec2(STATE, rect.height()));
        state_at(ui, state_column, icon, &state, color);
        let names = Rect::from_min_size(
            pos2(state_column.right() + theme::GAP, rect.top()),
            vec2(if rect.width() < 860.0 { 140.0 } else { 190.0 }, rect.height()),
        );
        match &item.what {
            AwayWhat::Run { run, .. } => names_at(ui, names, run),
            AwayWhat::Fire { .. } | AwayWhat::Alert { .. } => {
                let style = (theme::medium(), tokens.text);
                label_at(ui, names.left_center(), Align2::LEFT_CENTER, &*name, style, names.width());
            }
        }
        let left = names.right() + theme::GAP;
        let width = levers.left() - theme::GAP - left;
        let (upper, lower) = theme::two_lines(rect);
        let (upper, lower) = (pos2(left, upper), pos2(left, lower));
        let text = label_at(ui, upper, Align2::LEFT_CENTER, &*why, (theme::body(), tokens.text), width);
        numbers_at(ui, lower, Align2::LEFT_CENTER, &when, (theme::small(), tokens.muted));
        if text.width() > width - 4.0 {
            response = response.tip(&why);
        }
    }
    let mut is_opened = response.clicked();
    // A job may have missed several instants: its levers are told apart by the entry.
    let mut own = ui.new_child(UiBuilder::new().id_salt(&item.key).max_rect(levers));
    let ui = &mut own;
    let height = theme::lever_in(rect);
    let top = rect.center().y - height / 2.0;
    let mut left = levers.left();
    let mut place = |width: f32| {
        let place = Rect::from_min_size(pos2(left, top), vec2(width, height));
        left += width + GAP;
        place
    };
    let [first, second, third] = LEVERS.map(&mut place);
    let handled = Command::MarkAway(AwayMark::Handled(vec![item.key.clone()]));
    if let Some(command) = away_lever(item, view.store)
        && Lever::of(&command).ui_at(ui, first).clicked()
    {
        out.extend([command, handled.clone()]);
    }
    if let Some(command) = opens.last() {
        let lever = Lever::of(command).without_icon().text("Open").named(format!("Open {name}"));
        is_opened |= lever.ui_at(ui, second).clicked();
    }
    if is_opened {
        out.extend(opens);
    }
    let word = skip_word(item.kind());
    let lever = Lever::of(&handled).without_icon().text(word).named(format!("{word} {name}, {when}"));
    if lever.tone(Tone::Quiet).ui_at(ui, third).clicked() {
        out.push(handled);
    }
}

/// Runs that ended and need nothing.
fn ended_ui(ui: &mut Ui, view: View<'_>, page: &AwayPage, out: &mut Commands) {
    if page.ended.is_empty() {
        return;
    }
    Card::new("Ended").count(page.n_ended).show(ui, |ui, rect| {
        let command = Command::Show(Page::History);
        let lever = Lever::of(&command).without_icon().tone(Tone::Quiet);
        let mut right = rect.right() + 12.0;
        if lever.ui_before(ui, &mut right, rect, theme::LEVER - 4.0).clicked() {
            out.push(command);
        }
        let n_rows = page.ended.len().min(MAX_ENDED);
        for (at, run) in page.ended.iter().take(n_rows).enumerate() {
            let row = EndedRow { run, time: RowTime::Ended, is_selected: false, is_last: at + 1 == n_rows };
            if ended_row_ui(ui, view, &row, out).clicked() {
                out.push(Command::OpenRun(run.run_id.clone()));
            }
        }
    });
}
