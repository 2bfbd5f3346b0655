//! One entry of a crontab: its schedule, its command, and the pipeline made of them.

use std::collections::BTreeMap;

use super::naming::name_of;
use super::{CRON_PATH, RemarkKind};
use crate::schedule::cron::CronExpr;
use crate::schedule::error::ScheduleError;

/// Shells with which a command's input can be written before the command.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ksh", "zsh", "ash"];

/// The largest value of each of the five fields.
const LARGEST: [u32; 5] = [59, 23, 31, 12, 7];
const SMALLEST: [u32; 5] = [0, 0, 1, 1, 0];

type Remarks = Vec<(RemarkKind, String)>;

pub(super) struct Entry<'a> {
    pub(super) time: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) command: &'a str,
    /// The comment in the line above.
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
        let mut fields: Vec<String> = Vec::new();
        for field in time.split_whitespace() {
            let effective = without_lone_step(field)?;
            if effective != field {
                let text = format!(
                    "{field} has a step without a range: Debian's cron takes it as {effective} alone, and so does the job; cronie refuses the line. If every step was meant, write */N or a range"
                );
                remarks.push((RemarkKind::Differs, text));
            }
            if let Some(strange) = unknown_to_cron(effective) {
                return Err(format!("cron does not know {strange} and ignores the line"));
            }
            fields.push(effective.to_owned());
        }
        let time = fields.join(" ");
        let fields: Vec<String> =
            time.split_whitespace().enumerate().map(|(i, field)| within_steps(field, i)).collect();
        let expression = fields.join(" ");
        if expression != time {
            let text = format!(
                "a step larger than the field's largest value matches only once: {time} means {expression} in cron, and here"
            );
            remarks.push((RemarkKind::Carried, text));
        }
        let read: CronExpr = expression.parse().map_err(|error: ScheduleError| error.to_string())?;
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
        remarks.push((RemarkKind::Carried, "the text after the % is the command's input".to_owned()));
        // The bracket is on a line of its own, because the command may end with a comment.
        Ok(format!("printf '%s\\n' '{}' | (\n{command}\n)", input.replace('\'', "'\\''")))
    }

    /// A name for the pipeline: the name of the program.
    pub(super) fn name(&self, line: usize) -> String {
        name_of(&split_input(self.command).0).unwrap_or_else(|| format!("cron-line-{line}"))
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
            // Cron does not expand variables.
            toml.push_str(&format!("{name} = {}\n", quoted(&value.replace('$', "$$"))));
        }
        toml.push_str(&format!("\n[[step]]\nid = \"run\"\nrun = {}\n", quoted(run)));
        toml
    }
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

/// What a step without a range, such as `0/5`, means to Debian's cron: the value alone. It ignores the rest of the
/// field.
///
/// # Errors
/// When the field has more items, which each cron reads in its own way.
fn without_lone_step(field: &str) -> Result<&str, String> {
    let is_alone = |item: &str| {
        item.split_once('/').is_some_and(|(base, _)| base != "*" && !base.contains('-') && !base.is_empty())
    };
    match field.split_once('/') {
        Some((value, _)) if !field.contains(',') && is_alone(field) => Ok(value),
        _ if field.split(',').any(is_alone) => Err(format!(
            "{field} has a step without a range in a list, which each cron reads in its own way; write what is meant"
        )),
        _ => Ok(field),
    }
}

/// A part of the field that jobs here understand and cron does not.
fn unknown_to_cron(field: &str) -> Option<String> {
    let words = field.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    let is_unknown_word = |word: &&str| word.len() != 3;
    match words.into_iter().find(is_unknown_word) {
        _ if field.starts_with('@') => None,
        Some(word) => Some(word.to_owned()),
        None => field.contains('?').then(|| "?".to_owned()),
    }
}

/// The field, in which a step beyond its largest value is replaced by its meaning: the first value alone.
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
