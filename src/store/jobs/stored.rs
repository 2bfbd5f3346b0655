//! Rows of `scheduler.db` as they lie there. A job's row may have been filled in by hand: what its columns mean is
//! read elsewhere, and here it is kept as it was written.

use chrono::{DateTime, TimeZone, Utc};
use rusqlite::{Connection, Row};

use crate::base::time::format_instant;
use crate::store::sqlite::columns;
use crate::store::sqlite::put::{Column, insert};

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
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let text = |column| columns::text(row, column);
        let some_text = |column| columns::text(row, column).map(Option::unwrap_or_default);
        Ok(Self {
            job_id: some_text("job_id")?,
            pipeline_id: some_text("pipeline_id")?,
            source: some_text("source")?,
            schedule_type: some_text("schedule_type")?,
            schedule_config: some_text("schedule_config")?,
            next_run: some_text("next_run")?,
            next_run_ms: columns::int(row, "next_run_ms")?,
            // The column's own default, and any number but zero.
            enabled: columns::int(row, "enabled")?.unwrap_or(1) != 0,
            last_run: text("last_run")?,
            run_count: columns::int(row, "run_count")?.unwrap_or(0),
            created_at: some_text("created_at")?,
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
            first_by_hand: columns::int(row, "first_by_hand")?.unwrap_or(0) != 0,
            file_mark: text("file_mark")?,
            rowid: row.get("rowid")?,
            problem: text("problem")?,
            reckoned_zone: text("reckoned_zone")?,
        })
    }

    /// What is written of a job beside its name: everything but its counters and its place in a file.
    pub(super) fn columns(&self) -> [Column<'_>; 21] {
        [
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

impl StoredFire {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let due_ms = columns::int(row, "due_ms")?.unwrap_or_default();
        Ok(Self {
            job_id: columns::text(row, "job_id")?.unwrap_or_default(),
            due_ms,
            through_ms: columns::int(row, "through_ms")?.unwrap_or(due_ms).max(due_ms),
            n_instants: columns::int(row, "n_instants")?.and_then(|n| u64::try_from(n).ok()).unwrap_or(1),
            outcome: columns::text(row, "outcome")?.unwrap_or_default(),
            reason: columns::text(row, "reason")?,
            run_id: columns::text(row, "run_id")?,
            previous_ms: columns::int(row, "previous_ms")?,
            kind: columns::word(row, "kind")?.map_or(FireKind::Due, FireKind::parse),
        })
    }

    /// Adds it as a row that is new.
    pub(super) fn add(&self, conn: &Connection) -> rusqlite::Result<()> {
        let row: [Column<'_>; 11] = [
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
        insert(conn, "fires", &row)
    }
}

impl StoredHistory {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            job_id: columns::text(row, "job_id")?.unwrap_or_default(),
            run_id: columns::text(row, "run_id")?.unwrap_or_default(),
            started_at: columns::instant(row, "started_at", "started_ms")?.unwrap_or_else(|| from_ms(0)),
            finished_at: columns::instant(row, "finished_at", "started_ms")?,
            status: columns::text(row, "status")?,
            error: columns::text(row, "error")?,
        })
    }

    /// Adds it as a row that is new, unless its run has one.
    pub(super) fn add(&self, conn: &Connection) -> rusqlite::Result<()> {
        let is_there: bool = conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM job_history WHERE run_id = ?1)")?
            .query_row([&self.run_id], |row| row.get(0))?;
        if is_there {
            return Ok(());
        }
        let row: [Column<'_>; 7] = [
            ("job_id", &self.job_id),
            ("run_id", &self.run_id),
            ("started_at", &format_instant(self.started_at)),
            ("started_ms", &self.started_at.timestamp_millis()),
            ("finished_at", &self.finished_at.map(format_instant)),
            ("status", &self.status),
            ("error", &self.error),
        ];
        insert(conn, "job_history", &row)
    }
}

/// An instant of a ledger as text.
pub(super) fn written(ms: i64) -> String {
    format_instant(from_ms(ms))
}
