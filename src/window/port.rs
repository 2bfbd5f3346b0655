//! The port between a window and the world: updates come in, actions go out, nothing is shared.
//!
//! Both channels are bounded. *Updates*: 1,024; when it is full the sender waits, and what it waits
//! on in turn is a bounded subscription that coalesces and resyncs, so a window that sleeps costs no
//! memory; when the window is gone, sending reports it. *Actions*: 256; a window never waits, so an
//! action that finds it full is refused and the operator is told; when the world is gone, likewise.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::job_page::{JobDetail, JobPage};
use super::look::WindowLook;
use super::machine_history::{AlertMark, HistorySpan, MachineHistory};
use super::urgency::{Urgency, Waker, urgency_of};
use crate::admission::Orders;
use crate::api::{Command, JobPatch, JobSpec};
use crate::backend::RunDetail;
use crate::base::id::{JobId, PipelineId, RunId, StepId};
use crate::engine::CurrentWait;
use crate::resources::{Limits, MachineSample, Resource};
use crate::run::{Event, RunSummary, StepSummary};

/// Everything that an operator can ask of the world, from whichever button, shortcut or palette entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// What can be asked of an engine, from wherever.
    Do(Command),
    /// The run whose details are looked at: answered by [`AppUpdate::RunDetail`].
    SelectRun(Option<RunId>),
    /// The attempt whose log is followed from now on, instead of the last one: answered by
    /// [`AppUpdate::LogTail`], again whenever the log has grown.
    SelectStep {
        /// Which run.
        run_id: RunId,
        /// Which step.
        step_id: StepId,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Details of a run are missing: answered by [`AppUpdate::RunDetail`].
    LoadRun(RunId),
    /// Rows of the list of jobs: answered by [`AppUpdate::Jobs`].
    LoadJobs {
        /// From this one on, counted from 0.
        offset: usize,
        /// How many at most.
        limit: usize,
    },
    /// A job with its fires: answered by [`AppUpdate::Job`].
    LoadJob(JobId),
    /// What the machine did: answered by [`AppUpdate::History`].
    LoadHistory(HistorySpan),
    /// How many runs have ended: answered by [`AppUpdate::EndedCount`].
    CountEnded,
    /// What a form says of a job: answered by [`AppUpdate::JobSaved`].
    SaveJob(Box<SaveJob>),
    /// Events were lost: answered by [`AppUpdate::Snapshot`] and [`AppUpdate::RecentRuns`].
    Refresh,
    /// Show a folder in the file manager.
    OpenFolder(Folder),
    /// Have the window look so at the next start.
    KeepLook(WindowLook),
    /// Leave: answered by [`AppUpdate::ReadyToClose`], upon which the window closes.
    Quit(QuitChoice),
}

/// A form of a job, and where what it says belongs.
#[derive(Debug, Clone, PartialEq)]
pub enum SaveJob {
    /// A new job.
    Add(JobPatch),
    /// A job that was made by hand.
    Set(JobPatch),
    /// A job whose timing stands in its pipeline's file.
    InFile {
        /// The file.
        path: PathBuf,
        /// The job, with the timing that its table is to say.
        job: Box<JobSpec>,
    },
}

impl SaveJob {
    /// Which job it is about.
    pub fn job_id(&self) -> &JobId {
        match self {
            Self::Add(params) | Self::Set(params) => &params.job_id,
            Self::InFile { job, .. } => &job.job_id,
        }
    }
}

/// What became of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedJob {
    /// Of which job.
    pub job_id: JobId,
    /// Why it was not saved; none: it was.
    pub refusal: Option<String>,
}

/// A folder worth opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// Where the pipelines lie.
    Pipelines,
    /// The logs of a run.
    Logs(RunId),
}

/// What becomes of living runs when the window closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuitChoice {
    /// Their steps go on under the supervisor; the next start takes them back.
    LeaveRunning,
    /// They are frozen and stay so.
    Freeze,
    /// They are stopped first.
    Stop,
    /// None is alive that could be asked about.
    Close,
}

/// Everything that the world tells a window.
#[derive(Debug, Clone)]
pub enum AppUpdate {
    /// Something happened.
    Event(Arc<Event>),
    /// All living runs with their steps, as they stood at `seq`.
    Snapshot {
        /// In any order.
        runs: Vec<(RunSummary, Vec<StepSummary>)>,
        /// The operator's orders that are in force.
        orders: Orders,
        /// Every event up to this one is contained.
        seq: u64,
    },
    /// Runs that have ended, read from disk.
    RecentRuns(Vec<RunSummary>),
    /// How many runs have ended, as the database counts them.
    EndedCount(usize),
    /// One run whole.
    RunDetail(RunDetail),
    /// The newest lines of the log that was asked for.
    LogTail {
        /// Which run.
        run_id: RunId,
        /// Which step.
        step_id: StepId,
        /// Which attempt.
        attempt: u32,
        /// The lines.
        tail: Arc<LogTail>,
    },
    /// All pipelines there are, broken ones included.
    Pipelines(Vec<PipelineEntry>),
    /// So many jobs go on firing when the window closes: those that are enabled and due some day. None of an engine that
    /// stays where it is.
    JobsLeft(usize),
    /// Rows of the list of jobs.
    Jobs(JobPage),
    /// One job with its fires.
    Job {
        /// Which.
        job_id: JobId,
        /// None when there is no such job any more.
        detail: Option<Box<JobDetail>>,
    },
    /// What became of a form.
    JobSaved(SavedJob),
    /// What the machine does now.
    Machine(MachineSample),
    /// What the machine is short of from now on.
    ShortOf(Vec<Resource>),
    /// The limits that are in force from now on.
    Limits(Limits),
    /// When limits were raised and cleared shortly before the window opened, oldest first.
    Alerts(Vec<AlertMark>),
    /// What the machine did, as far back as was asked for.
    History(Arc<MachineHistory>),
    /// What living runs cost now.
    Usage(Vec<RunUsage>),
    /// What waits to be admitted now, with the figures of this moment.
    Waits(Vec<CurrentWait>),
    /// An action could not be carried out.
    Failure {
        /// What was tried, such as `pause books-20261123141000`.
        action: String,
        /// Why it failed and what to do next.
        message: String,
    },
    /// Somebody else asks for the window: it comes to the front.
    Raise,
    /// The engine has ended, by [`Action::Quit`] or because somebody else asked for it: the window may go.
    ReadyToClose,
}

/// The newest end of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogTail {
    /// In order, without line ends; what is not UTF-8 is replaced.
    pub lines: Vec<String>,
    /// Bytes that the log's limit has dropped from its middle.
    pub dropped_bytes: u64,
    /// Bytes that the step has written.
    pub total_bytes: u64,
    /// Whether more of the log lies before the first line.
    pub truncated_front: bool,
}

/// A pipeline as the window lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineEntry {
    /// Its id, or the file's stem if it does not parse.
    pub id: PipelineId,
    /// What it reads from.
    pub source: String,
    /// One line for people.
    pub description: Option<String>,
    /// Its file; none for a registered function.
    pub path: Option<PathBuf>,
    /// How many steps it has.
    pub n_steps: usize,
    /// Why it cannot start, with file, line and column.
    pub error: Option<String>,
}

/// What a run's process trees cost at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct RunUsage {
    /// Which run.
    pub run_id: RunId,
    /// When.
    pub at: DateTime<Utc>,
    /// 0 to 1 over all cores.
    pub cpu_fraction: f64,
    /// Memory that they hold.
    pub memory_bytes: u64,
}

/// The window's end.
#[derive(Debug)]
pub struct WindowPort {
    actions: Sender<Action>,
    updates: Receiver<AppUpdate>,
    waker: Waker,
    look: Arc<OnceLock<WindowLook>>,
}

/// The world's end.
#[derive(Debug)]
pub struct WorldPort {
    /// What the operator asks for.
    pub actions: Receiver<Action>,
    /// Where the answers go.
    pub updates: UpdateSender,
    look: Arc<OnceLock<WindowLook>>,
}

/// Makes both ends.
pub fn window_port() -> (WindowPort, WorldPort) {
    let (action_tx, action_rx) = bounded(256);
    let (update_tx, update_rx) = bounded(1024);
    let waker = Waker::default();
    let look = Arc::<OnceLock<WindowLook>>::default();
    (
        WindowPort { actions: action_tx, updates: update_rx, waker: waker.clone(), look: look.clone() },
        WorldPort { actions: action_rx, updates: UpdateSender { updates: update_tx, waker }, look },
    )
}

impl WorldPort {
    /// Says how the window is to look when it opens. Only what is said first, and before that, counts.
    pub fn recall_look(&self, look: WindowLook) {
        let _ = self.look.set(look);
    }
}

impl WindowPort {
    /// Asks the world for something, without waiting.
    ///
    /// # Errors
    /// A sentence for the operator, when too much is waiting already or nobody listens any more.
    pub fn send(&self, action: Action) -> Result<(), &'static str> {
        self.actions.try_send(action).map_err(|refused| match refused {
            TrySendError::Full(_) => "Too many requests are waiting; try again in a moment",
            TrySendError::Disconnected(_) => "The engine has ended; close the window and start again",
        })
    }

    /// The next update, if one waits.
    pub fn try_recv(&self) -> Option<AppUpdate> {
        self.updates.try_recv().ok()
    }

    /// Where updates come in.
    pub(super) fn updates(&self) -> &Receiver<AppUpdate> {
        &self.updates
    }

    /// Whether updates wait.
    pub fn has_updates(&self) -> bool {
        !self.updates.is_empty()
    }

    /// How the window is to look when it opens.
    pub fn look(&self) -> WindowLook {
        self.look.get().copied().unwrap_or_default()
    }

    /// What is called after each update from now on, with how soon the update wants to be seen. Only the first
    /// call counts.
    pub fn wake_by(&self, wake: impl Fn(Urgency) + Send + Sync + 'static) {
        self.waker.connect(Box::new(wake));
    }
}

/// Sends updates to the window and wakes it.
#[derive(Debug, Clone)]
pub struct UpdateSender {
    updates: Sender<AppUpdate>,
    waker: Waker,
}

/// The window is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the window is closed")]
pub struct WindowGone;

impl UpdateSender {
    /// Sends an update; waits while the window is too far behind.
    ///
    /// # Errors
    /// [`WindowGone`] when there is no window any more.
    pub fn send(&self, update: AppUpdate) -> Result<(), WindowGone> {
        let urgency = urgency_of(&update);
        let sent = match self.updates.try_send(update) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(WindowGone),
            Err(TrySendError::Full(update)) => {
                self.waker.wake(Urgency::AtOnce);
                self.updates.send(update).map_err(|_| WindowGone)
            }
        };
        self.waker.wake(urgency);
        sent
    }
}
