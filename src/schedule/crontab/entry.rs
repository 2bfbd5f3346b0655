//! One entry of a crontab: its schedule, its command, and the pipeline that both become.

use std::collections::BTreeMap;

use super::{CRON_PATH, RemarkKind};
use crate::schedule::CronExpr;

/// Shells in which a command's input can be written before it.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ksh", "zsh", "ash"];

/// Words that come before the name of what is run.
const NOT_NAMES: [&str; 27] = [
    "[", "ash", "bash", "chronic", "command", "dash", "env", "exec", "flock", "ionice", "ksh", "nice",
    "node", "nohup", "perl", "php", "python", "python2", "python3", "ruby", "sh", "sudo", "test", "time",
    "timeout", "zsh", "&&",
];

/// The greatest value of each of the five fields.
const LARGEST: [u32; 5] = [59, 23, 31, 12, 7];
const SMALLEST: [u32; 5] = [0, 0, 1, 1, 0];

type Remarks = Vec<(RemarkKind, String)>;

pub(super) struct Entry<'a> {
    pub(super) time: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) command: &'a str,
    /// What stands in the line above.
    pub(super) comment: Option<&'a str>,
}

impl Entry<'_> {
    /// When it is due; none for `@reboot`.
    pub(super) fn schedule(&self, remarks: &mut Remarks) -> Result<Option<CronExpr>, String> {
        if self.time.eq_ignore_ascii_case("@reboot") {
            return Ok(None);
        }
        let time = self.time.strip_prefix('-').unwrap_or(self.time);
        if time != self.time {
            remarks.push((RemarkKind::Carried, "the - that keeps cron from logging is left out".to_owned()));
        }
        let fields: Vec<String> =
            time.split_whitespace().enumerate().map(|(i, field)| within_steps(field, i)).collect();
        let expression = fields.join(" ");
        if expression != time.split_whitespace().collect::<Vec<_>>().join(" ") {
            let text = format!(
                "a step beyond the field's largest value never comes round: {time} means {expression} in cron, and here"
            );
            remarks.push((RemarkKind::Carried, text));
        }
        let read: CronExpr =
            expression.parse().map_err(|error: crate::schedule::ScheduleError| error.to_string())?;
        Ok(Some(read))
    }

    /// The line for the shell.
    pub(super) fn run(&self, shell: &str, remarks: &mut Remarks) -> Result<String, String> {
        let (command, input) = split_input(self.command);
        let Some(input) = input else { return Ok(command) };
        let name = shell.rsplit('/').next().unwrap_or(shell);
        if !SHELLS.contains(&name) {
            return Err(format!("its input (after the %) can't be written before a command for {shell}"));
        }
        remarks.push((RemarkKind::Carried, "what stands after the % is the command's input".to_owned()));
        // The bracket stands in a line of its own: the command may end with a comment.
        Ok(format!("printf '%s\\n' '{}' | (\n{command}\n)", input.replace('\'', "'\\''")))
    }

    /// A word for the pipeline: the name of what is run.
    pub(super) fn name(&self, line: usize) -> String {
        let command = split_input(self.command).0;
        // `cd there && do this` does this.
        let command = command
            .strip_prefix("cd ")
            .and_then(|rest| rest.split_once("&&").or_else(|| rest.split_once(';')))
            .map_or(command.as_str(), |(_, rest)| rest);
        let is_name = |word: &&str| {
            !word.starts_with(['-', '+', '"', '\'', '$', '(', '{', '!', '|', '>', '<'])
                && !word.contains('=')
                && word.parse::<f64>().is_err()
                && !NOT_NAMES.contains(&base(word))
        };
        let word = command.split_whitespace().find(is_name).map(base).unwrap_or_default();
        let stem = word.rsplit_once('.').map_or(word, |(stem, ending)| match ending {
            "sh" | "bash" | "py" | "pl" | "rb" | "php" | "js" => stem,
            _ => word,
        });
        let is_allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name: String = stem.chars().filter(is_allowed).take(100).collect();
        let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        if name.is_empty() { format!("cron-line-{line}") } else { name.to_owned() }
    }

    /// The pipeline's file.
    pub(super) fn toml(
        &self,
        line: usize,
        id: &str,
        run: &str,
        environment: &BTreeMap<String, String>,
    ) -> String {
        let of = |name: &str| environment.get(name).map(String::as_str);
        let mut toml = format!("# Line {line} of a crontab: {} {}\n", self.time, printable(self.command));
        let mut key = |name: &str, value: String| toml.push_str(&format!("{name} = {value}\n"));
        key("id", quoted(id));
        if let Some(comment) = self.comment {
            key("description", quoted(comment));
        }
        key("working_dir", quoted(of("HOME").unwrap_or("~")));
        key("shell", format!("[{}, \"-c\"]", quoted(of("SHELL").unwrap_or(super::CRON_SHELL))));
        toml.push_str("\n[env]\n");
        if of("PATH").is_none() {
            toml.push_str(&format!("PATH = {}\n", quoted(CRON_PATH)));
        }
        for (name, value) in environment.iter().filter(|(name, _)| *name != "MAILTO") {
            // Cron expands nothing.
            toml.push_str(&format!("{name} = {}\n", quoted(&value.replace('$', "$$"))));
        }
        toml.push_str(&format!("\n[[step]]\nid = \"run\"\nrun = {}\n", quoted(run)));
        toml
    }
}

/// The last part of a path.
fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// A comment must hold no control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The command and its input: an unescaped `%` ends the command, further ones are line breaks, `\%` is a `%`.
fn split_input(command: &str) -> (String, Option<String>) {
    let (mut line, mut input): (String, Option<String>) = (String::new(), None);
    let mut letters = command.chars().peekable();
    while let Some(letter) = letters.next() {
        let into = input.as_mut().unwrap_or(&mut line);
        match letter {
            '\\' if letters.next_if_eq(&'%').is_some() => into.push('%'),
            '%' => match input.as_mut() {
                Some(input) => input.push('\n'),
                None => input = Some(String::new()),
            },
            letter => into.push(letter),
        }
    }
    (line, input)
}

/// The field with steps beyond its largest value written as what they mean: the first value alone.
fn within_steps(field: &str, place: usize) -> String {
    let (Some(largest), Some(smallest)) = (LARGEST.get(place), SMALLEST.get(place)) else {
        return field.to_owned();
    };
    let items = field.split(',').map(|item| match item.split_once('/') {
        Some((base, step)) if step.parse::<u32>().is_ok_and(|step| step > *largest) => match base {
            "*" => smallest.to_string(),
            base => base.split('-').next().unwrap_or(base).to_owned(),
        },
        _ => item.to_owned(),
    });
    items.collect::<Vec<_>>().join(",")
}
