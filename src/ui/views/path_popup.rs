//! The picker of a path below its field: folders and files by name, walked by the mouse or by keys alone.

use std::path::{Path, PathBuf};

use egui::{
    Align2, CornerRadius, CursorIcon, Id, Key, Modifiers, Popup, PopupCloseBehavior, Rect, Role, ScrollArea,
    Sense, TextEdit, Ui, pos2, vec2,
};

use super::super::path_picker::PathPicker;
use super::super::widgets::{AccessibleName, Icon, Lever, Tone, label_at, remark};
use super::View;
use crate::ui::{format, theme};
use crate::window::{FolderContent, FolderEntry};

const WIDTH: f32 = 340.0;
const ROW: f32 = 26.0;
/// How many rows are visible.
const ROWS: f32 = 8.0;

/// What was done with the picker of a field.
pub(super) enum Picked {
    /// Its lever was pulled: it opens.
    Opened,
    /// A path was chosen.
    Path(PathBuf),
}

/// The lever at the right end of the field `rect`, and below the field its picker while it is open.
pub(super) fn path_ui(
    ui: &mut Ui,
    view: View<'_>,
    (rect, param): (Rect, &str),
    picker: &mut Option<PathPicker>,
) -> Option<Picked> {
    let (mut right, height) = (rect.right() - 2.0, rect.height() - 4.0);
    let lever = Lever::icon(Icon::Folder, format!("Browse for {param}"));
    let response = lever.ui_before(ui, &mut right, rect, height);
    let mut picked = response.clicked().then_some(Picked::Opened);
    let popup = Popup::menu(&response).anchor(rect).close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    let shown = popup.show(|ui| {
        if let Some(picker) = picker.as_mut().filter(|picker| picker.param == param)
            && let Some(path) = picker_ui(ui, view.store.folder(&picker.asked), picker)
        {
            picked = Some(Picked::Path(path));
            ui.close();
        }
    });
    if shown.is_none() && picked.is_none() {
        picker.take_if(|picker| picker.param == param);
    }
    picked
}

/// What is in the picker. Returns the path that was chosen.
fn picker_ui(ui: &mut Ui, content: Option<&FolderContent>, picker: &mut PathPicker) -> Option<PathBuf> {
    ui.set_width(WIDTH);
    ui.spacing_mut().item_spacing.y = theme::GRID;
    let folder = content.map_or(&*picker.asked, |content| &*content.folder).to_owned();
    let parent = folder.parent().map(Path::to_owned);
    let goes_up = head_ui(ui, &folder, parent.is_some());
    let entries = content.map(|content| picker.matching(content)).unwrap_or_default();
    let keyed = filter_ui(ui, picker, entries.len());
    if let (Some(parent), true) = (parent, goes_up || keyed == Some(Keyed::Up)) {
        picker.look_into(parent);
        picker.takes_focus = true;
        return None;
    }
    // What was typed in this frame is listed in the next.
    let entered = if keyed == Some(Keyed::Enter) { entries.get(picker.marked).copied() } else { None };
    let clicked = list_ui(ui, &entries, picker.marked);
    note_ui(ui, content, entries.len());
    let take = Lever::icon(Icon::Check, "Take this folder").text("Take this folder").tone(Tone::Plain);
    if take.enabled_if(content.is_some()).ui(ui).clicked() {
        return Some(folder);
    }
    picker.take(content?, entered.or(clicked)?)
}

/// The path of the folder, and the lever to the one around it; returns whether it was pulled.
fn head_ui(ui: &mut Ui, folder: &Path, has_parent: bool) -> bool {
    let (_, rect) = ui.allocate_space(vec2(WIDTH, theme::LEVER));
    let mut right = rect.right();
    let up = Lever::icon(Icon::Folder, "The folder around it").text("Up").without_icon();
    let goes_up = up.enabled_if(has_parent).ui_before(ui, &mut right, rect, rect.height()).clicked();
    let text = folder.to_string_lossy();
    let style = (theme::mono(), theme::tokens(ui).text);
    let width = right - rect.left() - 6.0;
    let place = label_at(ui, rect.left_center(), Align2::LEFT_CENTER, &*text, style, width);
    let response = ui.interact(place, ui.scope_id().with("folder"), Sense::hover());
    response.says(Role::Heading, &text);
    response.tip(&text);
    goes_up
}

/// A key that was pressed in the field of the picker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keyed {
    Enter,
    Up,
}

/// The field that narrows the list; its arrow keys move the mark.
fn filter_ui(ui: &mut Ui, picker: &mut PathPicker, n_entries: usize) -> Option<Keyed> {
    let id = ui.scope_id().with("path filter");
    let has_focus = ui.memory(|memory| memory.has_focus(id));
    let pressed = |key| has_focus && ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
    if pressed(Key::ArrowDown) {
        picker.marked += 1;
    }
    if pressed(Key::ArrowUp) {
        picker.marked = picker.marked.saturating_sub(1);
    }
    let goes_up = picker.filter.is_empty() && pressed(Key::Backspace);
    let is_entered = pressed(Key::Enter);
    let edit = TextEdit::singleline(&mut picker.filter)
        .id(id)
        .hint_text("Type to find; Backspace goes up")
        .margin(vec2(9.0, 6.0))
        .desired_width(WIDTH - 18.0);
    let response = ui.add(edit).accessible_name("Find in the folder");
    if response.changed() {
        picker.marked = 0;
    }
    picker.marked = picker.marked.min(n_entries.saturating_sub(1));
    if std::mem::take(&mut picker.takes_focus) {
        response.request_focus();
    }
    match (is_entered, goes_up) {
        (true, _) => Some(Keyed::Enter),
        (false, true) => Some(Keyed::Up),
        (false, false) => None,
    }
}

/// The entries; returns the one that was clicked. The list keeps its height.
fn list_ui<'a>(ui: &mut Ui, entries: &[&'a FolderEntry], marked: usize) -> Option<&'a FolderEntry> {
    let list = ScrollArea::vertical().id_salt("entries").max_height(ROWS * ROW).auto_shrink([false, false]);
    let mut clicked = None;
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        list.min_scrolled_height(ROWS * ROW).show_rows(ui, ROW, entries.len(), |ui, range| {
            // Also a marked row that is not laid out comes into view.
            let top = ui.min_rect().top() - range.start as f32 * ROW;
            if ui.data(|data| data.get_temp(Id::unique("marked path"))) != Some(marked) {
                ui.data_mut(|data| data.insert_temp(Id::unique("marked path"), marked));
                let at = pos2(ui.min_rect().left(), top + marked as f32 * ROW);
                ui.scroll_to_rect(Rect::from_min_size(at, vec2(1.0, ROW)), None);
            }
            for at in range {
                if entry_ui(ui, entries[at], at == marked) {
                    clicked = Some(entries[at]);
                }
            }
        });
    });
    clicked
}

fn entry_ui(ui: &mut Ui, entry: &FolderEntry, is_marked: bool) -> bool {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), ROW));
    let id = ui.scope_id().with(("entry", &entry.name));
    let response = ui.interact(rect, id, Sense::CLICK).on_hover_cursor(CursorIcon::PointingHand);
    let kind = if entry.is_folder { "folder" } else { "file" };
    response.says_selected(Role::ListItem, is_marked, &format!("{kind} {}", entry.name));
    if is_marked || response.hovered() {
        ui.painter().rect_filled(rect, CornerRadius::same(4), tokens.raised);
    }
    if entry.is_folder {
        let at = pos2(rect.left() + 14.0, rect.center().y);
        Icon::Folder.paint(ui.painter(), at, 12.0, tokens.muted);
    }
    let at = pos2(rect.left() + 30.0, rect.center().y);
    let style = (theme::body(), tokens.text);
    label_at(ui, at, Align2::LEFT_CENTER, &*entry.name, style, rect.right() - at.x - 8.0);
    response.clicked()
}

/// Why nothing, or not everything, is listed.
fn note_ui(ui: &mut Ui, content: Option<&FolderContent>, n_listed: usize) {
    let tokens = theme::tokens(ui);
    let Some(content) = content else { return remark(ui, "Reading the folder…", tokens.muted) };
    if let Some(problem) = &content.problem {
        remark(ui, problem, tokens.failed);
    } else if content.is_cut {
        let n = format::whole(content.entries.len());
        let text = format!("It has more than these {n}; a path can also be typed into the field");
        remark(ui, &text, tokens.muted);
    } else if n_listed == 0 {
        remark(ui, "Nothing here has that name", tokens.muted);
    }
}
