//! The start form, over the right part of the page: parameters, how it runs, and the command line for the same.

use chrono::NaiveDate;
use egui::{
    Align2, Area, Frame, Id, Key, Margin, Modal, Order, Popup, PopupCloseBehavior, Rect, Response, Role,
    ScrollArea, Sense, Stroke, Ui, UiBuilder, pos2, vec2,
};

use super::super::command::Command;
use super::super::start_form::{OwnField, ParamField, RunFields, SecretField, StartForm};
use super::super::widgets::{
    AccessibleName, Field, Icon, Lever, SWITCH, Tone, calendar_ui, caption, choice, choice_of_texts,
    label_at, levers_before, numbers_at, one_line, paragraph, remark, switch_at,
};
use super::{Commands, View};
use crate::pipeline::{ParamType, SecretState};
use crate::ui::{format, theme};

/// The sheet's width; a window below [`NARROW`] is covered whole.
const WIDTH: f32 = 480.0;
const NARROW: f32 = 1000.0;
/// Names of parameters of more characters than this get a whole line.
const LONG_NAME: usize = 22;
/// Fields in less than this stand below each other.
const NARROW_FIELDS: f32 = 380.0;
const MARGIN: f32 = 24.0;
const HEAD: f32 = 60.0;
const FOOT: f32 = 62.0;
const BETWEEN: f32 = 16.0;
/// A cell of the form: caption, field, and a line below it.
const CELL: f32 = 72.0;

pub(crate) fn start_sheet_ui(ui: &Ui, view: View<'_>, form: &mut StartForm, out: &mut Commands) {
    let today = view.now.with_timezone(&view.store.jobs().local()).date_naive();
    let tokens = theme::tokens(ui);
    let window = ui.ctx().content_rect();
    let width = if window.width() < NARROW { window.width() } else { WIDTH };
    let place = Rect::from_min_max(pos2(window.right() - width, window.top()), window.max);
    let id = Id::unique("start form");
    let frame = Frame::NONE
        .fill(tokens.panel)
        .stroke(Stroke::new(1.0, tokens.line))
        .shadow(ui.visuals().window_shadow);
    let area = Area::new(id)
        .kind(egui::UiKind::Modal)
        .sense(Sense::hover())
        .order(Order::Foreground)
        .accessible_name("Start a run");
    // Without a veil: the list behind stays readable. A click beside it does not close it, so that nothing entered is
    // lost.
    let modal = Modal::new(id)
        .area(area.fixed_pos(place.min).constrain(false))
        .frame(frame)
        .backdrop_color(egui::Color32::TRANSPARENT)
        .show(ui.ctx(), |ui| {
            ui.set_min_size(place.size());
            ui.set_max_size(place.size());
            ui.spacing_mut().item_spacing.y = 0.0;
            sheet_ui(ui, (place, today), form, out);
        });
    let is_escaped =
        modal.is_top_modal && !modal.any_popup_open && ui.input(|input| input.key_pressed(Key::Escape));
    if is_escaped {
        out.push(Command::CloseOverlay);
    }
}

fn sheet_ui(ui: &mut Ui, (place, today): (Rect, NaiveDate), form: &mut StartForm, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let head = Rect::from_min_size(place.min, vec2(place.width(), HEAD));
    let foot = Rect::from_min_max(pos2(place.left(), place.bottom() - FOOT), place.max);
    head_ui(ui, head.shrink2(vec2(MARGIN, 0.0)), form, out);
    for y in [head.bottom(), foot.top()] {
        ui.painter().hline(place.x_range(), y, Stroke::new(1.0, tokens.line));
    }
    let body =
        Rect::from_min_max(pos2(place.left(), head.bottom() + 1.0), pos2(place.right(), foot.top() - 1.0));
    let mut child = ui.new_child(UiBuilder::new().max_rect(body));
    ScrollArea::vertical().id_salt("start form").auto_shrink([false, false]).show(&mut child, |ui| {
        Frame::NONE.inner_margin(Margin::symmetric(MARGIN as i8, 14)).show(ui, |ui| {
            ui.spacing_mut().item_spacing = vec2(BETWEEN, theme::GRID);
            body_ui(ui, today, form, out);
        });
    });
    foot_ui(ui, foot.shrink2(vec2(MARGIN, 0.0)), form, out);
}

fn head_ui(ui: &mut Ui, rect: Rect, form: &StartForm, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let width = rect.width() - theme::LEVER - BETWEEN;
    let title = form.title();
    let at = pos2(rect.left(), rect.top() + 22.0);
    let shown = label_at(ui, at, Align2::LEFT_CENTER, &*title, (theme::heading(), tokens.text), width);
    ui.interact(shown, ui.scope_id().with("title"), Sense::hover()).says(Role::Heading, &title);
    let steps = format::count(form.n_steps(), "step");
    let about = form.description().map_or_else(|| steps.clone(), |text| format!("{steps} · {text}"));
    let at = pos2(rect.left(), rect.top() + 43.0);
    let shown = label_at(ui, at, Align2::LEFT_CENTER, &*about, (theme::small(), tokens.muted), width);
    ui.interact(shown, ui.scope_id().with("about"), Sense::hover()).says(Role::Label, &about);
    let size = vec2(theme::LEVER, theme::LEVER);
    let close = Rect::from_center_size(pos2(rect.right() - size.x / 2.0, rect.center().y), size);
    let cancel = Command::CloseOverlay;
    if Lever::of(&cancel).named("Close the form").icon_alone(Icon::Close).ui_at(ui, close).clicked() {
        out.push(cancel);
    }
}

fn foot_ui(ui: &mut Ui, rect: Rect, form: &StartForm, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let mut right = rect.right();
    let text = if form.is_starting { "Starting…" } else { "Start" };
    let start = Lever::of(&Command::StartForm).text(text).tone(Tone::Primary);
    let schedule = Lever::of(&Command::ScheduleForm).enabled_if(form.can_be_scheduled());
    let cancel = Lever::of(&Command::CloseOverlay);
    let levers =
        vec![(schedule, Command::ScheduleForm), (cancel, Command::CloseOverlay), (start, Command::StartForm)];
    out.extend(levers_before(ui, &mut right, (rect, 34.0), levers));
    let n_wrong = form.fields.wrong().len();
    if n_wrong > 0 {
        let text = format!("{} to mend", format::count(n_wrong, "field"));
        let x = Icon::Cross.paint_before(ui.painter(), rect, 12.0, tokens.failed);
        let style = (theme::body(), tokens.failed);
        let shown = numbers_at(ui, pos2(x, rect.center().y), Align2::LEFT_CENTER, &text, style);
        ui.interact(shown, ui.scope_id().with("wrong"), Sense::hover()).says(Role::Label, &text);
    }
}

fn body_ui(ui: &mut Ui, today: NaiveDate, form: &mut StartForm, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    if let Some(refusal) = &form.refusal {
        let text = format!("It was not started: {refusal}");
        paragraph(ui, &text, (theme::body(), tokens.failed)).says(Role::Alert, &text);
        ui.add_space(8.0);
    }
    if fields_ui(ui, &mut form.fields, today) {
        out.push(Command::StartForm);
    }
    ui.add_space(10.0);
    command_ui(ui, form);
}

/// The fields about how a pipeline runs. Returns whether Enter was pressed in one of them.
pub(super) fn fields_ui(ui: &mut Ui, form: &mut RunFields, today: NaiveDate) -> bool {
    let tokens = theme::tokens(ui);
    if !form.params.is_empty() || !form.secrets.is_empty() {
        heading(ui, "Parameters");
    }
    let is_long = |name: &str| name.chars().count() > LONG_NAME;
    let has_long = form.params.iter().any(|field| is_long(&field.name))
        || form.secrets.iter().any(|field| is_long(&field.name));
    let is_narrow = ui.available_width() < NARROW_FIELDS;
    let columns = if has_long || is_narrow { 1 } else { 2 };
    let width = (ui.available_width() - BETWEEN * (columns - 1) as f32) / columns as f32;
    let errors: Vec<Option<String>> = form.params.iter().map(|field| form.error(field)).collect();
    let mut errors = errors.iter();
    let mut is_entered = false;
    for row in form.params.chunks_mut(columns) {
        ui.horizontal_top(|ui| {
            for field in row {
                let wrong = errors.next().and_then(Option::as_deref);
                let response = cell_ui(ui, width, |ui| {
                    let response = param_ui(ui, field, wrong, width);
                    if field.kind == ParamType::Date && field.choices.is_empty() {
                        day_ui(ui, response.rect, field, (&mut form.month, today), wrong.is_none());
                    }
                    response
                });
                is_entered |= has_entered(ui, &response, field.choices.is_empty());
                if form.focus.as_ref() == Some(&field.name) {
                    form.focus = None;
                    response.request_focus();
                    response.scroll_to_me(None);
                }
            }
        });
    }
    for pair in form.secrets.chunks(columns) {
        ui.horizontal_top(|ui| {
            for secret in pair {
                cell_ui(ui, width, |ui| secret_ui(ui, secret, width));
            }
        });
    }
    ui.add_space(6.0);
    heading(ui, "How it runs");
    let third = (ui.available_width() - BETWEEN) / 2.0;
    ui.horizontal_top(|ui| {
        for (name, field) in [("run type", &mut form.run_type), ("environment", &mut form.environment)] {
            if let Some(field) = field {
                let response = cell_ui(ui, third, |ui| own_ui(ui, name, field, third));
                is_entered |= has_entered(ui, &response, true);
            }
        }
    });
    const PRIORITIES: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let digit = |priority: u8| DIGITS[usize::from(priority.min(9))];
    form.priority = choice(ui, "priority", form.priority, &PRIORITIES, digit, third);
    remark(ui, "of the waiting runs, the highest starts first", tokens.muted);
    is_entered
}

/// Whether Enter was pressed in a text field.
fn has_entered(ui: &Ui, response: &Response, is_text: bool) -> bool {
    is_text && response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter))
}

/// A cell that keeps its height whether or not something stands below the field.
fn cell_ui(ui: &mut Ui, width: f32, content: impl FnOnce(&mut Ui) -> Response) -> Response {
    ui.vertical(|ui| {
        ui.set_width(width);
        ui.set_min_height(CELL);
        ui.spacing_mut().item_spacing.y = 3.0;
        content(ui)
    })
    .inner
}

fn kind_text(field: &ParamField) -> String {
    let kind = if field.choices.is_empty() { field.kind.word() } else { "choice" };
    let required = if field.is_required() { ", required" } else { "" };
    format!("{}  {kind}{required}", field.name)
}

fn param_ui(ui: &mut Ui, field: &mut ParamField, wrong: Option<&str>, width: f32) -> Response {
    let tokens = theme::tokens(ui);
    let above = kind_text(field);
    let is_switch = field.kind == ParamType::Bool && field.default.is_some() && field.choices.is_empty();
    let is_bool = field.kind == ParamType::Bool && field.choices.is_empty();
    let response = if is_switch {
        caption(ui, &above, width);
        let is_on = field.value == "true";
        let (_, rect) = ui.allocate_space(vec2(width, theme::LEVER));
        let place = Rect::from_min_size(pos2(rect.left(), rect.center().y - SWITCH.y / 2.0), SWITCH);
        let response = switch_at(ui, place, is_on, &field.name);
        let at = pos2(place.right() + 10.0, rect.center().y);
        let word = if is_on { "on" } else { "off" };
        label_at(ui, at, Align2::LEFT_CENTER, word, (theme::body(), tokens.text), width);
        if response.clicked() {
            field.value = (!is_on).to_string();
        }
        response
    } else if is_bool || !field.choices.is_empty() {
        caption(ui, &above, width);
        let both = ["true".to_owned(), "false".to_owned()];
        let all = if is_bool { &both[..] } else { &field.choices[..] };
        choice_of_texts(ui, &field.name, &mut field.value, all, ("choose…", width))
    } else {
        let example = match field.kind {
            ParamType::Date => "2026-11-23",
            ParamType::String | ParamType::Int | ParamType::Float | ParamType::Bool | ParamType::Path => "",
        };
        let example = field.default.as_deref().unwrap_or(example);
        let shown = Field { caption: &above, name: &field.name, example };
        shown.ui(ui, &mut field.value, width, wrong.map(|_| ""))
    };
    let default = field.default.as_deref().filter(|default| *default != field.value);
    let help = match (&field.description, default) {
        (Some(text), Some(default)) => format!("{text} (default {default})"),
        (Some(text), None) => text.clone(),
        (None, Some("")) => "by default empty".to_owned(),
        (None, Some(default)) => format!("default {default}"),
        (None, None) => String::new(),
    };
    match wrong {
        Some(wrong) => remark(ui, wrong, tokens.failed),
        None if !help.is_empty() => remark(ui, &help, tokens.muted),
        None => {}
    }
    response
}

/// The weekday at the right end of the field `rect`, which opens the calendar below it.
fn day_ui(
    ui: &mut Ui,
    rect: Rect,
    field: &mut ParamField,
    (month, today): (&mut Option<NaiveDate>, NaiveDate),
    is_date: bool,
) {
    let chosen = field.value.parse::<NaiveDate>().ok().filter(|_| is_date);
    let text = chosen.map_or_else(|| "Calendar".to_owned(), |day| day.format("%A").to_string());
    let lever = Lever::icon(Icon::More, format!("Calendar for {}", field.name)).text(text).without_icon();
    let (mut right, height) = (rect.right() - 2.0, rect.height() - 4.0);
    let response = lever.ui_before(ui, &mut right, rect, height);
    if response.clicked() {
        *month = None;
    }
    let popup = Popup::menu(&response).anchor(rect).close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    popup.show(|ui| {
        let shown = month.get_or_insert(chosen.unwrap_or(today));
        if let Some(day) = calendar_ui(ui, shown, chosen, today) {
            field.value = day.to_string();
            ui.close();
        }
    });
}

fn secret_ui(ui: &mut Ui, secret: &SecretField, width: f32) -> Response {
    let tokens = theme::tokens(ui);
    caption(ui, &format!("{}  secret", secret.name), width);
    let (icon, ink, word, remarks) = match &secret.state {
        SecretState::Set => (Icon::Check, tokens.completed, "set", secret.origin.clone()),
        SecretState::Missing(why) => (Icon::Cross, tokens.failed, "missing", why.clone()),
        SecretState::Unknown => {
            (Icon::Clock, tokens.muted, "fetched for each attempt", format!("from {}", secret.origin))
        }
    };
    let (_, rect) = ui.allocate_space(vec2(width, 24.0));
    let x = icon.paint_before(ui.painter(), rect, 12.0, ink);
    label_at(ui, pos2(x, rect.center().y), Align2::LEFT_CENTER, word, (theme::body(), ink), rect.right() - x);
    let response = ui.interact(rect, ui.scope_id().with(("secret", &secret.name)), Sense::hover());
    response.says(Role::Label, &format!("secret {}: {word}, {remarks}", secret.name));
    remark(ui, &remarks, tokens.muted);
    response
}

fn own_ui(ui: &mut Ui, name: &str, field: &mut OwnField, width: f32) -> Response {
    let response = Field::new(name, field.default).ui(ui, &mut field.value, width, None);
    if field.value.trim() != field.default {
        remark(ui, &format!("default {}", field.default), theme::tokens(ui).muted);
    }
    response
}

fn command_ui(ui: &mut Ui, form: &StartForm) {
    let tokens = theme::tokens(ui);
    let line = form.command_line();
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 28.0));
    let title = "The same on the command line";
    let style = (theme::strong(), tokens.text);
    let shown = label_at(ui, rect.left_center(), Align2::LEFT_CENTER, title, style, rect.width());
    ui.interact(shown, ui.scope_id().with(title), Sense::hover()).says(Role::Heading, title);
    let mut right = rect.right() + 12.0;
    let copy = Lever::icon(Icon::List, "Copy the command").text("Copy").without_icon();
    if copy.ui_before(ui, &mut right, rect, 26.0).clicked() {
        ui.ctx().copy_text(line.clone());
    }
    Frame::NONE.fill(tokens.bg).stroke(Stroke::new(1.0, tokens.line)).corner_radius(8).inner_margin(10).show(
        ui,
        |ui| {
            ui.set_width(ui.available_width());
            // Whole, unlike other texts: what is copied by hand must not be cut.
            let shown: Vec<_> = line.lines().map(one_line).collect();
            paragraph(ui, &shown.join("\n"), (theme::mono(), tokens.text)).says(Role::Label, &line);
        },
    );
}

fn heading(ui: &mut Ui, text: &str) {
    let tokens = theme::tokens(ui);
    paragraph(ui, text, (theme::strong(), tokens.text)).says(Role::Heading, text);
    ui.add_space(4.0);
}
