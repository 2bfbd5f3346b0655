//! A lever: a button with an icon and a word, at a fixed place.

use egui::{
    Align2, Color32, CornerRadius, CursorIcon, KeyboardShortcut, Rect, Response, Role, Sense, Stroke,
    StrokeKind, Ui, Vec2, pos2, vec2,
};

use super::super::command::Command;
use super::super::theme::Tokens;
use super::{AccessibleName, Icon, one_line};
use crate::ui::theme;

/// How prominent a lever is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// An ordinary lever.
    Plain,
    /// The main lever: filled.
    Primary,
    /// Marked by a colour, such as the state it ends.
    Marked(Color32),
    /// Looks like a text field.
    Field,
    /// Without a background until the pointer is over it.
    Quiet,
}

pub(crate) struct Lever {
    icon: Option<Icon>,
    text: String,
    name: String,
    tooltip: Option<String>,
    key: Option<KeyboardShortcut>,
    tone: Tone,
    is_enabled: bool,
    opens_menu: bool,
}

/// The room between two levers.
const BETWEEN: f32 = 6.0;

/// Puts levers side by side, the last one at the left of `right`, as [`Lever::ui_before`] does. They are made from left to
/// right, and so the keyboard goes through them. Returns the command of the one that was pulled.
pub(crate) fn levers_before(
    ui: &mut Ui,
    right: &mut f32,
    (rect, height): (Rect, f32),
    levers: Vec<(Lever, Command)>,
) -> Option<Command> {
    let place =
        |(lever, command): (Lever, Command)| (lever.place_before(ui, right, rect, height), lever, command);
    let placed: Vec<_> = levers.into_iter().rev().map(place).collect();
    let pull =
        |(place, lever, command): (Rect, Lever, Command)| lever.ui_at(ui, place).clicked().then_some(command);
    placed.into_iter().rev().filter_map(pull).last()
}

/// The room that levers need side by side.
pub(crate) fn levers_width(ui: &Ui, levers: &[(Lever, Command)]) -> f32 {
    levers.iter().map(|(lever, _)| lever.width(ui) + BETWEEN).sum()
}

impl Lever {
    /// A lever for `command`.
    pub(crate) fn of(command: &Command) -> Self {
        // A run's key acts on the selected run, which may not be the run of this lever.
        let key = command.label().shortcut.filter(|_| !matches!(command, Command::Send(_)));
        Self { key, ..Self::of_selected(command) }
    }

    /// The same for the selected run, with its key.
    pub(crate) fn of_selected(command: &Command) -> Self {
        let label = command.label();
        Self {
            icon: label.icon,
            text: one_line(label.text).into_owned(),
            name: command.name(),
            tooltip: label.tooltip.map(str::to_owned),
            key: label.shortcut,
            tone: Tone::Plain,
            is_enabled: true,
            opens_menu: false,
        }
    }

    /// A lever that is only an icon.
    pub(crate) fn icon(icon: Icon, name: impl Into<String>) -> Self {
        Self {
            icon: Some(icon),
            text: String::new(),
            name: name.into(),
            tooltip: None,
            key: None,
            tone: Tone::Quiet,
            is_enabled: true,
            opens_menu: false,
        }
    }

    pub(crate) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    pub(crate) fn text(self, text: impl Into<String>) -> Self {
        Self { text: one_line(&text.into()).into_owned(), ..self }
    }

    /// Another name for screen readers.
    pub(crate) fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Marks it as one that opens a menu.
    pub(crate) fn with_menu(self) -> Self {
        Self { opens_menu: true, ..self }
    }

    /// Only this icon.
    pub(crate) fn with_only(self, icon: Icon) -> Self {
        Self { icon: Some(icon), text: String::new(), tone: Tone::Quiet, ..self }
    }

    pub(crate) fn without_icon(self) -> Self {
        Self { icon: None, ..self }
    }

    pub(crate) fn enabled_if(self, is_enabled: bool) -> Self {
        Self { is_enabled, tooltip: self.tooltip.filter(|_| is_enabled), ..self }
    }

    /// A lever that can't be pulled now, for this reason.
    pub(crate) fn refused(self, why: &str) -> Self {
        let name = format!("{}: {why}", self.name);
        Self { is_enabled: false, tooltip: Some(why.to_owned()), name, ..self }
    }

    /// The width it needs.
    pub(crate) fn width(&self, ui: &Ui) -> f32 {
        if self.text.is_empty() {
            return theme::LEVER;
        }
        let galley = ui.painter().layout_no_wrap(self.text.clone(), theme::medium(), Color32::PLACEHOLDER);
        galley.size().x + if self.icon.is_some() { 20.0 } else { 0.0 } + self.menu_width() + 24.0
    }

    /// The room of the mark of a menu.
    fn menu_width(&self) -> f32 {
        if self.opens_menu { 15.0 } else { 0.0 }
    }

    /// Puts it at the cursor of `ui`.
    pub(crate) fn ui(self, ui: &mut Ui) -> Response {
        let (_, rect) = ui.allocate_space(vec2(self.width(ui), theme::LEVER));
        self.ui_at(ui, rect)
    }

    /// Its place at the left of `right`, `height` high, in the middle of `rect`'s height. `right` moves to where the next
    /// one ends.
    pub(crate) fn place_before(&self, ui: &Ui, right: &mut f32, rect: Rect, height: f32) -> Rect {
        let size = vec2(self.width(ui), height);
        let at = pos2(*right - size.x / 2.0, rect.center().y);
        *right -= size.x + BETWEEN;
        Rect::from_center_size(at, size)
    }

    /// Puts it there.
    pub(crate) fn ui_before(self, ui: &mut Ui, right: &mut f32, rect: Rect, height: f32) -> Response {
        let place = self.place_before(ui, right, rect, height);
        self.ui_at(ui, place)
    }

    /// Puts it at `rect`: only its icon where there is no room for its word.
    pub(crate) fn ui_at(self, ui: &mut Ui, rect: Rect) -> Response {
        let sense = if self.is_enabled { Sense::click() } else { Sense::hover() };
        let response = ui.interact(rect, ui.scope_id().with(("lever", &self.name)), sense);
        response.says_enabled(Role::Button, self.is_enabled, &self.name);
        if self.opens_menu {
            let menu = egui::accesskit::HasPopup::Menu;
            ui.ctx().accesskit_node_builder(response.id, |node| node.set_has_popup(menu));
        }
        if ui.is_rect_visible(rect) {
            self.paint(ui, rect, &response);
        }
        let response =
            if self.is_enabled { response.on_hover_cursor(CursorIcon::PointingHand) } else { response };
        // An icon has no other text.
        let name = self.text.is_empty().then_some(self.name);
        match (self.tooltip.or(name), self.key.filter(|_| self.is_enabled)) {
            (None, None) => response,
            (text, key) => response.tip_with_key(&text.unwrap_or_default(), key),
        }
    }

    fn paint(&self, ui: &Ui, rect: Rect, response: &Response) {
        let tokens = theme::tokens(ui);
        let (fill, line, ink) = self.face(tokens, response);
        let radius = CornerRadius::same(theme::LEVER_RADIUS);
        let painter = ui.painter();
        let opacity = if self.is_enabled { 1.0 } else { 0.4 };
        painter.rect(
            rect,
            radius,
            fill.gamma_multiply(opacity),
            Stroke::new(1.0, line.gamma_multiply(opacity)),
            StrokeKind::Inside,
        );
        let ink = ink.gamma_multiply(opacity);
        let galley = painter.layout_no_wrap(self.text.clone(), theme::medium(), ink);
        let has_word =
            !self.text.is_empty() && (self.icon.is_none() || rect.width() > galley.size().x + 24.0);
        if !has_word {
            if let Some(icon) = self.icon {
                icon.paint(painter, rect.center(), 12.0, ink);
            }
            return;
        }
        let icon_width = if self.icon.is_some() { 19.0 } else { 0.0 };
        let content = Rect::from_center_size(
            rect.center(),
            galley.size() + Vec2::new(icon_width + self.menu_width(), 0.0),
        );
        let mut x = content.left();
        if let Some(icon) = self.icon {
            icon.paint(painter, pos2(x + 6.0, rect.center().y), 11.0, ink);
            x += icon_width;
        }
        let at = Align2::LEFT_CENTER.anchor_size(pos2(x, rect.center().y), galley.size());
        painter.galley(at.min, galley, ink);
        if self.opens_menu {
            Icon::Down.paint(painter, pos2(content.right() - 4.0, rect.center().y), 9.0, ink);
        }
    }

    fn face(&self, tokens: &Tokens, response: &Response) -> (Color32, Color32, Color32) {
        let lift = match (response.is_pointer_button_down_on(), response.hovered() && self.is_enabled) {
            (true, _) => 0.13,
            (false, true) => 0.07,
            (false, false) => 0.0,
        };
        let lifted = |color: Color32| color.lerp_to_gamma(tokens.text, lift);
        match self.tone {
            Tone::Plain => (lifted(tokens.raised), tokens.line, tokens.text),
            Tone::Primary => (lifted(tokens.accent), tokens.accent, tokens.panel),
            Tone::Marked(color) => (lifted(tokens.tint(color, 0.1)), color, color),
            Tone::Field => (lifted(tokens.panel), tokens.line, tokens.muted),
            Tone::Quiet if lift > 0.0 => (lifted(tokens.raised), Color32::TRANSPARENT, tokens.text),
            Tone::Quiet => (Color32::TRANSPARENT, Color32::TRANSPARENT, tokens.muted),
        }
    }
}
