//! Starting `leverframe serve` in the background: a process of this program that outlives the one that starts it.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crossbeam_channel::bounded;

use crate::diagnostics::open_log;
use crate::files;
use crate::process::descriptors;

/// Its log's name in the data directory.
const LOG_NAME: &str = "serve.log";
/// A log that has grown beyond this is put aside when the next process starts, instead of the one before, in bytes.
const MAX_LOG: u64 = 4 << 20;

/// How long a process in the background serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServeFor {
    /// Until it is told to end.
    Good,
    /// Until nothing runs any more.
    WhatRuns,
}

/// A process that is starting in the background.
#[derive(Debug)]
pub struct Background {
    child: Child,
    /// Where it writes what happens.
    pub log: PathBuf,
}

/// Why a process in the background does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// It has ended.
    #[error("{why}")]
    Ended {
        /// The number that it ended with; none when a signal ended it, or nobody knows.
        code: Option<u8>,
        /// The last line of its log.
        why: String,
    },
    /// It takes too long.
    #[error("{0}")]
    Late(String),
}

impl Background {
    /// Starts it for `data_dir`.
    ///
    /// # Errors
    /// When there can be no process, or no log.
    pub fn start(data_dir: &Path, serve_for: ServeFor) -> io::Result<Self> {
        let log = data_dir.join(LOG_NAME);
        let output = open_log(&log, MAX_LOG)?;
        // Also when the program's file has been replaced since: this very version is what the caller knows.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("leverframe").arg("serve").arg("--background").arg("--data-dir").arg(data_dir);
        if serve_for == ServeFor::WhatRuns {
            command.arg("--until-idle");
        }
        command.envs(descriptors::for_child());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(output);
        // From its first moment no key of a terminal reaches it.
        command.process_group(0);
        Ok(Self { child: command.spawn()?, log })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it serves, or has ended without; at most for `patience`.
    ///
    /// # Errors
    /// [`Unready`], when it did not come to serve.
    pub fn wait_until_ready(mut self, patience: Duration) -> Result<(), Unready> {
        let unknown = |error: io::Error| Unready::Ended { code: None, why: error.to_string() };
        // Capacity 1: the one outcome.
        let (tell, said) = bounded(1);
        let stdout = self.child.stdout.take();
        // It ends with the other side's output, if not with its first line.
        let reader = std::thread::Builder::new().name("lf-background".into()).spawn(move || {
            let mut line = String::new();
            let said = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line));
            // Whoever waited no longer needs no answer.
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
        // It has ended, or closed its output: then it never serves.
        let ended = self.child.wait().map_err(unknown)?;
        let last = files::open_to_read(&self.log).and_then(io::read_to_string).ok();
        let last = last.as_deref().and_then(|text| text.lines().next_back()).map(str::to_owned);
        let why = last.unwrap_or_else(|| format!("it ended at once ({ended})"));
        Err(Unready::Ended { code: ended.code().and_then(|code| u8::try_from(code).ok()), why })
    }
}

/// Puts the log of this process, which is its standard error, aside when it has grown too long, and goes on with a new
/// one; also when another process has put it aside.
///
/// # Errors
/// What the file system says; then it goes on where it was.
pub fn turn_log(data_dir: &Path) -> io::Result<()> {
    let path = data_dir.join(LOG_NAME);
    let ours = rustix::fs::fstat(io::stderr())?;
    let is_long = u64::try_from(ours.st_size).unwrap_or(0) > MAX_LOG;
    // What is no file was not made by `Background`.
    let is_file = rustix::fs::FileType::from_raw_mode(ours.st_mode) == rustix::fs::FileType::RegularFile;
    if is_long && is_file {
        // If another process has begun a new one, that one is short, and is gone on with.
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
