//! The lines of a crontab, as Vixie's cron takes them apart. What they mean here is said elsewhere.

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
        /// In a system's crontab.
        user: Option<&'a str>,
        /// As it stands there, `%` and all.
        command: &'a str,
    },
    /// What is wrong with it.
    Malformed(String),
}

/// All lines with their numbers, from 1.
pub(super) fn lines<'a>(text: &'a str, source: &CrontabSource<'_>) -> Vec<(usize, Line<'a>)> {
    let has_user = match source.kind {
        CrontabKind::User => false,
        CrontabKind::System => true,
        CrontabKind::Detect => names_users(text, source),
    };
    text.lines().enumerate().map(|(i, line)| (i + 1, read(line, has_user))).collect()
}

/// Whether there are entries, and each has a known user and a command after its fields of time.
fn names_users(text: &str, source: &CrontabSource<'_>) -> bool {
    let is_user = |word: &str| word == "root" || source.users.contains(&word);
    let mut commands = text.lines().filter_map(|line| match read(line, false) {
        Line::Entry { command, .. } => Some(command),
        Line::Empty | Line::Comment(_) | Line::Variable { .. } | Line::Malformed(_) => None,
    });
    let names_user = |command: &str| {
        let (user, rest) = split_word(command);
        is_user(user) && !rest.is_empty()
    };
    commands.next().is_some_and(names_user) && commands.all(names_user)
}

fn read(line: &str, has_user: bool) -> Line<'_> {
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
    let (user, command) = if has_user {
        let (user, command) = split_word(rest);
        (Some(user), command)
    } else {
        (None, rest)
    };
    if command.is_empty() {
        let what =
            if has_user { "fields of time, a user and a command" } else { "fields of time and a command" };
        return Line::Malformed(format!("it is no variable and no entry: an entry has {what}"));
    }
    Line::Entry { time, user, command: command.trim_end() }
}

/// The first word, and what follows it and its spaces.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_start_matches([' ', '\t']))
}

/// `NAME = value`; either may stand in quotes.
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
