//! Reads `schedule_config`: one JSON object, which users' scripts write too. Its meaning is in `config`.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc, Weekday};
use serde_json::{Map, Value};

use super::error::ScheduleError;
use super::model::{AfterOn, TimeOfDay, UNITS};
use super::parse::{LONGEST, weekday};
use crate::base::id::JobId;
use crate::base::nearest::nearest;
use crate::base::time::parse_instant;

/// The keys of one object. They are taken out one by one, so that the keys that are left are unknown ones.
pub(super) struct Fields {
    kind: &'static str,
    left: Map<String, Value>,
    asked: Vec<&'static str>,
}

impl Fields {
    pub(super) fn parse(kind: &'static str, text: &str) -> Result<Self, ScheduleError> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        match serde_json::from_str(text) {
            Ok(Value::Object(left)) => Ok(Self { kind, left, asked: Vec::new() }),
            Ok(_) => Err(wrong(kind, format!("{text} is not a JSON object"))),
            Err(error) => Err(wrong(kind, format!("{text:?} is not JSON ({error})"))),
        }
    }

    /// Refuses the keys that were not taken.
    pub(super) fn end(self) -> Result<(), ScheduleError> {
        let Some(key) = self.left.keys().next() else { return Ok(()) };
        let hint = match nearest(key, self.asked.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None if self.asked.is_empty() => "it takes none".to_owned(),
            None => format!("it takes {}", self.asked.join(", ")),
        };
        Err(wrong(self.kind, format!("the key {key:?} is unknown; {hint}")))
    }

    pub(super) fn required_text(&mut self, key: &'static str) -> Result<String, ScheduleError> {
        match self.take(key) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.wrong(format!("{key:?} must be a text, not {other}"))),
            None => Err(self.missing(key)),
        }
    }

    pub(super) fn required_instant(&mut self, keys: &[&'static str]) -> Result<DateTime<Utc>, ScheduleError> {
        self.instant(keys)?.ok_or_else(|| self.missing(keys[0]))
    }

    /// The instant under the first of these keys that exists, in whole milliseconds.
    pub(super) fn instant(&mut self, keys: &[&'static str]) -> Result<Option<DateTime<Utc>>, ScheduleError> {
        for key in keys {
            match self.take(key) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => {
                    let at =
                        parse_instant(&text).map_err(|message| self.wrong(format!("{key:?}: {message}")))?;
                    return Ok(Some(at.trunc_subsecs(3)));
                }
                Some(other) => {
                    return Err(self.wrong(format!(
                        "{key:?} must be an instant such as \"2026-11-23T02:00:00Z\", not {other}"
                    )));
                }
            }
        }
        Ok(None)
    }

    /// The interval: the sum over all units.
    pub(super) fn every(&mut self) -> Result<TimeDelta, ScheduleError> {
        let mut seconds = 0.0;
        let mut is_there = false;
        for (unit, factor) in UNITS {
            if let Some(value) = self.take(unit) {
                let number = number(&value)
                    .filter(|number| (0.0..1e12).contains(number))
                    .ok_or_else(|| self.wrong(format!("{unit:?} must be a number from 0 on, not {value}")))?;
                seconds += number * factor as f64;
                is_there = true;
            }
        }
        if !is_there {
            return Err(self.missing("hours"));
        }
        let whole = seconds.round();
        if (seconds - whole).abs() > 1e-6 || whole < 1.0 || whole > LONGEST.num_seconds() as f64 {
            return Err(self.wrong(format!(
                "it takes {seconds} seconds; an interval is a whole number of seconds, at least one and at most ten years"
            )));
        }
        Ok(TimeDelta::seconds(whole as i64))
    }

    pub(super) fn time_of_day(&mut self) -> Result<TimeOfDay, ScheduleError> {
        let hour = self.whole("hour", 23, None)?;
        let minute = self.whole("minute", 59, Some(0))?;
        TimeOfDay::new(hour, minute).ok_or_else(|| self.missing("hour"))
    }

    pub(super) fn day_of_week(&mut self) -> Result<Weekday, ScheduleError> {
        if let Some(Value::String(text)) = self.left.get("day_of_week")
            && let Some(day) = weekday(text)
        {
            self.take("day_of_week");
            return Ok(day);
        }
        let day = self.whole("day_of_week", 6, None)?;
        u8::try_from(day)
            .ok()
            .and_then(|day| Weekday::try_from(day).ok())
            .ok_or_else(|| self.missing("day_of_week"))
    }

    pub(super) fn jobs(&mut self) -> Result<Vec<JobId>, ScheduleError> {
        let values = match self.take("jobs") {
            Some(Value::Array(values)) if !values.is_empty() => values,
            Some(one @ Value::String(_)) => vec![one],
            Some(other) => {
                return Err(self.wrong(format!("\"jobs\" must be a list with at least one job, not {other}")));
            }
            None => return Err(self.missing("jobs")),
        };
        let mut jobs = Vec::new();
        for value in values {
            let Value::String(text) = &value else {
                return Err(self.wrong(format!("\"jobs\" must hold ids of jobs, not {value}")));
            };
            let job = JobId::new(text).map_err(|error| self.wrong(error.to_string()))?;
            if !jobs.contains(&job) {
                jobs.push(job);
            }
        }
        Ok(jobs)
    }

    pub(super) fn on(&mut self) -> Result<AfterOn, ScheduleError> {
        let Some(value) = self.take("on") else { return Ok(AfterOn::default()) };
        let known = value.as_str().and_then(|text| AfterOn::ALL.into_iter().find(|on| on.as_str() == text));
        known.ok_or_else(|| {
            self.wrong(format!("\"on\" must be \"completed\", \"failed\" or \"finished\", not {value}"))
        })
    }

    fn whole(&mut self, key: &'static str, max: u32, fallback: Option<u32>) -> Result<u32, ScheduleError> {
        let Some(value) = self.take(key) else { return fallback.ok_or_else(|| self.missing(key)) };
        let days = if key == "day_of_week" { " (0 is Monday)" } else { "" };
        number(&value)
            .filter(|number| number.fract() == 0.0 && (0.0..=f64::from(max)).contains(number))
            .map(|number| number as u32)
            .ok_or_else(|| {
                self.wrong(format!("{key:?} must be a whole number from 0 to {max}{days}, not {value}"))
            })
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        self.left.remove(key)
    }

    fn missing(&self, key: &str) -> ScheduleError {
        let example = match self.kind {
            "once" => r#"{"at": "2026-11-23T02:00:00Z"}"#,
            "interval" => r#"{"hours": 6}"#,
            "daily" => r#"{"hour": 9, "minute": 30}"#,
            "weekly" => r#"{"day_of_week": 0, "hour": 9, "minute": 30}"#,
            "cron" => r#"{"expression": "30 9 * * 1-5"}"#,
            _ => r#"{"jobs": ["fetch"], "on": "completed"}"#,
        };
        self.wrong(format!("{key:?} is missing; write it as {example}"))
    }

    fn wrong(&self, message: String) -> ScheduleError {
        wrong(self.kind, message)
    }
}

fn wrong(kind: &'static str, message: String) -> ScheduleError {
    ScheduleError::Config { kind, message }
}

/// A number, or a text that is one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
