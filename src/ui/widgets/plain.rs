//! Text from outside: a name, a path or a message of a step may contain any character. Such text is painted and passed
//! to screen readers only through this module (`tests/house_rules` checks this).

use std::borrow::Cow;

use egui::accesskit::Live;
use egui::{FontId, KeyboardShortcut, Response, RichText, Role, Ui, WidgetInfo};

/// The most characters of one line.
const MAX_LINE: usize = 1000;
/// The most characters of several lines.
const MAX_TEXT: usize = 4000;
const MAX_LINES: usize = 40;
/// Replaces a character that can't be shown; every font has it.
const UNSHOWN: char = '?';

/// A text in one line of bounded length. A line end becomes a space. Other control characters, and those that change
/// the direction of reading, are replaced.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    cleaned(
        text,
        MAX_LINE,
        |c| if matches!(c, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}') { ' ' } else { c },
    )
}

/// The same for a text that may have several lines.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    let end = text.match_indices('\n').nth(MAX_LINES - 1).map(|(at, _)| at);
    let cut = end.map(|end| format!("{}\n…", &text[..end]));
    let shown = match &cut {
        Some(cut) => cleaned(cut, MAX_TEXT, |c| if matches!(c, '\r' | '\t') { ' ' } else { c }).into_owned(),
        None => return cleaned(text, MAX_TEXT, |c| if matches!(c, '\r' | '\t') { ' ' } else { c }),
    };
    Cow::Owned(shown)
}

fn cleaned(text: &str, max: usize, space: impl Fn(char) -> char) -> Cow<'_, str> {
    let is_odd = |c: char| (c.is_control() && c != '\n') || turns(c) || space(c) != c;
    // There are at least as many bytes as characters.
    if text.len() <= max && !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut chars = text.chars();
    let mut shown: String = chars
        .by_ref()
        .take(max)
        .map(space)
        .map(|c| if (c.is_control() && c != '\n') || turns(c) { UNSHOWN } else { c })
        .collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

/// Whether a character changes the direction of reading (Unicode's bidirectional controls).
const fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The name of a widget for screen readers, and its tooltip.
pub(crate) trait AccessibleName {
    /// Sets its role and name.
    fn says(&self, role: Role, name: &str);
    /// Sets its role and name, and whether it is enabled.
    fn says_enabled(&self, role: Role, is_enabled: bool, name: &str);
    /// Sets its role and name, and whether it is selected.
    fn says_selected(&self, role: Role, is_selected: bool, name: &str);
    /// Says by which key the same is done.
    fn says_key(&self, key: &KeyboardShortcut);
    /// Shows a tooltip.
    fn tip(self, text: &str) -> Self;
    /// Shows a tooltip with the key that does the same, and says the key.
    fn tip_with_key(self, text: &str, key: Option<KeyboardShortcut>) -> Self;
}

impl AccessibleName for Response {
    fn says(&self, role: Role, name: &str) {
        self.says_enabled(role, true, name);
    }

    fn says_enabled(&self, role: Role, is_enabled: bool, name: &str) {
        self.widget_info(|| WidgetInfo::labeled(role, is_enabled, one_line(name)));
        if matches!(role, Role::Alert | Role::Status) {
            self.ctx.accesskit_node_builder(self.id, |node| node.set_live(Live::Polite));
        }
    }

    fn says_selected(&self, role: Role, is_selected: bool, name: &str) {
        self.widget_info(|| WidgetInfo::selected(role, true, is_selected, one_line(name)));
        // One of several is selected; egui tells of a button that is pressed.
        if matches!(role, Role::Tab | Role::ListItem | Role::TreeItem) {
            self.ctx.accesskit_node_builder(self.id, |node| {
                node.clear_toggled();
                node.set_selected(is_selected);
            });
        }
    }

    fn says_key(&self, key: &KeyboardShortcut) {
        let key = self.ctx.format_shortcut(key);
        self.ctx.accesskit_node_builder(self.id, |node| node.set_keyboard_shortcut(key));
    }

    fn tip_with_key(self, text: &str, key: Option<KeyboardShortcut>) -> Self {
        let Some(key) = key else { return self.tip(text) };
        self.says_key(&key);
        let key = self.ctx.format_shortcut(&key);
        self.tip(&if text.is_empty() { key } else { format!("{text} ({key})") })
    }

    fn tip(self, text: &str) -> Self {
        self.on_hover_text(RichText::new(lines(text)))
    }
}

/// Gives all that is in `ui` a role and a name for screen readers: a list, a dialog, a region of the window.
pub(crate) fn region(ui: &Ui, role: Role, name: &str) {
    ui.ctx().accesskit_node_builder(ui.unique_id(), |node| {
        node.set_role(role);
        node.set_label(&*one_line(name));
    });
}

/// A text of several lines.
pub(crate) fn paragraph(ui: &mut Ui, text: &str, (font, color): (FontId, egui::Color32)) -> Response {
    ui.label(RichText::new(lines(text)).font(font).color(color))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_line_turns_nothing_around_and_has_an_end() {
        for (text, shown) in [
            ("price-list, äöü 漢字 🎉", "price-list, äöü 漢字 🎉"),
            ("first\nsecond\tthird", "first second third"),
            ("\u{1b}[31mred\u{7}", "?[31mred?"),
            ("a\u{202e}lmth.exe\u{2066}b", "a?lmth.exe?b"),
            ("nel\u{85}del\u{7f}", "nel?del?"),
        ] {
            assert_eq!(one_line(text), shown, "{text:?}");
        }
        let long = one_line(&"ä".repeat(100_000)).into_owned();
        assert_eq!((long.chars().count(), long.ends_with('…')), (MAX_LINE + 1, true));
        assert_eq!(lines("a\nb\u{202e}"), "a\nb?");
        let many = "x\n".repeat(1000);
        assert_eq!(lines(&many).lines().count(), MAX_LINES + 1);
    }
}
