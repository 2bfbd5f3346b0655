//! [`AppStore`], the read model: what the window paints from, made of events and of answers to
//! queries. It knows no engine, no disk and no clock, and decides nothing about any run.
//!
//! Whatever arrives carries whole new values, so that applying is replacing. What is older than what
//! is already known is recognised by its `seq` and left out: a snapshot or a detail may overtake
//! events, and telemetry, of which only the newest is kept on its way, may overtake facts.
//!
//! Everything is bounded: [`MAX_RECENT`] ended runs, steps of the newest [`MAX_STEPFUL`] of them, ten
//! minutes of samples, one log tail of [`MAX_LOG_LINES`] lines, [`MAX_NOTICES`] notices of each kind.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Action, AppUpdate, LogTail, MachineSample, PipelineEntry};
use crate::id::{RunId, StepId};
use crate::run::{Decision, Event, EventKind, RunState, RunSummary, StepSummary};
pub use entry::{RunEntry, StepsKnown};

/// Ended runs that are kept.
pub const MAX_RECENT: usize = 500;
/// Ended runs whose steps are kept.
pub const MAX_STEPFUL: usize = 16;
/// Lines of the log that are kept.
pub const MAX_LOG_LINES: usize = 2000;
/// Bytes of the log that are kept.
pub const MAX_LOG_BYTES: usize = 256 * 1024;
/// Notices of each kind that are kept.
pub const MAX_NOTICES: usize = 50;
/// How far back samples are kept.
pub const SAMPLE_SPAN: TimeDelta = TimeDelta::minutes(10);
/// Samples that are kept at most, however fast they come.
pub const MAX_SAMPLES: usize = 1200;

/// One sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about, such as the action that failed.
    pub about: String,
    /// What is the matter and what to do.
    pub text: String,
}

/// The log that is looked at.
#[derive(Debug, Clone)]
pub struct FollowedLog {
    /// Which step.
    pub step_id: StepId,
    /// Which attempt.
    pub attempt: u32,
    /// Its newest lines; none until they have arrived.
    pub tail: Option<Arc<LogTail>>,
}

/// The read model.
#[derive(Debug, Default)]
pub struct AppStore {
    runs: HashMap<RunId, RunEntry>,
    living: Vec<RunId>,
    recent: Vec<RunId>,
    covered_seq: u64,
    last_fact_seq: u64,
    is_loaded: bool,
    machine: VecDeque<MachineSample>,
    pipelines: Option<Vec<PipelineEntry>>,
    selected: Option<RunId>,
    chosen_step: Option<StepId>,
    log: Option<FollowedLog>,
    alerts: Vec<Notice>,
    failures: Vec<Notice>,
    decisions: Vec<Decision>,
    is_ready_to_close: bool,
    requests: Vec<Action>,
}

impl AppStore {
    /// Takes in one update.
    pub fn apply(&mut self, update: AppUpdate) {
        match update {
            AppUpdate::Event(event) => self.apply_event(&event),
            AppUpdate::Snapshot { runs, seq } => self.apply_snapshot(runs, seq),
            AppUpdate::RecentRuns(runs) => self.apply_recent(runs),
            AppUpdate::RunDetail { run, steps, decisions, seq } => {
                self.apply_detail(run, steps, decisions, seq);
            }
            AppUpdate::LogTail { run_id, step_id, attempt, tail } => {
                if self.selected.as_ref() == Some(&run_id)
                    && let Some(log) = &mut self.log
                    && log.step_id == step_id
                    && log.attempt == attempt
                {
                    log.tail = Some(bounded_tail(tail));
                }
            }
            AppUpdate::Pipelines(pipelines) => self.pipelines = Some(pipelines),
            AppUpdate::Machine(sample) => self.apply_sample(sample),
            AppUpdate::Usage(usages) => {
                for usage in usages {
                    if let Some(entry) = self.runs.get_mut(&usage.run_id) {
                        entry.push_usage(usage);
                    }
                }
            }
            AppUpdate::Failure { action, message } => {
                self.push_failure(action, message);
            }
            AppUpdate::ReadyToClose => self.is_ready_to_close = true,
        }
        self.follow_log();
    }

    /// Tells the operator that something could not be done.
    pub fn push_failure(&mut self, about: impl Into<String>, text: impl Into<String>) {
        push_notice(&mut self.failures, Notice { about: about.into(), text: text.into() });
    }

    /// Forgets one of [`Self::failures`].
    pub fn dismiss_failure(&mut self, index: usize) {
        if index < self.failures.len() {
            self.failures.remove(index);
        }
    }

    /// Forgets [`Self::decisions`]: they have been read.
    pub fn dismiss_decisions(&mut self) {
        self.decisions.clear();
    }

    /// Looks at a run from now on, or at none.
    pub fn select_run(&mut self, run_id: Option<RunId>) {
        if self.selected == run_id {
            return;
        }
        self.chosen_step = None;
        self.log = None;
        self.requests.push(Action::SelectRun(run_id.clone()));
        self.selected = run_id;
        self.retire_steps();
        self.follow_log();
    }

    /// Follows the log of this step of the selected run; none: of the one that runs.
    pub fn choose_step(&mut self, step_id: Option<StepId>) {
        self.chosen_step = step_id;
        self.follow_log();
    }

    /// What the store needs from the world; each is named once.
    pub fn take_requests(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.requests)
    }

    /// Runs that have not ended, the oldest first: a row keeps its place while it lives.
    pub fn living(&self) -> impl ExactSizeIterator<Item = &RunEntry> + DoubleEndedIterator {
        self.living.iter().map(|id| &self.runs[id])
    }

    /// Runs that have ended, the latest end first.
    pub fn recent(&self) -> impl ExactSizeIterator<Item = &RunEntry> + DoubleEndedIterator {
        self.recent.iter().map(|id| &self.runs[id])
    }

    /// The `index`-th of [`Self::recent`].
    pub fn recent_at(&self, index: usize) -> Option<&RunEntry> {
        self.recent.get(index).map(|id| &self.runs[id])
    }

    /// One run.
    pub fn run(&self, run_id: &RunId) -> Option<&RunEntry> {
        self.runs.get(run_id)
    }

    /// The run that is looked at.
    pub fn selected(&self) -> Option<&RunEntry> {
        self.selected.as_ref().and_then(|id| self.runs.get(id))
    }

    /// The log that is looked at: of the chosen step, else of the one that runs.
    pub fn log(&self) -> Option<&FollowedLog> {
        self.log.as_ref()
    }

    /// The step that the operator chose, if it was one.
    pub fn chosen_step(&self) -> Option<&StepId> {
        self.chosen_step.as_ref()
    }

    /// Whether the first snapshot has arrived.
    pub fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// Samples of the machine, the oldest first.
    pub fn machine(&self) -> &VecDeque<MachineSample> {
        &self.machine
    }

    /// All pipelines; none until they have arrived.
    pub fn pipelines(&self) -> Option<&[PipelineEntry]> {
        self.pipelines.as_deref()
    }

    /// What the machine is short of.
    pub fn alerts(&self) -> &[Notice] {
        &self.alerts
    }

    /// What could not be done, the oldest first.
    pub fn failures(&self) -> &[Notice] {
        &self.failures
    }

    /// What recovery decided at this start.
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// Whether the window may go.
    pub fn is_ready_to_close(&self) -> bool {
        self.is_ready_to_close
    }

    fn apply_event(&mut self, event: &Event) {
        if matches!(event.kind, EventKind::Resync) {
            self.request(Action::Refresh);
            return;
        }
        if event.kind.is_telemetry() {
            if event.seq > self.covered_seq
                && let Some(entry) = event.run_id.as_ref().and_then(|id| self.runs.get_mut(id))
            {
                entry.apply_telemetry(event);
            }
            return;
        }
        if event.seq <= self.last_fact_seq {
            return;
        }
        self.last_fact_seq = event.seq;
        match &event.kind {
            EventKind::RecoveryDecided { decisions } => {
                self.decisions.extend(decisions.iter().cloned());
                let excess = self.decisions.len().saturating_sub(MAX_RECENT);
                self.decisions.drain(..excess);
            }
            EventKind::ResourceAlert { text, cleared } => {
                let about = event.run_id.as_ref().map_or_else(String::new, RunId::to_string);
                self.alerts.retain(|alert| alert.about != about || alert.text != *text);
                if !cleared {
                    push_notice(&mut self.alerts, Notice { about, text: text.clone() });
                }
            }
            EventKind::WarningRaised { text } => {
                match event.run_id.as_ref().and_then(|id| self.runs.get_mut(id)) {
                    Some(entry) => entry.push_warning(text),
                    None => self.push_failure("warning", text.clone()),
                }
            }
            EventKind::ExecutionStarted { .. }
            | EventKind::ExecutionQueued { .. }
            | EventKind::ExecutionRunning { .. }
            | EventKind::ExecutionPaused { .. }
            | EventKind::ExecutionResumed { .. }
            | EventKind::ExecutionStopping { .. }
            | EventKind::ExecutionStopped { .. }
            | EventKind::ExecutionCompleted { .. }
            | EventKind::ExecutionFailed { .. }
            | EventKind::ExecutionForceStopped { .. }
            | EventKind::ExecutionInterrupted { .. }
            | EventKind::StepStarted { .. }
            | EventKind::StepChanged { .. }
            | EventKind::StepFinished { .. } => self.apply_change(event),
            EventKind::CheckpointSaved { .. }
            | EventKind::ExecutionProgress { .. }
            | EventKind::StepProgress { .. }
            | EventKind::MetricReported { .. }
            | EventKind::Resync => {}
        }
    }

    fn apply_change(&mut self, event: &Event) {
        if event.seq <= self.covered_seq {
            return;
        }
        if let Some(run) = event.kind.run() {
            self.put_run(run, event.seq);
            if let EventKind::ExecutionStarted { steps, .. } = &event.kind
                && let Some(entry) = self.runs.get_mut(&run.run_id)
            {
                entry.set_steps(steps, event.seq);
            }
            if let EventKind::ExecutionPaused { unfrozen, .. } = &event.kind
                && !unfrozen.is_empty()
                && let Some(entry) = self.runs.get_mut(&run.run_id)
            {
                entry.push_warning(&format!("Could not be frozen: {}", unfrozen.join(", ")));
            }
            self.place(&run.run_id);
        }
        if let Some(step) = event.kind.step()
            && let Some(entry) = event.run_id.as_ref().and_then(|id| self.runs.get_mut(id))
        {
            entry.put_step(step, event.seq);
        }
        if let Some(run_id) = &event.run_id {
            self.load_if_needed(run_id);
        }
    }

    fn apply_snapshot(&mut self, runs: Vec<(RunSummary, Vec<StepSummary>)>, seq: u64) {
        self.covered_seq = self.covered_seq.max(seq);
        self.is_loaded = true;
        let known: Vec<RunId> = self.living.clone();
        for run_id in known {
            let is_gone = !runs.iter().any(|(run, _)| run.run_id == run_id);
            if is_gone && self.runs[&run_id].as_of <= seq {
                // It has ended while events were lost; how, the runs read from disk will say.
                self.runs.remove(&run_id);
                self.living.retain(|id| *id != run_id);
            }
        }
        for (run, steps) in runs {
            let run_id = run.run_id.clone();
            self.put_run(&run, seq);
            if let Some(entry) = self.runs.get_mut(&run_id) {
                entry.set_steps(&steps, seq);
            }
            self.place(&run_id);
        }
    }

    fn apply_recent(&mut self, runs: Vec<RunSummary>) {
        for run in runs {
            // What lives is told by events; the disk is only asked for what has ended.
            let is_alive = self.runs.get(&run.run_id).is_some_and(|entry| !entry.run.state.is_ended());
            if run.state.is_ended() && !is_alive {
                let run_id = run.run_id.clone();
                self.put_run(&run, 0);
                self.place(&run_id);
            }
        }
    }

    fn apply_detail(&mut self, run: RunSummary, steps: Vec<StepSummary>, decided: Vec<Decision>, seq: u64) {
        let run_id = run.run_id.clone();
        self.put_run(&run, seq);
        if let Some(entry) = self.runs.get_mut(&run_id) {
            entry.set_steps(&steps, seq);
            entry.decisions = decided;
            entry.is_loading = false;
        }
        self.place(&run_id);
    }

    fn apply_sample(&mut self, sample: MachineSample) {
        let is_newer = self.machine.back().is_none_or(|last| last.at < sample.at);
        if !is_newer {
            // The clock was set back: a curve that runs backwards would say nothing.
            self.machine.clear();
        }
        self.machine.push_back(sample);
        while self.machine.len() > MAX_SAMPLES
            || self.machine.front().is_some_and(|first| first.at < sample.at - SAMPLE_SPAN)
        {
            self.machine.pop_front();
        }
    }

    fn put_run(&mut self, run: &RunSummary, seq: u64) {
        match self.runs.get_mut(&run.run_id) {
            Some(entry) => entry.put_run(run, seq),
            None => {
                self.runs.insert(run.run_id.clone(), RunEntry::new(run.clone(), seq));
            }
        }
    }

    /// Puts a run whose state may have changed where it belongs.
    fn place(&mut self, run_id: &RunId) {
        let Some(entry) = self.runs.get(run_id) else { return };
        let (is_ended, started_at, ended_at) =
            (entry.run.state.is_ended(), entry.run.started_at, entry.ended_at());
        if is_ended {
            self.living.retain(|id| id != run_id);
            self.recent.retain(|id| id != run_id);
            let runs = &self.runs;
            let at = self.recent.partition_point(|id| {
                let other = runs[id].ended_at();
                other > ended_at || (other == ended_at && id > run_id)
            });
            self.recent.insert(at, run_id.clone());
            self.forget_oldest();
            self.retire_steps();
        } else if !self.living.contains(run_id) {
            self.recent.retain(|id| id != run_id);
            let runs = &self.runs;
            let at = self.living.partition_point(|id| {
                let other = runs[id].run.started_at;
                other < started_at || (other == started_at && id < run_id)
            });
            self.living.insert(at, run_id.clone());
        }
    }

    fn forget_oldest(&mut self) {
        while self.recent.len() > MAX_RECENT {
            let selected = self.selected.as_ref();
            let Some(at) = self.recent.iter().rposition(|id| Some(id) != selected) else { return };
            let run_id = self.recent.remove(at);
            self.runs.remove(&run_id);
        }
    }

    fn retire_steps(&mut self) {
        for run_id in self.recent.iter().skip(MAX_STEPFUL) {
            if self.selected.as_ref() != Some(run_id)
                && let Some(entry) = self.runs.get_mut(run_id)
            {
                entry.forget_steps();
            }
        }
        if let Some(run_id) = self.selected.clone() {
            self.load_if_needed(&run_id);
        }
    }

    /// Asks for the steps of a run that lives or is looked at, if they are not known.
    fn load_if_needed(&mut self, run_id: &RunId) {
        let is_selected = self.selected.as_ref() == Some(run_id);
        if let Some(entry) = self.runs.get_mut(run_id)
            && entry.steps_known() != StepsKnown::Whole
            && !entry.is_loading
            && (is_selected || entry.run.state == RunState::Running)
        {
            entry.is_loading = true;
            self.request(Action::LoadRun(run_id.clone()));
        }
    }

    fn request(&mut self, action: Action) {
        if !self.requests.contains(&action) {
            self.requests.push(action);
        }
    }

    /// Keeps [`Self::log`] at the attempt that is to be looked at, and asks for it when that changes.
    fn follow_log(&mut self) {
        let Some(entry) = self.selected.as_ref().and_then(|id| self.runs.get(id)) else {
            self.log = None;
            return;
        };
        let followed = self.log.as_ref().map(|log| &log.step_id);
        let wanted = entry.step_to_follow(self.chosen_step.as_ref(), followed);
        let Some((step_id, attempt)) = wanted else { return };
        if self.log.as_ref().is_none_or(|log| log.step_id != step_id || log.attempt != attempt) {
            let run_id = entry.run.run_id.clone();
            self.requests.retain(|request| !matches!(request, Action::SelectStep { .. }));
            self.requests.push(Action::SelectStep { run_id, step_id: step_id.clone(), attempt });
            self.log = Some(FollowedLog { step_id, attempt, tail: None });
        }
    }

    /// How long nothing on the screen changes by itself at `now`; none: until an update arrives.
    pub fn next_tick(&self, now: DateTime<Utc>) -> Option<std::time::Duration> {
        self.living().map(|entry| entry.next_tick(now)).min()
    }
}

fn push_notice(notices: &mut Vec<Notice>, notice: Notice) {
    notices.retain(|known| *known != notice);
    notices.push(notice);
    let excess = notices.len().saturating_sub(MAX_NOTICES);
    notices.drain(..excess);
}

/// The tail within the store's limits, whatever was sent.
fn bounded_tail(tail: Arc<LogTail>) -> Arc<LogTail> {
    let mut bytes = 0;
    let n_kept = tail
        .lines
        .iter()
        .rev()
        .take(MAX_LOG_LINES)
        .take_while(|line| {
            bytes += line.len() + 1;
            bytes <= MAX_LOG_BYTES
        })
        .count();
    if n_kept == tail.lines.len() {
        return tail;
    }
    Arc::new(LogTail {
        lines: tail.lines[tail.lines.len() - n_kept..].to_vec(),
        truncated_front: true,
        ..*tail
    })
}
