//! Rows of `scheduler.db` as they lie there. A job's row may have been filled in by hand: what its columns mean is
//! read elsewhere, and here it is kept as it was written.

use chrono::{DateTime, TimeZone, Utc};

/// The integer beside a `next_run` that never comes.
pub const NEVER_MS: i64 = 253_402_300_799_000;

/// The first instant that is reckoned with, in milliseconds: the beginning of the year 1.
const FIRST_MS: i64 = -62_135_596_800_000;

/// How such a one is written.
pub const NEVER: &str = "9999-12-31T23:59:59.000Z";

/// An instant from the integer beside it, which a script may have written; the first or the last one that is reckoned
/// with for what lies beyond.
pub fn from_ms(ms: i64) -> DateTime<Utc> {
    Utc.timestamp_millis_opt(ms.clamp(FIRST_MS, NEVER_MS)).earliest().unwrap_or_default()
}

/// A row of `scheduled_jobs`. What is none in it has its default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredJob {
    /// Which row: its name may be none that a statement could find.
    pub rowid: i64,
    /// Its name, as it was written.
    pub job_id: String,
    /// Which pipeline, as it was written.
    pub pipeline_id: String,
    /// What it reads from.
    pub source: String,
    /// The word for the kind of its schedule.
    pub schedule_type: String,
    /// The rest of its schedule, JSON.
    pub schedule_config: String,
    /// Its next instant as text, as it was written.
    pub next_run: String,
    /// The same in milliseconds, [`NEVER_MS`] for none; none while nobody has read the row.
    pub next_run_ms: Option<i64>,
    /// Whether it fires.
    pub enabled: bool,
    /// The due instant, or the start by hand, of its last run.
    pub last_run: Option<String>,
    /// How often it ran.
    pub run_count: i64,
    /// When it was added.
    pub created_at: String,
    /// IANA name, or `local`.
    pub zone: Option<String>,
    /// The word for what becomes of missed instants.
    pub misfire: Option<String>,
    /// How many of them run at most.
    pub catchup_limit: Option<i64>,
    /// How late one may still run that is otherwise skipped, in milliseconds.
    pub misfire_grace_ms: Option<i64>,
    /// How old one may be at most, in milliseconds.
    pub misfire_max_age_ms: Option<i64>,
    /// The word for what becomes of an instant while a run is under way.
    pub overlap: Option<String>,
    /// Its priority.
    pub priority: Option<i64>,
    /// Parameters by name, a JSON object.
    pub params: Option<String>,
    /// Run type of its runs.
    pub run_type: Option<String>,
    /// Environment of its runs.
    pub environment: Option<String>,
    /// The pipeline file whose `[[schedule]]` table made it.
    pub file: Option<String>,
    /// Whether that table is still there.
    pub file_table: Option<String>,
    /// What the table said when it was read last, in short.
    pub file_mark: Option<String>,
    /// Whether a script says when it is due first.
    pub first_by_hand: bool,
    /// Why it never fires.
    pub problem: Option<String>,
    /// Of a job that follows the machine's zone: the zone by which its next instant was reckoned.
    pub reckoned_zone: Option<String>,
}

impl StoredJob {
    /// The state of a table that stands in its file.
    pub const TABLE_THERE: &str = "there";

    /// Whether its table stands in a pipeline file.
    pub fn has_table(&self) -> bool {
        self.file.is_some() && self.file_table.as_deref() == Some(Self::TABLE_THERE)
    }
}

/// Why a fire is in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FireKind {
    /// Its instant came.
    Due,
    /// Other jobs' runs ended.
    After,
    /// It was asked for later.
    Backfill,
}

impl FireKind {
    /// The word in the column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::After => "after",
            Self::Backfill => "backfill",
        }
    }

    /// The kind of a word; what is none of ours came due.
    pub fn parse(word: &str) -> Self {
        [Self::After, Self::Backfill].into_iter().find(|kind| kind.as_str() == word).unwrap_or(Self::Due)
    }
}

/// A row of `fires`: one due instant, or consecutive ones that did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFire {
    /// Whose.
    pub job_id: String,
    /// The first instant, in milliseconds.
    pub due_ms: i64,
    /// The last one.
    pub through_ms: i64,
    /// How many there are.
    pub n_instants: u64,
    /// The word for what became of them.
    pub outcome: String,
    /// Why, in a sentence.
    pub reason: Option<String>,
    /// The run that was reserved for it, or started.
    pub run_id: Option<String>,
    /// The instant before the first, if there was one.
    pub previous_ms: Option<i64>,
    /// Why it is there.
    pub kind: FireKind,
}

/// A row of `job_history`: one run of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHistory {
    /// Of which job.
    pub job_id: String,
    /// Which run.
    pub run_id: String,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The word for its state.
    pub status: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}
