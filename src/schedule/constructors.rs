//! Constructors of schedules for programs: one function for each type, with plain arguments.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc, Weekday};

use super::config::ScheduleConfig;
use super::error::ScheduleError;
use super::model::{AfterOn, TimeOfDay};
use crate::base::id::{InvalidId, JobId};
use crate::base::time::within_years;

impl ScheduleConfig {
    /// At one instant, in whole milliseconds; the job then disables itself. An instant that has passed is refused when
    /// the job is added.
    pub fn once(at: impl Into<DateTime<Utc>>) -> Self {
        Self::Once { at: within_years(at.into()).trunc_subsecs(3) }
    }

    /// At a fixed distance in real time, counted from the moment at which the job is added, without drift. The distance
    /// is in whole seconds, from one second to ten years; anything else is refused when the job is added.
    pub fn interval(every: Duration) -> Self {
        Self::Interval { every: TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX), anchor: None }
    }

    /// Each day at this wall-clock time of the job's zone: `hour` 0 to 23, `minute` 0 to 59. A time that the zone's
    /// clock skips runs at the first instant after the gap; a time that comes twice runs at the first one.
    ///
    /// # Errors
    /// [`ScheduleError::Config`] when there is no such time.
    pub fn daily(hour: u32, minute: u32) -> Result<Self, ScheduleError> {
        Ok(Self::Daily { at: time_of_day("daily", hour, minute)? })
    }

    /// Each week on this day (0 is Monday, 6 is Sunday), at a wall-clock time as in [`daily`](Self::daily).
    ///
    /// # Errors
    /// [`ScheduleError::Config`] when there is no such day or time.
    pub fn weekly(day_of_week: u32, hour: u32, minute: u32) -> Result<Self, ScheduleError> {
        let day = u8::try_from(day_of_week).ok().and_then(|day| Weekday::try_from(day).ok());
        let day_of_week = day.ok_or_else(|| {
            refused("weekly", format!("the day of the week is 0 (Monday) to 6 (Sunday), not {day_of_week}"))
        })?;
        Ok(Self::Weekly { day_of_week, at: time_of_day("weekly", hour, minute)? })
    }

    /// By a cron expression, in the job's zone: five fields as in Vixie's cron, or six with seconds first; `@daily` and
    /// the like; `L` for the last day of the month.
    ///
    /// # Errors
    /// [`ScheduleError::Cron`], which names the field that is wrong.
    pub fn cron(expression: &str) -> Result<Self, ScheduleError> {
        expression.parse().map(Self::Cron)
    }

    /// When a run of any of these jobs has completed. For other ends see [`ScheduleConfig::After`]. Whether the jobs
    /// exist, and whether a job would come after itself, is checked when the job is added.
    ///
    /// # Errors
    /// [`ScheduleError::Config`] when a text is not a valid id, or no job is given.
    pub fn after<J>(jobs: impl IntoIterator<Item = J>) -> Result<Self, ScheduleError>
    where
        J: TryInto<JobId, Error: Into<InvalidId>>,
    {
        let mut upstreams: Vec<JobId> = Vec::new();
        for job in jobs {
            let job: JobId = job.try_into().map_err(|error| refused("after", error.into().to_string()))?;
            if !upstreams.contains(&job) {
                upstreams.push(job);
            }
        }
        if upstreams.is_empty() {
            return Err(refused("after", "name at least one job to come after".to_owned()));
        }
        Ok(Self::After { jobs: upstreams, on: AfterOn::default() })
    }

    /// Only by hand.
    pub const fn manual() -> Self {
        Self::Manual
    }
}

fn time_of_day(kind: &'static str, hour: u32, minute: u32) -> Result<TimeOfDay, ScheduleError> {
    TimeOfDay::new(hour, minute).ok_or_else(|| {
        refused(kind, format!("the hour is 0 to 23 and the minute 0 to 59, not {hour}:{minute:02}"))
    })
}

fn refused(kind: &'static str, message: String) -> ScheduleError {
    ScheduleError::Config { kind, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(config: Result<ScheduleConfig, ScheduleError>, kind: &str, json: &str) {
        assert_eq!(config, ScheduleConfig::from_parts(kind, json));
    }

    #[test]
    fn a_constructor_says_what_the_columns_say() {
        check(ScheduleConfig::daily(2, 0), "daily", r#"{"hour": 2, "minute": 0}"#);
        check(ScheduleConfig::weekly(0, 9, 5), "weekly", r#"{"day_of_week": 0, "hour": 9, "minute": 5}"#);
        check(ScheduleConfig::cron("30 9 * * 1-5"), "cron", r#"{"expression": "30 9 * * 1-5"}"#);
        check(ScheduleConfig::after(["a", "b", "a"]), "after", r#"{"jobs": ["a", "b"]}"#);
        check(Ok(ScheduleConfig::interval(Duration::from_secs(6 * 3_600))), "interval", r#"{"hours": 6}"#);
        check(Ok(ScheduleConfig::manual()), "manual", "{}");
        let at = DateTime::from_timestamp(1_800_000_000, 123_456_789).unwrap();
        check(Ok(ScheduleConfig::once(at)), "once", r#"{"at": "2027-01-15T08:00:00.123Z"}"#);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_constructor_or_when_the_job_is_added() {
        assert!(ScheduleConfig::daily(24, 0).is_err());
        assert!(ScheduleConfig::weekly(7, 0, 0).is_err());
        assert!(ScheduleConfig::weekly(0, 0, 60).is_err());
        assert!(ScheduleConfig::cron("61 * * * *").is_err());
        assert!(ScheduleConfig::after(["a b"]).is_err());
        assert!(ScheduleConfig::after([] as [&str; 0]).is_err());
        let now = DateTime::UNIX_EPOCH;
        for every in [Duration::ZERO, Duration::from_millis(1_500), Duration::MAX] {
            assert!(ScheduleConfig::interval(every).check_new(now).is_err(), "{every:?}");
        }
        assert_eq!(ScheduleConfig::interval(Duration::from_secs(1)).check_new(now), Ok(()));
    }
}
