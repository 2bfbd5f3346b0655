//! Rows of `scheduler.db` as they are on disk. A user's script may have written a job's row, so it is kept as text; the
//! scheduler interprets it.

use chrono::{DateTime, TimeZone, Utc};
use rusqlite::{Connection, Row};

use crate::base::time::format_instant;
use crate::store::sqlite::columns::{self, Named, some_text};
use crate::store::sqlite::put::{Column, insert};

/// `next_run_ms` of a job that is never due.
pub const NEVER_MS: i64 = 253_402_300_799_000;

/// The earliest instant that is used, in milliseconds: the beginning of the year 1.
const FIRST_MS: i64 = -62_135_596_800_000;

/// `next_run` of a job that is never due.
pub const NEVER: &str = "9999-12-31T23:59:59.000Z";

/// The instant of an integer column. A script may have written it, so it is limited to the range from year 1 to
/// [`NEVER_MS`].
pub fn from_ms(ms: i64) -> DateTime<Utc> {
    Utc.timestamp_millis_opt(ms.clamp(FIRST_MS, NEVER_MS)).earliest().unwrap_or_default()
}

/// A row of `scheduled_jobs`. A column that is none has its default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredJob {
    /// The row's id. It finds the row even if the job's name is not text.
    pub rowid: i64,
    /// The job's name, as written.
    pub job_id: String,
    /// The pipeline's name, as written.
    pub pipeline_id: String,
    pub source: String,
    /// The kind of schedule, as a word.
    pub schedule_type: String,
    /// The other parts of the schedule, as JSON.
    pub schedule_config: String,
    /// The next instant as text, as written.
    pub next_run: String,
    /// The next instant in milliseconds; [`NEVER_MS`] when there is none. None until the scheduler has read the row.
    pub next_run_ms: Option<i64>,
    pub enabled: bool,
    /// The due instant of the last run, or its start when it was started by hand.
    pub last_run: Option<String>,
    pub run_count: i64,
    pub created_at: String,
    /// An IANA name, or `local`.
    pub zone: Option<String>,
    /// The misfire policy, as a word.
    pub misfire: Option<String>,
    /// How many missed instants run at most.
    pub catchup_limit: Option<i64>,
    /// How late an instant may still run under a policy that skips missed ones, in milliseconds.
    pub misfire_grace_ms: Option<i64>,
    /// The age from which a missed instant no longer runs, in milliseconds.
    pub misfire_max_age_ms: Option<i64>,
    /// The overlap policy, as a word.
    pub overlap: Option<String>,
    pub priority: Option<i64>,
    /// The parameters of its runs by name, as a JSON object.
    pub params: Option<String>,
    pub run_type: Option<String>,
    pub environment: Option<String>,
    /// The pipeline file whose `[[schedule]]` table defines the job.
    pub file: Option<String>,
    /// Whether that table is still there; see the schema.
    pub file_table: Option<String>,
    /// A digest of the table as it was read last.
    pub file_mark: Option<String>,
    /// Whether a script has set the first due instant.
    pub first_by_hand: bool,
    /// Why the job never fires, if it does not.
    pub problem: Option<String>,
    /// Only for a job in the machine's zone: the zone in which the next instant was reckoned.
    pub reckoned_zone: Option<String>,
}

impl StoredJob {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let row = &Named::of(row);
        let text = |column| columns::text(row, column);
        let some_text = |column| some_text(row, column);
        Ok(Self {
            rowid: columns::int(row, "rowid")?.unwrap_or_default(),
            job_id: some_text("job_id")?,
            pipeline_id: some_text("pipeline_id")?,
            source: some_text("source")?,
            schedule_type: some_text("schedule_type")?,
            schedule_config: some_text("schedule_config")?,
            next_run: some_text("next_run")?,
            // The column's default is 1, and any number but zero counts as true.
            enabled: columns::int(row, "enabled")?.unwrap_or(1) != 0,
            last_run: text("last_run")?,
            run_count: columns::int(row, "run_count")?.unwrap_or(0),
            created_at: some_text("created_at")?,
            next_run_ms: columns::int(row, "next_run_ms")?,
            zone: text("zone")?,
            misfire: text("misfire")?,
            catchup_limit: columns::int(row, "catchup_limit")?,
            misfire_grace_ms: columns::int(row, "misfire_grace_ms")?,
            misfire_max_age_ms: columns::int(row, "misfire_max_age_ms")?,
            overlap: text("overlap")?,
            priority: columns::int(row, "priority")?,
            params: text("params")?,
            run_type: text("run_type")?,
            environment: text("environment")?,
            file: text("file")?,
            file_table: text("file_table")?,
            file_mark: text("file_mark")?,
            first_by_hand: columns::int(row, "first_by_hand")?.unwrap_or(0) != 0,
            problem: text("problem")?,
            reckoned_zone: text("reckoned_zone")?,
        })
    }

    /// The columns to write, without the name, the counters, and the place in a file.
    pub(super) fn columns(&self) -> Vec<Column<'_>> {
        vec![
            ("pipeline_id", &self.pipeline_id),
            ("source", &self.source),
            ("schedule_type", &self.schedule_type),
            ("schedule_config", &self.schedule_config),
            ("next_run", &self.next_run),
            ("next_run_ms", &self.next_run_ms),
            ("enabled", &self.enabled),
            ("zone", &self.zone),
            ("misfire", &self.misfire),
            ("catchup_limit", &self.catchup_limit),
            ("misfire_grace_ms", &self.misfire_grace_ms),
            ("misfire_max_age_ms", &self.misfire_max_age_ms),
            ("overlap", &self.overlap),
            ("priority", &self.priority),
            ("params", &self.params),
            ("run_type", &self.run_type),
            ("environment", &self.environment),
            ("created_at", &self.created_at),
            ("first_by_hand", &self.first_by_hand),
            ("reckoned_zone", &self.reckoned_zone),
            ("problem", &self.problem),
        ]
    }

    /// `file_table` while the table is in its file.
    pub const TABLE_THERE: &str = "there";

    /// Whether its table stands in a pipeline file.
    pub fn has_table(&self) -> bool {
        self.file.is_some() && self.file_table.as_deref() == Some(Self::TABLE_THERE)
    }
}

/// Why a fire is in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FireKind {
    /// Its due instant came.
    Due,
    /// Runs of upstream jobs ended.
    After,
    /// A backfill was requested.
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

    /// The kind of a word. An unknown word counts as `due`.
    pub fn parse(word: &str) -> Self {
        [Self::After, Self::Backfill].into_iter().find(|kind| kind.as_str() == word).unwrap_or(Self::Due)
    }
}

/// A row of `fires`: one due instant, or consecutive ones that did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFire {
    pub job_id: String,
    /// The first instant, in milliseconds.
    pub due_ms: i64,
    /// The last instant, in milliseconds.
    pub through_ms: i64,
    /// How many instants the row covers.
    pub n_instants: u64,
    /// The outcome, as a word.
    pub outcome: String,
    /// The reason, in a sentence.
    pub reason: Option<String>,
    /// The run that was reserved or started for it.
    pub run_id: Option<String>,
    /// The due instant before the first one, in milliseconds, if there was one.
    pub previous_ms: Option<i64>,
    pub kind: FireKind,
}

/// A row of `job_history`: one run of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHistory {
    pub job_id: String,
    pub run_id: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// The run's state, as a word. None while unknown.
    pub status: Option<String>,
    pub error: Option<String>,
}

impl StoredFire {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let row = &Named::of(row);
        let due_ms = columns::int(row, "due_ms")?.unwrap_or_default();
        Ok(Self {
            job_id: some_text(row, "job_id")?,
            due_ms,
            through_ms: columns::int(row, "through_ms")?.unwrap_or(due_ms).max(due_ms),
            n_instants: columns::int(row, "n_instants")?.and_then(|n| u64::try_from(n).ok()).unwrap_or(1),
            outcome: some_text(row, "outcome")?,
            reason: columns::text(row, "reason")?,
            run_id: columns::text(row, "run_id")?,
            previous_ms: columns::int(row, "previous_ms")?,
            kind: columns::word(row, "kind")?.map_or(FireKind::Due, FireKind::parse),
        })
    }

    pub(super) fn add(&self, conn: &Connection) -> rusqlite::Result<()> {
        let row: &[Column<'_>] = &[
            ("job_id", &self.job_id),
            ("due_at", &written(self.due_ms)),
            ("through_at", &written(self.through_ms)),
            ("n_instants", &(self.n_instants as i64)),
            ("outcome", &self.outcome),
            ("reason", &self.reason),
            ("run_id", &self.run_id),
            ("due_ms", &self.due_ms),
            ("through_ms", &self.through_ms),
            ("previous_ms", &self.previous_ms),
            ("kind", &self.kind.as_str()),
        ];
        insert(conn, "fires", row)
    }
}

impl StoredHistory {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let row = &Named::of(row);
        Ok(Self {
            job_id: some_text(row, "job_id")?,
            run_id: some_text(row, "run_id")?,
            started_at: columns::instant(row, "started_at", "started_ms")?.unwrap_or_else(|| from_ms(0)),
            finished_at: columns::instant(row, "finished_at", "started_ms")?,
            status: columns::text(row, "status")?,
            error: columns::text(row, "error")?,
        })
    }

    /// Adds the row, unless the run has one already.
    pub(super) fn add(&self, conn: &Connection) -> rusqlite::Result<()> {
        let is_there: bool = conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM job_history WHERE run_id = ?1)")?
            .query_row([&self.run_id], |row| row.get(0))?;
        if is_there {
            return Ok(());
        }
        let row: &[Column<'_>] = &[
            ("job_id", &self.job_id),
            ("run_id", &self.run_id),
            ("started_at", &format_instant(self.started_at)),
            ("started_ms", &self.started_at.timestamp_millis()),
            ("finished_at", &self.finished_at.map(format_instant)),
            ("status", &self.status),
            ("error", &self.error),
        ];
        insert(conn, "job_history", row)
    }
}

pub(super) fn written(ms: i64) -> String {
    format_instant(from_ms(ms))
}
