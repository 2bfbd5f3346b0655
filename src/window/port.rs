//! The port between a window and the world: updates come in, actions go out, nothing is shared.
//!
//! Both channels are bounded. *Updates*: 1,024. When it is full the sender waits; it reads from a bounded subscription
//! that coalesces and resyncs, so a sleeping window costs no memory. When the window is gone, sending fails. *Actions*:
//! 256. A window never waits: when it is full, or when the world is gone, an action is refused and the operator sees a
//! message.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::agenda::{Day, FiresPage, FiresQuestion, Month, MonthOf};
use super::away::{AwayMark, AwayPage};
use super::comparison::Comparison;
use super::estimates::Estimate;
use super::folder::FolderContent;
use super::history_page::{HistoryPage, HistoryQuestion};
use super::job_page::{JobDetail, JobPage};
use super::log_view::{LogAnswer, LogOf, LogQuestion};
use super::look::WindowLook;
use super::machine_history::{AlertMark, HistorySpan, MachineHistory};
use super::pipeline_page::{PipelineDetail, PipelineFacts};
use super::run_facts::RunFacts;
use super::settings_page::SettingsView;
use super::start::{StartBasis, StartOf};
use super::time_range::{TimeAnswer, TimeQuestion};
use super::urgency::{Urgency, Waker, urgency_of};
use crate::admission::Orders;
use crate::api::{Command, JobPatch, JobSpec, PipelineView, StartRun};
use crate::backend::RunDetail;
use crate::base::id::{AttemptKey, JobId, PipelineId, RunId};
use crate::engine::CurrentWait;
use crate::pipeline::Template;
use crate::resources::{Limits, MachineSample, Resource};
use crate::run::{Event, RunSummary, StepSummary};
use crate::settings::{RefusedSetting, SettingEdit};
use crate::store::LedgerFilter;

/// Everything that an operator can ask for, by a button, a shortcut or the palette.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A command to the engine.
    Do(Command),
    /// Selects a run, or none; answered by [`AppUpdate::RunDetail`].
    SelectRun(Option<RunId>),
    /// Follows the log of this attempt instead of the last one; answered by [`AppUpdate::LogTail`], again whenever the
    /// log has grown.
    SelectStep(AttemptKey),
    /// Opens a whole log, or closes the one that is open; answered by [`AppUpdate::Log`] as long as it
    /// is open.
    OpenLog(Option<LogOf>),
    /// Asks the open log; answered by [`AppUpdate::Log`].
    AskLog(LogQuestion),
    /// Asks for the details of a run; answered by [`AppUpdate::RunDetail`].
    LoadRun(RunId),
    /// Asks for what the page of a run shows beside it; answered by [`AppUpdate::RunFacts`].
    LoadFacts(RunId),
    /// Asks how a run differs from another; answered by [`AppUpdate::Compared`].
    Compare(RunId, RunId),
    /// Asks for rows of the list of jobs; answered by [`AppUpdate::Jobs`].
    LoadJobs {
        /// The first row, counted from 0.
        offset: usize,
        /// How many rows at most.
        limit: usize,
    },
    /// Asks for a job with its fires; answered by [`AppUpdate::Job`].
    LoadJob(JobId),
    /// Asks for the facts of these pipelines; answered by [`AppUpdate::PipelineFacts`].
    LoadPipelines(Vec<PipelineId>),
    /// Asks for one pipeline whole; answered by [`AppUpdate::Pipeline`].
    LoadPipeline { id: String, path: PathBuf },
    /// Opens a pipeline file in the user's editor, at a line where the editor can; answered by [`AppUpdate::Edited`].
    EditFile {
        path: PathBuf,
        /// From 1.
        line: Option<usize>,
    },
    /// Writes the file of a new pipeline; answered by [`AppUpdate::PipelineMade`].
    NewPipeline { template: Template, pipeline_id: PipelineId },
    /// Asks for the fires of the next 24 hours; answered by [`AppUpdate::Day`].
    LoadDay,
    /// Asks for what jobs did and will do in a month; answered by [`AppUpdate::Month`].
    LoadMonth(MonthOf),
    /// Asks for rows of the ledger; answered by [`AppUpdate::Fires`].
    LoadFires(Box<FiresQuestion>),
    /// Writes the rows of the ledger that match into a file; answered by [`AppUpdate::FiresExported`].
    ExportFires(Box<LedgerFilter>),
    /// Asks what a backfill would run; answered by [`AppUpdate::BackfillPreview`].
    PreviewBackfill { job_id: JobId, from: DateTime<Utc>, to: DateTime<Utc> },
    /// Runs what a job missed in this span; answered by [`AppUpdate::Backfilled`].
    Backfill { job_id: JobId, from: DateTime<Utc>, to: DateTime<Utc> },
    /// Asks for the history of the machine; answered by [`AppUpdate::History`].
    LoadHistory(HistorySpan),
    /// Asks how long the past runs of these pipelines took; answered by [`AppUpdate::Estimates`].
    LoadEstimates(Vec<PipelineId>),
    /// Asks for the names of all jobs; answered by [`AppUpdate::JobNames`].
    LoadJobNames,
    /// Asks about the time; answered by [`AppUpdate::Time`].
    AskTime(TimeQuestion),
    /// Asks how many runs have ended; answered by [`AppUpdate::EndedCount`].
    CountEnded,
    /// Asks for rows of the list of ended runs, in the place of the question before; answered by [`AppUpdate::Runs`],
    /// again as more of the list is known. None: the list is no longer shown.
    LoadRuns(Option<Box<HistoryQuestion>>),
    /// Deletes runs that have ended, with their logs; answered by [`AppUpdate::RunsDeleted`].
    DeleteRuns(Vec<RunId>),
    /// Saves the form of a job; answered by [`AppUpdate::JobSaved`].
    SaveJob(Box<SaveJob>),
    /// Events were lost; answered by [`AppUpdate::Snapshot`] and [`AppUpdate::RecentRuns`].
    Refresh,
    /// Show a folder in the file manager.
    OpenFolder(Folder),
    /// Saves the look of the window for the next start.
    KeepLook(WindowLook),
    /// Asks for what a start form shows; answered by [`AppUpdate::StartBasis`].
    LoadStart(StartOf),
    /// Asks what lies in a folder; answered by [`AppUpdate::Folder`].
    LoadFolder(PathBuf),
    /// Starts a run from the form; answered by [`AppUpdate::Started`].
    Start(Box<StartRun>),
    /// Asks what happened while the operator was away, up to this instant; answered by [`AppUpdate::Away`].
    LoadAway(DateTime<Utc>),
    /// Marks what was handled of that.
    MarkAway(AwayMark),
    /// Asks for the settings; answered by [`AppUpdate::Settings`].
    LoadSettings,
    /// Writes values into the settings; answered by [`AppUpdate::SettingsSaved`].
    SaveSettings(Vec<SettingEdit>),
    /// Quits; answered by [`AppUpdate::ReadyToClose`], after which the window closes.
    Quit(QuitChoice),
}

/// The form of a job, and where its values belong.
#[derive(Debug, Clone, PartialEq)]
pub enum SaveJob {
    /// A new job.
    Add(JobPatch),
    /// A job that was created by hand.
    Set(JobPatch),
    /// A job whose timing is in its pipeline's file.
    InFile {
        path: PathBuf,
        /// The job, with the timing for its table.
        job: Box<JobSpec>,
    },
}

impl SaveJob {
    pub fn job_id(&self) -> &JobId {
        match self {
            Self::Add(params) | Self::Set(params) => &params.job_id,
            Self::InFile { job, .. } => &job.job_id,
        }
    }
}

/// The outcome of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedJob {
    /// Of which job.
    pub job_id: JobId,
    /// Why it was not saved; none when it was.
    pub refusal: Option<String>,
}

/// A folder worth opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// The folder of pipelines.
    Pipelines,
    /// The folder of a pipeline file.
    Of(PathBuf),
    /// The logs of a run.
    Logs(RunId),
    /// One log, which its own program shows.
    Log(AttemptKey),
    /// Another file or folder.
    At(PathBuf),
}

/// What happens to living runs when the window closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuitChoice {
    /// Their steps go on under the supervisor; the next engine takes them over.
    LeaveRunning,
    /// They are frozen and stay so.
    Freeze,
    /// They are stopped first.
    Stop,
    /// There are none to ask about.
    Close,
}

/// Everything that the world sends to a window.
#[derive(Debug, Clone)]
pub enum AppUpdate {
    /// An event of the engine.
    Event(Arc<Event>),
    /// All living runs with their steps, as of `seq`.
    Snapshot {
        /// In any order.
        runs: Vec<(RunSummary, Vec<StepSummary>)>,
        /// The operator's orders that are in force.
        orders: Orders,
        /// Every event up to this one is included.
        seq: u64,
    },
    /// Runs that have ended, read from disk.
    RecentRuns(Vec<RunSummary>),
    /// How many runs have ended, as the database counts them.
    EndedCount(usize),
    /// Rows of the list of ended runs.
    Runs(HistoryPage),
    /// These runs were to be deleted: how many were, and why others were not.
    RunsDeleted { run_ids: Vec<RunId>, n_deleted: usize, problems: Vec<String> },
    /// One run with its details.
    RunDetail(RunDetail),
    /// What the page of a run shows beside it; without anything if there is no such run.
    RunFacts { run_id: RunId, facts: Arc<RunFacts> },
    /// How the first run differs from the second; nothing if one of them is gone.
    Compared { runs: (RunId, RunId), comparison: Option<Arc<Comparison>> },
    /// The newest lines of the followed log.
    LogTail { key: AttemptKey, tail: Arc<LogTail> },
    /// An answer from the log that is open.
    Log { of: LogOf, answer: LogAnswer },
    /// All pipelines with a valid id, broken ones included.
    Pipelines(Vec<PipelineView>),
    /// The facts of the pipelines that were asked for.
    PipelineFacts(Vec<PipelineFacts>),
    /// One pipeline whole.
    Pipeline(Arc<PipelineDetail>),
    /// A pipeline file was opened in an editor.
    Edited {
        path: PathBuf,
        /// The editor's name.
        with: String,
    },
    /// The file of the new pipeline, or why it was not written.
    PipelineMade(Result<PathBuf, String>),
    /// The fires of the next 24 hours.
    Day(Box<Day>),
    /// The month that was asked for.
    Month(Month),
    /// Rows of the ledger.
    Fires(FiresPage),
    /// The file that the ledger was written to, and how many rows it has.
    FiresExported { path: PathBuf, n_rows: usize },
    /// What the backfill would run, or why nothing.
    BackfillPreview(Result<Vec<DateTime<Utc>>, String>),
    /// How many instants the backfill runs, or why none.
    Backfilled(Result<usize, String>),
    /// How many jobs go on firing when the window closes: those that are enabled and have a next instant. Not sent for
    /// an engine that does not end with the window.
    JobsLeft(usize),
    /// Rows of the list of jobs.
    Jobs(JobPage),
    /// One job with its fires.
    Job {
        job_id: JobId,
        /// None when the job no longer exists.
        detail: Option<Box<JobDetail>>,
    },
    /// The outcome of a form.
    JobSaved(SavedJob),
    /// What a start form shows.
    StartBasis(Arc<StartBasis>),
    /// What lies in the folder that was asked for.
    Folder { asked: PathBuf, content: Arc<FolderContent> },
    /// The run that a start form has started, or why it has not.
    Started(Result<RunId, String>),
    /// What happened while the operator was away.
    Away(Arc<AwayPage>),
    /// The settings as they are written.
    Settings(Arc<SettingsView>),
    /// What of a form of settings was refused; it was saved if that is nothing.
    SettingsSaved(Vec<RefusedSetting>),
    /// A sample of the machine.
    Machine(MachineSample),
    /// The resources that are short from now on.
    ShortOf(Vec<Resource>),
    /// The limits in force from now on.
    Limits(Limits),
    /// When limits were raised and cleared shortly before the window opened, oldest first.
    Alerts(Vec<AlertMark>),
    /// The history of the machine that was asked for.
    History(Arc<MachineHistory>),
    /// The answer to a question about the time.
    Time(TimeAnswer),
    /// The present use of living runs.
    Usage(Vec<RunUsage>),
    /// The present waits for admission, with their figures.
    Waits(Vec<CurrentWait>),
    /// How long the past runs of pipelines took.
    Estimates(Vec<(PipelineId, Estimate)>),
    /// All jobs by name, at most `MAX_JOB_NAMES`; whether each is enabled.
    JobNames(Vec<(JobId, bool)>),
    /// The engine is in another process: a sentence about which.
    Attached(String),
    /// A command was carried out.
    Done(Command),
    /// An action could not be carried out.
    Failure {
        /// What was tried, such as `pause books-20261123141000`.
        action: String,
        /// Why it failed and what to do next.
        message: String,
    },
    /// Another process asks for the window: it comes to the front.
    Raise,
    /// The engine has ended, by [`Action::Quit`] or at the request of another process: the window may close.
    ReadyToClose,
}

/// The newest end of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogTail {
    /// In order, without line ends; bytes that are not UTF-8 are replaced.
    pub lines: Vec<String>,
    /// Bytes that the log's limit has dropped from its middle.
    pub dropped_bytes: u64,
    /// Bytes that the step has written.
    pub total_bytes: u64,
    /// Whether the log has more lines before the first one.
    pub truncated_front: bool,
}

/// The use of a run's process trees at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct RunUsage {
    pub run_id: RunId,
    pub at: DateTime<Utc>,
    /// Share of all cores, 0 to 1.
    pub cpu_fraction: f64,
    /// Memory in use.
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
    /// The operator's actions.
    pub actions: Receiver<Action>,
    /// Where updates go.
    pub updates: UpdateSender,
    look: Arc<OnceLock<WindowLook>>,
}

/// Creates both ends.
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
    /// Sets the look of the window for when it opens. Only the first call counts.
    pub fn recall_look(&self, look: WindowLook) {
        let _ = self.look.set(look);
    }
}

impl WindowPort {
    /// Sends an action, without waiting.
    ///
    /// # Errors
    /// A sentence for the operator, when too many actions wait or the world is gone.
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

    pub(super) fn updates(&self) -> &Receiver<AppUpdate> {
        &self.updates
    }

    /// Whether updates wait.
    pub fn has_updates(&self) -> bool {
        !self.updates.is_empty()
    }

    /// The look that was set; the default if none was.
    pub fn look(&self) -> WindowLook {
        self.look.get().cloned().unwrap_or_default()
    }

    /// `wake` is called after each update from now on, with its urgency. Only the first call counts.
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
    /// Sends an update. Waits while the window is too far behind.
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
