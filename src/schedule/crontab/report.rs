//! The report of an import.

use std::fmt;

/// One entry of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The line of the crontab, from 1; none when it concerns all jobs.
    pub line: Option<usize>,
    pub kind: RemarkKind,
    /// In words.
    pub text: String,
}

/// How a part of a crontab was carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemarkKind {
    /// With the same meaning.
    Carried,
    /// With another meaning, which the text describes.
    Differs,
    /// Not at all.
    NotCarried,
}

impl RemarkKind {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Carried => "carried over",
            Self::Differs => "differs",
            Self::NotCarried => "not carried over",
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}: {}", self.kind.as_str(), self.text),
            None => write!(f, "all: {}: {}", self.kind.as_str(), self.text),
        }
    }
}

/// What is different for every job of a crontab.
pub(super) fn of_all(mails_nothing: bool) -> Vec<Remark> {
    use RemarkKind::{Carried, Differs};
    let mail = "cron mails what a job prints; here it is in the run's log";
    let mut remarks = vec![
        (Carried, "as in cron, a job starts although its last run has not ended (overlap = allow)"),
        (Carried, "as in cron, missed times are not run later (misfire = skip, misfire_grace = 1m)"),
        (
            Carried,
            "as in Debian's cron, fixed times run once and those with an asterisk follow real time when the clock changes",
        ),
        (Differs, "cron does not look at the exit code; here a run fails unless it is 0"),
        (
            Differs,
            "cron gives a job almost no environment; the pipelines set cron's PATH and shell, and inherit all else from Leverframe's own",
        ),
        (Differs, "cron runs jobs while the machine is on; here while the window or `leverframe serve` runs"),
    ];
    if !mails_nothing {
        remarks.push((Differs, mail));
    }
    remarks.into_iter().map(|(kind, text)| Remark { line: None, kind, text: text.to_owned() }).collect()
}
