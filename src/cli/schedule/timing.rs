//! The arguments that say when a job is due.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::super::exit::Failure;
use crate::base::id::JobId;
use crate::base::tz::Tz;
use crate::schedule::{
    AfterOn, ScheduleConfig, ScheduleError, parse_every, parse_once, parse_time_of_day, parse_weekly,
};

// One of these says when. No doc comment: clap would take it as the description of each verb that has it.
#[derive(Debug, Args)]
pub(super) struct Timing {
    #[command(flatten)]
    kind: Kind,
    /// With --after: how those runs must have ended.
    #[arg(long, value_name = "HOW", value_parser = endings())]
    on: Option<String>,
}

#[derive(Debug, Args)]
#[group(id = "timing", multiple = false)]
struct Kind {
    /// Once, at an instant such as 2026-11-23T02:00:00Z, or 2026-11-23 02:00 in the job's zone.
    #[arg(long, value_name = "T")]
    once: Option<String>,
    /// At this interval, in real time: 6h, 15m, 1d12h.
    #[arg(long, value_name = "INTERVAL")]
    every: Option<String>,
    /// Every day at this time in the job's zone.
    #[arg(long, value_name = "HH:MM")]
    daily: Option<String>,
    /// Every week on this day and time in the job's zone: "mon 09:00".
    #[arg(long, value_name = "DAY HH:MM")]
    weekly: Option<String>,
    /// By a cron expression: five fields, six with seconds first, or @daily and the like.
    #[arg(long, value_name = "EXPR")]
    cron: Option<String>,
    /// When the runs of these jobs have ended; several with commas.
    #[arg(long, value_name = "JOB_ID", value_delimiter = ',')]
    after: Vec<JobId>,
    /// Only by hand.
    #[arg(long)]
    manual: bool,
}

fn endings() -> PossibleValuesParser {
    PossibleValuesParser::new(AfterOn::ALL.map(AfterOn::as_str))
}

impl Timing {
    /// The schedule; none when no argument gives one. A time without an offset is in `zone`.
    pub(super) fn schedule(&self, zone: Tz) -> Result<Option<ScheduleConfig>, ScheduleError> {
        let kind = &self.kind;
        if self.on.is_some() && kind.after.is_empty() {
            let text = "--on says how the runs of other jobs must have ended, and needs --after JOB_ID";
            return Err(ScheduleError::Text(text.to_owned()));
        }
        if let Some(text) = &kind.once {
            return Ok(Some(ScheduleConfig::Once { at: parse_once(text, zone)? }));
        }
        if let Some(text) = &kind.every {
            return Ok(Some(ScheduleConfig::Interval { every: parse_every(text)?, anchor: None }));
        }
        if let Some(text) = &kind.daily {
            return Ok(Some(ScheduleConfig::Daily { at: parse_time_of_day(text)? }));
        }
        if let Some(text) = &kind.weekly {
            let (day_of_week, at) = parse_weekly(text)?;
            return Ok(Some(ScheduleConfig::Weekly { day_of_week, at }));
        }
        if let Some(text) = &kind.cron {
            return Ok(Some(ScheduleConfig::Cron(text.parse()?)));
        }
        if !kind.after.is_empty() {
            let mut jobs = kind.after.clone();
            jobs.sort();
            jobs.dedup();
            let on = AfterOn::ALL.into_iter().find(|on| self.on.as_deref() == Some(on.as_str()));
            return Ok(Some(ScheduleConfig::After { jobs, on: on.unwrap_or_default() }));
        }
        Ok(kind.manual.then_some(ScheduleConfig::Manual))
    }

    /// The schedule, which must be given.
    pub(super) fn required(&self, zone: Tz) -> Result<ScheduleConfig, Failure> {
        self.schedule(zone)?.ok_or_else(|| {
            Failure::usage(
                "say when: one of --once T, --every 6h, --daily HH:MM, --weekly \"mon 09:00\", --cron EXPR, --after JOB_ID or --manual",
            )
        })
    }

    /// Whether its meaning depends on the zone.
    pub(super) fn reads_wall_clock(&self) -> bool {
        self.kind.once.is_some()
    }
}
