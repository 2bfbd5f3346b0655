//! A line of a log as plain text: what a terminal would finally show of it.

/// Removes escape sequences and control characters, except tabs. Of a progress bar that is redrawn with `\r`, keeps the
/// last state.
pub fn plain_line(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut earlier = String::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_escape(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            // A return at the end of a line overwrites nothing.
            '\r' if !shown.is_empty() => earlier = std::mem::take(&mut shown),
            '\t' => shown.push(c),
            c if c.is_control() => {}
            c => shown.push(c),
        }
    }
    if shown.is_empty() { earlier } else { shown }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// After ESC: a control sequence, a string with its terminator, or a short sequence (ECMA-48).
fn skip_escape(chars: &mut Chars<'_>) {
    match chars.next() {
        Some('[') => skip_control_sequence(chars),
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\x07' || c == '\u{9c}' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some(' '..='/') => {
            while chars.next_if(|c| matches!(c, ' '..='/')).is_some() {}
            chars.next();
        }
        Some(_) | None => {}
    }
}

fn skip_control_sequence(chars: &mut Chars<'_>) {
    while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    chars.next_if(|c| matches!(c, '@'..='~'));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_what_a_terminal_would_show_at_last() {
        for (line, shown) in [
            ("plain\ttext", "plain\ttext"),
            ("10%\r20%\r30%", "30%"),
            ("10%\r20%\r", "20%"),
            ("dos line\r", "dos line"),
            ("\r\r", ""),
            ("\x1b[1;31mred\x1b[0m text", "red text"),
            ("50%\r\x1b[K", "50%"),
            ("\x1b]0;title\x07x\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "xlink"),
            ("\x1b(Bx\x1b=y", "xy"),
            ("nul\0s and bells\x07", "nuls and bells"),
            ("cut off \x1b[3", "cut off "),
            ("cut off \x1b", "cut off "),
            ("ä→\u{fffd}", "ä→\u{fffd}"),
        ] {
            assert_eq!(plain_line(line), shown, "{line:?}");
        }
    }
}
