//! What is said of a job when it is added or changed: one shape for the control socket and the command line.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::error::Error;
use crate::base::id::{JobId, PipelineId};
use crate::schedule::{Misfire, Overlap, ScheduleConfig, Zone};
use crate::scheduler::{JobChange, JobSpec, SchedulerError};

/// A job to be added, or what is to be changed of one. What is not said has its default, or stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobParams {
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

impl JobParams {
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
    pub(crate) fn into_spec(self) -> Result<JobSpec, Error> {
        let job_id = self.job_id.clone();
        let needs = |what: &str| Error::invalid(format!("a new job needs {what} (job {job_id})"));
        let pipeline_id = self.pipeline_id.clone().ok_or_else(|| needs("a pipeline_id"))?;
        let enabled = self.enabled.unwrap_or(true);
        let change = JobParams { enabled: None, ..self }.into_change()?;
        let schedule = change.schedule.clone().ok_or_else(|| needs("a schedule_type"))?;
        let mut spec = JobSpec { enabled, ..JobSpec::of(job_id, pipeline_id, schedule) };
        change.apply_to(&mut spec);
        Ok(spec)
    }

    /// What is to be changed.
    pub(crate) fn into_change(self) -> Result<JobChange, Error> {
        let invalid = |text: String| Error::invalid(format!("job {}: {text}", self.job_id));
        if self.enabled.is_some() {
            return Err(invalid("its switch is turned with `schedule.enable` and `schedule.disable`".into()));
        }
        let schedule = match (&self.schedule_type, &self.schedule_config) {
            (Some(kind), config) => {
                let config = config.clone().unwrap_or_else(|| json!({})).to_string();
                let read = ScheduleConfig::from_parts(kind, &config);
                Some(read.map_err(|error| Error::from(SchedulerError::from(error)))?)
            }
            (None, Some(_)) => return Err(invalid("a schedule_config needs its schedule_type".into())),
            (None, None) => None,
        };
        let zone = self.zone.as_deref().map(str::parse::<Zone>).transpose();
        let span = |seconds: f64, what: &str| {
            let ms = (seconds * 1000.0).round();
            // A thousand years; beyond, and below zero, nothing makes sense.
            let is_one = (0.0..=3.2e13).contains(&ms);
            let wrong = || invalid(format!("{what} must be a number of seconds from 0 on, not {seconds}"));
            is_one.then_some(TimeDelta::milliseconds(ms as i64)).ok_or_else(wrong)
        };
        let grace = self.misfire_grace_seconds.map(|seconds| span(seconds, "misfire_grace_seconds"));
        let max_age = match self.misfire_max_age_seconds {
            Some(Some(seconds)) => Some(Some(span(seconds, "misfire_max_age_seconds")?)),
            Some(None) => Some(None),
            None => None,
        };
        Ok(JobChange {
            misfire_grace: grace.transpose()?,
            misfire_max_age: max_age,
            zone: zone.map_err(|error| Error::from(SchedulerError::from(error)))?,
            schedule,
            pipeline_id: self.pipeline_id,
            source: self.source,
            misfire: self.misfire,
            catchup_limit: self.catchup_limit,
            overlap: self.overlap,
            priority: self.priority,
            params: self.params,
            run_type: self.run_type,
            environment: self.environment,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> JobParams {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_null_is_told_from_what_is_not_there() {
        let change =
            read(r#"{"job_id":"j","misfire_max_age_seconds":null,"run_type":"X","params":{"n":null}}"#);
        let change = change.into_change().unwrap();
        assert_eq!((change.misfire_max_age, change.run_type), (Some(None), Some(Some("X".to_owned()))));
        assert_eq!((change.environment, change.params["n"].clone()), (None, None));
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
        assert!(read(r#"{"job_id":"j","enabled":true}"#).into_change().is_err());
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        let params = JobParams::new(JobId::new("j").unwrap()).with_schedule(&ScheduleConfig::Manual);
        let text = serde_json::to_string(&params).unwrap();
        assert_eq!(text, r#"{"job_id":"j","schedule_type":"manual","schedule_config":{}}"#);
        assert_eq!(read(&text), params);
    }
}
