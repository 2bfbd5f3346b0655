//! Reads where a secret comes from. Its value never passes through here: the engine fetches it.

use std::path::PathBuf;

use super::model::{SecretCommand, SecretSource};
use super::params::{ENVIRONMENT, RUN_TYPE};
use crate::config::{Problems, Table, is_variable_name};

/// What can be said about a secret without running anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretState {
    /// It is there.
    Set,
    /// A sentence that says what is missing and what to do.
    Missing(String),
    /// Only an attempt finds out.
    Unknown,
}

/// Reads `secret = { … }` of the parameter `name`, whose table is `table`. `resolve` makes a path of the file absolute.
pub(super) fn read_secret(
    name: &str,
    table: Table<'_>,
    problems: &mut Problems<'_>,
    resolve: impl Fn(usize, &str, &mut Problems<'_>) -> PathBuf,
) -> Option<SecretSource> {
    let secret = table.table("secret");
    for key in ["type", "default", "choices"] {
        if table.has(key) {
            let message = format!("a secret has no `{key}`; leave it out, or leave `secret` out");
            problems.add(table.place_of(key), message);
        }
    }
    if matches!(name, RUN_TYPE | ENVIRONMENT) {
        let message = format!("`{name}` is shown and stored with each run, so that it cannot be a secret");
        problems.add(secret.at(), message);
    }
    let n_sources = ["env", "file", "command"].into_iter().filter(|source| secret.has(source)).count();
    if n_sources != 1 {
        let message = "a secret comes from exactly one place; write one of `env`, `file` and `command`";
        problems.add(secret.at(), message);
        return None;
    }
    if secret.has("timeout") && !secret.has("command") {
        let message = "only a `command` takes time; leave `timeout` out";
        problems.add(secret.place_of("timeout"), message);
    }
    if let Some(variable) = secret.text("env") {
        if !is_variable_name(variable) {
            let message = format!(
                "{variable:?} is not a valid variable name: use letters, digits and '_', and no digit first"
            );
            problems.add(secret.place_of("env"), message);
        }
        return Some(SecretSource::Env(variable.to_owned()));
    }
    if let Some(file) = secret.text("file") {
        return Some(SecretSource::File(resolve(secret.place_of("file"), file, problems)));
    }
    let (argv, timeout) = (secret.argv("command")?.to_vec(), secret.duration("timeout")?);
    Some(SecretSource::Command(SecretCommand { argv, timeout }))
}

/// The source of a secret, for people.
pub fn origin(source: &SecretSource) -> String {
    match source {
        SecretSource::Env(name) => format!("the environment variable {name}"),
        SecretSource::File(path) => format!("the file {}", path.display()),
        SecretSource::Command(command) => format!("the command {:?}", command.argv),
    }
}
