//! Fetching secrets: anew at each attempt, kept nowhere but in the environment of the step that gets them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::pipeline::SecretSource;

/// Fetches a secret from where it comes from.
///
/// # Errors
/// A sentence that says what is missing and what to do. It never holds the secret.
pub(super) fn fetch_secret(source: &SecretSource) -> Result<String, String> {
    match source {
        SecretSource::Env(name) => std::env::var(name).map_err(|_| {
            format!("the environment variable {name} is not set; set it and start Leverframe again")
        }),
        SecretSource::File(path) => from_file(path),
        SecretSource::Command(argv) => from_command(argv),
    }
}

fn from_file(path: &Path) -> Result<String, String> {
    let path = expand_home(path);
    let shown = path.display();
    let meta = fs::metadata(&path).map_err(|e| format!("the file {shown} can't be read: {e}"))?;
    if meta.mode() & 0o077 != 0 {
        return Err(format!("the file {shown} can be read by others; `chmod 600 {shown}` mends it"));
    }
    let text = fs::read_to_string(&path).map_err(|e| format!("the file {shown} can't be read: {e}"))?;
    Ok(without_last_newline(text))
}

fn from_command(argv: &[String]) -> Result<String, String> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err("its command is empty".into());
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|e| format!("the command {program} can't be run: {e}"))?;
    if !output.status.success() {
        return Err(format!("the command {program} failed ({})", output.status));
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| format!("the command {program} printed what is not UTF-8"))?;
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
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_that_others_can_read_is_refused_and_one_that_they_cannot_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("secret");
        fs::write(&path, "hush\n").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        let why = fetch_secret(&SecretSource::File(path.clone())).expect_err("it is open");
        assert!(why.contains("chmod 600") && !why.contains("hush"), "{why}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        assert_eq!(fetch_secret(&SecretSource::File(path)).as_deref(), Ok("hush"));
    }

    #[test]
    fn a_command_gives_its_output_and_its_failure_is_said_without_it() {
        let command = |line: &str| SecretSource::Command(vec!["sh".into(), "-c".into(), line.into()]);
        assert_eq!(fetch_secret(&command("echo hush")).as_deref(), Ok("hush"));
        let why = fetch_secret(&command("echo hush; exit 3")).expect_err("it fails");
        assert!(!why.contains("hush"), "{why}");
    }
}
