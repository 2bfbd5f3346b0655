//! A job: its specification ([`JobSpec`]); a patch to add or change one ([`JobPatch`]: the same for the socket, the
//! command line, the window and programs); and the conversion from and to its row.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::error::SchedulerError;
use crate::admission::MAX_PRIORITY;
use crate::base::id::{InvalidId, JobId, PipelineId};
use crate::base::time::{format_instant, parse_instant};
use crate::base::tz::Tz;
use crate::pipeline::PipelineSchedule;
use crate::schedule::{Misfire, MisfirePolicy, Overlap, ScheduleConfig, ScheduleError, Timetable, Zone};
use crate::store::{NEVER, NEVER_MS, StoredJob, from_ms};

/// The specification of a job, without its history.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    /// The job's id; unique within a data directory.
    pub job_id: JobId,
    /// The pipeline to run.
    pub pipeline_id: PipelineId,
    /// What the pipeline reads from; none: as the pipeline says.
    pub source: Option<String>,
    /// When it is due.
    pub schedule: ScheduleConfig,
    /// The zone that the schedule follows. None: the machine's, resolved when the job is added.
    pub zone: Option<Zone>,
    /// What happens to missed instants.
    pub misfire: MisfirePolicy,
    /// What happens to an instant while a run is under way.
    pub overlap: Overlap,
    /// The priority of its runs, from 0 to 9. It counts if it is higher than the pipeline's.
    pub priority: i32,
    /// The parameters of its runs by name.
    pub params: BTreeMap<String, String>,
    /// The run type of its runs; none: the pipeline's, or `FULL_REFRESH`.
    pub run_type: Option<String>,
    /// The environment of its runs; none: the pipeline's, or `dev`.
    pub environment: Option<String>,
    /// Whether it fires.
    pub enabled: bool,
}

impl JobSpec {
    /// A job with the defaults: in the machine's zone; missed instants run once; no run starts while one is under way.
    /// Each id may be an id, or a text, which is checked here.
    ///
    /// # Errors
    /// [`InvalidId`] when a text does not match `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    pub fn new(
        job_id: impl TryInto<JobId, Error: Into<InvalidId>>,
        pipeline_id: impl TryInto<PipelineId, Error: Into<InvalidId>>,
        schedule: ScheduleConfig,
    ) -> Result<Self, InvalidId> {
        let job_id = job_id.try_into().map_err(Into::into)?;
        let pipeline_id = pipeline_id.try_into().map_err(Into::into)?;
        Ok(Self::of(job_id, pipeline_id, schedule))
    }

    /// As [`new`](Self::new), for ids.
    pub(crate) fn of(job_id: JobId, pipeline_id: PipelineId, schedule: ScheduleConfig) -> Self {
        Self {
            job_id,
            pipeline_id,
            source: None,
            schedule,
            zone: None,
            misfire: MisfirePolicy::default(),
            overlap: Overlap::Skip,
            priority: 0,
            params: BTreeMap::new(),
            run_type: None,
            environment: None,
            enabled: true,
        }
    }

    /// The job of a `[[schedule]]` table in the file of this pipeline.
    #[doc(hidden)]
    pub fn from_table(pipeline_id: PipelineId, table: &PipelineSchedule) -> Self {
        Self {
            zone: table.zone,
            misfire: table.misfire,
            overlap: table.overlap,
            priority: i32::try_from(table.priority).unwrap_or(i32::MAX),
            params: table.params.clone(),
            run_type: table.run_type.clone(),
            environment: table.environment.clone(),
            enabled: table.enabled,
            ..Self::of(table.job_id.clone(), pipeline_id, table.schedule.clone())
        }
    }
}

/// A job to add, or the changes to one. A field that is absent has its default, or stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobPatch {
    /// The job's id.
    pub job_id: JobId,
    /// The pipeline to run. A new job needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_id: Option<PipelineId>,
    /// What its runs are named after. Default of a new job: the pipeline's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The kind of its schedule, such as `daily`. A new job needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_type: Option<String>,
    /// The other parts of its schedule, as in the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_config: Option<Value>,
    /// An IANA name, or `local`. Default of a new job: the machine's zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What happens to missed instants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misfire: Option<Misfire>,
    /// How many missed instants run at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catchup_limit: Option<u32>,
    /// How late an instant may still run under a policy that skips missed ones, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misfire_grace_seconds: Option<f64>,
    /// The age from which a missed instant no longer runs, in seconds; `null`: no limit.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub misfire_max_age_seconds: Option<Option<f64>>,
    /// What happens to an instant while a run is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
    /// The priority of its runs, from 0 to 9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The parameters by name; `null` removes one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Option<String>>,
    /// The run type of its runs; `null`: the pipeline's.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub run_type: Option<Option<String>>,
    /// The environment of its runs; `null`: the pipeline's.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub environment: Option<Option<String>>,
    /// Whether a new job fires at once. An existing one is changed by `schedule.enable` and `schedule.disable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Distinguishes `null` from an absent field.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl JobPatch {
    /// A patch without changes.
    pub fn new(job_id: JobId) -> Self {
        Self {
            job_id,
            pipeline_id: None,
            source: None,
            schedule_type: None,
            schedule_config: None,
            zone: None,
            misfire: None,
            catchup_limit: None,
            misfire_grace_seconds: None,
            misfire_max_age_seconds: None,
            overlap: None,
            priority: None,
            params: BTreeMap::new(),
            run_type: None,
            environment: None,
            enabled: None,
        }
    }

    /// The same patch with this schedule.
    pub fn with_schedule(self, schedule: &ScheduleConfig) -> Self {
        let (schedule_type, schedule_config) = (schedule.kind().to_owned(), schedule.to_json());
        Self { schedule_type: Some(schedule_type), schedule_config: Some(schedule_config), ..self }
    }

    /// The job to add.
    ///
    /// # Errors
    /// [`SchedulerError::Invalid`] when something is missing or makes no sense; [`SchedulerError::Schedule`] when the
    /// schedule makes no sense.
    pub fn into_spec(self) -> Result<JobSpec, SchedulerError> {
        let job_id = self.job_id.clone();
        let needs = |what: &str| SchedulerError::Invalid(format!("a new job needs {what} (job {job_id})"));
        let pipeline_id = self.pipeline_id.clone().ok_or_else(|| needs("a pipeline_id"))?;
        let patch = Self { enabled: None, ..self.clone() };
        let schedule = patch.schedule()?.ok_or_else(|| needs("a schedule_type"))?;
        let enabled = self.enabled.unwrap_or(true);
        let mut spec = JobSpec { enabled, ..JobSpec::of(self.job_id, pipeline_id, schedule) };
        patch.apply_to(&mut spec)?;
        Ok(spec)
    }

    /// The schedule, if the patch has one.
    pub(super) fn schedule(&self) -> Result<Option<ScheduleConfig>, SchedulerError> {
        match (&self.schedule_type, &self.schedule_config) {
            (Some(kind), config) => {
                let config = config.clone().unwrap_or_else(|| json!({})).to_string();
                Ok(Some(ScheduleConfig::from_parts(kind, &config)?))
            }
            (None, Some(_)) => Err(self.invalid("a schedule_config needs its schedule_type")),
            (None, None) => Ok(None),
        }
    }

    /// Applies the patch to `spec`.
    ///
    /// # Errors
    /// A value makes no sense.
    pub(super) fn apply_to(self, spec: &mut JobSpec) -> Result<(), SchedulerError> {
        fn set<T>(place: &mut T, new: Option<T>) {
            new.into_iter().for_each(|new| *place = new);
        }
        if self.enabled.is_some() {
            return Err(self.invalid("its switch is turned with `schedule.enable` and `schedule.disable`"));
        }
        let span = |seconds: f64, what: &str| {
            let ms = (seconds * 1000.0).round();
            // At most a thousand years, and not negative.
            let is_one = (0.0..=3.2e13).contains(&ms);
            let wrong =
                || self.invalid(&format!("{what} must be a number of seconds from 0 on, not {seconds}"));
            is_one.then_some(TimeDelta::milliseconds(ms as i64)).ok_or_else(wrong)
        };
        set(&mut spec.schedule, self.schedule()?);
        set(&mut spec.zone, self.zone.as_deref().map(str::parse::<Zone>).transpose()?.map(Some));
        let grace = self.misfire_grace_seconds.map(|seconds| span(seconds, "misfire_grace_seconds"));
        set(&mut spec.misfire.grace, grace.transpose()?);
        if let Some(seconds) = self.misfire_max_age_seconds {
            let max_age = seconds.map(|seconds| span(seconds, "misfire_max_age_seconds"));
            spec.misfire.max_age = max_age.transpose()?;
        }
        set(&mut spec.misfire.policy, self.misfire);
        set(&mut spec.misfire.catchup_limit, self.catchup_limit);
        set(&mut spec.pipeline_id, self.pipeline_id);
        set(&mut spec.source, self.source.map(Some));
        set(&mut spec.overlap, self.overlap);
        set(&mut spec.priority, self.priority);
        set(&mut spec.run_type, self.run_type);
        set(&mut spec.environment, self.environment);
        for (name, value) in self.params {
            match value {
                Some(value) => drop(spec.params.insert(name, value)),
                None => drop(spec.params.remove(&name)),
            }
        }
        Ok(())
    }

    fn invalid(&self, text: &str) -> SchedulerError {
        SchedulerError::Invalid(format!("job {}: {text}", self.job_id))
    }
}

/// The most instants that are caught up, whatever the job's row says: each is a claim, and they start one after
/// another.
const MOST_CAUGHT_UP: u32 = 10_000;

/// The longest span in a job's row: a thousand years, in milliseconds.
const LONGEST_MS: i64 = 32_000_000_000_000;

/// A job as it is stored, parsed.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) spec: JobSpec,
    /// What its runs are named after.
    pub(super) source: String,
    pub(super) zone: Zone,
    pub(super) created_at: DateTime<Utc>,
    /// The pipeline file whose table defines it.
    pub(super) file: Option<String>,
}

impl Job {
    /// Parses a row. A column that is none has its default; without a zone, it is the machine's.
    ///
    /// # Errors
    /// What can't be parsed, and what would be right.
    pub(super) fn read(row: &StoredJob) -> Result<Self, String> {
        match &row.problem {
            Some(problem) => Err(problem.clone()),
            None => Self::read_anew(row),
        }
    }

    /// As [`read`](Self::read), for a row whose problem may be solved because a script has changed it.
    ///
    /// # Errors
    /// As there.
    pub(super) fn read_anew(row: &StoredJob) -> Result<Self, String> {
        let word = |error: ScheduleError| error.to_string();
        let schedule = ScheduleConfig::from_parts(&row.schedule_type, &row.schedule_config).map_err(word)?;
        let zone = row.zone.as_deref().map_or(Ok(Zone::Local), str::parse).map_err(word)?;
        let defaults = MisfirePolicy::default();
        let span = |ms: Option<i64>| ms.map(|ms| TimeDelta::milliseconds(ms.clamp(0, LONGEST_MS)));
        let misfire = MisfirePolicy {
            policy: row.misfire.as_deref().map_or(Ok(defaults.policy), str::parse).map_err(word)?,
            catchup_limit: row
                .catchup_limit
                .map_or(defaults.catchup_limit, |n| n.clamp(0, MOST_CAUGHT_UP.into()) as u32),
            grace: span(row.misfire_grace_ms).unwrap_or(defaults.grace),
            max_age: span(row.misfire_max_age_ms),
        };
        let params = match row.params.as_deref() {
            None | Some("") => BTreeMap::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|error| format!("its params {text:?} are not an object of strings: {error}"))?,
        };
        let job_id = JobId::new(&row.job_id).map_err(|error| error.to_string())?;
        let pipeline_id = PipelineId::new(&row.pipeline_id).map_err(|error| error.to_string())?;
        let spec = JobSpec {
            job_id,
            pipeline_id,
            source: Some(row.source.clone()),
            schedule,
            zone: Some(zone),
            misfire,
            overlap: row.overlap.as_deref().map_or(Ok(Overlap::Skip), str::parse).map_err(word)?,
            priority: row.priority.map_or(0, |n| n.clamp(0, MAX_PRIORITY.into()) as i32),
            params,
            run_type: row.run_type.clone(),
            environment: row.environment.clone(),
            enabled: row.enabled,
        };
        // An interval that a script has written counts from its first instant, in whole milliseconds.
        let created_at = parse_instant(&row.created_at).unwrap_or_default().trunc_subsecs(3);
        Ok(Self { spec, source: row.source.clone(), zone, created_at, file: row.file.clone() })
    }

    /// Its row, with the next instant as reckoned on a machine in the zone `local`.
    pub(super) fn to_row(&self, next_at: Option<DateTime<Utc>>, local: &str) -> StoredJob {
        let spec = &self.spec;
        let defaults = MisfirePolicy::default();
        let own = |value: i64, default: i64| (value != default).then_some(value);
        StoredJob {
            job_id: spec.job_id.to_string(),
            pipeline_id: spec.pipeline_id.to_string(),
            source: self.source.clone(),
            schedule_type: spec.schedule.kind().to_owned(),
            schedule_config: spec.schedule.to_json().to_string(),
            next_run: next_at.map_or_else(|| NEVER.to_owned(), format_instant),
            next_run_ms: Some(next_ms(next_at)),
            enabled: spec.enabled,
            created_at: format_instant(self.created_at),
            zone: Some(self.zone.as_str().to_owned()),
            misfire: Some(spec.misfire.policy.as_str().to_owned()),
            catchup_limit: own(spec.misfire.catchup_limit.into(), defaults.catchup_limit.into()),
            misfire_grace_ms: own(spec.misfire.grace.num_milliseconds(), defaults.grace.num_milliseconds()),
            misfire_max_age_ms: spec.misfire.max_age.map(|age| age.num_milliseconds()),
            overlap: Some(spec.overlap.as_str().to_owned()),
            priority: own(spec.priority.into(), 0),
            params: (!spec.params.is_empty()).then(|| json!(spec.params).to_string()),
            run_type: spec.run_type.clone(),
            environment: spec.environment.clone(),
            file: self.file.clone(),
            reckoned_zone: self.reckoned_zone(local),
            ..StoredJob::default()
        }
    }

    /// The zone that is noted beside its next instant, as reckoned on a machine in the zone `local`.
    pub(super) fn reckoned_zone(&self, local: &str) -> Option<String> {
        (self.zone == Zone::Local).then(|| local.to_owned())
    }

    /// The zone of its schedule on a machine in the zone `local`.
    pub(super) fn tz(&self, local: &str) -> Result<Tz, ScheduleError> {
        self.zone.resolve(local)
    }

    /// Its timetable on a machine in the zone `local`.
    pub(super) fn timetable(&self, local: &str) -> Result<Timetable, ScheduleError> {
        Ok(self.spec.schedule.timetable(self.tz(local)?, self.created_at))
    }

    /// An instant as text for its steps, in the job's zone.
    pub(super) fn in_zone(&self, at_ms: i64, local: &str) -> String {
        let at = from_ms(at_ms);
        match self.tz(local) {
            Ok(zone) => at.with_timezone(&zone).to_rfc3339_opts(chrono::SecondsFormat::Millis, false),
            Err(_) => format_instant(at),
        }
    }
}

/// `next_run_ms` of a next instant.
pub(super) fn next_ms(at: Option<DateTime<Utc>>) -> i64 {
    at.map_or(NEVER_MS, |at| at.timestamp_millis().min(NEVER_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> JobPatch {
        serde_json::from_str(text).unwrap()
    }

    fn spec() -> JobSpec {
        JobSpec::new("j", "p", ScheduleConfig::Manual).unwrap()
    }

    #[test]
    fn what_is_null_is_told_from_what_is_not_there() {
        let mut spec = spec();
        spec.misfire.max_age = Some(TimeDelta::hours(1));
        spec.environment = Some("prod".to_owned());
        spec.params = [("n".to_owned(), "3".to_owned())].into();
        let patch =
            read(r#"{"job_id":"j","misfire_max_age_seconds":null,"run_type":"X","params":{"n":null}}"#);
        patch.apply_to(&mut spec).unwrap();
        assert_eq!((spec.misfire.max_age, spec.run_type.as_deref()), (None, Some("X")));
        assert_eq!((spec.environment.as_deref(), spec.params.len()), (Some("prod"), 0));
    }

    #[test]
    fn what_is_missing_or_makes_no_sense_is_said() {
        for (text, expected) in [
            (r#"{"job_id":"j"}"#, "needs a pipeline_id"),
            (r#"{"job_id":"j","pipeline_id":"p"}"#, "needs a schedule_type"),
            (r#"{"job_id":"j","pipeline_id":"p","schedule_config":{}}"#, "needs its schedule_type"),
            (r#"{"job_id":"j","pipeline_id":"p","schedule_type":"dialy"}"#, "did you mean daily"),
            (r#"{"job_id":"j","pipeline_id":"p","schedule_type":"manual","zone":"Mars"}"#, "Mars"),
            (
                r#"{"job_id":"j","pipeline_id":"p","schedule_type":"manual","misfire_grace_seconds":-1}"#,
                "misfire_grace_seconds",
            ),
        ] {
            let error = read(text).into_spec().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(read(r#"{"job_id":"j","enabled":true}"#).apply_to(&mut spec()).is_err());
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        let params = JobPatch::new(JobId::new("j").unwrap()).with_schedule(&ScheduleConfig::Manual);
        let text = serde_json::to_string(&params).unwrap();
        assert_eq!(text, r#"{"job_id":"j","schedule_type":"manual","schedule_config":{}}"#);
        assert_eq!(read(&text), params);
    }
}
