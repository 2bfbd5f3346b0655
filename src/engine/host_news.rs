//! The step host's events as inputs to runs: news of attempts, and, at each start and whenever the host was replaced,
//! its inventory, which is compared with what is recorded as started.

use std::collections::HashMap;

use super::core::Engine;
use super::launch::LaunchRefusal;
use super::message::PendingInput;
use crate::base::id::AttemptKey;
use crate::run::{EventKind, Found, Input, Run, StepNews};
use crate::supervisor::{HostEvent, HostRequest, Known, KnownStatus, StartSpec, StepHost, silence};

impl Engine {
    /// Turns an event of the host into inputs.
    pub(super) fn translate_host(
        &mut self,
        generation: u64,
        event: HostEvent,
        heard: &mut Vec<PendingInput>,
    ) {
        if generation != self.host.generation() {
            return;
        }
        let Some(event) = self.host.take(event) else { return };
        match event {
            HostEvent::Inventory(known) => {
                self.host.has_said_inventory();
                self.reconcile(known, heard);
            }
            HostEvent::Started { key, pid, at } => {
                self.machine.measure(&key, pid, &self.runs);
                self.hear(&key, StepNews::Started { pid, at }, heard);
            }
            HostEvent::StartFailed { key, reason } => self.hear(&key, StepNews::StartFailed(reason), heard),
            HostEvent::Exited { key, exit } => {
                let exit = self.machine.exit_of(&key, exit);
                self.hear(&key, StepNews::Exited(exit), heard);
            }
            HostEvent::Frozen { key, unfrozen } => self.hear(&key, StepNews::Frozen { unfrozen }, heard),
            HostEvent::Thawed { key } => self.hear(&key, StepNews::Thawed, heard),
            HostEvent::LogTrouble { key, reason, disk_full } => {
                let text = format!("the log of step {} can't be written: {reason}", key.step_id);
                self.tell_all(vec![(Some(key.run_id), EventKind::WarningRaised { text })]);
                if disk_full {
                    self.meet_full_disk();
                }
            }
            HostEvent::Capacity { n_steps } => self.line.set_capacity(n_steps),
            HostEvent::Trouble { reason } => self.tell(EventKind::WarningRaised { text: reason }),
            HostEvent::Silent { pid, is_stopped } => self.meet_silence(pid, is_stopped),
            HostEvent::Answers { .. } => self.end_silence(),
            HostEvent::Gone { reason } => {
                self.end_silence();
                let text = format!("the supervisor has ended ({reason}); looking for its steps");
                self.tell(EventKind::WarningRaised { text });
                self.host.reconnect();
            }
        }
    }

    fn hear(&mut self, key: &AttemptKey, news: StepNews, heard: &mut Vec<PendingInput>) {
        let is_end = matches!(news, StepNews::Exited(_) | StepNews::StartFailed(_));
        match self.runs.step_input(key, news) {
            Some(input) => heard.push(PendingInput::world(key.run_id.clone(), input)),
            None if is_end => self.settle_stranger(key),
            None => {}
        }
    }

    /// A host is connected again, or can't be had at present.
    pub(super) fn host_ready(
        &mut self,
        generation: u64,
        host: anyhow::Result<Box<dyn StepHost>>,
        heard: &mut Vec<PendingInput>,
    ) {
        match self.host.settle(generation, host) {
            Ok(early) => {
                for event in early {
                    self.translate_host(generation, event, heard);
                }
            }
            Err(error) => {
                let text = format!("steps can't be run at the moment: {error:#}");
                self.tell(EventKind::ResourceAlert { text, cleared: false });
            }
        }
    }

    /// Handles the result of a start that took time.
    pub(super) fn translate_spec(
        &mut self,
        key: AttemptKey,
        ticket: u64,
        spec: Result<Box<StartSpec>, LaunchRefusal>,
        heard: &mut Vec<PendingInput>,
    ) {
        if !self.acting.settle(&key, ticket) {
            return;
        }
        let (Some(run), Some((_, step))) = (self.runs.get(&key.run_id), self.runs.find_step(&key)) else {
            return;
        };
        // If it was frozen meanwhile, the start is wanted later.
        let is_wanted = step.attempt == key.attempt && step.state().is_live() && step.pid.is_none();
        let is_held = run.phase.freeze().is_some() || step.phase.ending().is_some();
        let news = match spec {
            _ if !is_wanted => return,
            Ok(_) if is_held => StepNews::NotSent,
            Err(LaunchRefusal::Cancelled) => StepNews::NotSent,
            Ok(spec) => {
                self.request(HostRequest::Start(spec));
                return;
            }
            Err(LaunchRefusal::SecretMissing(reason)) => StepNews::SecretMissing(reason),
            Err(LaunchRefusal::Impossible(reason)) => StepNews::StartFailed(reason),
        };
        if let Some(input) = self.runs.step_input(&key, news) {
            heard.push(PendingInput::world(key.run_id, input));
        }
    }
}

/// Reconciling the inventory.
impl Engine {
    /// Compares the host's inventory with what is recorded as started.
    fn reconcile(&mut self, known: Vec<Known>, heard: &mut Vec<PendingInput>) {
        let mut known: HashMap<_, _> = known.into_iter().map(|known| (known.key, known.status)).collect();
        for run in self.runs.iter().filter(|run| run.definition().is_some()) {
            let mut found = Vec::with_capacity(run.steps.len());
            for (index, step) in run.steps.iter().enumerate() {
                if !step.state().is_live() && !step.phase.is_prepared() {
                    found.push(Found::NotAsked);
                    continue;
                }
                let key = run.attempt_key(index);
                let status = known.remove(&key);
                if status.is_some() {
                    self.reports.begin(&key, step.ledger.report_offset);
                }
                found.push(status.map_or(Found::Nothing, |status| self.found(&key, status)));
            }
            heard.push(PendingInput::world(run.id.clone(), Input::Recover(found)));
        }
        for (key, status) in known {
            self.settle_leftover(&key, &status);
        }
    }

    fn found(&self, key: &AttemptKey, status: KnownStatus) -> Found {
        match status {
            KnownStatus::Running { pid: 0, .. } => Found::Ending,
            KnownStatus::Running { pid, started_at, frozen } => {
                self.machine.measure(key, pid, &self.runs);
                Found::Running { pid, started_at, frozen }
            }
            KnownStatus::StartFailed(reason) => Found::StartFailed(reason),
            KnownStatus::Exited(exit) => Found::Exited(self.machine.exit_of(key, exit)),
        }
    }

    /// Settles an attempt that the host knows and no living step needs.
    fn settle_leftover(&mut self, key: &AttemptKey, status: &KnownStatus) {
        let is_held_here = self.runs.contains(&key.run_id);
        match status {
            KnownStatus::Exited(_) | KnownStatus::StartFailed(_) if is_held_here => {
                self.request(HostRequest::Acknowledge(key.clone()));
            }
            KnownStatus::Exited(_) | KnownStatus::StartFailed(_) => self.settle_stranger(key),
            // Recorded as ended but alive, because its end was recorded by force: kill it.
            KnownStatus::Running { .. } if is_held_here => self.request(HostRequest::Kill(key.clone())),
            // Its run belongs to another engine's scope or to a lost database: leave it alone.
            KnownStatus::Running { .. } => {}
        }
    }

    /// Settles the end of an attempt whose run does not live here. If the run has ended on disk, or does not exist (its
    /// database is lost), the host may forget the attempt.
    fn settle_stranger(&mut self, key: &AttemptKey) {
        let is_settled = match self.publisher.store().load_summary(&key.run_id) {
            Ok(run) => run.is_none_or(|run| run.state.is_ended()),
            Err(_) => false,
        };
        if is_settled {
            self.request(HostRequest::Acknowledge(key.clone()));
        }
    }
}

/// A host that is connected but does not answer: alerted once. Until it answers again, requests to pause, resume or
/// stop are refused.
impl Engine {
    /// The host has not answered in time.
    fn meet_silence(&mut self, pid: u32, is_stopped: bool) {
        let text = silence(pid, is_stopped);
        self.end_silence();
        self.host.set_silence(Some(text.clone()));
        // A client that follows one run gets only events about that run.
        let concerned = self.runs.ids_of(Run::has_living_steps).into_iter();
        let warnings =
            concerned.map(|run_id| (Some(run_id), EventKind::WarningRaised { text: text.clone() }));
        let alert = (None, EventKind::ResourceAlert { text: text.clone(), cleared: false });
        self.tell_all([alert].into_iter().chain(warnings).collect());
    }

    /// The host answers again, or is gone.
    fn end_silence(&mut self) {
        if let Some(text) = self.host.set_silence(None) {
            self.tell(EventKind::ResourceAlert { text, cleared: true });
        }
    }
}
