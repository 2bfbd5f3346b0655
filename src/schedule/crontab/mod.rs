//! From a crontab to pipelines and jobs, with a report of every difference in meaning. Pure: text in, texts out. The
//! caller reads the file, writes the pipelines and adds the jobs.
//!
//! Cron's behaviour is kept where possible: its `PATH`, its home directory, its shell, that a job starts even if its
//! last run has not ended, and that missed times are not caught up. Every difference is reported, line by line.

mod entry;
mod lines;
mod naming;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use entry::Entry;
use lines::{Line, lines};
pub use report::{Remark, RemarkKind};

use super::config::ScheduleConfig;
use super::policy::{Misfire, MisfirePolicy, Overlap};
use super::zone::Zone;
use crate::base::id::{JobId, PipelineId};

/// Cron's defaults.
const CRON_PATH: &str = "/usr/bin:/bin";
const CRON_SHELL: &str = "/bin/sh";

/// How late cron may start a job.
const CRON_GRACE: TimeDelta = TimeDelta::minutes(1);

/// The kind of a crontab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrontabKind {
    /// A user's, as `crontab -l` prints it: the command follows the fields of time.
    User,
    /// `/etc/crontab` or a file of `/etc/cron.d`: a user follows the fields of time.
    System,
    /// Detected from the text: a system's, if a line names a known user before a command. A line is refused if its kind
    /// is not certain.
    Detect,
}

/// What an import must know about the machine.
#[derive(Debug, Clone, Copy)]
pub struct CrontabSource<'a> {
    /// The kind of the crontab.
    pub kind: CrontabKind,
    /// The user that Leverframe runs as. Only this user's entries of a system's crontab are imported.
    pub user: &'a str,
    /// The users of the machine, to recognise a system's crontab; `root` need not be among them.
    pub users: &'a [&'a str],
    /// Whether these folders (as in `PATH`) have a command of this name, to recognise a user's crontab.
    pub is_command: fn(name: &str, path: &str) -> bool,
    /// Whether this machine's cron follows `CRON_TZ`, as cronie does; Debian's does not.
    pub heeds_cron_tz: bool,
    /// Ids of pipelines and jobs that are already in use.
    pub taken: &'a BTreeSet<String>,
}

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportedCrontab {
    /// In the order of the file.
    pub pipelines: Vec<ImportedPipeline>,
    /// In the order of the file; one for each pipeline, except those that cron starts at boot.
    pub jobs: Vec<ImportedJob>,
    /// The differences: first those of the whole file, then line by line.
    pub report: Vec<Remark>,
    /// The lines that were not imported although they run something or should: from 1, in order.
    pub refused: Vec<usize>,
}

/// A pipeline to write as `<id>.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedPipeline {
    /// Its id, made from the command's name; not in use before.
    pub id: PipelineId,
    /// The file's text.
    pub toml: String,
}

/// A job to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedJob {
    /// The same text as the pipeline's id.
    pub job_id: JobId,
    pub pipeline_id: PipelineId,
    pub schedule: ScheduleConfig,
    /// Its zone: `CRON_TZ` if cron follows it, else the machine's.
    pub zone: Zone,
    /// Like cron: missed times are not caught up.
    pub misfire: MisfirePolicy,
    /// Like cron: it starts even if the last run has not ended.
    pub overlap: Overlap,
}

/// Imports a crontab. A line that can't be imported does not affect the others; the report lists it.
pub fn import_crontab(text: impl AsRef<[u8]>, source: &CrontabSource<'_>) -> ImportedCrontab {
    let lines = lines(text.as_ref(), source);
    let mut import = Import {
        source,
        taken: source.taken.clone(),
        environment: BTreeMap::new(),
        zone: Zone::Local,
        done: ImportedCrontab::default(),
    };
    let mut comment: Option<&str> = None;
    for (number, line) in &lines {
        match line {
            Line::Empty => comment = None,
            Line::Comment(text) => comment = Some(text).filter(|text| !text.is_empty()).copied(),
            Line::Variable { name, value } => import.variable(*number, name, value),
            Line::Entry { time, user, command } => {
                import.entry(*number, &Entry { time, user: *user, command, comment: comment.take() });
            }
            Line::Malformed(why) => import.refuse(*number, why.clone()),
        }
    }
    if !import.done.pipelines.is_empty() {
        let of_all = report::of_all(import.environment.get("MAILTO").is_some_and(String::is_empty));
        import.done.report.splice(0..0, of_all);
    }
    import.done
}

struct Import<'a> {
    source: &'a CrontabSource<'a>,
    taken: BTreeSet<String>,
    /// The variables read so far: an entry gets those above it.
    environment: BTreeMap<String, String>,
    zone: Zone,
    done: ImportedCrontab,
}

impl Import<'_> {
    fn remark(&mut self, line: usize, kind: RemarkKind, text: String) {
        self.done.report.push(Remark { line: Some(line), kind, text });
    }

    fn refuse(&mut self, line: usize, why: String) {
        self.done.refused.push(line);
        self.remark(line, RemarkKind::NotCarried, why);
    }

    fn variable(&mut self, line: usize, name: &str, value: &str) {
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        match name {
            "CRON_TZ" if !self.source.heeds_cron_tz => {
                let text = format!(
                    "cron ignores CRON_TZ on this machine, and so do the jobs below it: they follow the machine's zone. If they came from a cron that follows it, say so (`leverframe schedule set JOB --tz {value}`)"
                );
                return self.remark(line, RemarkKind::Differs, text);
            }
            "CRON_TZ" => match value.parse() {
                Ok(zone) => {
                    self.zone = zone;
                    let text = format!("the jobs below it follow the zone {zone}, as in cronie");
                    return self.remark(line, RemarkKind::Carried, text);
                }
                Err(error) => return self.refuse(line, error.to_string()),
            },
            "START_HOURS_RANGE" => {
                let text = "START_HOURS_RANGE is anacron's, and is left out".to_owned();
                return self.remark(line, RemarkKind::NotCarried, text);
            }
            "LOGNAME" | "USER" => {
                let text = format!("{name} is not set: jobs run as you");
                return self.remark(line, RemarkKind::NotCarried, text);
            }
            "RANDOM_DELAY" | "MAILFROM" | "CONTENT_TYPE" | "CONTENT_TRANSFER_ENCODING" | "CRONDARGS" => {
                let text = format!("{name} has no counterpart and is left out");
                return self.remark(line, RemarkKind::NotCarried, text);
            }
            "MAILTO" if !value.is_empty() => {
                let text = format!("nothing is mailed to {value}: what a job prints is in its run's log");
                self.remark(line, RemarkKind::NotCarried, text);
            }
            _ if !is_name || name.is_empty() => {
                return self.refuse(line, format!("{name:?} can't name a variable and is left out"));
            }
            _ if value.starts_with('~') || value.contains(":~") => {
                let text = format!("the ~ in {name} is the home directory here; cron leaves it as it is");
                self.remark(line, RemarkKind::Differs, text);
            }
            _ if value.contains('$') => {
                let text =
                    format!("{name} holds a $, which cron does not expand, and neither does its pipeline");
                self.remark(line, RemarkKind::Carried, text);
            }
            _ => {}
        }
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    fn entry(&mut self, line: usize, entry: &Entry<'_>) {
        if let Some(user) = entry.user.filter(|user| *user != self.source.user) {
            let own = self.source.user;
            let is_known = user == "root" || self.source.users.contains(&user);
            let text = if is_known {
                format!(
                    "it runs as {user}, and jobs run as you ({own}); import it as {user}, or keep it in cron"
                )
            } else {
                format!(
                    "it runs as {user}, which is not a user of this machine, and jobs run as you ({own}); keep it in cron, or use --user-crontab if {user} is a command"
                )
            };
            return self.refuse(line, text);
        }
        let mut remarks = Vec::new();
        let schedule = match entry.schedule(&mut remarks) {
            Ok(schedule) => schedule,
            Err(why) => return self.refuse(line, why),
        };
        let run = match entry.run(self.shell(), &mut remarks) {
            Ok(run) => run,
            Err(why) => return self.refuse(line, why),
        };
        let id = self.free_id(&entry.name(line));
        let Ok((pipeline_id, job_id)) =
            PipelineId::new(&id).and_then(|pipeline| Ok((pipeline, JobId::new(&id)?)))
        else {
            return self.refuse(line, format!("{id:?} can't be an id"));
        };
        let toml = entry.toml(line, &id, &run, &self.environment);
        self.done.pipelines.push(ImportedPipeline { id: pipeline_id.clone(), toml });
        match schedule {
            Some(expression) => {
                let text = format!("becomes the job {id} ({expression}, {})", self.zone);
                self.remark(line, RemarkKind::Carried, text);
                let misfire =
                    MisfirePolicy { policy: Misfire::Skip, grace: CRON_GRACE, ..MisfirePolicy::default() };
                self.done.jobs.push(ImportedJob {
                    job_id,
                    pipeline_id,
                    schedule: ScheduleConfig::Cron(expression),
                    zone: self.zone,
                    misfire,
                    overlap: Overlap::Allow,
                });
            }
            None => {
                let text = format!(
                    "@reboot has no counterpart: the pipeline {id} is there, but no job starts it; let the desktop's autostart run `leverframe run {id}`"
                );
                self.refuse(line, text);
            }
        }
        for (kind, text) in remarks {
            self.remark(line, kind, text);
        }
    }

    fn shell(&self) -> &str {
        self.environment.get("SHELL").map_or(CRON_SHELL, String::as_str)
    }

    /// `name`, or `name-2`, `name-3`, … if that is in use.
    fn free_id(&mut self, name: &str) -> String {
        let numbered = (2_u32..).map(|n| format!("{name}-{n}"));
        let free = std::iter::once(name.to_owned()).chain(numbered).find(|id| !self.taken.contains(id));
        let id = free.unwrap_or_else(|| name.to_owned());
        self.taken.insert(id.clone());
        id
    }
}

#[cfg(test)]
mod tests;
