//! Act: turns the effects of decisions into requests to the step host and into signals. Never waits.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::core::Engine;
use super::launch::{LaunchEnv, LaunchJob};
use super::launcher::Launcher;
use super::message::Message;
use super::options::HostChoice;
use crate::base::id::{AttemptKey, RunId};
use crate::logs::ReportFollower;
use crate::monitor::Shortage;
use crate::run::{Effect, Run};
use crate::store::DataDir;
use crate::supervisor::{Cancel, Guard, HostEvent, HostRequest};

/// What acting needs besides the host.
pub(super) struct Acting {
    /// Makes tokens unique over data directories and epochs.
    pub(super) salt: String,
    pub(super) reports: ReportFollower,
    launch_env: Arc<LaunchEnv>,
    pub(super) launcher: Launcher,
    pub(super) shortage: Shortage,
    /// Of starts that take no time.
    never: Cancel,
    /// What the effects at hand ask of the host.
    requests: Vec<HostRequest>,
    /// Runs whose folders are there and whose reports are followed.
    followed: HashSet<RunId>,
}

impl Acting {
    pub(super) fn new(
        data_dir: &DataDir,
        env: BTreeMap<String, String>,
        host: &HostChoice,
        sender: Sender<Message>,
    ) -> io::Result<Self> {
        let guard = match host {
            HostChoice::Supervisor => Guard::this_program(),
            HostChoice::SupervisorProgram(program) => Some(Guard::program(program)),
            HostChoice::Custom(_) => None,
        };
        let launch_env = Arc::new(LaunchEnv::new(data_dir.clone(), env, guard));
        let report_sender = sender.clone();
        let reports = ReportFollower::new(data_dir.path(), move |batch| {
            // If the engine is gone, the report is read again by the next one.
            let _ = report_sender.send(Message::Report(Box::new(batch)));
        })?;
        let launcher = Launcher::new(sender);
        let salt = launch_env.salt();
        let (never, requests, followed) = (Cancel::new()?, Vec::new(), HashSet::new());
        let shortage = Shortage::watch();
        Ok(Self { salt, reports, launch_env, launcher, shortage, never, requests, followed })
    }

    /// Makes the folders of a run and follows its reports.
    pub(super) fn follow(&mut self, run_id: &RunId) -> io::Result<()> {
        if !self.followed.contains(run_id) {
            self.launch_env.make_run_files(run_id)?;
            self.reports.follow(run_id)?;
            self.followed.insert(run_id.clone());
        }
        Ok(())
    }

    /// The run has ended: its reports need no following.
    pub(super) fn forget(&mut self, run_id: &RunId) {
        if self.followed.remove(run_id) {
            self.reports.unfollow(run_id);
        }
    }
}

impl Engine {
    /// Carries out one effect of a decision about `run`; what it asks of the host goes out with
    /// [`send_requests`](Self::send_requests).
    pub(super) fn act(&mut self, run: &Arc<Run>, effect: Effect) {
        match effect {
            Effect::Start { index, may_be_alive } => self.start(run, index, may_be_alive),
            Effect::Freeze(index) => {
                let key = key(run, index);
                self.act_on(&key, HostRequest::Freeze(key.clone()));
            }
            Effect::Thaw(index) => self.acting.requests.push(HostRequest::Thaw(key(run, index))),
            Effect::Kill(index) => {
                let key = key(run, index);
                self.act_on(&key, HostRequest::Kill(key.clone()));
            }
            Effect::Stop(index) => {
                let Some(step) = run.definition().map(|d| &d.pipeline.steps[index]) else { return };
                let (signal, grace) = (step.stop_signal, step.grace);
                let key = key(run, index);
                self.act_on(&key, HostRequest::Stop { key: key.clone(), signal, grace });
            }
            Effect::Acknowledge { index, attempt } => {
                self.acting
                    .requests
                    .push(HostRequest::Acknowledge(AttemptKey { attempt, ..key(run, index) }));
            }
            // Signals are set by the caller of this function, which holds them.
            Effect::PauseSignal(_) | Effect::StopSignal(_) => {}
        }
    }

    /// Freezes or ends a step. One whose start is still being made is not known to the host, and is not started.
    fn act_on(&mut self, key: &AttemptKey, request: HostRequest) {
        if !self.acting.launcher.cancel(key) {
            self.acting.requests.push(request);
        }
    }

    /// Sends what the effects of a batch ask of the host, together: the supervisor wakes once. Acknowledgements come last,
    /// for nobody waits for them; the rest keeps its order.
    pub(super) fn send_requests(&mut self) {
        let mut requests = std::mem::take(&mut self.acting.requests);
        requests.sort_by_key(|request| matches!(request, HostRequest::Acknowledge(_)));
        if let (false, Some(host)) = (requests.is_empty(), self.host.connected()) {
            host.send_all(requests);
        }
    }

    /// Sends a request, if there is a host. Without one, the next inventory leads to the same request.
    pub(super) fn request(&mut self, request: HostRequest) {
        if let Some(host) = self.host.connected() {
            host.send(request);
        }
    }

    fn start(&mut self, run: &Arc<Run>, index: usize, may_be_alive: bool) {
        let key = key(run, index);
        let followed = self.acting.follow(&run.id);
        self.acting.reports.begin(&key, run.steps[index].ledger.report_offset);
        let store = self.published.store.clone();
        let (launch_env, cancel) = (self.acting.launch_env.clone(), self.acting.never.clone());
        let mut job = LaunchJob { run: run.clone(), index, may_be_alive, launch_env, store, cancel };
        let spec = followed.map_err(|e| e.to_string()).and_then(|()| {
            if job.needs_time() {
                job.cancel = Cancel::new().map_err(|e| e.to_string())?;
                self.acting.launcher.launch(job);
                return Ok(None);
            }
            job.build().map(Some).map_err(|refusal| refusal.to_string())
        });
        match spec {
            Ok(Some(spec)) => self.acting.requests.push(HostRequest::Start(Box::new(spec))),
            Ok(None) => {}
            Err(reason) => {
                let event = HostEvent::StartFailed { key, reason };
                // The engine holds the other end itself.
                let _ = self.sender.send(Message::Host(self.host.generation(), event));
            }
        }
    }
}

/// The name of the current attempt of a step.
pub(super) fn key(run: &Run, index: usize) -> AttemptKey {
    let step = &run.steps[index];
    AttemptKey { run_id: run.id.clone(), step_id: step.id.clone(), attempt: step.attempt }
}
