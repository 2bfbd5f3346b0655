//! Applying updates: what is older than the known values is ignored, what is missing is requested, what is too much is
//! dropped.

use std::sync::Arc;

use super::entry::{RunEntry, StepsKnown};
use super::{
    AppStore, FollowedLog, MAX_LOG_BYTES, MAX_LOG_LINES, MAX_NOTICES, MAX_RECENT, MAX_STEPFUL, Notice,
};
use crate::admission::Orders;
use crate::base::id::{AttemptKey, RunId};
use crate::run::{Decision, Event, EventKind, RunState, RunSummary, StepSummary};
use crate::window::machine_history::AlertMark;
use crate::window::port::{Action, LogTail};

impl AppStore {
    pub(crate) fn apply_event(&mut self, event: &Event) {
        if matches!(event.kind, EventKind::Resync) {
            self.request(Action::Refresh);
            self.touch_jobs(None);
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
        self.facts.touch(event.run_id.as_ref());
        match &event.kind {
            EventKind::RecoveryDecided { .. } => self.away.touch(),
            EventKind::ResourceAlert { text, cleared } => {
                let (at, is_cleared) = (event.at, *cleared);
                self.machine.put_marks([AlertMark { at, text: text.clone(), is_cleared }]);
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
            | EventKind::StepStarted { .. }
            | EventKind::StepChanged { .. }
            | EventKind::StepFinished { .. } => self.apply_change(event),
            EventKind::ExecutionInterrupted { .. } => {
                self.away.touch();
                self.apply_change(event);
            }
            EventKind::CheckpointSaved { .. }
            | EventKind::ExecutionProgress { .. }
            | EventKind::StepProgress { .. }
            | EventKind::MetricReported { .. }
            | EventKind::Resync => {}
            EventKind::OrdersChanged { orders } => self.put_orders(**orders, event.seq),
            EventKind::JobSkipped { job_id, .. } => {
                // Also an instant that was missed before: the scheduler settles those after its start.
                self.away.touch();
                self.touch_jobs(Some(job_id));
            }
            EventKind::JobFired { job_id, .. } | EventKind::JobChanged { job_id } => {
                self.touch_jobs(Some(job_id))
            }
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
            entry.keep_clock(step.finished_at.unwrap_or(event.at));
        }
        if let Some(run_id) = &event.run_id {
            self.load_if_needed(run_id);
        }
    }

    pub(crate) fn apply_snapshot(
        &mut self,
        runs: Vec<(RunSummary, Vec<StepSummary>)>,
        orders: Orders,
        seq: u64,
    ) {
        self.put_orders(orders, seq);
        self.covered_seq = self.covered_seq.max(seq);
        self.is_loaded = true;
        let known: Vec<RunId> = self.living.clone();
        for run_id in known {
            let is_gone = !runs.iter().any(|(run, _)| run.run_id == run_id);
            if is_gone && self.runs[&run_id].as_of <= seq {
                // It ended while events were lost. The runs read from disk will say how.
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

    pub(crate) fn apply_recent(&mut self, runs: Vec<RunSummary>) {
        for run in runs {
            // Living runs are known by events; the disk is asked only for ended ones.
            let is_alive = self.runs.get(&run.run_id).is_some_and(|entry| !entry.run.state.is_ended());
            if run.state.is_ended() && !is_alive {
                let run_id = run.run_id.clone();
                match self.runs.get_mut(&run_id) {
                    Some(entry) => entry.put_end(&run),
                    None => self.put_run(&run, 0),
                }
                self.place(&run_id);
            }
        }
    }

    pub(crate) fn apply_detail(
        &mut self,
        run: RunSummary,
        steps: Vec<StepSummary>,
        decided: Vec<Decision>,
        seq: u64,
    ) {
        let run_id = run.run_id.clone();
        self.put_run(&run, seq);
        if let Some(entry) = self.runs.get_mut(&run_id) {
            entry.set_steps(&steps, seq);
            entry.decisions = decided;
            entry.is_loading = false;
        }
        self.place(&run_id);
    }

    fn put_orders(&mut self, orders: Orders, seq: u64) {
        if seq >= self.orders_as_of {
            (self.orders, self.orders_as_of) = (orders, seq);
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

    /// Moves a run whose state may have changed to its place in the lists.
    fn place(&mut self, run_id: &RunId) {
        let Some(entry) = self.runs.get(run_id) else { return };
        let (is_ended, started_at, ended_at) =
            (entry.run.state.is_ended(), entry.run.started_at, entry.ended_at());
        self.history.put_run(&entry.run);
        if is_ended {
            if self.living.contains(run_id) {
                self.history.put_ended(&entry.run);
                self.estimates.touch(&entry.run.pipeline_id);
                self.pipelines.touch(Some(&entry.run.pipeline_id));
                self.agenda.touch();
            }
            self.living.retain(|id| id != run_id);
            let n_known = self.recent.len();
            self.recent.retain(|id| id != run_id);
            self.ended.is_old |= self.recent.len() == n_known;
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
            self.ended.is_old = true;
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

    /// Runs were deleted, or some of them. Those that stay come back with the next reading.
    pub(crate) fn forget_deleted(&mut self, run_ids: &[RunId]) {
        for run_id in run_ids {
            if self.living.contains(run_id) {
                continue;
            }
            self.recent.retain(|id| id != run_id);
            self.runs.remove(run_id);
            if self.selected.as_ref() == Some(run_id) {
                self.select_run(None);
            }
        }
        self.ended.is_old = true;
        self.refresh_runs();
        self.pipelines.touch(None);
    }

    pub(crate) fn retire_steps(&mut self) {
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

    /// Asks for the steps of a run that runs or is selected, if they are not known.
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

    /// Sets [`Self::log`] to the attempt that is to be followed, and asks for it if it changes.
    pub(crate) fn follow_log(&mut self) {
        let Some(entry) = self.selected.as_ref().and_then(|id| self.runs.get(id)) else {
            self.log = None;
            return;
        };
        let followed = self.log.as_ref().map(|log| &log.key.step_id);
        let wanted = entry.step_to_follow(self.chosen_step.as_ref(), followed);
        let Some((step_id, attempt)) = wanted else { return };
        let key = AttemptKey { run_id: entry.run.run_id.clone(), step_id, attempt };
        if self.log.as_ref().is_none_or(|log| log.key != key) {
            self.requests.retain(|request| !matches!(request, Action::SelectStep(_)));
            self.requests.push(Action::SelectStep(key.clone()));
            self.log = Some(FollowedLog { key, tail: None });
        }
    }
}

pub(crate) fn push_notice(notices: &mut Vec<Notice>, notice: Notice) {
    notices.retain(|known| *known != notice);
    notices.push(notice);
    let excess = notices.len().saturating_sub(MAX_NOTICES);
    notices.drain(..excess);
}

/// The tail within the store's limits.
pub(crate) fn bounded_tail(tail: Arc<LogTail>) -> Arc<LogTail> {
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
