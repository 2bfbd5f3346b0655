//! The types of schedules, their names and their form in the database. [`Timetable`] says when a schedule fires, and
//! `words` describes it in a sentence.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc, Weekday};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cron::CronExpr;
use super::error::ScheduleError;
use super::json::Fields;
use super::model::{AfterOn, TimeOfDay, largest_unit};
use super::parse::LONGEST;
use super::timetable::Timetable;
use crate::base::id::JobId;
use crate::base::nearest::nearest;
use crate::base::time::format_instant;
use crate::base::tz::Tz;

/// The names of the types.
pub(super) const KINDS: [&str; 7] = ["once", "interval", "daily", "weekly", "cron", "after", "manual"];

/// When a job is due. The constructors check what they are given; the fields are in the units of their types, and times of
/// day are those of the job's zone.
///
/// ```
/// use leverframe::ScheduleConfig;
///
/// let nightly = ScheduleConfig::daily(2, 30)?;
/// let workdays = ScheduleConfig::cron("0 9 * * 1-5")?;
/// # assert_eq!((nightly.kind(), workdays.kind()), ("daily", "cron"));
/// # Ok::<(), leverframe::ScheduleError>(())
/// ```
///
/// In messages it is an object with the two columns: `{"schedule_type": "daily", "schedule_config":
/// {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Columns", into = "Columns")]
pub enum ScheduleConfig {
    /// At one instant; the job then disables itself.
    Once {
        /// In whole milliseconds.
        at: DateTime<Utc>,
    },
    /// At a fixed distance in real time from the anchor, without drift and independent of clock changes.
    Interval {
        /// At least one second, at most ten years; whole seconds.
        every: TimeDelta,
        /// The first fire. None means counted from the instant at which the job was added, which is itself not a fire.
        anchor: Option<DateTime<Utc>>,
    },
    /// At a wall-clock time of each day in the job's zone.
    Daily {
        /// The time.
        at: TimeOfDay,
    },
    /// At a wall-clock time of one day of the week in the job's zone.
    Weekly {
        /// The day.
        day_of_week: Weekday,
        /// The time.
        at: TimeOfDay,
    },
    /// By a cron expression, in the job's zone.
    Cron(CronExpr),
    /// When runs of other jobs have ended in this way.
    After {
        /// At least one job, each once.
        jobs: Vec<JobId>,
        /// How they must have ended.
        on: AfterOn,
    },
    /// Only by hand.
    Manual,
}

/// A schedule in a message.
#[derive(Serialize, Deserialize)]
struct Columns {
    schedule_type: String,
    #[serde(default = "no_config")]
    schedule_config: Value,
}

fn no_config() -> Value {
    json!({})
}

impl TryFrom<Columns> for ScheduleConfig {
    type Error = ScheduleError;

    fn try_from(columns: Columns) -> Result<Self, ScheduleError> {
        Self::from_parts(&columns.schedule_type, &columns.schedule_config.to_string())
    }
}

impl From<ScheduleConfig> for Columns {
    fn from(config: ScheduleConfig) -> Self {
        Self { schedule_type: config.kind().to_owned(), schedule_config: config.to_json() }
    }
}

impl ScheduleConfig {
    /// The jobs whose runs make it due; empty for every type but `after`.
    pub fn upstreams(&self) -> &[JobId] {
        if let Self::After { jobs, .. } = self { jobs } else { &[] }
    }

    /// The type's name: the column `schedule_type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Once { .. } => "once",
            Self::Interval { .. } => "interval",
            Self::Daily { .. } => "daily",
            Self::Weekly { .. } => "weekly",
            Self::Cron(_) => "cron",
            Self::After { .. } => "after",
            Self::Manual => "manual",
        }
    }

    /// The column `schedule_config`: a JSON object, as [`from_parts`](Self::from_parts) reads it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Once { at } => json!({ "at": format_instant(*at) }),
            Self::Interval { every, anchor } => {
                let (unit, seconds) = largest_unit(*every);
                let mut config = json!({ unit: every.num_seconds() / seconds });
                if let Some(anchor) = anchor {
                    config["anchor"] = json!(format_instant(*anchor));
                }
                config
            }
            Self::Daily { at } => json!({ "hour": at.hour(), "minute": at.minute() }),
            Self::Weekly { day_of_week, at } => {
                json!({ "day_of_week": day_of_week.num_days_from_monday(), "hour": at.hour(), "minute": at.minute() })
            }
            Self::Cron(expression) => json!({ "expression": expression.as_str() }),
            Self::After { jobs, on } => json!({ "jobs": jobs, "on": on.as_str() }),
            Self::Manual => json!({}),
        }
    }

    /// Reads the columns `schedule_type` and `schedule_config`. Also takes `run_at` for `at`, numbers written as
    /// texts, one job as a text, a day of the week by name, and an empty configuration where nothing is needed.
    ///
    /// # Errors
    /// [`ScheduleError::UnknownType`], [`ScheduleError::Cron`], and [`ScheduleError::Config`] when a key is missing,
    /// unknown or out of its range.
    pub fn from_parts(schedule_type: &str, schedule_config: &str) -> Result<Self, ScheduleError> {
        let Some(kind) = KINDS.iter().copied().find(|kind| *kind == schedule_type) else {
            let hint = nearest(schedule_type, KINDS)
                .map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let known = "once, interval, daily, weekly, cron, after and manual";
            return Err(ScheduleError::UnknownType { text: schedule_type.to_owned(), hint, known });
        };
        let mut fields = Fields::parse(kind, schedule_config)?;
        let config = match kind {
            "once" => Self::Once { at: fields.required_instant(&["at", "run_at"])? },
            "interval" => {
                let every = fields.every()?;
                Self::Interval { every, anchor: fields.instant(&["anchor"])? }
            }
            "daily" => Self::Daily { at: fields.time_of_day()? },
            "weekly" => Self::Weekly { day_of_week: fields.day_of_week()?, at: fields.time_of_day()? },
            "cron" => Self::Cron(fields.required_text("expression")?.parse()?),
            "after" => {
                let jobs = fields.jobs()?;
                Self::After { jobs, on: fields.on()? }
            }
            _ => Self::Manual,
        };
        fields.end()?;
        Ok(config)
    }

    /// The instants at which it fires, in the zone of the job, for a job that was added at `created_at`. Empty for
    /// `after` and `manual`, which no instant makes due.
    #[doc(hidden)]
    pub fn timetable(&self, zone: Tz, created_at: DateTime<Utc>) -> Timetable {
        Timetable::new(self, zone, created_at)
    }

    /// The first instant after `after` at which it fires; none when it never fires again. Called with its own result,
    /// it returns a later instant. For more than one call, keep the [`Timetable`].
    pub fn next_after(
        &self,
        zone: Tz,
        after: DateTime<Utc>,
        created_at: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        self.timetable(zone, created_at).next_after(after)
    }

    /// Refuses a schedule that makes no sense for a job that is added or changed at `now`.
    ///
    /// # Errors
    /// [`ScheduleError::Past`] for a `once` whose instant has passed, [`ScheduleError::Config`] for an interval that is
    /// not a whole number of seconds, from one second to ten years.
    pub fn check_new(&self, now: DateTime<Utc>) -> Result<(), ScheduleError> {
        match self {
            Self::Once { at } if *at <= now => {
                Err(ScheduleError::Past { at: format_instant(*at), now: format_instant(now) })
            }
            Self::Interval { every, .. } if !is_interval(*every) => Err(ScheduleError::Config {
                kind: "interval",
                message: format!(
                    "{every} is not an interval; an interval is a whole number of seconds, at least one and at most ten years"
                ),
            }),
            Self::Once { .. }
            | Self::Interval { .. }
            | Self::Daily { .. }
            | Self::Weekly { .. }
            | Self::Cron(_)
            | Self::After { .. }
            | Self::Manual => Ok(()),
        }
    }

    /// Whether it fires at wall-clock times of the job's zone.
    pub fn follows_zone(&self) -> bool {
        match self {
            Self::Daily { .. } | Self::Weekly { .. } | Self::Cron(_) => true,
            Self::Once { .. } | Self::Interval { .. } | Self::After { .. } | Self::Manual => false,
        }
    }
}

fn is_interval(every: TimeDelta) -> bool {
    every.subsec_nanos() == 0 && (TimeDelta::seconds(1)..=LONGEST).contains(&every)
}

/// The cycle that would arise if `job` came after `jobs`, with `job` first and last; none when there is no cycle.
/// `above` holds what each other job comes after. The time grows with the number of jobs above.
pub fn cycle_through(job: &JobId, jobs: &[JobId], above: &BTreeMap<JobId, Vec<JobId>>) -> Option<Vec<JobId>> {
    let mut seen = BTreeSet::new();
    // The jobs to visit, each with the index in `trail` of the job that comes after it.
    let mut trail: Vec<(JobId, Option<usize>)> = jobs.iter().map(|above| (above.clone(), None)).collect();
    let mut at = 0;
    while at < trail.len() {
        let name = trail[at].0.clone();
        if name == *job {
            let mut cycle = vec![name];
            let mut place = trail[at].1;
            while let Some(i) = place {
                cycle.push(trail[i].0.clone());
                place = trail[i].1;
            }
            cycle.push(job.clone());
            cycle.reverse();
            return Some(cycle);
        }
        if seen.insert(name.clone()) {
            trail.extend(above.get(&name).into_iter().flatten().map(|next| (next.clone(), Some(at))));
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests;
