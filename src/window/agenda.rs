//! What all jobs will do and have done, as the page of jobs shows it: the day ahead, a month, and the ledger of fires.
//! Read from the databases alone.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use chrono::{DateTime, Datelike, Months, NaiveDate, TimeDelta, TimeZone, Utc};

use super::job_page::{FireRow, local_zone};
use super::pipeline_page::usual_span;
use crate::api::Error;
use crate::backend::Backend;
use crate::base::id::{JobId, PipelineId, RunId};
use crate::base::time::Now;
use crate::base::tz::Tz;
use crate::run::RunState;
use crate::schedule::Outcome;
use crate::scheduler::{DesktopScheduler, LedgerEntry, SchedulerError};
use crate::store::LedgerFilter;

/// How far ahead the day looks.
const AHEAD: TimeDelta = TimeDelta::hours(24);
/// How many fires of a day are shown.
const MAX_DAY: usize = 1_000;
/// How many instants of a month are counted, of each direction.
const MAX_MONTH: usize = 5_000;

/// The fires of the next 24 hours.
#[derive(Debug, Clone, PartialEq)]
pub struct Day {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// The earliest first.
    pub fires: Vec<DayFire>,
    /// Whether there are more.
    pub is_cut: bool,
    /// The machine's zone.
    pub local: Tz,
}

/// A fire of the day ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayFire {
    /// None when a script wrote a name that is no id.
    pub job_id: Option<JobId>,
    /// The name as it is written.
    pub name: String,
    pub at: DateTime<Utc>,
    /// How long the runs of its pipeline usually take.
    pub took: Option<TimeDelta>,
}

/// Which month is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthOf {
    /// Its first day.
    pub first: NaiveDate,
    /// Only this job's.
    pub job_id: Option<JobId>,
}

/// What jobs did and will do on the days of a month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Month {
    /// The days with an instant, in the machine's zone.
    pub days: BTreeMap<NaiveDate, DayTally>,
    /// Whether there are more instants than are counted.
    pub is_cut: bool,
}

/// The instants of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayTally {
    pub n_completed: u64,
    /// Runs that ended otherwise or could not be started.
    pub n_failed: u64,
    /// Instants without a run.
    pub n_not_run: u64,
    /// Runs that are under way.
    pub n_open: u64,
    pub n_to_come: u64,
}

/// Which rows of the ledger are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiresQuestion {
    pub filter: LedgerFilter,
    /// The first row, counted from 0.
    pub offset: usize,
    /// How many rows at most.
    pub limit: usize,
}

/// Rows of the ledger.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FiresPage {
    /// How many rows match the filter.
    pub total: usize,
    /// The index of the first of `rows`.
    pub offset: usize,
    pub rows: Vec<LedgerRow>,
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerRow {
    /// The job's name, as it is written.
    pub name: String,
    /// The zone in which its instants are shown.
    pub zone: Tz,
    pub fire: FireRow,
}

/// The fires of the 24 hours after `now`.
pub(crate) fn read_day(backend: &Backend, now: Now) -> Result<Day, Error> {
    let (from, until) = (now.wall, now.wall + AHEAD);
    let scheduler = DesktopScheduler::read_only(backend.data_dir().path());
    let coming = scheduler.look(move |core| Ok(core.coming(None, until, MAX_DAY)?))?;
    let records = backend.records()?;
    let mut usual = HashMap::new();
    let mut fires = Vec::with_capacity(coming.fires.len());
    for fire in coming.fires {
        let took = match (usual.get(&fire.pipeline_id), PipelineId::new(&fire.pipeline_id)) {
            (Some(took), _) => *took,
            (None, Ok(pipeline_id)) => {
                let took = usual_span(&records, &pipeline_id, from)?;
                usual.insert(fire.pipeline_id, took);
                took
            }
            (None, Err(_)) => None,
        };
        let job_id = JobId::new(&fire.job_id).ok();
        fires.push(DayFire { job_id, name: fire.job_id, at: fire.at, took });
    }
    Ok(Day { from, until, fires, is_cut: coming.is_cut, local: local_zone() })
}

/// What jobs did and will do in a month.
pub(crate) fn read_month(data_dir: &Path, of: &MonthOf, now: Now) -> Result<Month, Error> {
    let local = local_zone();
    let Some((since, until)) = span_of(of.first, local) else { return Ok(Month::default()) };
    let job_id = of.job_id.clone();
    let filter = LedgerFilter {
        job_id: job_id.clone(),
        since: Some(since),
        until: Some(until.min(now.wall)),
        ..LedgerFilter::default()
    };
    let (entries, coming) = DesktopScheduler::read_only(data_dir).look(move |core| {
        let entries = if since < now.wall { core.ledger(&filter, 0, MAX_MONTH)? } else { Vec::new() };
        let last = until - TimeDelta::milliseconds(1);
        let coming = if until > now.wall {
            core.coming(job_id.as_ref(), last, MAX_MONTH)?
        } else {
            Default::default()
        };
        Ok::<_, SchedulerError>((entries, coming))
    })?;
    let mut month = Month { is_cut: coming.is_cut || entries.len() == MAX_MONTH, ..Month::default() };
    let day_of = |at: DateTime<Utc>| at.with_timezone(&local).date_naive();
    for entry in entries {
        // A row of many instants counts on its last day.
        let day = month
            .days
            .entry(day_of(entry.fire.through_at.min(until - TimeDelta::milliseconds(1))))
            .or_default();
        match outcome_of(&entry) {
            Some(Tally::Completed) => day.n_completed += 1,
            Some(Tally::Failed) => day.n_failed += 1,
            Some(Tally::Open) => day.n_open += 1,
            Some(Tally::NotRun) | None => day.n_not_run += entry.fire.n_instants,
        }
    }
    for fire in coming.fires.iter().filter(|fire| fire.at >= since) {
        month.days.entry(day_of(fire.at)).or_default().n_to_come += 1;
    }
    Ok(month)
}

enum Tally {
    Completed,
    Failed,
    NotRun,
    Open,
}

fn outcome_of(entry: &LedgerEntry) -> Option<Tally> {
    let state = entry.run.as_ref().and_then(state_of);
    Some(match entry.fire.outcome.parse::<Outcome>().ok()? {
        Outcome::Ran | Outcome::Backfilled | Outcome::Claimed | Outcome::Queued => match state {
            Some(RunState::Completed) => Tally::Completed,
            Some(_) => Tally::Failed,
            None => Tally::Open,
        },
        Outcome::FailedToStart => Tally::Failed,
        Outcome::Coalesced | Outcome::Skipped | Outcome::Expired | Outcome::Disabled => Tally::NotRun,
    })
}

/// The final state of a job's run; none while its end is not recorded.
fn state_of(run: &crate::scheduler::HistoryView) -> Option<RunState> {
    let word = run.status.as_deref()?;
    RunState::ALL.iter().copied().find(|state| state.as_str() == word && state.is_ended())
}

/// When a month begins and ends in a zone; none at the end of what a date can hold.
fn span_of(first: NaiveDate, zone: Tz) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let first = first.with_day(1)?;
    Some((day_begin(first, zone)?, day_begin(first.checked_add_months(Months::new(1))?, zone)?))
}

/// When a day begins in a zone: one whose midnight does not exist begins later. None at the end of what an instant can
/// hold.
pub fn day_begin(day: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    let midnight = day.and_hms_opt(0, 0, 0)?;
    let instant = |hours| zone.from_local_datetime(&(midnight + TimeDelta::hours(hours))).earliest();
    Some((0..3).find_map(instant)?.with_timezone(&Utc))
}

/// Rows of the ledger.
pub(crate) fn read_fires(data_dir: &Path, question: &FiresQuestion) -> Result<FiresPage, Error> {
    let FiresQuestion { filter, offset, limit } = question.clone();
    let local = local_zone();
    let (total, entries) = DesktopScheduler::read_only(data_dir)
        .look(move |core| Ok((core.count_ledger(&filter)?, core.ledger(&filter, offset, limit)?)))?;
    let rows = entries.into_iter().map(|entry| ledger_row(entry, local)).collect();
    Ok(FiresPage { total, offset, rows })
}

fn ledger_row(entry: LedgerEntry, local: Tz) -> LedgerRow {
    let LedgerEntry { fire, run, zone } = entry;
    let took = run.as_ref().and_then(|run| Some(run.finished_at? - run.started_at));
    LedgerRow {
        name: fire.job_id,
        zone: zone.unwrap_or(local),
        fire: FireRow {
            due_at: fire.due_at,
            through_at: fire.through_at,
            n_instants: fire.n_instants,
            outcome: fire.outcome.parse().ok(),
            reason: fire.reason.or_else(|| run.as_ref().and_then(|run| run.error.clone())),
            run_id: fire.run_id.and_then(|id| RunId::new(&id).ok()),
            state: run.as_ref().and_then(state_of),
            took,
            is_by_hand: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_with_its_first_midnight_also_where_that_does_not_exist() {
        let span = |first: &str, zone: &str| {
            let (from, until) = span_of(first.parse().unwrap(), zone.parse().unwrap()).unwrap();
            (from.to_rfc3339(), until.to_rfc3339())
        };
        let (from, until) = span("2026-11-20", "Europe/Madrid");
        assert_eq!((&*from, &*until), ("2026-10-31T23:00:00+00:00", "2026-11-30T23:00:00+00:00"));
        // Paraguay put its clocks forward at midnight of 1 October 2017.
        let (from, _) = span("2017-10-01", "America/Asuncion");
        assert_eq!(from, "2017-10-01T04:00:00+00:00");
    }
}
