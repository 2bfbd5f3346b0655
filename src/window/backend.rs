//! The engine as a window reaches it: in this process, or over the socket of the one that lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use crossbeam_channel::Sender;

use super::job_page::JobReader;
use super::machine_history::{HistorySpan, MachineHistory, marks};
use super::port::{AppUpdate, SaveJob};
use super::store::{MAX_RECENT, SAMPLE_SPAN, SavedJob};
use crate::api::{Command, Error, LivingRuns, Query};
use crate::base::id::{JobId, RunId};
use crate::control::wire::EventFilter;
use crate::control::{ControlClient, Events};
use crate::daemon::{CommandHandler, Joined, OWN_NAME, join};
use crate::engine::{EngineError, now};
use crate::records::Records;
use crate::resources::Limits;
use crate::run::{Event, RunState};
use crate::settings::{Settings, edit_file};
use crate::store::{DataDir, RunFilter, SampleHistory};

/// Where a window's commands go, and where what it shows comes from. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Backend {
    /// An engine of this process.
    Here(CommandHandler),
    /// Somebody else's.
    There(Remote),
}

/// The engine of another process, and what stands on disk about its runs.
#[derive(Clone)]
pub(crate) struct Remote {
    /// Another one after a hand-over.
    pub(crate) client: Arc<ArcSwap<ControlClient>>,
    /// For what waits for its answer.
    second: Arc<ArcSwapOption<ControlClient>>,
    pub(crate) dir: DataDir,
    settings: Arc<Settings>,
    records: Records,
    /// The window is going.
    is_left: Arc<AtomicBool>,
}

impl Remote {
    /// Works through `client`.
    ///
    /// # Errors
    /// [`Error`] when the records can't be read.
    pub(crate) fn new(client: ControlClient, dir: DataDir, settings: Settings) -> Result<Self, Error> {
        let records = Records::open(dir.path()).map_err(EngineError::from)?;
        let client = Arc::new(ArcSwap::from_pointee(client));
        let second = Arc::default();
        Ok(Self { client, second, dir, settings: Arc::new(settings), records, is_left: Arc::default() })
    }

    /// Another connection to the engine that lives; none where it can't be had, or the window is going.
    pub(crate) fn second_line(&self) -> Option<Arc<ControlClient>> {
        let client = Arc::new(ControlClient::connect(self.dir.path(), OWN_NAME).ok()??);
        // Before the flag is looked at: whoever leaves meanwhile either finds it here or has been seen.
        self.second.store(Some(client.clone()));
        (!self.is_left.load(Ordering::SeqCst)).then_some(client)
    }

    /// Ends the connections, and makes no others.
    fn leave(&self) {
        self.is_left.store(true, Ordering::SeqCst);
        self.client.load().hang_up();
        if let Some(second) = self.second.load_full() {
            second.hang_up();
        }
    }
}

/// What the engine of another process tells, also after it was handed over.
pub(crate) struct RemoteEvents {
    remote: Remote,
    events: Events,
    /// The newest that was heard.
    seq: u64,
    /// Told when another engine has taken over; closed when none does.
    renewed: Sender<()>,
}

impl RemoteEvents {
    /// Everything from now on; `renewed` is told whenever another engine goes on.
    ///
    /// # Errors
    /// [`Error`] when the engine can't be listened to.
    pub(crate) fn follow(remote: Remote, renewed: Sender<()>) -> Result<Self, Error> {
        let client = remote.client.load_full();
        let seq = client.welcome().seq;
        let events = client.subscribe(EventFilter { since: Some(seq), ..EventFilter::default() })?;
        Ok(Self { remote, events, seq, renewed })
    }

    /// Waits for the next one; none when there is no engine any more.
    pub(crate) fn recv(&mut self) -> Option<Arc<Event>> {
        loop {
            match self.events.recv().map(|event| event.event()) {
                Some(Ok(event)) => {
                    self.seq = event.seq;
                    return Some(Arc::new(event));
                }
                // What a newer engine says beyond this program's words is not for it.
                Some(Err(_)) => {}
                None => self.rejoin()?,
            }
        }
    }

    /// Goes on with the engine that has taken over, from where the one before left off.
    fn rejoin(&mut self) -> Option<()> {
        if self.remote.is_left.load(Ordering::Acquire) {
            return None;
        }
        let before = self.remote.client.load_full();
        let since = before.closing().map_or(self.seq, |notice| notice.seq.max(self.seq));
        let Ok(Joined::Client(client)) = join(&self.remote.dir) else { return None };
        self.events = client.subscribe(EventFilter { since: Some(since), ..EventFilter::default() }).ok()?;
        self.remote.client.store(Arc::new(client));
        // Full: whoever is told has not looked yet, and will find this one.
        let _ = self.renewed.try_send(());
        Some(())
    }
}

impl Backend {
    pub(crate) fn data_dir(&self) -> &DataDir {
        match self {
            Self::Here(controller) => controller.data_dir(),
            Self::There(remote) => &remote.dir,
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        match self {
            Self::Here(controller) => &controller.settings,
            Self::There(remote) => &remote.settings,
        }
    }

    /// Has it done.
    pub(crate) fn command(&self, command: Command) -> Result<(), Error> {
        match self {
            Self::Here(controller) => controller.handle(command).map(drop),
            Self::There(remote) => Ok(remote.client.load().call::<serde_json::Value>(&command).map(drop)?),
        }
    }

    /// Looks no longer at somebody else's engine.
    pub(crate) fn leave(&self) {
        match self {
            // Its owner ends it.
            Self::Here(_) => {}
            Self::There(remote) => remote.leave(),
        }
    }

    /// All living runs at this moment.
    pub(crate) fn snapshot(&self) -> Result<AppUpdate, Error> {
        let LivingRuns { seq, runs, orders } = self.living_runs()?;
        let runs = runs.into_iter().map(|living| (living.run, living.steps)).collect();
        Ok(AppUpdate::Snapshot { runs, orders, seq })
    }

    fn living_runs(&self) -> Result<LivingRuns, Error> {
        match self {
            Self::Here(controller) => Ok(controller.living_runs()),
            Self::There(remote) => Ok(remote.client.load().call(&Query::Snapshot {})?),
        }
    }

    /// The names of all living runs.
    pub(crate) fn living(&self) -> Result<Vec<RunId>, Error> {
        Ok(self.living_runs()?.runs.into_iter().map(|living| living.run.run_id).collect())
    }

    /// The runs that have ended, newest first.
    pub(crate) fn recent_runs(&self) -> Result<AppUpdate, Error> {
        let states = RunState::ALL.iter().copied().filter(|state| state.is_ended()).collect();
        let filter = RunFilter { states, limit: Some(MAX_RECENT), ..RunFilter::default() };
        let runs = self.records().runs(&filter, now()).map_err(EngineError::from)?;
        Ok(AppUpdate::RecentRuns(runs))
    }

    /// How many runs have ended, however many of them a window keeps.
    pub(crate) fn count_ended(&self) -> Result<AppUpdate, Error> {
        let n_ended = self.records().count_ended().map_err(EngineError::from)?;
        Ok(AppUpdate::EndedCount(n_ended))
    }

    /// One run whole; none where there is no such run.
    pub(crate) fn detail(&self, run_id: &RunId) -> Result<Option<AppUpdate>, Error> {
        if let Self::Here(controller) = self {
            let snapshot = controller.engine.snapshot();
            if let Some(run) = snapshot.runs.get(run_id) {
                let decisions = controller.engine.store().decisions(run_id).map_err(EngineError::from)?;
                let (run, steps, seq) = (run.summary(), run.step_summaries(), snapshot.seq);
                return Ok(Some(AppUpdate::RunDetail { run, steps, decisions, seq }));
            }
        }
        let record = self.records().run(run_id, now()).map_err(EngineError::from)?;
        Ok(record.map(|record| AppUpdate::RunDetail {
            run: record.run,
            steps: record.steps,
            decisions: record.decisions,
            seq: 0,
        }))
    }

    /// What the machine did, as the engine has kept it.
    pub(crate) fn history(&self, span: HistorySpan) -> Result<AppUpdate, Error> {
        let history = MachineHistory::read(&self.samples(), span, now().wall).map_err(EngineError::from)?;
        Ok(AppUpdate::History(Arc::new(history)))
    }

    /// When limits were raised and cleared, as far back as the window keeps samples.
    pub(crate) fn alerts(&self) -> Result<AppUpdate, Error> {
        let now = now().wall;
        Ok(AppUpdate::Alerts(marks(&self.samples(), (now - SAMPLE_SPAN, now)).map_err(EngineError::from)?))
    }

    fn samples(&self) -> SampleHistory {
        SampleHistory::of(self.data_dir().samples_db())
    }

    /// The limits that are in force; none where that can't be told. Those of somebody else's engine stand in the settings,
    /// from where it takes them.
    pub(crate) fn limits(&self) -> Option<Limits> {
        match self {
            Self::Here(controller) => Some(controller.limits().in_force()),
            Self::There(remote) => Settings::load(remote.dir.path()).ok().map(|settings| settings.limits),
        }
    }

    /// How many jobs go on firing when the window closes; none where its engine is another's.
    pub(crate) fn jobs_left(&self) -> Result<Option<AppUpdate>, Error> {
        let Self::Here(controller) = self else { return Ok(None) };
        let Some(scheduler) = controller.jobs().scheduler() else { return Ok(None) };
        Ok(Some(AppUpdate::JobsLeft(scheduler.store().n_due().map_err(EngineError::from)?)))
    }

    /// Some rows of the list of jobs.
    pub(crate) fn jobs(&self, offset: usize, limit: usize) -> Result<AppUpdate, Error> {
        Ok(AppUpdate::Jobs(JobReader::open(self.data_dir().path())?.page(offset, limit, now())?))
    }

    /// One job with its fires.
    pub(crate) fn job(&self, job_id: JobId) -> Result<AppUpdate, Error> {
        let detail = JobReader::open(self.data_dir().path())?.detail(&job_id, now())?.map(Box::new);
        Ok(AppUpdate::Job { job_id, detail })
    }

    /// Carries out what a form says of a job, and tells what became of it.
    pub(crate) fn save_job(&self, form: SaveJob) -> AppUpdate {
        let job_id = form.job_id().clone();
        let outcome = match form {
            SaveJob::Add(params) => {
                self.command(Command::AddJob(Box::new(params))).map_err(|e| e.to_string())
            }
            SaveJob::Set(params) => {
                self.command(Command::SetJob(Box::new(params))).map_err(|e| e.to_string())
            }
            // Whoever watches the folder takes it over.
            SaveJob::InFile { path, job } => edit_file(&path, &job),
        };
        AppUpdate::JobSaved(SavedJob { job_id, refusal: outcome.err() })
    }

    fn records(&self) -> Records {
        match self {
            Self::Here(controller) => Records::beside(&controller.engine),
            Self::There(remote) => remote.records.clone(),
        }
    }
}
