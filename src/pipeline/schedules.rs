//! `[[schedule]]` tables: the jobs that a pipeline's file defines. Each table becomes one [`PipelineSchedule`], or
//! problems with their places. Their texts are parsed by [`schedule`](crate::schedule).

use chrono::TimeDelta;

use super::model::PipelineSchedule;
use crate::base::id::{JobId, PipelineId};
use crate::base::time::parse_instant;
use crate::config::{Problems, Table};
use crate::schedule::{
    AfterOn, CronExpr, Misfire, MisfirePolicy, Overlap, ScheduleConfig, ScheduleError, Zone, parse_every,
    parse_time_of_day, parse_weekly,
};

/// A table has exactly one of these keys.
const WHEN: [&str; 6] = ["once", "every", "daily", "weekly", "cron", "after"];

/// Reads the tables of a file. A table with a problem is left out.
pub(super) fn read_schedules(
    tables: &[Table<'_>],
    pipeline_id: Option<&PipelineId>,
    problems: &mut Problems<'_>,
) -> Vec<PipelineSchedule> {
    let mut schedules: Vec<PipelineSchedule> = Vec::with_capacity(tables.len());
    let mut is_default_taken = false;
    for &table in tables {
        let is_named = table.has("id");
        if !is_named && is_default_taken {
            problems.add(table.at(), "a second [[schedule]] without `id`; give it one of its own");
            continue;
        }
        is_default_taken |= !is_named;
        let name = if is_named { table.text("id") } else { pipeline_id.map(PipelineId::as_str) };
        let Some(job_id) = name.and_then(|name| JobId::new(name).ok()) else { continue };
        if schedules.iter().any(|other| other.job_id == job_id) {
            let at = table.place_of("id");
            problems
                .add(at, format!("the job id {:?} is already taken above; choose another", job_id.as_str()));
            continue;
        }
        schedules.extend(read_one(table, job_id, problems));
    }
    schedules
}

fn read_one(table: Table<'_>, job_id: JobId, problems: &mut Problems<'_>) -> Option<PipelineSchedule> {
    let zone = table.text("tz").map(str::parse::<Zone>).transpose();
    let zone = zone.map_err(|error| problems.add(table.place_of("tz"), error.to_string())).ok()?;
    let schedule = read_when(table, problems)?;
    let span = |name: &str| table.duration(name).and_then(|span| TimeDelta::from_std(span).ok());
    let defaults = MisfirePolicy::default();
    Some(PipelineSchedule {
        job_id,
        schedule,
        zone,
        misfire: MisfirePolicy {
            policy: table.word("misfire").and_then(|word| word.parse().ok()).unwrap_or(Misfire::RunOnce),
            catchup_limit: table.count("catchup_limit").unwrap_or_default(),
            grace: span("misfire_grace").unwrap_or(defaults.grace),
            max_age: span("misfire_max_age"),
        },
        overlap: table.word("overlap").and_then(|word| word.parse().ok()).unwrap_or(Overlap::Skip),
        priority: table.count("priority").unwrap_or_default(),
        params: table.values("params"),
        run_type: table.text("run_type").map(str::to_owned),
        environment: table.text("environment").map(str::to_owned),
        enabled: table.flag("enabled"),
    })
}

fn read_when(table: Table<'_>, problems: &mut Problems<'_>) -> Option<ScheduleConfig> {
    let mut present: Vec<&str> = WHEN.into_iter().filter(|name| table.has(name)).collect();
    present.sort_by_key(|name| table.place_of(name));
    let name = match present.as_slice() {
        [name] => *name,
        [] => {
            let message = "this [[schedule]] does not say when; write one of once, every, daily, weekly, cron and after";
            problems.add(table.at(), message);
            return None;
        }
        [first, second, ..] => {
            let message =
                format!("`{first}` and `{second}` both say when; make two [[schedule]] tables of them");
            problems.add(table.place_of(second), message);
            return None;
        }
    };
    for (key, goes_with) in [("anchor", "every"), ("on", "after")] {
        if table.has(key) && name != goes_with {
            problems.add(
                table.place_of(key),
                format!("`{key}` goes with `{goes_with}`, not with `{name}`; leave it out"),
            );
        }
    }
    let text =
        |name: &str| table.text(name).or_else(|| table.scalar(name).map(|scalar| scalar.text.as_str()));
    let instant =
        |name: &str| text(name).map(|text| parse_instant(text).map_err(ScheduleError::Text)).transpose();
    let read = || -> Result<Option<ScheduleConfig>, ScheduleError> {
        Ok(match name {
            "once" => instant("once")?.map(|at| ScheduleConfig::Once { at }),
            "every" => match text("every") {
                Some(every) => {
                    let every = parse_every(every)?;
                    Some(ScheduleConfig::Interval { every, anchor: instant("anchor")? })
                }
                None => None,
            },
            "daily" => {
                text("daily").map(parse_time_of_day).transpose()?.map(|at| ScheduleConfig::Daily { at })
            }
            "weekly" => text("weekly")
                .map(parse_weekly)
                .transpose()?
                .map(|(day_of_week, at)| ScheduleConfig::Weekly { day_of_week, at }),
            "cron" => text("cron").map(str::parse::<CronExpr>).transpose()?.map(ScheduleConfig::Cron),
            _ => after(table)?,
        })
    };
    match read() {
        Ok(Some(schedule)) => Some(schedule),
        // The value was refused by the reader.
        Ok(None) => None,
        Err(error) => {
            problems.add(table.place_of(name), format!("`{name}`: {error}"));
            None
        }
    }
}

fn after(table: Table<'_>) -> Result<Option<ScheduleConfig>, ScheduleError> {
    let Some(names) = table.strings("after") else { return Ok(None) };
    if names.is_empty() {
        return Err(ScheduleError::Text("it names no job; write at least one".to_owned()));
    }
    let job = |text: &str| JobId::new(text).map_err(|error| ScheduleError::Text(error.to_string()));
    let jobs = names.iter().map(|name| job(&name.value)).collect::<Result<Vec<_>, _>>()?;
    let on = table.word("on").and_then(|word| AfterOn::ALL.into_iter().find(|on| on.as_str() == word));
    Ok(Some(ScheduleConfig::After { jobs, on: on.unwrap_or_default() }))
}
