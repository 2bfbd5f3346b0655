//! Act: turns the effects of decisions into requests to the step host. Never waits.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::launch::{LaunchEnv, LaunchJob};
use super::launcher::Launcher;
use super::message::Message;
use super::options::HostChoice;
use super::reports::Reports;
use crate::base::id::AttemptKey;
use crate::run::{Effect, Run};
use crate::store::{CheckpointManager, DataDir};
use crate::supervisor::{Cancel, Guard, HostEvent, HostRequest};

pub(super) struct Acting {
    /// Makes tokens unique across data directories and epochs.
    salt: String,
    launch_env: Arc<LaunchEnv>,
    launcher: Launcher,
    /// From here a start reads the checkpoint that its step continues from.
    store: CheckpointManager,
    /// For starts that take no time.
    never: Cancel,
    /// The requests of the present effects.
    requests: Vec<HostRequest>,
}

impl Acting {
    /// Results of starts that take time go to `sender`.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub(super) fn new(
        data_dir: &DataDir,
        store: CheckpointManager,
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
        let salt = launch_env.salt();
        let (launcher, never) = (Launcher::new(sender), Cancel::new()?);
        Ok(Self { salt, launch_env, launcher, store, never, requests: Vec::new() })
    }

    pub(super) fn salt(&self) -> &str {
        &self.salt
    }

    pub(super) fn launch_env(&self) -> &LaunchEnv {
        &self.launch_env
    }

    /// Carries out one effect of a decision about `run`. Its requests to the host are sent with
    /// [`take_requests`](Self::take_requests). Returns an event for a start that could not even be requested, to be
    /// handled as if the host had sent it.
    pub(super) fn act(&mut self, run: &Arc<Run>, effect: Effect, reports: &mut Reports) -> Option<HostEvent> {
        match effect {
            Effect::Start { index, may_be_alive } => return self.start(run, index, may_be_alive, reports),
            Effect::Freeze(index) => {
                let key = run.attempt_key(index);
                self.act_on(&key, HostRequest::Freeze(key.clone()));
            }
            Effect::Thaw(index) => self.requests.push(HostRequest::Thaw(run.attempt_key(index))),
            Effect::Kill(index) => {
                let key = run.attempt_key(index);
                self.act_on(&key, HostRequest::Kill(key.clone()));
            }
            Effect::Stop(index) => {
                let step = run.definition().map(|definition| &definition.pipeline.steps[index])?;
                let (signal, grace) = (step.stop_signal, step.grace);
                let key = run.attempt_key(index);
                self.act_on(&key, HostRequest::Stop { key: key.clone(), signal, grace });
            }
            Effect::Acknowledge { index, attempt } => {
                let key = AttemptKey { attempt, ..run.attempt_key(index) };
                self.requests.push(HostRequest::Acknowledge(key));
            }
            // The caller of this function holds the signals and sets them.
            Effect::PauseSignal(_) | Effect::StopSignal(_) => {}
        }
        None
    }

    /// The requests so far, to be sent together, so that the supervisor wakes once. Acknowledgements come last, because
    /// no caller waits for them; the others keep their order.
    pub(super) fn take_requests(&mut self) -> Vec<HostRequest> {
        let mut requests = std::mem::take(&mut self.requests);
        requests.sort_by_key(|request| matches!(request, HostRequest::Acknowledge(_)));
        requests
    }

    /// Notes that a start that takes time is ready or has failed. False when it no longer counts.
    pub(super) fn settle(&mut self, key: &AttemptKey, ticket: u64) -> bool {
        self.launcher.settle(key, ticket)
    }

    /// Cancels all starts that are being prepared, and returns their attempts. They send no more messages.
    pub(super) fn cancel_starts(&mut self) -> Vec<AttemptKey> {
        self.launcher.cancel_all()
    }

    /// Freezes or kills a step. If its start is still being prepared, the host does not know it, and the start is
    /// cancelled instead.
    fn act_on(&mut self, key: &AttemptKey, request: HostRequest) {
        if !self.launcher.cancel(key) {
            self.requests.push(request);
        }
    }

    fn start(
        &mut self,
        run: &Arc<Run>,
        index: usize,
        may_be_alive: bool,
        reports: &mut Reports,
    ) -> Option<HostEvent> {
        let key = run.attempt_key(index);
        let followed = reports.follow(&run.id, &self.launch_env);
        if may_be_alive {
            reports.begin(&key, run.steps[index].ledger.report_offset);
        } else {
            reports.begin_new(&key);
        }
        let (launch_env, cancel) = (self.launch_env.clone(), self.never.clone());
        let store = self.store.clone();
        let mut job = LaunchJob { run: run.clone(), index, may_be_alive, launch_env, store, cancel };
        let spec = followed.map_err(|e| e.to_string()).and_then(|()| {
            if job.needs_time() {
                job.cancel = Cancel::new().map_err(|e| e.to_string())?;
                self.launcher.launch(job);
                return Ok(None);
            }
            job.build().map(Some).map_err(|refusal| refusal.to_string())
        });
        match spec {
            Ok(spec) => {
                self.requests.extend(spec.map(|spec| HostRequest::Start(Box::new(spec))));
                None
            }
            Err(reason) => Some(HostEvent::StartFailed { key, reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::inbox::Inbox;
    use crate::engine::test_runs::of_pipeline;

    fn acting(dir: &std::path::Path) -> (Acting, Reports) {
        let (data_dir, inbox) = (DataDir::open(dir).expect("a data directory"), Inbox::new());
        let reports = Reports::new(&data_dir, inbox.sender()).expect("a follower");
        let store = CheckpointManager::in_memory().expect("a store");
        let host = HostChoice::Custom(Arc::new(|_, _| anyhow::bail!("no host is asked for")));
        let acting = Acting::new(&data_dir, store, BTreeMap::new(), &host, inbox.sender());
        (acting.expect("a descriptor"), reports)
    }

    fn run(text: &str) -> Arc<Run> {
        let mut run = of_pipeline("a", text);
        for index in 0..run.steps.len() {
            run.step_mut(index).fresh_attempt();
        }
        Arc::new(run)
    }

    const TWO_STEPS: &str =
        "[[step]]\nid = \"first\"\nrun = \"true\"\n[[step]]\nid = \"second\"\nrun = \"true\"\n";
    /// Its secret comes from a command, which takes time.
    const WITH_SECRET: &str =
        "[params.token]\nsecret = { command = [\"true\"] }\n[[step]]\nid = \"first\"\nrun = \"true\"\n";

    #[test]
    fn requests_keep_their_order_and_acknowledgements_come_last() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut acting, mut reports) = acting(dir.path());
        let run = run(TWO_STEPS);
        for effect in [
            Effect::Acknowledge { index: 0, attempt: 1 },
            Effect::Start { index: 1, may_be_alive: false },
            Effect::Freeze(0),
        ] {
            assert!(acting.act(&run, effect, &mut reports).is_none());
        }
        let requests = acting.take_requests();
        assert!(matches!(
            requests.as_slice(),
            [HostRequest::Start(_), HostRequest::Freeze(_), HostRequest::Acknowledge(_)]
        ));
        assert!(acting.take_requests().is_empty(), "they are sent once");
    }

    #[test]
    fn a_step_whose_start_is_still_being_made_is_not_started_instead_of_being_killed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut acting, mut reports) = acting(dir.path());
        let run = run(WITH_SECRET);
        acting.act(&run, Effect::Start { index: 0, may_be_alive: false }, &mut reports);
        acting.act(&run, Effect::Kill(0), &mut reports);
        assert!(acting.take_requests().is_empty(), "the host knows nothing of it");
        assert_eq!(acting.cancel_starts(), [run.attempt_key(0)]);
        acting.act(&run, Effect::Kill(0), &mut reports);
        assert!(matches!(acting.take_requests().as_slice(), [HostRequest::Kill(_)]));
    }

    #[test]
    fn a_start_that_can_not_be_made_is_heard_as_one_that_failed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut acting, mut reports) = acting(dir.path());
        let run = run(TWO_STEPS);
        // A file is where the folder of its reports should be.
        std::fs::create_dir_all(dir.path().join("reports")).expect("a folder");
        std::fs::write(dir.path().join("reports/a"), "").expect("a file");
        let failed = acting.act(&run, Effect::Start { index: 0, may_be_alive: false }, &mut reports);
        assert!(matches!(failed, Some(HostEvent::StartFailed { key, .. }) if key == run.attempt_key(0)));
        assert!(acting.take_requests().is_empty());
    }
}
