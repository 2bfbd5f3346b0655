//! Every colour, size and font of the window. Nothing else names a colour or loads a font.
//!
//! Text keeps a contrast of 4.5 on the panel colour; `faint` does not and is for axis labels alone.

use std::sync::Arc;

use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Rect, Shadow,
    Stroke, Style, TextStyle, Theme, Ui, Visuals, vec2,
};

use crate::run::{RunState, StepState};
use crate::window::{Density, Ink};

/// The colours of one theme.
#[derive(Debug, PartialEq)]
pub(super) struct Tokens {
    pub(super) bg: Color32,
    pub(super) panel: Color32,
    pub(super) raised: Color32,
    pub(super) line: Color32,
    pub(super) text: Color32,
    pub(super) muted: Color32,
    pub(super) faint: Color32,
    pub(super) accent: Color32,
    pub(super) running: Color32,
    pub(super) completed: Color32,
    pub(super) failed: Color32,
    pub(super) paused: Color32,
    pub(super) stopped: Color32,
    pub(super) queued: Color32,
    pub(super) interrupted: Color32,
    /// Behind a dialog, over the window.
    pub(super) backdrop: Color32,
    /// Under floating parts.
    pub(super) shadow: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

static DARK: Tokens = Tokens {
    bg: rgb(0x121418),
    panel: rgb(0x191C22),
    raised: rgb(0x21252D),
    line: rgb(0x2B303A),
    text: rgb(0xE8EAEE),
    muted: rgb(0x98A1B0),
    faint: rgb(0x626B7A),
    accent: rgb(0x6EA8FE),
    running: rgb(0x5AB0FF),
    completed: rgb(0x4CC38A),
    failed: rgb(0xFF7B72),
    paused: rgb(0xF2B84B),
    stopped: rgb(0xA7AFBC),
    queued: rgb(0xA78BFA),
    interrupted: rgb(0xFF9E64),
    backdrop: Color32::from_black_alpha(140),
    shadow: Color32::from_black_alpha(110),
};

static LIGHT: Tokens = Tokens {
    bg: rgb(0xF4F5F7),
    panel: rgb(0xFFFFFF),
    raised: rgb(0xECEEF2),
    line: rgb(0xD9DDE3),
    text: rgb(0x1B1F27),
    muted: rgb(0x596273),
    faint: rgb(0x8891A0),
    accent: rgb(0x1F5FBF),
    running: rgb(0x0B6BCB),
    completed: rgb(0x18794E),
    failed: rgb(0xC4302B),
    paused: rgb(0x8F5A00),
    stopped: rgb(0x59616E),
    queued: rgb(0x6B46C1),
    interrupted: rgb(0xB4470F),
    backdrop: Color32::from_black_alpha(90),
    shadow: Color32::from_black_alpha(40),
};

/// The colours of the theme that `ui` is painted in.
pub(super) fn tokens(ui: &Ui) -> &'static Tokens {
    if ui.visuals().dark_mode { &DARK } else { &LIGHT }
}

impl Tokens {
    pub(super) const fn run_state(&self, state: RunState) -> Color32 {
        match state {
            RunState::Queued => self.queued,
            RunState::Running => self.running,
            RunState::Paused => self.paused,
            RunState::Stopping | RunState::Stopped | RunState::ForceStopped => self.stopped,
            RunState::Completed => self.completed,
            RunState::Failed => self.failed,
            RunState::Interrupted => self.interrupted,
        }
    }

    pub(super) const fn step_state(&self, state: StepState) -> Color32 {
        match state {
            StepState::Pending | StepState::Skipped | StepState::Stopped => self.stopped,
            StepState::Waiting => self.queued,
            StepState::Running => self.running,
            StepState::Paused => self.paused,
            StepState::Completed => self.completed,
            StepState::Failed => self.failed,
            StepState::Interrupted => self.interrupted,
        }
    }

    /// The colour of text in a log: the theme's own for the names that terminals know. A colour by its figures is moved
    /// towards the text's colour, so that it can be read on both themes.
    pub(super) fn log_ink(&self, ink: Ink) -> Color32 {
        match ink {
            Ink::Named(name) => match name % 8 {
                0 => self.muted,
                1 => self.failed,
                2 => self.completed,
                3 => self.paused,
                4 => self.running,
                5 => self.queued,
                6 => self.accent,
                _ => self.text,
            },
            Ink::Rgb(r, g, b) => Color32::from_rgb(r, g, b).lerp_to_gamma(self.text, 0.4),
        }
    }

    /// A mixture of `color` and the panel's colour, with this share of `color`.
    pub(super) fn tint(&self, color: Color32, share: f32) -> Color32 {
        self.panel.lerp_to_gamma(color, share)
    }
}

/// The scale of everything, in percent.
pub(super) fn scale_of(ctx: &Context) -> u16 {
    (ctx.zoom_factor() * 100.0).round() as u16
}

/// The colour of the mark around what has the focus.
#[cfg(test)]
pub(super) fn focus_color(is_dark: bool) -> Color32 {
    if is_dark { DARK.accent } else { LIGHT.accent }
}

/// One step of the spacing grid.
pub(super) const GRID: f32 = 4.0;
/// The gap between cards, and between a card's edge and its contents.
pub(super) const GAP: f32 = 12.0;
/// A row of a list of runs.
pub(super) const fn row(density: Density) -> f32 {
    match density {
        Density::Comfortable => 52.0,
        Density::Compact => 34.0,
    }
}

/// The middles of the two lines of text in a row.
pub(super) fn two_lines(row: Rect) -> (f32, f32) {
    let middle = row.center().y;
    if row.height() < 40.0 { (middle - 7.5, middle + 8.0) } else { (middle - 8.0, middle + 9.0) }
}

/// The height of a button in a row.
pub(super) fn lever_in(row: Rect) -> f32 {
    LEVER.min(row.height() - 6.0)
}

/// A row of one line.
pub(super) const ROW_SMALL: f32 = 32.0;
/// The head of a card.
pub(super) const CARD_HEAD: f32 = 36.0;
/// A button.
pub(super) const LEVER: f32 = 30.0;
pub(super) const CARD_RADIUS: u8 = 10;
pub(super) const LEVER_RADIUS: u8 = 8;

/// Running text.
pub(super) fn body() -> FontId {
    FontId::new(13.0, FontFamily::Proportional)
}

/// The main text of a row, and buttons.
pub(super) fn medium() -> FontId {
    FontId::new(13.0, FontFamily::Name(MEDIUM.into()))
}

/// Heads of cards.
pub(super) fn strong() -> FontId {
    FontId::new(13.0, FontFamily::Name(SEMIBOLD.into()))
}

/// Second lines.
pub(super) fn small() -> FontId {
    FontId::new(11.5, FontFamily::Proportional)
}

/// The page's name.
pub(super) fn heading() -> FontId {
    FontId::new(20.0, FontFamily::Name(SEMIBOLD.into()))
}

/// Ids and logs.
pub(super) fn mono() -> FontId {
    FontId::new(11.5, FontFamily::Monospace)
}

const MEDIUM: &str = "medium";
const SEMIBOLD: &str = "semibold";

/// Gives `ctx` the fonts and both themes.
pub(super) fn install(ctx: &Context) {
    ctx.set_fonts(fonts());
    ctx.set_style_of(Theme::Dark, style(Theme::Dark));
    ctx.set_style_of(Theme::Light, style(Theme::Light));
}

/// Inter and JetBrains Mono, with egui's own fonts as fallbacks for other characters in logs.
fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let fallbacks = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let faces: [(&str, FontFamily, &'static [u8]); 4] = [
        ("Inter", FontFamily::Proportional, include_bytes!("../../assets/fonts/Inter-Regular.otf")),
        (
            "Inter Medium",
            FontFamily::Name(MEDIUM.into()),
            include_bytes!("../../assets/fonts/Inter-Medium.otf"),
        ),
        (
            "Inter SemiBold",
            FontFamily::Name(SEMIBOLD.into()),
            include_bytes!("../../assets/fonts/Inter-SemiBold.otf"),
        ),
        (
            "JetBrains Mono",
            FontFamily::Monospace,
            include_bytes!("../../assets/fonts/JetBrainsMono-Regular.ttf"),
        ),
    ];
    for (name, family, bytes) in faces {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
        fonts.families.entry(family).or_insert_with(|| fallbacks.clone()).insert(0, name.to_owned());
    }
    fonts
}

fn style(theme: Theme) -> Style {
    let (tokens, mut visuals) = match theme {
        Theme::Dark => (&DARK, Visuals::dark()),
        Theme::Light => (&LIGHT, Visuals::light()),
    };
    visuals.override_text_color = None;
    visuals.weak_text_color = Some(tokens.muted);
    visuals.hyperlink_color = tokens.accent;
    visuals.panel_fill = tokens.bg;
    visuals.window_fill = tokens.panel;
    visuals.window_stroke = Stroke::new(1.0, tokens.line);
    visuals.window_corner_radius = CornerRadius::same(CARD_RADIUS);
    visuals.menu_corner_radius = CornerRadius::same(LEVER_RADIUS);
    visuals.extreme_bg_color = tokens.bg;
    visuals.faint_bg_color = tokens.raised;
    visuals.code_bg_color = tokens.raised;
    visuals.warn_fg_color = tokens.paused;
    visuals.error_fg_color = tokens.failed;
    visuals.selection.bg_fill = tokens.tint(tokens.accent, 0.35);
    visuals.selection.stroke = Stroke::new(1.0, tokens.accent);
    let shadow = Shadow { offset: [0, 6], blur: 20, spread: 0, color: tokens.shadow };
    visuals.window_shadow = shadow;
    visuals.popup_shadow = shadow;
    visuals.interact_cursor = None;

    let radius = CornerRadius::same(LEVER_RADIUS);
    let widgets = &mut visuals.widgets;
    widgets.noninteractive.bg_stroke = Stroke::new(1.0, tokens.line);
    widgets.noninteractive.fg_stroke = Stroke::new(1.0, tokens.text);
    widgets.noninteractive.bg_fill = tokens.panel;
    for (widget, fill) in [
        (&mut widgets.inactive, tokens.raised),
        (&mut widgets.hovered, tokens.raised.lerp_to_gamma(tokens.text, 0.07)),
        (&mut widgets.active, tokens.raised.lerp_to_gamma(tokens.text, 0.13)),
        (&mut widgets.open, tokens.raised.lerp_to_gamma(tokens.text, 0.07)),
    ] {
        widget.bg_fill = fill;
        widget.weak_bg_fill = fill;
        widget.bg_stroke = Stroke::new(1.0, tokens.line);
        widget.fg_stroke = Stroke::new(1.0, tokens.text);
        widget.corner_radius = radius;
        widget.expansion = 0.0;
    }

    let mut style = Style { visuals, animation_time: 0.08, ..Style::default() };
    style.text_styles = [
        (TextStyle::Small, small()),
        (TextStyle::Body, body()),
        (TextStyle::Button, medium()),
        (TextStyle::Heading, heading()),
        (TextStyle::Monospace, mono()),
    ]
    .into();
    style.spacing.item_spacing = vec2(GRID * 2.0, GRID);
    style.spacing.button_padding = vec2(GRID * 3.0, GRID * 1.5);
    style.spacing.menu_margin = Margin::same(6);
    style.spacing.window_margin = Margin::same(20);
    style.spacing.interact_size.y = LEVER;
    style.spacing.scroll.floating = true;
    style.interaction.tooltip_delay = 0.35;
    style
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(color: Color32) -> f64 {
        let channel = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(color.r()) + 0.7152 * channel(color.g()) + 0.0722 * channel(color.b())
    }

    fn contrast(a: Color32, b: Color32) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_colour_can_be_read_on_a_panel() {
        for tokens in [&DARK, &LIGHT] {
            let states = RunState::ALL.iter().map(|state| tokens.run_state(*state));
            for color in states.chain([tokens.text, tokens.muted, tokens.accent]) {
                let ratio = contrast(color, tokens.panel);
                assert!(ratio >= 4.5, "{color:?} has only {ratio:.1}");
            }
            assert!(contrast(tokens.faint, tokens.panel) >= 3.0);
        }
    }
}
