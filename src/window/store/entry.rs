//! One run in the read model: its newest values, and the `seq` up to which each is known.

use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use super::{MAX_METRICS, MAX_NOTICES, MAX_SAMPLES, SAMPLE_SPAN};
use crate::base::id::StepId;
use crate::run::{Decision, Event, EventKind, RunState, RunSummary, StepState, StepSummary};
use crate::window::port::RunUsage;

/// How much is known of a run's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepsKnown {
    /// None, or only those that have changed since.
    Partly,
    /// All.
    Whole,
}

/// A run with what belongs to it.
#[derive(Debug, Clone)]
pub struct RunEntry {
    /// The newest values of the run itself.
    pub run: RunSummary,
    /// What recovery decided about it.
    #[doc(hidden)]
    pub decisions: Vec<Decision>,
    /// Warnings about it, the newest last.
    pub warnings: Vec<String>,
    /// When it was frozen before: beginning and end, the newest last; at most `MAX_NOTICES`.
    pub freezes: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// Earlier attempts of its steps that were seen, the newest last; at most `MAX_NOTICES`.
    pub earlier: Vec<StepSummary>,
    pub(crate) as_of: u64,
    pub(crate) is_loading: bool,
    progress_as_of: u64,
    steps: Vec<StepSummary>,
    /// For each step: the `seq` of its last fact and of its last progress.
    step_seqs: HashMap<StepId, (u64, u64)>,
    steps_known: StepsKnown,
    usage: VecDeque<RunUsage>,
    /// The metrics of each step's present attempt: the last value by name.
    metrics: HashMap<StepId, BTreeMap<String, f64>>,
}

impl RunEntry {
    pub(crate) fn new(run: RunSummary, seq: u64) -> Self {
        Self {
            run,
            decisions: Vec::new(),
            warnings: Vec::new(),
            freezes: Vec::new(),
            earlier: Vec::new(),
            as_of: seq,
            is_loading: false,
            progress_as_of: seq,
            steps: Vec::new(),
            step_seqs: HashMap::new(),
            steps_known: StepsKnown::Partly,
            usage: VecDeque::new(),
            metrics: HashMap::new(),
        }
    }

    /// Its steps in the order of the pipeline.
    pub fn steps(&self) -> &[StepSummary] {
        &self.steps
    }

    /// Whether [`Self::steps`] are all.
    #[doc(hidden)]
    pub fn steps_known(&self) -> StepsKnown {
        self.steps_known
    }

    /// The samples of what it used, oldest first.
    #[doc(hidden)]
    pub fn usage(&self) -> &VecDeque<RunUsage> {
        &self.usage
    }

    /// The metrics of a step's present attempt: the last value by name, at most `MAX_METRICS`.
    pub fn metrics(&self, step_id: &StepId) -> impl Iterator<Item = (&str, f64)> {
        self.metrics.get(step_id).into_iter().flatten().map(|(name, value)| (name.as_str(), *value))
    }

    /// When it ended. If the disk has no instant of its end: when it began.
    pub fn ended_at(&self) -> DateTime<Utc> {
        self.run.finished_at.unwrap_or(self.run.started_at)
    }

    /// Whether it makes no progress because it, or one of its steps, waits to be admitted.
    pub fn is_waiting(&self) -> bool {
        self.run.state == RunState::Queued || self.held_step().is_some()
    }

    /// A step that waits to be admitted, if no step runs.
    pub fn held_step(&self) -> Option<&StepId> {
        if self.run.state != RunState::Running || self.steps.iter().any(|step| step.state.is_live()) {
            return None;
        }
        self.steps.iter().find(|step| step.waits_for.is_some()).map(|step| &step.step_id)
    }

    /// The estimated remaining time, if the progress allows an estimate: not while none of the steps that run has said how
    /// far it is, because steps that have ended say nothing of those.
    pub fn remaining_time(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let mut living = self.steps.iter().filter(|step| step.state.is_live()).peekable();
        if living.peek().is_some() && living.all(|step| step.progress == 0.0) {
            return None;
        }
        let active = self.run.took(now);
        let progress = self.run.progress;
        let is_telling = self.run.state == RunState::Running
            && self.run.attempt == 1
            && (0.05..1.0).contains(&progress)
            && active >= TimeDelta::seconds(5);
        is_telling.then(|| {
            let seconds = active.as_seconds_f64() * (1.0 - progress) / progress;
            TimeDelta::seconds(seconds.min(1e8) as i64)
        })
    }

    pub(crate) fn put_run(&mut self, run: &RunSummary, seq: u64) {
        if seq < self.as_of {
            return;
        }
        if let (Some(from), None) = (self.run.frozen_since, run.frozen_since) {
            let frozen = (run.frozen_seconds - self.run.frozen_seconds).max(0.0);
            self.freezes.push((from, from + TimeDelta::milliseconds((frozen * 1000.0) as i64)));
            let excess = self.freezes.len().saturating_sub(MAX_NOTICES);
            self.freezes.drain(..excess);
        }
        let newer = (self.progress_as_of > seq && !run.state.is_ended())
            .then(|| (self.run.progress, self.run.current_step.clone(), self.run.message.clone()));
        self.run = run.clone();
        if let Some((progress, current_step, message)) = newer {
            // Telemetry that overtook this fact is still the newest of its kind.
            (self.run.progress, self.run.current_step, self.run.message) = (progress, current_step, message);
        }
        self.as_of = seq;
    }

    /// An end that was read from the disk: a later one than the known, as of a retry of which no event was heard, is right.
    pub(crate) fn put_end(&mut self, run: &RunSummary) {
        if run.finished_at > self.run.finished_at {
            self.put_run(run, self.as_of);
            self.steps_known = StepsKnown::Partly;
        } else {
            self.put_run(run, 0);
        }
    }

    pub(crate) fn set_steps(&mut self, steps: &[StepSummary], seq: u64) {
        let known: HashMap<StepId, StepSummary> =
            self.steps.drain(..).map(|step| (step.step_id.clone(), step)).collect();
        for step in steps {
            let (fact_seq, progress_seq) = self.step_seqs.get(&step.step_id).copied().unwrap_or_default();
            match known.get(&step.step_id) {
                Some(newer) if fact_seq > seq => self.steps.push(newer.clone()),
                Some(newer) if progress_seq > seq && newer.attempt == step.attempt => {
                    let (progress, message) = (newer.progress, newer.message.clone());
                    self.steps.push(StepSummary { progress, message, ..step.clone() });
                    self.step_seqs.insert(step.step_id.clone(), (seq, progress_seq));
                }
                Some(_) | None => {
                    self.steps.push(step.clone());
                    self.step_seqs.insert(step.step_id.clone(), (seq, seq));
                }
            }
        }
        self.steps_known = StepsKnown::Whole;
    }

    pub(crate) fn put_step(&mut self, step: &StepSummary, seq: u64) {
        let seqs = self.step_seqs.entry(step.step_id.clone()).or_default();
        if seq <= seqs.0 {
            return;
        }
        let known = self.steps.iter_mut().find(|known| known.step_id == step.step_id);
        match known {
            Some(known) => {
                if known.attempt != step.attempt {
                    self.metrics.remove(&step.step_id);
                    // At most one attempt runs at a time.
                    let until = known.finished_at.or(step.started_at);
                    if known.started_at.is_some() && until.is_some() {
                        self.earlier.push(StepSummary { finished_at: until, ..known.clone() });
                        let excess = self.earlier.len().saturating_sub(MAX_NOTICES);
                        self.earlier.drain(..excess);
                    }
                }
                let newer = (seqs.1 > seq && known.attempt == step.attempt && !step.state.is_ended())
                    .then(|| (known.progress, known.message.clone()));
                *known = step.clone();
                if let Some((progress, message)) = newer {
                    (known.progress, known.message) = (progress, message);
                }
            }
            None => self.steps.push(step.clone()),
        }
        seqs.0 = seq;
    }

    /// Lets the run's clock go while one of its steps works, and stand while none does, as between an attempt and the
    /// next one: an event of a step, at `at`, does not carry its run.
    pub(crate) fn keep_clock(&mut self, at: DateTime<Utc>) {
        let (Some(worked), StepsKnown::Whole) = (self.run.worked_seconds, self.steps_known) else { return };
        let began = self.steps.iter().filter_map(|step| step.works_since).min();
        match (self.run.works_since, began) {
            (None, Some(_)) => self.run.works_since = began,
            (Some(since), None) => {
                let more = (at - since).max(TimeDelta::zero()).as_seconds_f64();
                (self.run.worked_seconds, self.run.works_since) = (Some(worked + more), None);
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    pub(crate) fn forget_steps(&mut self) {
        self.steps = Vec::new();
        self.earlier = Vec::new();
        self.step_seqs = HashMap::new();
        self.steps_known = StepsKnown::Partly;
        self.usage = VecDeque::new();
        self.metrics = HashMap::new();
    }

    pub(crate) fn apply_telemetry(&mut self, event: &Event) {
        if self.run.state.is_ended() {
            return;
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is told is no telemetry")]
        match &event.kind {
            EventKind::ExecutionProgress { progress, current_step, message }
                if event.seq > self.as_of.max(self.progress_as_of) =>
            {
                self.run.progress = *progress;
                self.run.current_step.clone_from(current_step);
                self.run.message.clone_from(message);
                self.progress_as_of = event.seq;
            }
            EventKind::StepProgress { step_id, progress, message } => {
                let seqs = self.step_seqs.entry(step_id.clone()).or_default();
                let step = self.steps.iter_mut().find(|step| step.step_id == *step_id);
                if event.seq > seqs.0.max(seqs.1)
                    && let Some(step) = step
                    && !step.state.is_ended()
                {
                    step.progress = *progress;
                    step.message.clone_from(message);
                    seqs.1 = event.seq;
                }
            }
            EventKind::MetricReported { step_id, metrics } => {
                let known = self.metrics.entry(step_id.clone()).or_default();
                for (name, value) in metrics {
                    if known.len() < MAX_METRICS || known.contains_key(name) {
                        known.insert(name.clone(), *value);
                    }
                }
            }
            _ => {}
        }
    }

    pub(crate) fn push_warning(&mut self, text: &str) {
        if self.warnings.last().is_none_or(|last| last != text) {
            self.warnings.push(text.to_owned());
        }
        let excess = self.warnings.len().saturating_sub(MAX_NOTICES);
        self.warnings.drain(..excess);
    }

    pub(crate) fn push_usage(&mut self, usage: RunUsage) {
        let oldest = usage.at - SAMPLE_SPAN;
        self.usage.push_back(usage);
        while self.usage.len() > MAX_SAMPLES || self.usage.front().is_some_and(|first| first.at < oldest) {
            self.usage.pop_front();
        }
    }

    /// The step and attempt whose log is to be followed: the chosen step; or one that runs (the followed one, if it
    /// does); or one that failed; or the last that began.
    pub(crate) fn step_to_follow(
        &self,
        chosen: Option<&StepId>,
        followed: Option<&StepId>,
    ) -> Option<(StepId, u32)> {
        // A step that waits for its turn or a retry has no log yet. The attempt before may have one.
        let seen =
            |step: &StepSummary| step.attempt - u32::from(step.started_at.is_none() && step.attempt > 0);
        let begun = || self.steps.iter().filter(|step| seen(step) > 0);
        let live = || begun().filter(|step| step.state.is_live());
        let step = begun()
            .find(|step| Some(&step.step_id) == chosen)
            .or_else(|| live().find(|step| Some(&step.step_id) == followed))
            .or_else(|| live().next())
            .or_else(|| begun().find(|step| step.state == StepState::Failed))
            .or_else(|| begun().max_by_key(|step| step.started_at))?;
        Some((step.step_id.clone(), seen(step)))
    }
}
