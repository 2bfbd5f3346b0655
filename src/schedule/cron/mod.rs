//! Cron expressions with the meaning of Vixie's cron as Debian has it: five fields, or six with seconds first,
//! `@daily` and its kin, `L` for the last day of the month; day of month and day of week either-or.
//!
//! The `cron` crate reads the fields; `fields` brings them into its dialect (it wants seconds, counts Sunday as 1) and
//! says what is wrong where it would only refuse. Its own search is not used: it takes both day fields together, knows
//! no `L`, runs the hour that comes twice out of order, and walks ordered trees where sets of bits do. So the sets are
//! taken from it, and `calendar` looks for times in them, in plain local time; clock changes are `wall`'s.

mod calendar;
mod fields;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub(super) use calendar::{Calendar, DayRule};

use super::ScheduleError;
use super::config::TimeOfDay;

/// Longer ones are slips, and what reads them should not have to.
const MAX_LEN: usize = 1_000;

/// A cron expression that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronExpr {
    text: Arc<str>,
    calendar: Calendar,
    follows_real_time: bool,
}

impl CronExpr {
    /// As it was written, without spaces around it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether its hour or minute field begins with `*`, so that it follows real time when the clock changes: times in
    /// a gap do not exist, both passes of an overlap count. Otherwise its times are fixed: each fires once.
    pub fn follows_real_time(&self) -> bool {
        self.follows_real_time
    }

    pub(super) fn calendar(&self) -> &Calendar {
        &self.calendar
    }
}

impl Calendar {
    /// Each day, or one day of the week (0 is Sunday), at this time.
    pub(super) fn fixed(at: TimeOfDay, day_of_week: Option<u32>) -> Self {
        let mut calendar = Self::EVERY_SECOND;
        calendar.seconds = 1;
        calendar.minutes = 1 << at.minute();
        calendar.hours = 1 << at.hour();
        if let Some(day) = day_of_week {
            calendar.weekdays = 1 << day;
        }
        calendar
    }
}

impl FromStr for CronExpr {
    type Err = ScheduleError;

    /// # Errors
    /// [`ScheduleError::Cron`], which names the field, its value and what is right.
    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        let read = if text.len() > MAX_LEN {
            Err(format!("is longer than {MAX_LEN} characters; write a shorter one"))
        } else {
            fields::read(text)
        };
        let (calendar, follows_real_time) = read.map_err(|message| {
            let expression = text.chars().take(100).collect();
            ScheduleError::Cron { expression, message }
        })?;
        Ok(Self { text: text.into(), calendar, follows_real_time })
    }
}

impl fmt::Display for CronExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests;
