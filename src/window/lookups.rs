//! The window's lookups of runs, pipelines and logs, on a thread of their own: a lookup may wait for a disk, the window
//! does not.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

use super::agenda::{read_day, read_fires, read_month};
use super::away::AwayMarks;
use super::comparison::Comparison;
use super::controller::{WindowController, log_file};
use super::delete_runs::delete_runs;
use super::editor::edit;
use super::estimates::read_estimates;
use super::fires_file::{export_fires, folder_for_files};
use super::folder::read_folder;
use super::history_page::HistoryReader;
use super::job_page::{job_detail, job_names, job_page};
use super::log_thread::LogThread;
use super::machine_history::{MachineHistory, marks};
use super::pipeline_page::{new_pipeline, pipeline_detail, pipeline_facts};
use super::port::{Action, AppUpdate, Folder, LogTail, SaveJob, SavedJob};
use super::run_facts::{Usual, run_facts, usual_of};
use super::settings_page::SettingsView;
use super::start::StartBasis;
use super::store::{MAX_LOG_BYTES, MAX_LOG_LINES, MAX_RECENT, SAMPLE_SPAN};
use crate::api::{AddJob, Error, PipelineView, SetJob};
use crate::base::id::{AttemptKey, PipelineId, RunId};
use crate::base::thread::{self, Thread};
use crate::base::wake::bell;
use crate::engine::{EngineError, now};
use crate::logs::{LogFollower, LogFollowerHandle, LogLine, LogReader};
use crate::run::RunState;
use crate::scheduler::DesktopScheduler;
use crate::settings::{Catalogue, edit_file};
use crate::store::{RunFilter, SampleHistory};

/// The shortest time between two updates of a growing log.
const LOG_PACE: Duration = Duration::from_millis(100);

pub(crate) enum Lookup {
    /// What the window asks for.
    Asked(Action),
    /// All pipelines. The flag is cleared before they are read: a later change needs another lookup.
    Pipelines(Arc<AtomicBool>),
    /// The runs that have ended.
    RecentRuns,
    /// How many jobs go on firing when the window closes. The flag is cleared before they are counted.
    JobsLeft(Arc<AtomicBool>),
    /// When limits were raised and cleared, as far back as the window keeps samples.
    Alerts,
    /// The limits that are in force.
    Limits,
    /// Ends the lookups.
    End,
}

/// What the thread of lookups does next.
enum Next {
    Lookup(Lookup),
    /// A step of the list of ended runs.
    History,
}

pub(crate) struct Lookups {
    controller: WindowController,
    following: Option<Following>,
    history: HistoryReader,
    /// The log that is open in the window.
    open_log: Option<LogThread>,
    /// How long it usually takes, of the run whose facts were asked for last: other runs tell that, so it is read once.
    usual: Option<(RunId, Arc<Usual>)>,
}

/// A followed log, on two threads: one waits for growth, one sends updates at a limited rate.
struct Following {
    follower: LogFollowerHandle,
    threads: [Thread; 2],
}

impl Lookups {
    pub(crate) fn new(controller: WindowController) -> Self {
        Self { controller, following: None, history: HistoryReader::default(), open_log: None, usual: None }
    }

    /// Does lookups until the last one.
    pub(crate) fn run(mut self, waiting: &Receiver<Lookup>) {
        while let Some(next) = self.next(waiting) {
            let looked = match next {
                Next::Lookup(Lookup::End) => break,
                Next::Lookup(lookup) => self.look_up(lookup),
                Next::History => {
                    self.history.go_on(&self.controller.backend).map(|page| page.map(AppUpdate::Runs))
                }
            };
            let update = match looked {
                Ok(None) => continue,
                Ok(Some(update)) => update,
                Err(error) => {
                    AppUpdate::Failure { action: "look something up".into(), message: error.to_string() }
                }
            };
            if self.controller.updates.send(update).is_err() {
                break;
            }
        }
        self.unfollow();
    }

    /// What to do next: a lookup that waits, else the history's next step. None when no lookup can come any more.
    fn next(&self, waiting: &Receiver<Lookup>) -> Option<Next> {
        if !self.history.has_work() {
            return waiting.recv().ok().map(Next::Lookup);
        }
        match waiting.try_recv() {
            Ok(lookup) => Some(Next::Lookup(lookup)),
            Err(TryRecvError::Empty) => Some(Next::History),
            Err(TryRecvError::Disconnected) => None,
        }
    }

    fn look_up(&mut self, lookup: Lookup) -> Result<Option<AppUpdate>, Error> {
        let backend = &self.controller.backend;
        let data_dir = backend.data_dir();
        Ok(Some(match lookup {
            Lookup::End => return Ok(None),
            Lookup::Asked(action) => return self.look_up_asked(action),
            Lookup::Pipelines(is_wanted) => {
                is_wanted.store(false, Ordering::Release);
                let catalogue = Catalogue::scan(data_dir.path(), &backend.settings().now());
                AppUpdate::Pipelines(listed(catalogue))
            }
            Lookup::RecentRuns => {
                let states = RunState::ALL.iter().copied().filter(|state| state.is_ended()).collect();
                let filter = RunFilter { states, limit: Some(MAX_RECENT), ..RunFilter::default() };
                AppUpdate::RecentRuns(backend.records()?.runs(&filter, now()).map_err(EngineError::from)?)
            }
            Lookup::JobsLeft(is_wanted) => {
                is_wanted.store(false, Ordering::Release);
                return Ok(backend.jobs_left()?.map(AppUpdate::JobsLeft));
            }
            // Not worth an error: only marks on an axis are missing.
            Lookup::Alerts => {
                let (samples, now) = (SampleHistory::of(data_dir.samples_db()), now().wall);
                return Ok(marks(&samples, (now - SAMPLE_SPAN, now)).ok().map(AppUpdate::Alerts));
            }
            Lookup::Limits => return Ok(backend.limits().map(AppUpdate::Limits)),
        }))
    }

    fn look_up_asked(&mut self, action: Action) -> Result<Option<AppUpdate>, Error> {
        let backend = self.controller.backend.clone();
        let data_dir = backend.data_dir();
        Ok(Some(match action {
            Action::SelectRun(None) => {
                self.unfollow();
                return Ok(None);
            }
            Action::SelectStep(key) => {
                return self.follow(key).map(|()| None).map_err(|error| Error::impossible(error.to_string()));
            }
            Action::OpenLog(of) => {
                self.open_log = None;
                if let Some(of) = of {
                    let opened = LogThread::open(self.controller.updates.clone(), data_dir.path(), of);
                    self.open_log = Some(opened.map_err(|error| Error::impossible(error.to_string()))?);
                }
                return Ok(None);
            }
            Action::AskLog(question) => {
                if let Some(log) = &self.open_log {
                    log.ask(question);
                }
                return Ok(None);
            }
            Action::CountEnded => {
                AppUpdate::EndedCount(backend.records()?.count_ended().map_err(EngineError::from)?)
            }
            Action::LoadRuns(question) => {
                self.history.ask(question.map(|question| *question));
                return Ok(None);
            }
            Action::DeleteRuns(run_ids) => {
                let (n_deleted, problems) = delete_runs(&backend, &run_ids)?;
                AppUpdate::RunsDeleted { run_ids, n_deleted, problems }
            }
            Action::SelectRun(Some(run_id)) | Action::LoadRun(run_id) => {
                return Ok(backend.detail(&run_id)?.map(AppUpdate::RunDetail));
            }
            Action::LoadFacts(run_id) => {
                let records = backend.records()?;
                let facts = run_facts(&records, &run_id, now()).map_err(EngineError::from)?;
                let mut facts = facts.unwrap_or_default();
                if self.usual.as_ref().is_none_or(|(of, _)| *of != run_id) {
                    let usual = usual_of(&records, &run_id, now()).map_err(EngineError::from)?;
                    self.usual = Some((run_id.clone(), Arc::new(usual)));
                }
                facts.usual = self.usual.as_ref().map(|(_, usual)| usual.clone()).unwrap_or_default();
                AppUpdate::RunFacts { run_id, facts: Arc::new(facts) }
            }
            Action::Compare(of, with) => {
                let comparison = Comparison::read(&backend.records()?, (&of, &with), now());
                let comparison = comparison.map_err(EngineError::from)?.map(Arc::new);
                AppUpdate::Compared { runs: (of, with), comparison }
            }
            Action::LoadJobs { offset, limit } => {
                AppUpdate::Jobs(job_page(data_dir.path(), offset, limit, now())?)
            }
            Action::LoadJob(job_id) => {
                let detail = job_detail(data_dir.path(), &job_id, now())?.map(Box::new);
                AppUpdate::Job { job_id, detail }
            }
            Action::LoadPipelines(ids) => AppUpdate::PipelineFacts(pipeline_facts(&backend, &ids, now())?),
            Action::LoadPipeline { id, path } => {
                AppUpdate::Pipeline(Arc::new(pipeline_detail(&backend, &id, &path, now())?))
            }
            Action::LoadDay => AppUpdate::Day(Box::new(read_day(&backend, now())?)),
            Action::LoadMonth(of) => AppUpdate::Month(read_month(data_dir.path(), &of, now())?),
            Action::LoadFires(question) => AppUpdate::Fires(read_fires(data_dir.path(), &question)?),
            Action::ExportFires(filter) => {
                let folder = folder_for_files().map_err(|error| Error::impossible(error.to_string()))?;
                let written = export_fires(data_dir.path(), &filter, &folder, now().wall);
                let (path, n_rows) = written.map_err(Error::impossible)?;
                AppUpdate::FiresExported { path, n_rows }
            }
            Action::PreviewBackfill { job_id, from, to } => {
                let scheduler = DesktopScheduler::read_only(data_dir.path());
                let preview = scheduler.look(move |core| core.preview_backfill(&job_id, from, to, now()));
                AppUpdate::BackfillPreview(preview.map_err(|error| error.to_string()))
            }
            Action::EditFile { path, line } => {
                let with = edit(&path, line).map_err(Error::impossible)?;
                AppUpdate::Edited { path, with }
            }
            Action::NewPipeline { template, pipeline_id } => {
                let folder = data_dir.pipelines_dir();
                AppUpdate::PipelineMade(new_pipeline(&folder, &template, &pipeline_id))
            }
            Action::LoadHistory(span) => {
                let samples = SampleHistory::of(data_dir.samples_db());
                let history = MachineHistory::read(&samples, span, now().wall);
                AppUpdate::History(Arc::new(history.map_err(EngineError::from)?))
            }
            Action::LoadEstimates(pipelines) => {
                AppUpdate::Estimates(read_estimates(&backend.records()?, pipelines, now()))
            }
            Action::LoadJobNames => AppUpdate::JobNames(job_names(data_dir.path())?),
            Action::AskTime(question) => {
                let samples = SampleHistory::of(data_dir.samples_db());
                AppUpdate::Time(question.answer(&samples, now().wall).map_err(EngineError::from)?)
            }
            Action::SaveJob(form) => self.save_job(*form),
            Action::LoadStart(of) => AppUpdate::StartBasis(Arc::new(StartBasis::read(&of, &backend)?)),
            Action::LoadFolder(folder) => {
                let sent = self.send_folder(folder);
                return sent.map(|()| None).map_err(|error| Error::impossible(error.to_string()));
            }
            // The marks are read each time: another window on this directory may have added some.
            Action::LoadAway(until) => {
                AppUpdate::Away(Arc::new(AwayMarks::load(data_dir.path()).look(&backend, until)?))
            }
            Action::MarkAway(mark) => {
                AwayMarks::load(data_dir.path()).put(mark, data_dir.path())?;
                return Ok(None);
            }
            Action::LoadSettings => AppUpdate::Settings(Arc::new(SettingsView::read(&backend))),
            Action::SaveSettings(edits) => {
                AppUpdate::SettingsSaved(backend.edit_settings(&edits).err().unwrap_or_default())
            }
            Action::OpenFolder(folder) => {
                let opened = self.open_folder(&folder);
                return opened.map(|()| None).map_err(|error| Error::impossible(error.to_string()));
            }
            // These are no lookups.
            Action::Do(_)
            | Action::Backfill { .. }
            | Action::Start(_)
            | Action::Refresh
            | Action::KeepLook(_)
            | Action::Quit(_) => {
                return Ok(None);
            }
        }))
    }

    /// Saves the form of a job, and returns the outcome.
    fn save_job(&self, form: SaveJob) -> AppUpdate {
        let job_id = form.job_id().clone();
        let command = |command| self.controller.command(command).map_err(|error| error.to_string());
        let outcome = match form {
            SaveJob::Add(params) => command(AddJob { params: Box::new(params) }.into()),
            SaveJob::Set(params) => command(SetJob { params: Box::new(params) }.into()),
            // The watch of the folder takes the change over.
            SaveJob::InFile { path, job } => edit_file(&path, &job),
        };
        AppUpdate::JobSaved(SavedJob { job_id, refusal: outcome.err() })
    }

    fn follow(&mut self, key: AttemptKey) -> std::io::Result<()> {
        self.unfollow();
        let path = log_file(&self.controller, &key);
        let end = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        let mut follower = LogFollower::open(&path, end)?;
        let handle = follower.handle();
        // Closed when no more will come.
        let (grown, growth) = bell();
        let waiter = thread::short("lf-log-wait", move || {
            while let Ok(Some(_)) = follower.next_chunk() {
                grown.ring();
            }
        })?;
        let controller = self.controller.clone();
        let painter = thread::short("lf-log-tail", move || paint(&controller, &key, &growth))?;
        self.following = Some(Following { follower: handle, threads: [waiter, painter] });
        Ok(())
    }

    /// Starts to read a folder; its content is sent. On a thread of its own, and not joined: a folder that does not answer
    /// keeps neither other lookups waiting nor the window open.
    fn send_folder(&self, asked: PathBuf) -> std::io::Result<()> {
        let updates = self.controller.updates.clone();
        let read = move || {
            let content = Arc::new(read_folder(&asked));
            // Fails when the window is gone.
            let _ = updates.send(AppUpdate::Folder { asked, content });
        };
        thread::short("lf-folder", read)?.detach();
        Ok(())
    }

    fn unfollow(&mut self) {
        if let Some(Following { follower, threads }) = self.following.take() {
            follower.cancel();
            drop(threads);
        }
    }

    /// Has the desktop open a folder, on a thread of its own: some openers wait until what they opened is closed.
    fn open_folder(&self, folder: &Folder) -> std::io::Result<()> {
        let path = match folder {
            Folder::Pipelines => self.controller.backend.data_dir().pipelines_dir(),
            Folder::Of(file) => file.parent().unwrap_or(file).to_owned(),
            Folder::Logs(run_id) => self.controller.backend.data_dir().logs_dir(run_id),
            Folder::Log(key) => log_file(&self.controller, key),
            Folder::At(path) => path.clone(),
        };
        let updates = self.controller.updates.clone();
        let opening = thread::short("lf-open", move || {
            if !is_opened(&path) {
                let message = format!("no program opens {}; it is there", path.display());
                // Fails when the window is gone.
                let _ = updates.send(AppUpdate::Failure { action: "open a folder".into(), message });
            }
        });
        opening.map(Thread::detach)
    }
}

/// Whether the desktop has a program that opens this.
fn is_opened(path: &Path) -> bool {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    command.arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Sends the end of a log now and after each growth, at most once in [`LOG_PACE`].
fn paint(controller: &WindowController, key: &AttemptKey, growth: &Receiver<()>) {
    let path = log_file(controller, key);
    // Nothing is sent on it: receiving from it with a timeout is a pause.
    let (_never, pause): (Sender<()>, Receiver<()>) = bounded(0);
    loop {
        if let Ok(tail) = read_tail(&path) {
            let update = AppUpdate::LogTail { key: key.clone(), tail: Arc::new(tail) };
            if controller.updates.send(update).is_err() {
                return;
            }
        }
        let has_grown = growth.recv().is_ok();
        if !has_grown || pause.recv_timeout(LOG_PACE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn read_tail(path: &Path) -> std::io::Result<LogTail> {
    let reader = LogReader::open(path)?;
    let window = reader.tail(MAX_LOG_LINES, MAX_LOG_BYTES)?;
    let dropped_bytes = reader.dropped()?.iter().map(|range| range.end - range.start).sum();
    let lines = window
        .lines
        .into_iter()
        .map(|line| match line {
            LogLine::Text { text, .. } => text,
            LogLine::Dropped { n_bytes, .. } => format!("… {n_bytes} bytes dropped here …"),
        })
        .collect();
    Ok(LogTail { lines, dropped_bytes, total_bytes: window.log_len, truncated_front: window.start > 0 })
}

/// The pipelines that the window lists. A file whose stem is no id can't be named; `doctor` reports it.
fn listed(catalogue: Catalogue) -> Vec<PipelineView> {
    let named = catalogue.entries.into_iter().filter(|entry| PipelineId::new(&entry.id).is_ok());
    named.map(PipelineView::from).collect()
}
