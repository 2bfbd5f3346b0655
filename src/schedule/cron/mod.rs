//! Cron expressions with the meaning of Debian's Vixie cron: five fields, or six with seconds first; `@daily` and the
//! like; `L` for the last day of the month. If day of month and day of week are both restricted, a day must match one
//! of them.
//!
//! The `cron` crate parses the fields. `fields` translates them into its dialect (it expects seconds and counts Sunday
//! as 1), and explains errors that the crate would only refuse. The crate's own search is not used: it requires both
//! day fields to match, does not know `L`, returns the hour that comes twice out of order, and walks ordered trees
//! where sets of bits are enough. So only the sets are taken from it, and `calendar` searches them in plain local time.
//! `wall` handles clock changes.

mod calendar;
mod fields;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub(super) use calendar::{Calendar, DayRule};

use super::error::ScheduleError;
use super::model::TimeOfDay;

/// A longer expression is a mistake, and is refused before it is parsed.
const MAX_LEN: usize = 1_000;

/// A parsed cron expression: five fields as Vixie cron reads them, six with the seconds first, or a word such as
/// `@daily`. It is shown as it was written.
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

    /// Whether its hour or minute field begins with `*`. Such an expression follows real time when the clock changes:
    /// times in a gap do not fire, and both passes of an overlap do. Otherwise its times are fixed, and each fires
    /// once.
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
    /// [`ScheduleError::Cron`], which names the field, its value and what would be right.
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
