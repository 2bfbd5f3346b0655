//! What is said of a job when it is added or changed: one shape for the socket, the command line, the window and programs.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::error::SchedulerError;
use super::job::JobSpec;
use crate::base::id::{JobId, PipelineId};
use crate::schedule::{Misfire, Overlap, ScheduleConfig, Zone};

/// A job to be added, or what is to be changed of one. What is not said has its default, or stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobPatch {
    /// Its name.
    pub job_id: JobId,
    /// The pipeline that it runs. A new job needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_id: Option<PipelineId>,
    /// What its runs are named after; of a new job by default the pipeline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The kind of its schedule: `daily`, for one. A new job needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_type: Option<String>,
    /// The rest of its schedule, as in the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_config: Option<Value>,
    /// An IANA name, or `local`; of a new job by default the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What becomes of missed instants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misfire: Option<Misfire>,
    /// How many of them run at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catchup_limit: Option<u32>,
    /// How late one may still run that is otherwise skipped, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misfire_grace_seconds: Option<f64>,
    /// How old one may be at most, in seconds; `null`: however old.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub misfire_max_age_seconds: Option<Option<f64>>,
    /// What becomes of an instant while a run is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
    /// Its priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Parameters by name; `null` takes one out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Option<String>>,
    /// Run type of its runs; `null`: the pipeline's.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub run_type: Option<Option<String>>,
    /// Environment of its runs; `null`: the pipeline's.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub environment: Option<Option<String>>,
    /// Whether a new job fires at once; of one that is there, `schedule.enable` and `schedule.disable` say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Tells `null` from what is not there.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl JobPatch {
    /// A job of this name, of which nothing is said yet.
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

    /// The same, due so.
    pub fn with_schedule(self, schedule: &ScheduleConfig) -> Self {
        let (schedule_type, schedule_config) = (schedule.kind().to_owned(), schedule.to_json());
        Self { schedule_type: Some(schedule_type), schedule_config: Some(schedule_config), ..self }
    }

    /// The job to be added.
    ///
    /// # Errors
    /// [`SchedulerError::Invalid`] when something is missing or makes no sense, [`SchedulerError::Schedule`].
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

    /// When it is to be due, if that is said.
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

    /// Changes `spec` so.
    ///
    /// # Errors
    /// What makes no sense.
    pub(super) fn apply_to(self, spec: &mut JobSpec) -> Result<(), SchedulerError> {
        fn set<T>(place: &mut T, new: Option<T>) {
            new.into_iter().for_each(|new| *place = new);
        }
        if self.enabled.is_some() {
            return Err(self.invalid("its switch is turned with `schedule.enable` and `schedule.disable`"));
        }
        let span = |seconds: f64, what: &str| {
            let ms = (seconds * 1000.0).round();
            // A thousand years; beyond, and below zero, nothing makes sense.
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
