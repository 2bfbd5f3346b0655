//! `leverframe doctor`: what may be wrong with a data directory, its databases, its pipelines and the platform, and
//! what to do about it. It only looks and repairs nothing.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{fs, io};

use super::job_doctor::check_jobs;
use crate::admission::Orders;
use crate::base::units::format_size;
use crate::control::StoppedHolder;
use crate::daemon::{LogoutEffect, logout_effect};
use crate::records::Records;
use crate::settings::{Catalogue, Settings, in_lines};
use crate::store::{Presence, RESERVE_BYTES, StoreError, free_space, is_network_file_system, presence};
use crate::{awake, supervisor};

/// Below this much free space the disk will soon be full.
const LITTLE_SPACE: u64 = 1 << 30;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Fine,
    /// Unusual, but everything works.
    Odd,
    /// Something does not work.
    Broken,
}

impl Severity {
    /// The word in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Odd => "odd",
            Self::Broken => "broken",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was checked: one word.
    pub about: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub text: String,
    /// What to do, if there is something.
    pub advice: Option<String>,
}

impl Finding {
    pub(crate) fn fine(about: &'static str, text: impl Into<String>) -> Self {
        Self { about, severity: Severity::Fine, text: text.into(), advice: None }
    }

    pub(crate) fn odd(about: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { about, severity: Severity::Odd, text: text.into(), advice: Some(advice.into()) }
    }

    pub(crate) fn broken(about: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { about, severity: Severity::Broken, text: text.into(), advice: Some(advice.into()) }
    }
}

/// Checks everything, in the order in which one thing depends on another.
pub fn check_up(data_dir: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_there = check_directory(data_dir, &mut findings);
    if is_there {
        check_database(data_dir, &mut findings);
        check_processes(data_dir, &mut findings);
    }
    let catalogue = check_pipelines(data_dir, &mut findings);
    if is_there {
        check_jobs(data_dir, &catalogue, &mut findings);
    }
    let trial_dir = if is_there { data_dir.to_owned() } else { std::env::temp_dir() };
    check_machine(&trial_dir, &mut findings);
    findings
}

/// Checks the directory. Returns whether there is one to check further.
fn check_directory(data_dir: &Path, findings: &mut Vec<Finding>) -> bool {
    const ABOUT: &str = "directory";
    let shown = data_dir.display();
    let meta = match fs::metadata(data_dir) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = format!("{shown} does not exist yet; the first run or `leverframe init` creates it");
            findings.push(Finding::fine(ABOUT, text));
            return false;
        }
        Err(error) => {
            let advice = "correct its permissions, or name another with --data-dir";
            findings.push(Finding::broken(ABOUT, format!("{shown} can't be reached: {error}"), advice));
            return false;
        }
    };
    if !meta.is_dir() {
        let advice = "move it away, or name another with --data-dir";
        findings.push(Finding::broken(ABOUT, format!("{shown} is not a directory"), advice));
        return false;
    }
    let before = findings.len();
    if meta.uid() != rustix::process::geteuid().as_raw() {
        let text = format!("{shown} belongs to another user");
        findings.push(Finding::broken(ABOUT, text, "name one of your own with --data-dir"));
    }
    if meta.mode() & 0o077 != 0 {
        let text = format!("{shown} is accessible to other users (mode {:o})", meta.mode() & 0o777);
        findings.push(Finding::odd(
            ABOUT,
            text,
            format!(
                "`chmod 700 {shown}`; the next start does this, unless the folder also contains other files"
            ),
        ));
    }
    let wanted = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    if let Err(error) = rustix::fs::access(data_dir, wanted) {
        let text = format!("{shown} can't be written: {error}");
        findings.push(Finding::broken(ABOUT, text, "make it writable, or name another with --data-dir"));
    }
    if let Ok(Some(kind)) = is_network_file_system(data_dir) {
        let text = format!("{shown} lies on a network file system ({kind}), whose locks SQLite can't trust");
        findings.push(Finding::broken(ABOUT, text, "choose a local disk"));
    }
    if findings.len() == before {
        findings.push(Finding::fine(ABOUT, format!("{shown} is yours alone and can be written")));
    }
    check_space(data_dir, findings);
    true
}

fn check_space(data_dir: &Path, findings: &mut Vec<Finding>) {
    match free_space(data_dir) {
        Ok(free) if free < LITTLE_SPACE => {
            let text = format!("only {} MiB are free", free >> 20);
            let advice = "free some space: when the disk is full, no step starts and running ones are frozen";
            findings.push(Finding::odd("space", text, advice));
        }
        Ok(free) => findings.push(Finding::fine("space", format!("{} GiB are free", free >> 30))),
        Err(error) => {
            let text = format!("the free space can't be read: {error}");
            findings.push(Finding::odd("space", text, "check it with `df`"));
        }
    }
    match fs::metadata(data_dir.join("reserve")) {
        Ok(meta) if meta.blocks() * 512 >= RESERVE_BYTES => {
            let text =
                format!("{} are reserved for the time when the disk is full", format_size(RESERVE_BYTES));
            findings.push(Finding::fine("reserve", text));
        }
        Ok(_) => {
            let text = "the reserve has been released: the disk is or was full";
            findings.push(Finding::odd("reserve", text, "free some space; the next start takes it again"));
        }
        Err(_) => findings.push(Finding::fine("reserve", "there is none yet; the first run creates it")),
    }
}

fn check_database(data_dir: &Path, findings: &mut Vec<Finding>) {
    const ABOUT: &str = "database";
    let path = data_dir.join("checkpoints.db");
    if !path.exists() {
        findings.push(Finding::fine(ABOUT, "there is none yet; the first run creates it"));
        return;
    }
    if fs::metadata(&path).is_ok_and(|meta| meta.mode() & 0o077 != 0) {
        let text = format!("{} can be read by others", path.display());
        findings.push(Finding::odd(ABOUT, text, format!("`chmod 600 {}`", path.display())));
    }
    let problems = Records::open(data_dir).and_then(|records| records.integrity_check());
    match problems {
        Ok(problems) if problems.is_empty() => {
            findings.push(Finding::fine(ABOUT, format!("{} is whole", path.display())));
        }
        Ok(problems) => {
            let advice = "restore a copy of it, or move it and its -wal file away to begin with an empty one";
            let shown = problems.into_iter().take(10);
            findings.extend(shown.map(|problem| Finding::broken(ABOUT, problem, advice)));
        }
        Err(error @ (StoreError::Locked { .. } | StoreError::DiskFull { .. })) => {
            findings.push(Finding::odd(ABOUT, error.to_string(), "try again when that is over"));
        }
        // The message says what to do.
        Err(error) => findings.push(Finding {
            about: ABOUT,
            severity: Severity::Broken,
            text: error.to_string(),
            advice: None,
        }),
    }
}

/// Orders outlive the engine. An operator who has forgotten them does not see why nothing starts.
fn check_orders(data_dir: &Path, findings: &mut Vec<Finding>) {
    let Ok(orders) = Records::open(data_dir).and_then(|records| records.orders()) else { return };
    if orders != Orders::default() {
        let advice = "`leverframe quiet --off` and `leverframe drain --off` end this";
        findings.push(Finding::odd("orders", orders.sentence(crate::engine::now().wall), advice));
    }
}

fn check_processes(data_dir: &Path, findings: &mut Vec<Finding>) {
    let engine = presence(data_dir);
    findings.push(match engine {
        Presence::Engine { pid } => match StoppedHolder::of(data_dir) {
            Some(stopped) => {
                let advice = "until then commands that need it get no answer, and no job fires";
                Finding::broken("engine", stopped.to_string(), advice)
            }
            None => Finding::fine("engine", format!("process {pid} holds the directory")),
        },
        Presence::Nobody => Finding::fine("engine", "none is running"),
    });
    if let Presence::Engine { pid } = engine {
        check_open_files(pid, data_dir, findings);
    }
    check_orders(data_dir, findings);
    check_logout(findings);
    match supervisor::probe(data_dir) {
        Some(info) => {
            let text = format!(
                "process {} (version {}) looks after {} living steps; {} ends of steps are not recorded yet",
                info.pid, info.version, info.n_steps, info.n_unacknowledged
            );
            let is_other = info.version != env!("CARGO_PKG_VERSION");
            let has_no_engine = engine == Presence::Nobody;
            findings.push(if is_other {
                let advice = "it ends after its last step; the next start then uses this version";
                Finding::odd("supervisor", text, advice)
            } else if has_no_engine {
                let advice = "open the window, or `leverframe resume` its run, to take them back";
                Finding::odd("supervisor", text, advice)
            } else {
                Finding::fine("supervisor", text)
            });
        }
        None => findings.push(Finding::fine("supervisor", "none is running; the first step starts one")),
    }
}

/// Whether the engine still has a database file open that was removed. What it writes there, no other process sees.
fn check_open_files(pid: u32, data_dir: &Path, findings: &mut Vec<Finding>) {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return };
    let open: Vec<_> = open.flatten().filter_map(|file| fs::read_link(file.path()).ok()).collect();
    // The kernel shows the old name with this mark.
    let is_removed = |name: &str| {
        let gone = data_dir.join(format!("{name} (deleted)"));
        open.contains(&gone)
    };
    for database in ["checkpoints.db", "scheduler.db"] {
        for file in [database.to_owned(), format!("{database}-wal"), format!("{database}-shm")] {
            if is_removed(&file) {
                let text = format!(
                    "{file} was removed while the engine (process {pid}) uses it: no other program can see what it records now"
                );
                let advice = format!(
                    "end it with `kill {pid}`, which writes back what it can, then start it again; steps that run go on"
                );
                findings.push(Finding::broken("database", text, advice));
                break;
            }
        }
    }
}

/// Whether running steps would survive the end of the session.
fn check_logout(findings: &mut Vec<Finding>) {
    const ABOUT: &str = "logout";
    let advice = "`loginctl enable-linger` lets them go on";
    findings.push(match logout_effect() {
        None => Finding::fine(ABOUT, "no session manager ends running steps"),
        Some(LogoutEffect::GoOn) => Finding::fine(ABOUT, "steps go on after a logout"),
        Some(LogoutEffect::EndWithManager) => {
            let text = "a logout ends the service of the session, and steps that it started";
            Finding::odd(ABOUT, text, advice)
        }
        Some(LogoutEffect::Killed) => {
            Finding::odd(ABOUT, "a logout kills all processes, steps included", advice)
        }
    });
}

fn check_pipelines(data_dir: &Path, findings: &mut Vec<Finding>) -> Catalogue {
    let settings = match Settings::load(data_dir) {
        Ok(settings) => {
            findings.push(Finding::fine("settings", "they are valid"));
            settings
        }
        Err(error) => {
            findings.push(Finding::broken(
                "settings",
                error.to_string(),
                "correct the file, or move it away",
            ));
            Settings::default()
        }
    };
    let catalogue = Catalogue::scan(data_dir, &settings);
    for problem in &catalogue.problems {
        findings.push(Finding {
            about: "pipelines",
            severity: Severity::Broken,
            text: problem.clone(),
            advice: None,
        });
    }
    let n_good = catalogue.entries.iter().filter(|entry| entry.outcome.is_ok()).count();
    findings.push(match n_good {
        0 => Finding::odd("pipelines", "there are none", "`leverframe init` writes samples"),
        n => Finding::fine("pipelines", format!("{n} can be run")),
    });
    for problems in catalogue.entries.iter().filter_map(|entry| entry.outcome.as_ref().err()) {
        let text = in_lines(problems);
        findings.push(Finding::broken("pipelines", text, "correct the file; it does not run until then"));
    }
    catalogue
}

fn check_machine(trial_dir: &Path, findings: &mut Vec<Finding>) {
    for check in supervisor::check_platform(trial_dir) {
        findings.push(match check.trouble {
            None => Finding::fine("platform", format!("{}: {}", check.name, check.purpose)),
            Some(trouble) => {
                let text = format!("{} does not work here: {trouble}", check.name);
                let advice =
                    format!("it is needed so that {}; use a newer kernel or another disk", check.purpose);
                // Without these two, logs work all the same, but less well.
                if check.name == "punch hole" || check.name == "splice" {
                    Finding::odd("platform", text, advice)
                } else {
                    Finding::broken("platform", text, advice)
                }
            }
        });
    }
    findings.push(if has_display() {
        Finding::fine("display", "there is one for the window")
    } else {
        let advice = "the verbs of the command line need none";
        Finding::odd("display", "there is none: the window can't be opened", advice)
    });
    findings.push(match awake::check() {
        Ok(()) => Finding::fine("sleep", "runs can keep the machine awake (`inhibit_sleep`)"),
        Err(why) => {
            let advice =
                "this needs systemd-logind and its permission; everything except `inhibit_sleep` works without it";
            Finding::odd("sleep", format!("runs can't keep the machine awake: {why}"), advice)
        }
    });
}

/// Whether a window can be opened here, as far as the environment shows.
pub fn has_display() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY"].into_iter().any(is_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(data_dir: &Path, about: &str) -> Severity {
        let findings = check_up(data_dir);
        findings.iter().filter(|f| f.about == about).map(|f| f.severity).max().expect("it was looked at")
    }

    #[test]
    fn a_new_directory_is_fine_and_is_not_made() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("none");
        assert_eq!(worst(&path, "directory"), Severity::Fine);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_broken_is_found() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("checkpoints.db"), "this is no database, and was never one").unwrap();
        fs::write(temp.path().join("settings.toml"), "x = 1").unwrap();
        fs::create_dir(temp.path().join("pipelines")).unwrap();
        fs::write(temp.path().join("pipelines/a.toml"), "x = 1").unwrap();
        for about in ["database", "settings", "pipelines"] {
            assert_eq!(worst(temp.path(), about), Severity::Broken, "{about}");
        }
    }
}
