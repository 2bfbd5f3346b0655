//! A line of a log as a terminal would finally show it, with its colours.

use anstream::adapter::WinconBytes;
use anstyle::{AnsiColor, Color, Effects, Style};

/// One of the sixteen colours of terminals, or any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Black, red, green, yellow, blue, magenta, cyan, white, and the same bright.
    Named(u8),
    Rgb(u8, u8, u8),
}

/// How a part of a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// None: the colour of all text.
    pub ink: Option<Ink>,
    pub is_bold: bool,
    pub is_faint: bool,
    pub is_underlined: bool,
}

/// A line with its colours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StyledText {
    /// Without escape sequences and control characters, except tabs.
    pub text: String,
    /// Where each part with a look of its own ends, in bytes of `text`, and the look. Empty for a line without colours.
    pub parts: Vec<(usize, Look)>,
}

/// Removes escape sequences and control characters, except tabs; keeps colours. Of a progress bar that is redrawn with
/// `\r`, keeps the last state.
pub(super) fn styled_line(line: &[u8]) -> StyledText {
    // The last redrawn state that shows something.
    let states = line.rsplit(|byte| *byte == b'\r');
    states.map(styled).find(|state| !state.text.is_empty()).unwrap_or_default()
}

fn styled(bytes: &[u8]) -> StyledText {
    let mut styled = StyledText::default();
    let mut is_coloured = false;
    if !bytes.contains(&0x1b) {
        let text = String::from_utf8_lossy(bytes);
        return StyledText { text: text.chars().filter(|c| is_shown(*c)).collect(), parts: Vec::new() };
    }
    for (style, text) in WinconBytes::new().extract_next(bytes) {
        styled.text.extend(text.chars().filter(|c| is_shown(*c)));
        let look = look_of(style);
        is_coloured |= look != Look::default();
        match styled.parts.last_mut() {
            Some((end, last)) if *last == look => *end = styled.text.len(),
            Some(_) | None => styled.parts.push((styled.text.len(), look)),
        }
    }
    if !is_coloured {
        styled.parts.clear();
    }
    styled
}

/// Not shown are control characters, and those that change the direction of reading (Unicode's bidirectional controls).
fn is_shown(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c == '\t' || !(c.is_control() || turns)
}

fn look_of(style: Style) -> Look {
    let effects = style.get_effects();
    let color = if effects.contains(Effects::INVERT) { style.get_bg_color() } else { style.get_fg_color() };
    Look {
        ink: color.map(ink_of),
        is_bold: effects.contains(Effects::BOLD),
        is_faint: effects.contains(Effects::DIMMED),
        is_underlined: effects.contains(Effects::UNDERLINE),
    }
}

/// The cube and the greys of the 256 colours (xterm).
fn ink_of(color: Color) -> Ink {
    match color {
        Color::Ansi(ansi) => Ink::Named(anstyle::Ansi256Color::from_ansi(ansi).index()),
        Color::Rgb(rgb) => Ink::Rgb(rgb.r(), rgb.g(), rgb.b()),
        Color::Ansi256(color) => match (color.into_ansi(), color.index()) {
            (Some(ansi), _) => ink_of(AnsiColor::into(ansi)),
            (None, grey @ 232..) => {
                let level = 8 + (grey - 232) * 10;
                Ink::Rgb(level, level, level)
            }
            (None, index) => {
                let level = |digit: u8| if digit == 0 { 0 } else { 55 + digit * 40 };
                let index = index - 16;
                Ink::Rgb(level(index / 36), level(index / 6 % 6), level(index % 6))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_what_a_terminal_would_show_at_last() {
        for (line, shown) in [
            (&b"plain\ttext"[..], "plain\ttext"),
            (b"10%\r20%\r30%", "30%"),
            (b"dos line\r", "dos line"),
            (b"\r\r", ""),
            (b"\x1b[1;31mred\x1b[0m text", "red text"),
            (b"50%\r\x1b[K", "50%"),
            (b"\x1b]0;title\x07x\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "xlink"),
            (b"nul\0s and bells\x07", "nuls and bells"),
            (b"cut off \x1b[3", "cut off "),
            (b"broken \xff\xfe here", "broken \u{fffd}\u{fffd} here"),
        ] {
            assert_eq!(styled_line(line).text, shown, "{line:?}");
        }
    }

    #[test]
    fn colours_are_kept_with_where_they_end() {
        let line = styled_line(b"a \x1b[1;31mred\x1b[0m, \x1b[38;5;196mcube\x1b[38;2;1;2;3mrgb");
        assert_eq!(line.text, "a red, cubergb");
        let red = Look { ink: Some(Ink::Named(1)), is_bold: true, ..Look::default() };
        let of = |ink| Look { ink: Some(ink), ..Look::default() };
        assert_eq!(
            line.parts,
            [
                (2, Look::default()),
                (5, red),
                (7, Look::default()),
                (11, of(Ink::Rgb(255, 0, 0))),
                (14, of(Ink::Rgb(1, 2, 3))),
            ]
        );
    }
}
