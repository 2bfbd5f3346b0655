//! The frame of every page: the rail at the left, and the header with the machine's figures.

use std::ops::RangeInclusive;

use egui::{
    Align, Align2, CornerRadius, CursorIcon, Layout, Pos2, Rect, Role, Sense, Stroke, StrokeKind,
    ThemePreference, Ui, UiBuilder, pos2, vec2,
};

use super::super::command::{Command, Label, Page};
use super::super::widgets::{AccessibleName, Icon, Lever, Tone, label_at, numbers_at, region, text_width};
use super::run_page::run_header_ui;
use super::{Commands, View, away, menus};
use crate::ui::{format, theme};

/// The room of the search where it shows only its key.
const SEARCH: f32 = 104.0;

/// The pages, and the theme at the foot.
pub(crate) fn rail_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    region(ui, Role::TabList, "Pages");
    ui.add_space(theme::GAP);
    ui.spacing_mut().item_spacing.y = theme::GRID;
    for page in Page::ALL {
        let command = Command::Show(page);
        let is_open = view.state.page == page || (view.state.page == Page::Run && view.state.back == page);
        if rail_entry_ui(ui, &page.label(), is_open) {
            out.push(command);
        }
    }
    foot_ui(ui, view, out);
}

/// The foot of the rail.
fn foot_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let n_entries = Page::MORE.len() as f32 + 1.0;
    let bottom = ui.max_rect().bottom() - theme::GAP;
    let top = bottom - n_entries * theme::LEVER - (n_entries - 1.0) * theme::GRID;
    let place = ui.max_rect().with_min_y(top).with_max_y(bottom);
    let layout = Layout::top_down(Align::Center);
    ui.scope_builder(UiBuilder::new().max_rect(place).layout(layout), |ui| {
        for page in Page::MORE.into_iter().rev() {
            if foot_entry_ui(ui, view, page) {
                out.push(Command::Show(page));
            }
        }
        let next = match view.state.theme {
            ThemePreference::System if ui.visuals().dark_mode => ThemePreference::Light,
            ThemePreference::System | ThemePreference::Light => ThemePreference::Dark,
            ThemePreference::Dark => ThemePreference::Light,
        };
        let command = Command::SetTheme(next);
        if Lever::of(&command).icon_alone(Icon::HalfMoon).ui(ui).clicked() {
            out.push(command);
        }
    });
}

/// An entry at the foot of the rail: an icon, and how much waits there.
fn foot_entry_ui(ui: &mut Ui, view: View<'_>, page: Page) -> bool {
    let tokens = theme::tokens(ui);
    let label = page.label();
    let n_open = if page == Page::Away { away::n_open(view) } else { 0 };
    let (_, rect) = ui.allocate_space(vec2(theme::LEVER + 10.0, theme::LEVER));
    let response = ui
        .interact(rect, ui.scope_id().with(label.text), Sense::click())
        .on_hover_cursor(CursorIcon::PointingHand);
    let name = match n_open {
        0 => label.text.to_owned(),
        n => format!("{}, {n} to handle", label.text),
    };
    let is_open = view.state.page == page;
    response.says_selected(Role::Tab, is_open, &name);
    let radius = CornerRadius::same(theme::LEVER_RADIUS);
    if is_open || response.hovered() {
        ui.painter().rect_filled(rect, radius, tokens.raised);
    }
    let ink = if is_open { tokens.text } else { tokens.muted };
    let middle = if n_open > 0 { rect.center() - vec2(8.0, 0.0) } else { rect.center() };
    if let Some(icon) = label.icon {
        icon.paint(ui.painter(), middle, 14.0, if n_open > 0 { tokens.interrupted } else { ink });
    }
    if n_open > 0 {
        let text = if n_open > 99 { "99+".to_owned() } else { n_open.to_string() };
        let style = (theme::small(), tokens.text);
        label_at(ui, middle + vec2(11.0, 0.0), Align2::LEFT_CENTER, text, style, 26.0);
    }
    response.tip_with_key(&name, label.shortcut).clicked()
}

fn rail_entry_ui(ui: &mut Ui, label: &Label, is_open: bool) -> bool {
    let text = label.text;
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 54.0));
    let rect = rect.shrink2(vec2(8.0, 0.0));
    let response =
        ui.interact(rect, ui.scope_id().with(text), Sense::click()).on_hover_cursor(CursorIcon::PointingHand);
    response.says_selected(Role::Tab, is_open, text);
    let radius = CornerRadius::same(theme::LEVER_RADIUS);
    if is_open {
        ui.painter().rect_filled(rect, radius, tokens.raised);
    } else if response.hovered() {
        ui.painter().rect_filled(rect, radius, tokens.panel.lerp_to_gamma(tokens.raised, 0.6));
    }
    let ink = if is_open { tokens.text } else { tokens.muted };
    if let Some(icon) = label.icon {
        icon.paint(ui.painter(), pos2(rect.center().x, rect.top() + 20.0), 15.0, ink);
    }
    let pos = pos2(rect.center().x, rect.bottom() - 14.0);
    label_at(ui, pos, Align2::CENTER_CENTER, text, (theme::small(), ink), rect.width());
    response.tip_with_key(text, label.shortcut).clicked()
}

/// The page's name, the machine's figures, the search, and the menu that starts a pipeline.
pub(crate) fn header_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    if view.state.page == Page::Run {
        return run_header_ui(ui, view, out);
    }
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 40.0));
    let page = view.state.page.label().text;
    let title = label_at(
        ui,
        pos2(rect.left(), rect.center().y),
        Align2::LEFT_CENTER,
        page,
        (theme::heading(), tokens.text),
        260.0,
    );
    let heading = ui.interact(title, ui.scope_id().with("title"), Sense::hover());
    heading.says(Role::Heading, page);
    let mut right = rect.right();
    let start = menus::start_menu_lever(view)
        .map(|lever| (lever.place_before(ui, &mut right, rect, theme::LEVER), lever));

    let begins = attached_ui(ui, view, pos2(title.right() + 18.0, rect.center().y));
    let free = begins..=right - theme::GAP;
    // The search always has its place.
    let free_left = chips_ui(ui, view, *free.start()..=free.end() - SEARCH, rect.center().y);
    let search = Command::OpenPalette;
    let key = search.label().shortcut.map(|key| ui.ctx().format_shortcut(&key)).unwrap_or_default();
    let lever = Lever::of(&search).tone(Tone::Field);
    let width = free.end() - free_left;
    let wide = lever.width(ui) + 60.0;
    let (lever, wide) = if width > wide {
        (lever.text(format!("{}   {key}", search.label().text)), wide)
    } else {
        (lever.text(key), SEARCH - 4.0)
    };
    if width > wide && lever.ui_before(ui, &mut right, rect, theme::LEVER).clicked() {
        out.push(search);
    }
    if let Some((place, lever)) = start {
        menus::start_menu_ui(&lever.ui_at(ui, place), view, out);
    }
}

/// Says that the engine is in another process, if it is; returns where it ends.
fn attached_ui(ui: &mut Ui, view: View<'_>, at: Pos2) -> f32 {
    let Some(sentence) = view.store.attached() else { return at.x };
    let tokens = theme::tokens(ui);
    let place = label_at(
        ui,
        at + vec2(10.0, 0.0),
        Align2::LEFT_CENTER,
        "Attached",
        (theme::medium(), tokens.accent),
        120.0,
    );
    let rect = Rect::from_center_size(place.center(), vec2(place.width() + 20.0, 24.0));
    let line = Stroke::new(1.0, tokens.accent);
    ui.painter().rect_stroke(rect, CornerRadius::same(12), line, StrokeKind::Inside);
    let response = ui.interact(rect, ui.scope_id().with("attached"), Sense::hover());
    let text = format!("{sentence}; it goes on when this window closes");
    response.says(Role::Label, &format!("Attached: {text}"));
    response.tip(&text);
    rect.right() + theme::GAP
}

/// The machine's present figures, as far as there is room; returns where they end.
fn chips_ui(ui: &Ui, view: View<'_>, free: RangeInclusive<f32>, y: f32) -> f32 {
    let Some(sample) = view.store.machine().back() else { return *free.start() };
    let tokens = theme::tokens(ui);
    let total = format!("of {}", format::bytes(sample.memory_total_bytes));
    let memory = sample.memory_used_bytes as f64 / sample.memory_total_bytes.max(1) as f64;
    let low_disk = sample.disk_free_bytes < 2 << 30;
    let chips = [
        (
            "CPU",
            format::percent(sample.cpu_fraction),
            format::of_cores(sample.cores.len()),
            "100 %",
            sample.cpu_fraction > 0.95,
        ),
        (
            "Memory",
            format::tenths(sample.memory_used_bytes as f64 / (1u64 << 30) as f64),
            total,
            if sample.memory_total_bytes < 100 << 30 { "88.8" } else { "888.8" },
            memory > 0.95,
        ),
        ("Disk", format::bytes(sample.disk_free_bytes), "free".to_owned(), "888 GiB", low_disk),
    ];
    let mut x = *free.start();
    for (what, value, behind, widest, is_high) in chips {
        let what_width = text_width(ui, what, theme::body());
        let value_width = text_width(ui, widest, theme::strong());
        let behind_width = text_width(ui, &behind, theme::body());
        let gap = if behind.is_empty() { 0.0 } else { 5.0 };
        let width = 11.0 + what_width + 6.0 + value_width + gap + behind_width + 11.0;
        let rect = Rect::from_min_size(pos2(x, y - theme::LEVER / 2.0), vec2(width, theme::LEVER));
        if rect.right() > *free.end() {
            break;
        }
        let radius = CornerRadius::same(theme::LEVER_RADIUS);
        let line = Stroke::new(1.0, if is_high { tokens.failed } else { tokens.line });
        ui.painter().rect(rect, radius, tokens.panel, line, StrokeKind::Inside);
        let response = ui.interact(rect, ui.scope_id().with(("chip", what)), Sense::hover());
        response.says(Role::Label, &format!("{what} {value} {behind}"));
        let muted = (theme::body(), tokens.muted);
        label_at(ui, pos2(rect.left() + 11.0, y), Align2::LEFT_CENTER, what, muted.clone(), width);
        let ink = if is_high { tokens.failed } else { tokens.text };
        let value_right = rect.left() + 11.0 + what_width + 6.0 + value_width;
        numbers_at(ui, pos2(value_right, y), Align2::RIGHT_CENTER, &value, (theme::strong(), ink));
        label_at(ui, pos2(value_right + gap, y), Align2::LEFT_CENTER, behind, muted, width);
        x = rect.right() + 10.0;
    }
    x
}
