//! Splits the lines of a crontab as Vixie's cron does. Their meaning is the subject of the parent module.

use super::{CrontabKind, CrontabSource};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Empty,
    /// Without its `#`.
    Comment(&'a str),
    /// `NAME = value`, quotes taken off.
    Variable {
        name: &'a str,
        value: &'a str,
    },
    Entry {
        /// Five fields or a word such as `@daily`.
        time: &'a str,
        /// Only in a system's crontab.
        user: Option<&'a str>,
        /// As written, including any `%`.
        command: &'a str,
    },
    /// What is wrong with it.
    Malformed(String),
}

/// All lines with their numbers, from 1.
pub(super) fn lines<'a>(text: &'a [u8], source: &CrontabSource<'_>) -> Vec<(usize, Line<'a>)> {
    // The byte-order mark that some editors write, and no cron knows.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').map(std::str::from_utf8).collect();
    let layout = match source.kind {
        CrontabKind::User => Layout::Commands,
        CrontabKind::System => Layout::Users,
        CrontabKind::Detect => Layout::detect(lines.iter().flatten().copied(), source),
    };
    let read = |line: Result<&'a str, _>| {
        match line {
        Ok(line) => read(line.strip_suffix('\r').unwrap_or(line), layout),
        Err(_) => Line::Malformed(
            "it holds bytes that are not UTF-8, which a pipeline can't contain; convert the file first (`iconv -f LATIN1 -t UTF-8`)".into(),
        ),
    }
    };
    lines.into_iter().enumerate().map(|(i, line)| (i + 1, read(line))).collect()
}

/// What follows the fields of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Commands,
    Users,
    /// It is not known.
    Unknown,
}

/// What the first word after the fields of time can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstWord {
    /// `root`, or a user of this machine that stands before a command of this machine.
    User,
    /// A word that can't be a user's name, or one without a command after it.
    Command,
    /// A command of this machine that is no user of it. In a system's crontab it may be a user who is not known here.
    LikelyCommand,
    /// No command of this machine, before a command: a user, or a command, of another machine.
    LikelyUser,
    /// Anything else. This includes a user's name before a word that may be an argument: a command of that name may
    /// exist on another machine, or in a folder that cron finds through a variable.
    Either,
}

impl Layout {
    /// Cron never mixes the two layouts, so one line that is certain decides for the others. A line that is only likely
    /// decides if no other line contradicts it: next to a known user, the name of a command is that of an unknown user. If
    /// lines contradict each other, or none says anything, the layout is unknown.
    fn detect<'a>(lines: impl Iterator<Item = &'a str>, source: &CrontabSource<'_>) -> Self {
        let mut path = super::CRON_PATH.to_owned();
        let mut seen = Vec::new();
        for line in lines {
            match read(line, Self::Commands) {
                Line::Variable { name: "PATH", value } => path = value.to_owned(),
                Line::Entry { command, .. } => seen.push(first_word(command, &path, source)),
                Line::Empty | Line::Comment(_) | Line::Variable { .. } | Line::Malformed(_) => {}
            }
        }
        let has = |word: FirstWord| seen.contains(&word);
        match (has(FirstWord::User), has(FirstWord::Command)) {
            (true, false) => Self::Users,
            (false, true) => Self::Commands,
            (true, true) => Self::Unknown,
            (false, false) if seen.is_empty() => Self::Commands,
            (false, false) if has(FirstWord::LikelyCommand) && !has(FirstWord::LikelyUser) => Self::Commands,
            (false, false) => Self::Unknown,
        }
    }
}

fn first_word(command: &str, path: &str, source: &CrontabSource<'_>) -> FirstWord {
    let (word, rest) = split_word(command);
    let is_command = |word: &str| SHELL_WORDS.contains(&word) || (source.is_command)(word, path);
    let is_known_user = word == "root" || source.users.contains(&word);
    if rest.is_empty() || !is_user_name(word) {
        return FirstWord::Command;
    }
    let behind = first_program(rest);
    match (is_known_user, is_command(word)) {
        // A command never has such a word as its first argument, unless a shell runs the words after it.
        (false, true) if BEGINNINGS.contains(&behind) && !SHELL_WORDS.contains(&word) => {
            FirstWord::LikelyUser
        }
        (false, true) => FirstWord::LikelyCommand,
        (true, false) if word == "root" || is_command(behind) => FirstWord::User,
        (false, false) if is_command(behind) || behind.starts_with('/') => FirstWord::LikelyUser,
        (true, _) | (false, false) => FirstWord::Either,
    }
}

/// The first word that is not a variable for the command (`A=b command`).
fn first_program(command: &str) -> &str {
    let (word, rest) = split_word(command);
    let is_assignment = word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    if is_assignment { first_program(rest) } else { word }
}

/// Whether a user can have this name; a script or a path can't be one.
fn is_user_name(word: &str) -> bool {
    let is_script = [".sh", ".py", ".pl", ".rb", ".php", ".js"].iter().any(|ending| word.ends_with(ending));
    let is_inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '+' | '\\');
    let word = word.strip_suffix('$').unwrap_or(word);
    !is_script && word.starts_with(|c: char| c.is_alphanumeric() || c == '_') && word.chars().all(is_inner)
}

/// Words that begin a shell command and are never an argument.
const BEGINNINGS: [&str; 6] = ["[", "if", "for", "while", "until", "case"];

/// Words that a shell understands without a program.
const SHELL_WORDS: [&str; 23] = [
    "[", "if", "for", "while", "until", "case", "test", "cd", "echo", "printf", "exec", "export", "eval",
    "set", "umask", "ulimit", "trap", "command", "type", "true", "false", "exit", "time",
];

fn read(line: &str, layout: Layout) -> Line<'_> {
    let line = line.trim_start();
    if line.is_empty() {
        return Line::Empty;
    }
    if let Some(comment) = line.strip_prefix('#') {
        return Line::Comment(comment.trim_start_matches('#').trim());
    }
    if let Some((name, value)) = variable(line) {
        return Line::Variable { name, value };
    }
    let n_fields = if line.starts_with('@') { 1 } else { 5 };
    let mut rest = line;
    for _ in 0..n_fields {
        rest = split_word(rest).1;
    }
    let time = line[..line.len() - rest.len()].trim_end();
    if is_anacrontab_line(line) {
        return Line::Malformed(
            "it is a line of an anacrontab (a period, a delay, a name, a command), which has no time of day; add a job for its command (`leverframe schedule add`)".into(),
        );
    }
    let (first, after) = split_word(rest);
    let (user, command) = match layout {
        Layout::Users => (Some(first), after),
        Layout::Commands => (None, rest),
        Layout::Unknown if rest.is_empty() => (None, rest),
        Layout::Unknown => {
            return Line::Malformed(format!(
                "it is not clear whether {first} is a user or a command, here or in other lines; use --system if it is a user, --user-crontab if it is a command"
            ));
        }
    };
    if command.is_empty() {
        let what = match layout {
            Layout::Users => "fields of time, a user and a command",
            Layout::Commands | Layout::Unknown => "fields of time and a command",
        };
        return Line::Malformed(format!("it is neither a variable nor an entry: an entry has {what}"));
    }
    Line::Entry { time, user, command: command.trim_end() }
}

/// Whether it is a line of an anacrontab: a period in days or a word for one, a delay in minutes, a name, a command.
fn is_anacrontab_line(line: &str) -> bool {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let (period, rest) = split_word(line);
    let (delay, rest) = split_word(rest);
    let (name, command) = split_word(rest);
    // The third field of cron is a day of the month, which is never a word (except `L`).
    let is_name = name.len() > 1 && name.contains(|c: char| c.is_ascii_alphabetic());
    is_number(delay) && is_name && !command.is_empty() && (period.starts_with('@') || is_number(period))
}

/// The first word, and the text after it and its spaces.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_start_matches([' ', '\t']))
}

/// `NAME = value`; both may be in quotes.
fn variable(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let unquoted = unquote(name);
    // An unquoted name is one word: `0 5 * * * A=b` is an entry.
    if unquoted == name && (name.contains([' ', '\t']) || name.starts_with('@')) {
        return None;
    }
    Some((unquoted, unquote(value.trim())))
}

fn unquote(text: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(text)
}
