//! Starting the runs of jobs on the engine, and the outcomes.

use super::actor::Actor;
use super::core::{Act, JobStart, StartOutcome, Target};
use crate::base::time::Now;
use crate::engine::{EngineError, StartRequest, now};
use crate::run::Plan;

/// How long until a pipeline that was not found is looked for again.
const LOOK_AGAIN_MS: u64 = 4_000;

/// Why a run can't even be requested.
enum Refusal {
    /// The pipeline was not found.
    NotFound(String),
    /// The parameters don't fit the pipeline.
    Unfit(String),
}

impl Actor {
    /// Starts runs, those of pipelines together. Returns the outcomes.
    pub(super) fn start_all(&mut self, starts: Vec<JobStart>) -> Vec<(JobStart, StartOutcome)> {
        let mut outcomes = Vec::with_capacity(starts.len());
        let mut plans = Vec::new();
        let mut waiting = Vec::new();
        for start in starts {
            match self.plan_of(&start) {
                Ok(Some(request)) => {
                    plans.push(request);
                    waiting.push(start);
                }
                Ok(None) => {
                    let started = self.engine.start_registered(registered(&start)).map(drop);
                    let outcome = self.outcome_of(&start, started);
                    outcomes.push((start, outcome));
                }
                Err(refusal) => {
                    let outcome = self.outcome_of_refusal(&start, refusal);
                    outcomes.extend(outcome.map(|outcome| (start, outcome)));
                }
            }
        }
        for (start, started) in waiting.into_iter().zip(self.engine.start_pipelines(plans)) {
            let outcome = self.outcome_of(&start, started.map(drop));
            outcomes.push((start, outcome));
        }
        outcomes
    }

    /// The plan of the run; none for a registered function.
    fn plan_of(&self, start: &JobStart) -> Result<Option<Plan>, Refusal> {
        let definition = match (self.resolve)(&start.pipeline_id).map_err(Refusal::NotFound)? {
            Target::Function => return Ok(None),
            Target::Pipeline(definition) => definition,
        };
        let home = std::env::home_dir();
        let (run_type, environment) = (start.run_type.as_deref(), start.environment.as_deref());
        let plan = Plan::resolve(definition.clone(), &start.params, run_type, environment, home.as_deref())
            .map_err(|error| Refusal::Unfit(error.to_string()))?;
        Ok(Some(Plan {
            run_id: Some(start.run_id.clone()),
            priority: u8::try_from(start.priority).ok().map(|own| own.max(definition.pipeline.priority)),
            trigger: start.trigger,
            fired_by: Some(start.fired_by.clone()),
            held_at_most: start.held_at_most.to_std().ok(),
            ..plan
        }))
    }

    /// The outcome of a start that can't be requested. None if the pipeline was not found for the first time: an editor
    /// may just be saving the file, so it is looked for once more later.
    fn outcome_of_refusal(&mut self, start: &JobStart, refusal: Refusal) -> Option<StartOutcome> {
        let reason = match refusal {
            Refusal::NotFound(reason) if start.due_ms.is_some() => reason,
            Refusal::NotFound(reason) | Refusal::Unfit(reason) => return Some(StartOutcome::Refused(reason)),
        };
        let now_ms = now().awake_ms;
        match self.again.get(&start.run_id) {
            Some((at_ms, _)) if *at_ms > now_ms => None,
            Some(_) => {
                self.again.remove(&start.run_id);
                Some(StartOutcome::Refused(reason))
            }
            None => {
                self.again.insert(start.run_id.clone(), (now_ms + LOOK_AGAIN_MS, start.clone()));
                None
            }
        }
    }

    /// Starts the runs whose pipelines were not found a while ago, unless their fires were settled otherwise.
    pub(super) fn look_again(&mut self, at: Now) {
        let is_due = |(at_ms, _): &&(u64, JobStart)| *at_ms <= at.awake_ms;
        let due: Vec<JobStart> = self.again.values().filter(is_due).map(|(_, start)| start.clone()).collect();
        for start in due {
            let run_id = start.run_id.clone();
            if self.core.n_live(&start.job_id) > 0 {
                // Another run of its job has begun meanwhile: it is handled like everything that catches up.
                self.core.may_catch_up = true;
            } else if self.core.is_claimed_for(&start).unwrap_or(true) {
                self.carry_out(Ok(vec![Act::Start(Box::new(start))]));
            }
            self.again.remove(&run_id);
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not told apart here is refused with its reason"
    )]
    fn outcome_of(&self, start: &JobStart, started: Result<(), EngineError>) -> StartOutcome {
        let error = match started {
            Ok(()) => return StartOutcome::Started,
            Err(error) => error,
        };
        match error {
            EngineError::Exists { .. } => match self.core.is_run_of(start) {
                Ok(true) => StartOutcome::Started,
                Ok(false) => StartOutcome::NameTaken,
                Err(error) => StartOutcome::NotNow(error.to_string()),
            },
            EngineError::ShutDown | EngineError::NotRecorded { .. } | EngineError::Host(_) => {
                StartOutcome::NotNow(error.to_string())
            }
            EngineError::Store(ref inner) if inner.is_passing() => StartOutcome::NotNow(error.to_string()),
            other => StartOutcome::Refused(other.to_string()),
        }
    }
}

fn registered(start: &JobStart) -> StartRequest {
    let plan = Plan::driven(start.run_id.clone(), start.pipeline_id.clone(), start.source.clone());
    StartRequest {
        plan: Plan {
            trigger: start.trigger,
            fired_by: Some(start.fired_by.clone()),
            run_type: start.run_type.clone().unwrap_or(plan.run_type),
            environment: start.environment.clone().unwrap_or(plan.environment),
            ..plan
        },
    }
}
