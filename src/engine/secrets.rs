//! Fetching secrets: anew for each attempt. A secret is kept nowhere but in the step's environment.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::pipeline::{SecretCommand, SecretSource, SecretState};
use crate::supervisor::{Bounds, Cancel, Guard, GuardError};

/// The longest secret. A longer text is no password, token or key.
const MAX_BYTES: usize = 64 << 10;

/// Why there is no secret.
#[derive(Debug, PartialEq)]
pub(super) enum NoSecret {
    /// A sentence that says what is missing and what to do. It never contains the secret.
    Missing(String),
    /// The secret is no longer wanted.
    Cancelled,
}

/// Fetches a secret from its source.
///
/// # Errors
/// [`NoSecret`] when it is missing or was cancelled.
pub(super) fn fetch_secret(
    source: &SecretSource,
    guard: Option<&Guard>,
    cancel: &Cancel,
) -> Result<String, NoSecret> {
    match source {
        SecretSource::Env(name) => from_env(name),
        SecretSource::File(path) => from_file(path),
        SecretSource::Command(command) => return from_command(command, guard, cancel),
    }
    .map_err(NoSecret::Missing)
}

/// Whether a secret is set, by the same rules as for an attempt. `is_own_engine` says that the engine is in this
/// process, whose variables are the engine's.
pub fn secret_state(source: &SecretSource, is_own_engine: bool) -> SecretState {
    let found = match source {
        SecretSource::Env(name) if is_own_engine => from_env(name),
        SecretSource::File(path) => from_file(path),
        SecretSource::Env(_) | SecretSource::Command(_) => return SecretState::Unknown,
    };
    found.map_or_else(SecretState::Missing, |_| SecretState::Set)
}

fn from_env(name: &str) -> Result<String, String> {
    std::env::var(name)
        .map_err(|_| format!("the environment variable {name} is not set; set it and start Leverframe again"))
}

fn from_file(path: &Path) -> Result<String, String> {
    let path = expand_home(path);
    let shown = path.display();
    let unreadable = |why: io::Error| format!("the file {shown} can't be read: {why}");
    // So that a FIFO or a terminal does not block the opening.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&path);
    let file = file.map_err(unreadable)?;
    // The metadata of the opened file, which can't be replaced any more.
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(format!(
            "{shown} is not a regular file; put the secret into one, or let a command print it"
        ));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(format!("the file {shown} can be read by others; `chmod 600 {shown}` corrects it"));
    }
    let text = read_bounded(&file).map_err(unreadable)?;
    if text.len() > MAX_BYTES {
        return Err(format!("the file {shown} is longer than {MAX_BYTES} bytes; a secret must be shorter"));
    }
    let text =
        String::from_utf8(text).map_err(|_| format!("the file {shown} contains bytes that are not UTF-8"))?;
    Ok(without_last_newline(text))
}

fn read_bounded(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn from_command(command: &SecretCommand, guard: Option<&Guard>, cancel: &Cancel) -> Result<String, NoSecret> {
    let program = command.argv.first().map_or("", String::as_str);
    let missing = |why: String| NoSecret::Missing(format!("the command {program} {why}"));
    let Some(guard) = guard else {
        return Err(missing("can't be run: call leverframe::supervisor_entry() first thing in main".into()));
    };
    let bounds = Bounds { time: command.timeout, bytes: MAX_BYTES };
    let output = guard.output_of(&command.argv, bounds, cancel).map_err(|error| match error {
        GuardError::Cancelled => NoSecret::Cancelled,
        GuardError::TooLong(_) | GuardError::TooMuch(_) | GuardError::Failed(_) | GuardError::NotRun(_) => {
            missing(error.to_string())
        }
    })?;
    let text = String::from_utf8(output).map_err(|_| missing("printed bytes that are not UTF-8".into()))?;
    Ok(without_last_newline(text))
}

fn without_last_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

fn expand_home(path: &Path) -> std::path::PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        (Err(_), _) | (_, None) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn fetch(path: &Path) -> Result<String, NoSecret> {
        fetch_secret(&SecretSource::File(path.to_owned()), None, &Cancel::new().expect("a descriptor"))
    }

    fn missing(path: &Path) -> String {
        match fetch(path).expect_err("it is refused") {
            NoSecret::Missing(why) => why,
            NoSecret::Cancelled => panic!("nobody cancelled it"),
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_and_one_that_they_cannot_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("secret");
        fs::write(&path, "hush\n").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        let why = missing(&path);
        assert!(why.contains("chmod 600") && !why.contains("hush"), "{why}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        assert_eq!(fetch(&path).as_deref(), Ok("hush"));
    }

    #[test]
    fn what_is_no_file_or_too_long_is_refused_without_waiting_for_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).expect("a FIFO");
        assert!(missing(&fifo).contains("is not a regular file"), "{}", missing(&fifo));
        assert!(missing(Path::new("/dev/zero")).contains("is not a regular file"));
        let long = dir.path().join("long");
        fs::write(&long, "x".repeat(MAX_BYTES + 1)).expect("a file");
        fs::set_permissions(&long, fs::Permissions::from_mode(0o600)).expect("chmod");
        assert!(missing(&long).contains("is longer than 65536 bytes"), "{}", missing(&long));
    }
}
