//! `[[schedule]]` tables: the jobs that a pipeline's file defines. Each table becomes one [`PipelineSchedule`], or
//! problems with their places. Their texts are parsed by [`schedule`](crate::schedule).

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::keys::SCHEDULE;
use crate::base::id::{JobId, PipelineId};
use crate::base::time::parse_instant;
use crate::config::{Fallback, Key, Kind, MANY, Place, Problems, Table, Zero, key};
use crate::schedule::{
    AfterOn, CronExpr, Misfire, MisfirePolicy, Overlap, ScheduleConfig, ScheduleError, Zone, parse_every,
    parse_time_of_day, parse_weekly,
};

/// One `[[schedule]]` table of a pipeline file.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineSchedule {
    /// The job's name: the key `id`. The first table without one gets the pipeline's id.
    pub job_id: JobId,
    /// When it is due.
    pub schedule: ScheduleConfig,
    /// Its zone; none means the machine's zone at the time when the job is added.
    pub zone: Option<Zone>,
    /// What happens to missed instants.
    pub misfire: MisfirePolicy,
    /// What happens to a due instant while an earlier run has not ended.
    pub overlap: Overlap,
    /// Its priority.
    pub priority: u32,
    /// Parameters of its runs.
    pub params: BTreeMap<String, String>,
    /// Run type of its runs.
    pub run_type: Option<String>,
    /// Environment of its runs.
    pub environment: Option<String>,
    /// Whether a new job fires. Afterwards only the operator enables or disables it.
    pub enabled: bool,
}

static TABLE: &[&Place] = &[&SCHEDULE];
const MISFIRE: &[&str] = &["run_once", "run_all", "skip"];
const OVERLAP: &[&str] = &["skip", "queue", "allow", "cancel_previous"];
const ON: &[&str] = &["completed", "failed", "finished"];
/// A table has exactly one of these keys.
const WHEN: [&str; 6] = ["once", "every", "daily", "weekly", "cron", "after"];

use Fallback::{Is, Words};

/// The keys of a `[[schedule]]` table.
#[rustfmt::skip]
pub(super) static SCHEDULE_KEYS: &[Key] = &[
    key(TABLE, "id", Kind::Id, Words("the pipeline's id; further tables need one"), "The job's name.").also(&["name", "job_id"]),
    key(TABLE, "cron", Kind::Filled, Fallback::None, "When it is due: a cron expression of five fields, or six with seconds first, or `@daily` and the like.").also(&["expression"]),
    key(TABLE, "daily", Kind::Filled, Fallback::None, "When it is due: each day at `\"HH:MM\"`.").also(&["at"]),
    key(TABLE, "weekly", Kind::Filled, Fallback::None, "When it is due: each week at `\"mon HH:MM\"`."),
    key(TABLE, "every", Kind::Filled, Fallback::None, "When it is due: at this interval of real time, such as `\"6h\"`.").also(&["interval"]),
    key(TABLE, "anchor", Kind::Scalar, Words("when the job is added"), "The instant from which `every` counts."),
    key(TABLE, "once", Kind::Scalar, Fallback::None, "When it is due: at this instant."),
    key(TABLE, "after", Kind::Strings("job ids", "nightly"), Fallback::None, "When it is due: when runs of these jobs have ended.").also(&["needs"]),
    key(TABLE, "on", Kind::Word(ON), Is("completed"), "How those runs must have ended."),
    key(TABLE, "tz", Kind::Filled, Words("the machine's when the job is added"), "The zone: an IANA name, or `\"local\"` for the zone that the machine is in at that time.").also(&["zone", "timezone", "time_zone"]),
    key(TABLE, "misfire", Kind::Word(MISFIRE), Is("run_once"), "What happens to missed instants: the newest runs, all run, or none."),
    key(TABLE, "catchup_limit", Kind::Count(0, MANY), Is("100"), "How many missed instants `run_all` runs at most."),
    key(TABLE, "misfire_grace", Kind::Duration(Zero::Allowed), Is("1h"), "How late an instant may be and still run under `skip`; and how long a run is held for a secret that is missing before it fails."),
    key(TABLE, "misfire_max_age", Kind::Duration(Zero::Refused), Words("none"), "How old an instant may be and still run."),
    key(TABLE, "overlap", Kind::Word(OVERLAP), Is("skip"), "What happens when the job is due and its last run has not ended."),
    key(TABLE, "priority", Kind::Count(0, 9), Is("0"), "The priority of its runs, where it is higher than the pipeline's."),
    key(TABLE, "params", Kind::Values, Fallback::None, "Parameters of its runs.").also(&["parameters"]),
    key(TABLE, "run_type", Kind::Filled, Words("the pipeline's"), "Run type of its runs."),
    key(TABLE, "environment", Kind::Filled, Words("the pipeline's"), "Environment of its runs."),
    key(TABLE, "enabled", Kind::Flag, Is("true"), "Whether a new job fires; later the operator enables or disables it."),
];

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
