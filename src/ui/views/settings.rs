//! The settings: how the window looks, what may run at once, how much history is kept, the limits, and where everything
//! lies. What is chosen or saved takes effect at once, except where a row says when.

use std::path::PathBuf;

use egui::{
    Align2, Rect, Role, ScrollArea, Sense, Stroke, TextEdit, ThemePreference, Ui, UiBuilder, pos2, vec2,
};

use super::super::command::Command;
use super::super::limit_form::MachinePage;
use super::super::offers::SCALES;
use super::super::path_picker::PathPicker;
use super::super::settings_form::{KEYS, SettingField, SettingsPage};
use super::super::widgets::{
    AccessibleName, Card, Icon, Lever, Tone, label_at, levers_before, paragraph, remark, segments_at,
};
use super::limits_card::limits_card_ui;
use super::path_popup::{Picked, path_ui};
use super::{Commands, View};
use crate::settings::SettingKey;
use crate::ui::{format, theme};
use crate::window::{Action, Density, Folder, Formats, Place};

const FIELD: f32 = 120.0;
/// The width above which the cards stand in two columns.
const WIDE: f32 = 1040.0;

pub(crate) fn settings_ui(
    ui: &mut Ui,
    view: View<'_>,
    (page, machine): (&mut SettingsPage, &mut MachinePage),
    out: &mut Commands,
) {
    ui.spacing_mut().item_spacing.y = theme::GAP;
    ScrollArea::vertical().id_salt("settings").auto_shrink([false, false]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = theme::GAP;
        let width = ui.available_width();
        if width < WIDE {
            look_ui(ui, view, out);
            values_ui(ui, view, page, out);
            folders_ui(ui, view, page);
            limits_card_ui(ui, view, machine, out);
            places_ui(ui, view, out);
            return;
        }
        let column_width = (width - theme::GAP) / 2.0;
        let top = ui.cursor().min;
        let mut column = |n: f32, add: &mut dyn FnMut(&mut Ui)| {
            let left = n * (column_width + theme::GAP);
            let rect = Rect::from_min_size(top + vec2(left, 0.0), vec2(column_width, 1.0));
            let mut ui = ui.new_child(UiBuilder::new().max_rect(rect));
            ui.spacing_mut().item_spacing.y = theme::GAP;
            add(&mut ui);
            ui.min_rect().bottom()
        };
        let left = column(0.0, &mut |ui| {
            look_ui(ui, view, out);
            limits_card_ui(ui, view, machine, out);
        });
        let right = column(1.0, &mut |ui| {
            values_ui(ui, view, page, out);
            folders_ui(ui, view, page);
            places_ui(ui, view, out);
        });
        ui.allocate_space(vec2(width, left.max(right) - top.y + 2.0));
    });
}

/// A row with its name, and what it means below; returns the place for the control.
fn row_ui(ui: &mut Ui, name: &str, meaning: &str) -> Rect {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 48.0));
    ui.painter().hline(rect.x_range(), rect.top(), Stroke::new(1.0, tokens.line));
    let rect = rect.shrink2(vec2(theme::GAP, 0.0));
    let (upper, lower) = (rect.center().y - 8.0, rect.center().y + 9.0);
    let width = rect.width() * 0.55;
    label_at(ui, pos2(rect.left(), upper), Align2::LEFT_CENTER, name, (theme::medium(), tokens.text), width);
    label_at(
        ui,
        pos2(rect.left(), lower),
        Align2::LEFT_CENTER,
        meaning,
        (theme::small(), tokens.muted),
        width,
    );
    rect
}

fn look_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    Card::new("Appearance").show(ui, |ui, _| {
        let rect = row_ui(ui, "Theme", "Dark, light, or as the desktop");
        let themes = [
            (ThemePreference::System, "System", "Theme: as the desktop"),
            (ThemePreference::Dark, "Dark", "Theme: dark"),
            (ThemePreference::Light, "Light", "Theme: light"),
        ];
        if let (Some(theme), _) = segments_at(ui, rect, view.state.theme, &themes) {
            out.push(Command::SetTheme(theme));
        }
        let rect = row_ui(ui, "Scale", "Ctrl+Plus and Ctrl+Minus, too");
        let names = SCALES.map(|percent| (format!("{percent} %"), format!("Scale: {percent} %")));
        let mut all = Vec::new();
        for (percent, (text, name)) in SCALES.iter().zip(&names) {
            all.push((*percent, text.as_str(), name.as_str()));
        }
        let scale = theme::scale_of(ui.ctx());
        if let (Some(percent), _) = segments_at(ui, rect, scale, &all) {
            out.push(Command::SetScale(percent));
        }
        let rect = row_ui(ui, "Density", "How high the rows of lists are");
        let densities = [
            (Density::Comfortable, "Comfortable", "Density: comfortable"),
            (Density::Compact, "Compact", "Density: compact"),
        ];
        if let (Some(density), _) = segments_at(ui, rect, view.state.density, &densities) {
            out.push(Command::SetDensity(density));
        }
        let sample = format!("{}, {}", format::number(1234.5), format::when(view.now, view.now));
        let rect = row_ui(ui, "Times and numbers", &format!("Now {sample}"));
        let formats = [
            (Formats::System, "System", "Times and numbers: as the system's locale"),
            (Formats::Neutral, "Neutral", "Times and numbers: without a language"),
        ];
        if let (Some(formats), _) = segments_at(ui, rect, view.state.formats, &formats) {
            out.push(Command::SetFormats(formats));
        }
    });
}

/// The name of a value, what it means, and its default.
fn words(key: &SettingKey) -> (&str, &'static str, &'static str) {
    match key {
        SettingKey::MaxRuns => ("Runs at once", "Further ones wait", "any"),
        SettingKey::KeepRuns => ("Ended runs", "How long they are kept", "90d"),
        SettingKey::KeepPerPipeline => ("Completed runs", "How many of each pipeline are kept", "200"),
        SettingKey::KeepLogs => ("Logs", "How much all of them may take", "10GiB"),
        SettingKey::KeepFires => ("Fires", "How long their record is kept", "400d"),
        SettingKey::PipelineDirs => ("Folders of pipelines", "Besides that of the data directory", "none"),
        SettingKey::Group(name) => (name, "Runs of this group at once", "any"),
    }
}

fn values_ui(ui: &mut Ui, view: View<'_>, page: &mut SettingsPage, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let Some(settings) = view.store.settings() else {
        paragraph(ui, "Reading the settings…", (theme::body(), tokens.muted));
        return;
    };
    let (is_changed, is_saving) = (page.is_changed(), page.is_saving);
    let at_once = |key: &SettingKey| matches!(key, SettingKey::MaxRuns | SettingKey::Group(_));
    Card::new("Running at once").show(ui, |ui, rect| {
        save_ui(ui, rect, (is_changed, is_saving), out);
        if let Some(problem) = settings.problem.as_deref().or(page.wrong_with_file()) {
            ui.horizontal(|ui| {
                ui.add_space(theme::GAP);
                ui.vertical(|ui| remark(ui, problem, tokens.failed));
            });
        }
        for at in (0..page.fields.len()).filter(|at| at_once(&page.fields[*at].key)).collect::<Vec<_>>() {
            field_ui(ui, page, at);
        }
        new_group_ui(ui, page);
    });
    Card::new("History that is kept").show(ui, |ui, rect| {
        let text = "from the next clean-up on, at the latest in a day";
        let style = (theme::small(), tokens.muted);
        label_at(ui, rect.right_center(), Align2::RIGHT_CENTER, text, style, rect.width() - 170.0);
        let is_here = |key: &SettingKey| !at_once(key) && *key != SettingKey::PipelineDirs;
        for at in (0..KEYS.len().min(page.fields.len())).filter(|at| is_here(&KEYS[*at])) {
            field_ui(ui, page, at);
        }
    });
}

/// The levers that save and revert the form, or what saving does.
fn save_ui(ui: &mut Ui, rect: Rect, (is_changed, is_saving): (bool, bool), out: &mut Commands) {
    if !is_changed {
        let text = "saved values are written to settings.toml";
        let style = (theme::small(), theme::tokens(ui).muted);
        label_at(ui, rect.right_center(), Align2::RIGHT_CENTER, text, style, rect.width() - 130.0);
        return;
    }
    let mut right = rect.right();
    let save = Lever::of(&Command::SaveSettings).tone(Tone::Primary).enabled_if(!is_saving);
    let revert = Lever::of(&Command::RevertSettings);
    let levers = vec![(revert, Command::RevertSettings), (save, Command::SaveSettings)];
    out.extend(levers_before(ui, &mut right, (rect, 28.0), levers));
}

fn field_ui(ui: &mut Ui, page: &mut SettingsPage, at: usize) {
    let SettingField { key, .. } = page.fields[at].clone();
    let wrong = page.wrong(&key).map(str::to_owned);
    let (name, meaning, default) = words(&key);
    let rect = row_ui(ui, name, meaning);
    let place = Rect::from_min_max(pos2(rect.right() - FIELD, rect.top()), rect.max);
    let named = format!("{name}: {}", meaning.to_lowercase());
    edit_ui(ui, place, (&named, default), &mut page.fields[at].text, wrong.is_some());
    wrong_ui(ui, wrong.as_deref());
}

/// A field for a short text in the middle of `place`.
fn edit_ui(ui: &mut Ui, place: Rect, (name, default): (&str, &str), text: &mut String, is_wrong: bool) {
    let tokens = theme::tokens(ui);
    let place = Rect::from_center_size(place.center(), vec2(place.width(), 30.0));
    let edit = TextEdit::singleline(text)
        .id(ui.scope_id().with(("setting", name)))
        .hint_text(default)
        .font(theme::mono())
        .margin(vec2(9.0, 7.0))
        .desired_width(place.width());
    // In a place of its own, so that the row keeps its height.
    let mut own = ui.new_child(UiBuilder::new().max_rect(place));
    let response = own.put(place, edit).accessible_name(name);
    let radius = theme::LEVER_RADIUS;
    if is_wrong {
        let ring = Stroke::new(1.5, tokens.failed);
        ui.painter().rect_stroke(response.rect, radius, ring, egui::StrokeKind::Inside);
    }
}

fn wrong_ui(ui: &mut Ui, wrong: Option<&str>) {
    let Some(wrong) = wrong else { return };
    let ink = theme::tokens(ui).failed;
    ui.horizontal(|ui| {
        ui.add_space(theme::GAP);
        ui.vertical(|ui| {
            remark(ui, wrong, ink);
            ui.add_space(theme::GRID);
        });
    });
}

/// The fields of a group that is not there yet.
fn new_group_ui(ui: &mut Ui, page: &mut SettingsPage) {
    let wrong = page.new_key().and_then(|key| page.wrong(&key).map(str::to_owned));
    let rect = row_ui(ui, "New group", "A pipeline belongs to it by `group = \"…\"`");
    let number = Rect::from_min_max(pos2(rect.right() - 60.0, rect.top()), rect.max);
    let name = Rect::from_min_max(
        pos2(number.left() - 6.0 - FIELD, rect.top()),
        pos2(number.left() - 6.0, rect.bottom()),
    );
    let (text, n) = &mut page.new_group;
    edit_ui(ui, name, ("Name of the new group", "name"), text, false);
    edit_ui(ui, number, ("Runs of the new group at once", "1"), n, wrong.is_some());
    wrong_ui(ui, wrong.as_deref());
}

/// The folders that are looked for pipelines in, and the field for another one. They are saved with the values.
fn folders_ui(ui: &mut Ui, view: View<'_>, page: &mut SettingsPage) {
    let tokens = theme::tokens(ui);
    let Some(settings) = view.store.settings() else { return };
    let key = SettingKey::PipelineDirs;
    let wrong = page.wrong(&key).map(str::to_owned);
    Card::new("Folders of pipelines").show(ui, |ui, rect| {
        let text = "besides that of the data directory";
        let style = (theme::small(), tokens.muted);
        label_at(ui, rect.right_center(), Align2::RIGHT_CENTER, text, style, rect.width() - 170.0);
        let folders: Vec<String> = page.folders().map(str::to_owned).collect();
        for folder in &folders {
            let (_, rect) = ui.allocate_space(vec2(ui.available_width(), theme::ROW_SMALL + 8.0));
            ui.painter().hline(rect.x_range(), rect.top(), Stroke::new(1.0, tokens.line));
            let rect = rect.shrink2(vec2(theme::GAP, 0.0));
            let mut right = rect.right();
            let remove = Lever::icon(Icon::Cross, format!("Remove the folder {folder}")).text("Remove");
            let remove = remove.without_icon().tone(Tone::Plain);
            if remove.ui_before(ui, &mut right, rect, theme::LEVER - 2.0).clicked() {
                page.remove_folder(folder);
            }
            let style = (theme::mono(), tokens.text);
            let width = right - rect.left();
            let shown = label_at(ui, rect.left_center(), Align2::LEFT_CENTER, &**folder, style, width);
            let response = ui.interact(shown, ui.scope_id().with(("folder", folder)), Sense::hover());
            response.says(Role::Label, &format!("Folder of pipelines: {folder}"));
        }
        let rect = row_ui(ui, "Another folder", "Its files are pipelines from the save on");
        let place = Rect::from_min_max(pos2(rect.right() - 2.0 * FIELD, rect.top()), rect.max);
        let name = "Another folder of pipelines";
        edit_ui(ui, place, (name, "/srv/pipelines"), &mut page.new_folder, wrong.is_some());
        let field = Rect::from_center_size(place.center(), vec2(place.width(), 30.0));
        match path_ui(ui, view, (field, name), &mut page.picker) {
            Some(Picked::Opened) => {
                let own = settings.places.iter().find(|place| place.what == "Pipelines");
                let own = own.map_or_else(PathBuf::new, |place| place.path.clone());
                // An absolute path takes the place of the other.
                page.picker = Some(PathPicker::new(name, own.join(page.new_folder.trim())));
            }
            Some(Picked::Path(path)) => page.new_folder = path.to_string_lossy().into_owned(),
            None => {}
        }
        wrong_ui(ui, wrong.as_deref());
    });
}

fn places_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let Some(settings) = view.store.settings() else { return };
    Card::new("Where it lies").show(ui, |ui, _| {
        for Place { what, path, exists } in &settings.places {
            let shown = path.display().to_string();
            let (_, rect) = ui.allocate_space(vec2(ui.available_width(), theme::ROW_SMALL + 8.0));
            ui.painter().hline(rect.x_range(), rect.top(), Stroke::new(1.0, tokens.line));
            let rect = rect.shrink2(vec2(theme::GAP, 0.0));
            label_at(
                ui,
                rect.left_center(),
                Align2::LEFT_CENTER,
                *what,
                (theme::medium(), tokens.text),
                120.0,
            );
            let mut right = rect.right();
            let command = Command::Send(Action::OpenFolder(Folder::At(path.clone())));
            let lever = Lever::of(&command).without_icon().enabled_if(*exists);
            if lever.ui_before(ui, &mut right, rect, theme::LEVER - 2.0).clicked() {
                out.push(command);
            }
            let left = rect.left() + 124.0;
            let at = pos2(left, rect.center().y);
            let text = if *exists { shown.clone() } else { format!("{shown} (not there yet)") };
            let shown_at =
                label_at(ui, at, Align2::LEFT_CENTER, &*text, (theme::mono(), tokens.muted), right - left);
            let response = ui.interact(shown_at, ui.scope_id().with(("place", &shown)), Sense::hover());
            response.says(Role::Label, &format!("{what}: {text}"));
            response.tip(&text);
        }
    });
}
