//! Starts `leverframe serve` in the background: a process of this program that outlives the one that starts it.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crossbeam_channel::bounded;

use crate::diagnostics::open_log;
use crate::files;
use crate::process::descriptors;

/// The log's name in the data directory.
const LOG_NAME: &str = "serve.log";
/// A longer log is renamed when the next process starts, and replaces the one renamed before; in bytes.
const MAX_LOG: u64 = 4 << 20;

/// How long a process in the background serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServeFor {
    /// Until it is told to end.
    Good,
    /// Until no run is left that needs it.
    WhatRuns,
}

/// A process that is starting in the background.
#[derive(Debug)]
pub struct Background {
    child: Child,
    /// Its log.
    pub log: PathBuf,
}

/// Why a process in the background does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// It has ended.
    #[error("{why}")]
    Ended {
        /// Its exit code. None when a signal ended it, or the code is unknown.
        code: Option<u8>,
        /// The last line of its log.
        why: String,
    },
    /// It takes too long.
    #[error("{0}")]
    Late(String),
}

impl Background {
    /// Starts the process for `data_dir`.
    ///
    /// # Errors
    /// The process can't be started, or the log can't be opened.
    pub fn start(data_dir: &Path, serve_for: ServeFor) -> io::Result<Self> {
        let log = data_dir.join(LOG_NAME);
        let output = open_log(&log, MAX_LOG)?;
        // Even if the program's file was replaced since: the caller knows this version.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("leverframe").arg("serve").arg("--background").arg("--data-dir").arg(data_dir);
        if serve_for == ServeFor::WhatRuns {
            command.arg("--until-idle");
        }
        command.envs(descriptors::for_child());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(output);
        // So that no key of a terminal reaches it.
        command.process_group(0);
        Ok(Self { child: command.spawn()?, log })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process serves or has ended, at most for `patience`.
    ///
    /// # Errors
    /// [`Unready`] when it does not serve.
    pub fn wait_until_ready(mut self, patience: Duration) -> Result<(), Unready> {
        let unknown = |error: io::Error| Unready::Ended { code: None, why: error.to_string() };
        // Capacity 1: the one outcome.
        let (tell, said) = bounded(1);
        let stdout = self.child.stdout.take();
        // Ends with the process's output, if not with its first line.
        let reader = std::thread::Builder::new().name("lf-background".into()).spawn(move || {
            let mut line = String::new();
            let said = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line));
            // The receiver is gone after the patience.
            let _ = tell.send(matches!(said, Some(Ok(1..))));
        });
        reader.map_err(unknown)?;
        match said.recv_timeout(patience) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(_) => {
                return Err(Unready::Late(format!(
                    "it is not ready after {} s; its log: {}",
                    patience.as_secs(),
                    self.log.display()
                )));
            }
        }
        // It has ended, or has closed its output and will not serve.
        let ended = self.child.wait().map_err(unknown)?;
        let last = files::open_to_read(&self.log).and_then(io::read_to_string).ok();
        let last = last.as_deref().and_then(|text| text.lines().next_back()).map(str::to_owned);
        let why = last.unwrap_or_else(|| format!("it ended at once ({ended})"));
        Err(Unready::Ended { code: ended.code().and_then(|code| u8::try_from(code).ok()), why })
    }
}

/// Renames the log of this process (its standard error) when it is too long, and continues with a new one. Also
/// continues with a new one that another process has begun.
///
/// # Errors
/// What the file system reports; the process then keeps its present log.
pub fn turn_log(data_dir: &Path) -> io::Result<()> {
    let path = data_dir.join(LOG_NAME);
    let ours = rustix::fs::fstat(io::stderr())?;
    let is_long = u64::try_from(ours.st_size).unwrap_or(0) > MAX_LOG;
    // If it is no file, `Background` did not open it.
    let is_file = rustix::fs::FileType::from_raw_mode(ours.st_mode) == rustix::fs::FileType::RegularFile;
    if is_long && is_file {
        // If another process has begun a new log, that one is short and is used.
        rustix::stdio::dup2_stderr(open_log(&path, MAX_LOG)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn a_log_that_is_too_long_is_put_aside_and_one_that_is_not_is_added_to() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join(LOG_NAME);
        fs::write(&path, "a line\n").unwrap();
        drop(open_log(&path, MAX_LOG).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a line\n");
        File::options().write(true).open(&path).unwrap().set_len(MAX_LOG + 1).unwrap();
        drop(open_log(&path, MAX_LOG).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert_eq!(fs::metadata(temp.path().join("serve.log.1")).unwrap().len(), MAX_LOG + 1);
    }

    #[test]
    fn a_log_in_whose_place_something_else_stands_is_refused_and_neither_waited_for_nor_followed() {
        let temp = tempfile::tempdir().unwrap();
        let (path, precious) = (temp.path().join(LOG_NAME), temp.path().join("precious"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        assert!(open_log(&path, MAX_LOG).unwrap_err().to_string().starts_with("a FIFO"));
        fs::remove_file(&path).unwrap();
        File::create(&precious).unwrap().set_len(MAX_LOG + 1).unwrap();
        std::os::unix::fs::symlink(&precious, &path).unwrap();
        assert!(open_log(&path, MAX_LOG).unwrap_err().to_string().starts_with("a symbolic link"));
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    }
}
