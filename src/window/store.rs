//! [`AppStore`], the read model that the window paints from. It is built from events and answers to lookups. It knows
//! no engine, no disk and no clock, and decides nothing about runs.
//!
//! Every update carries whole new values, so applying one is replacing. An update older than the known values is
//! recognised by its `seq` and ignored: a snapshot or a detail may overtake events, and telemetry (only the newest is
//! kept on its way) may overtake facts.
//!
//! Everything is bounded: [`MAX_RECENT`] ended runs, steps of the newest [`MAX_STEPFUL`] of them, ten minutes of
//! samples, one history of the machine, the visible rows of each list, one log tail of [`MAX_LOG_LINES`] lines,
//! [`MAX_NOTICES`] notices of each kind.

mod agenda;
mod apply;
mod away;
mod entry;
mod estimates;
mod facts;
mod history;
mod jobs;
mod looked;
mod machine;
mod pipelines;
mod slot;
#[cfg(test)]
mod tests;
mod time;

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::agenda::{FiresQuestion, MonthOf};
use super::away::{AwayMark, AwayPage};
use super::comparison::Comparison;
use super::estimates::Estimate;
use super::folder::FolderContent;
use super::history_page::HistoryList;
use super::log_view::{LogHit, LogOf, LogQuestion, LogView};
use super::machine_history::HistorySpan;
use super::port::{Action, AppUpdate, LogTail, SavedJob};
use super::run_facts::RunFacts;
use super::settings_page::SettingsView;
use super::start::StartBasis;
use super::time_range::TimeRange;
use crate::admission::{Orders, Wait};
use crate::api::{Command, PipelineView};
use crate::backend::RunDetail;
use crate::base::id::{AttemptKey, JobId, PipelineId, RunId, StepId};
use crate::resources::MachineSample;
use crate::settings::RefusedSetting;
use crate::window::store::apply::{bounded_tail, push_notice};
pub use agenda::AgendaModel;
use away::AwayModel;
pub use entry::{RunEntry, StepsKnown};
use estimates::EstimatesModel;
pub use estimates::left_of;
use facts::FactsModel;
pub use history::HistoryModel;
pub use jobs::JobsModel;
use machine::MachineModel;
pub use pipelines::PipelinesModel;
use slot::Slot;
use time::TimeModel;

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
/// Commands that were carried out and are not shown yet.
const MAX_DONE: usize = 256;
/// Metrics of a step that are kept.
pub const MAX_METRICS: usize = 32;
/// How far back samples are kept.
pub const SAMPLE_SPAN: TimeDelta = TimeDelta::minutes(10);
/// Samples that are kept at most, however fast they come.
pub const MAX_SAMPLES: usize = 1200;

/// One sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about, such as the action that failed.
    pub about: String,
    /// What is wrong, and what to do about it.
    pub text: String,
}

/// The followed log.
#[derive(Debug, Clone)]
pub struct FollowedLog {
    pub key: AttemptKey,
    /// Its newest lines; none until they arrive.
    pub tail: Option<Arc<LogTail>>,
}

/// How many runs have ended, as the database answered last. [`AppStore::recent`] holds only the newest.
#[derive(Debug, Default)]
struct EndedCount {
    known: Option<usize>,
    /// Runs have ended or were resumed since it was asked.
    is_old: bool,
    is_asked: bool,
}

impl EndedCount {
    fn want(&mut self) -> Option<Action> {
        let asks = (self.is_old || self.known.is_none()) && !self.is_asked;
        asks.then(|| {
            (self.is_old, self.is_asked) = (false, true);
            Action::CountEnded
        })
    }

    fn put(&mut self, n_ended: usize) {
        (self.known, self.is_asked) = (Some(n_ended), false);
    }
}

/// The read model of one window.
#[derive(Debug, Default)]
pub struct AppStore {
    runs: HashMap<RunId, RunEntry>,
    living: Vec<RunId>,
    recent: Vec<RunId>,
    ended: EndedCount,
    covered_seq: u64,
    last_fact_seq: u64,
    is_loaded: bool,
    orders: Orders,
    waits: HashMap<(RunId, Option<StepId>), Wait>,
    orders_as_of: u64,
    machine: MachineModel,
    pipelines: PipelinesModel,
    time: TimeModel,
    jobs: JobsModel,
    agenda: AgendaModel,
    history: HistoryModel,
    estimates: EstimatesModel,
    job_names: Option<Vec<(JobId, bool)>>,
    n_jobs_left: usize,
    start_basis: Option<Arc<StartBasis>>,
    started: Option<Result<RunId, String>>,
    selected: Option<RunId>,
    chosen_step: Option<StepId>,
    log: Option<FollowedLog>,
    facts: FactsModel,
    away: AwayModel,
    settings: Option<Arc<SettingsView>>,
    saved_settings: Option<Vec<RefusedSetting>>,
    folder: Slot<PathBuf, Arc<FolderContent>>,
    comparison: Slot<(RunId, RunId), Option<Arc<Comparison>>>,
    log_view: Option<LogView>,
    attached: Option<String>,
    done: Vec<Command>,
    alerts: Vec<Notice>,
    failures: Vec<Notice>,
    is_ready_to_close: bool,
    is_to_be_raised: bool,
    requests: Vec<Action>,
}

impl AppStore {
    /// Runs that have not ended, oldest first, so that a row keeps its place.
    pub fn living(&self) -> impl ExactSizeIterator<Item = &RunEntry> + DoubleEndedIterator {
        self.living.iter().map(|id| &self.runs[id])
    }

    /// Runs that have ended, the latest end first.
    pub fn recent(&self) -> impl ExactSizeIterator<Item = &RunEntry> + DoubleEndedIterator {
        self.recent.iter().map(|id| &self.runs[id])
    }

    /// How many runs have ended, including those not in [`Self::recent`]. None until the database has answered.
    pub fn n_ended(&self) -> Option<usize> {
        self.ended.known.map(|known| known.max(self.recent.len()))
    }

    /// The `index`-th of [`Self::recent`].
    pub fn recent_at(&self, index: usize) -> Option<&RunEntry> {
        self.recent.get(index).map(|id| &self.runs[id])
    }

    /// The run with this id, if the store knows it.
    pub fn run(&self, run_id: &RunId) -> Option<&RunEntry> {
        self.runs.get(run_id)
    }

    /// Whether the first snapshot has arrived.
    pub fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// Samples of the machine, oldest first.
    pub fn machine(&self) -> &VecDeque<MachineSample> {
        self.machine.samples()
    }
}

/// What a window asks beside that.
#[doc(hidden)]
impl AppStore {
    /// Applies one update.
    pub fn apply(&mut self, update: AppUpdate) {
        match update {
            AppUpdate::Event(event) => self.apply_event(&event),
            AppUpdate::Snapshot { runs, orders, seq } => self.apply_snapshot(runs, orders, seq),
            AppUpdate::RecentRuns(runs) => self.apply_recent(runs),
            AppUpdate::EndedCount(n_ended) => self.ended.put(n_ended),
            AppUpdate::Runs(page) => {
                let request = self.history.put_page(page);
                self.requests.extend(request);
            }
            AppUpdate::RunsDeleted { run_ids, n_deleted: _, problems } => {
                self.forget_deleted(&run_ids);
                for problem in problems {
                    self.push_failure("delete runs", problem);
                }
            }
            AppUpdate::RunDetail(RunDetail { run, steps, decisions, seq }) => {
                self.apply_detail(run, steps, decisions, seq);
            }
            AppUpdate::Compared { runs, comparison } => {
                let request = self.comparison.put(runs, comparison);
                self.requests.extend(request.map(|(of, with)| Action::Compare(of, with)));
            }
            AppUpdate::RunFacts { run_id, facts } => self.facts.put(&run_id, facts),
            AppUpdate::LogTail { key, tail } => {
                if self.selected.as_ref() == Some(&key.run_id)
                    && let Some(log) = self.log.as_mut().filter(|log| log.key == key)
                {
                    log.tail = Some(bounded_tail(tail));
                }
            }
            AppUpdate::Log { of, answer } => {
                let view = self.log_view.as_mut().filter(|view| view.of == of);
                let question = view.and_then(|view| view.apply(answer));
                self.requests.extend(question.map(Action::AskLog));
            }
            AppUpdate::Pipelines(pipelines) => {
                self.pipelines.put_list(pipelines);
                self.touch_jobs(None);
            }
            AppUpdate::PipelineFacts(facts) => self.pipelines.put_facts(facts),
            AppUpdate::Pipeline(detail) => self.pipelines.put_detail(detail),
            AppUpdate::Edited { path, with } => self.pipelines.put_edited(path, with),
            AppUpdate::Day(day) => self.agenda.put_day(*day),
            AppUpdate::Month(month) => self.agenda.put_month(month),
            AppUpdate::Fires(page) => self.agenda.put_fires(page),
            AppUpdate::FiresExported { path, n_rows } => self.agenda.put_exported(path, n_rows),
            AppUpdate::BackfillPreview(preview) => self.agenda.put_backfill(preview),
            AppUpdate::Backfilled(outcome) => self.agenda.put_backfilled(outcome),
            AppUpdate::PipelineMade(made) => self.pipelines.put_made(made),
            AppUpdate::JobsLeft(n_jobs) => self.n_jobs_left = n_jobs,
            AppUpdate::Jobs(page) => {
                let request = self.jobs.put_page(page);
                self.requests.extend(request);
            }
            AppUpdate::Job { job_id, detail } => {
                let request = self.jobs.put_detail(&job_id, detail);
                self.requests.extend(request);
            }
            AppUpdate::JobSaved(saved) => self.jobs.put_saved(saved),
            AppUpdate::Folder { asked, content } => {
                let request = self.folder.put(asked, content);
                self.requests.extend(request.map(Action::LoadFolder));
            }
            AppUpdate::StartBasis(basis) => self.start_basis = Some(basis),
            AppUpdate::Started(outcome) => self.started = Some(outcome),
            AppUpdate::Settings(settings) => self.settings = Some(settings),
            AppUpdate::SettingsSaved(refused) => self.saved_settings = Some(refused),
            AppUpdate::Away(page) => self.away.put(page),
            AppUpdate::Machine(sample) => self.machine.put_sample(sample),
            AppUpdate::ShortOf(resources) => self.machine.put_short_of(resources),
            AppUpdate::Limits(limits) => self.machine.put_limits(limits),
            AppUpdate::Alerts(marks) => self.machine.put_marks(marks),
            AppUpdate::History(history) => self.machine.put_history(history),
            AppUpdate::Time(answer) => {
                let request = self.time.put(answer);
                self.requests.extend(request);
            }
            AppUpdate::Usage(usages) => {
                for usage in usages {
                    if let Some(entry) = self.runs.get_mut(&usage.run_id) {
                        entry.push_usage(usage);
                    }
                }
            }
            AppUpdate::Waits(waits) => {
                let by_name = waits.into_iter().map(|it| ((it.run_id, it.step_id), it.wait));
                self.waits = by_name.collect();
            }
            AppUpdate::Estimates(estimates) => self.estimates.put(estimates),
            AppUpdate::JobNames(names) => self.job_names = Some(names),
            AppUpdate::Attached(sentence) => self.attached = Some(sentence),
            AppUpdate::Done(command) => {
                self.done.push(command);
                let excess = self.done.len().saturating_sub(MAX_DONE);
                self.done.drain(..excess);
            }
            AppUpdate::Failure { action, message } => {
                self.estimates.forget_question();
                self.jobs.forget_questions();
                self.pipelines.forget_questions();
                self.agenda.forget_questions();
                self.history.forget_questions();
                self.facts.forget_question();
                self.away.forget_question();
                self.ended.is_asked = false;
                self.time.forget_questions();
                self.comparison.forget_question();
                self.folder.forget_question();
                self.push_failure(action, message);
            }
            AppUpdate::Raise => self.is_to_be_raised = true,
            AppUpdate::ReadyToClose => self.is_ready_to_close = true,
        }
        self.follow_log();
    }

    /// Adds a message about something that failed.
    pub fn push_failure(&mut self, about: impl Into<String>, text: impl Into<String>) {
        push_notice(&mut self.failures, Notice { about: about.into(), text: text.into() });
    }

    /// Removes one of [`Self::failures`].
    pub fn dismiss_failure(&mut self, index: usize) {
        if index < self.failures.len() {
            self.failures.remove(index);
        }
    }

    /// The operator has come back at this instant.
    pub fn come_back(&mut self, at: DateTime<Utc>) {
        self.away.come_back(at);
    }

    /// Asks what happened while the operator was away, if that may have changed, because it is visible now.
    pub fn want_away(&mut self) {
        let request = self.away.want();
        self.requests.extend(request);
    }

    /// What happened while the operator was away and was not handled; none until it is known.
    pub fn away(&self) -> Option<&AwayPage> {
        self.away.page()
    }

    /// Marks what was handled of that.
    pub fn mark_away(&mut self, mark: AwayMark) {
        let request = self.away.mark(mark);
        self.requests.extend(request);
    }

    /// Selects a run, or none.
    pub fn select_run(&mut self, run_id: Option<RunId>) {
        if self.selected == run_id {
            return;
        }
        self.chosen_step = None;
        self.log = None;
        self.requests.push(Action::SelectRun(run_id.clone()));
        if let Some(entry) = run_id.as_ref().and_then(|id| self.runs.get_mut(id)) {
            // The answer includes the steps.
            entry.is_loading = true;
        }
        self.selected = run_id;
        self.retire_steps();
        self.follow_log();
    }

    /// Follows the log of this step of the selected run. None: of the step that runs.
    pub fn choose_step(&mut self, step_id: Option<StepId>) {
        self.chosen_step = step_id;
        self.follow_log();
    }

    /// Opens a whole log, or closes the one that is open.
    pub fn open_log(&mut self, of: Option<LogOf>) {
        if self.log_view.as_ref().map(|view| &view.of) != of.as_ref() {
            self.log_view = of.clone().map(LogView::new);
            self.requests.push(Action::OpenLog(of));
        }
    }

    /// The log that is open.
    pub fn log_view(&self) -> Option<&LogView> {
        self.log_view.as_ref()
    }

    /// Sets the visible lines of the open log.
    pub fn want_log_rows(&mut self, lines: std::ops::Range<u64>) {
        let question = self.log_view.as_mut().and_then(|view| view.want(lines));
        self.requests.extend(question.map(Action::AskLog));
    }

    /// Searches the open log for a text, or for nothing if it is empty.
    pub fn search_log(&mut self, text: &str) {
        let question = self.log_view.as_mut().and_then(|view| view.search(text));
        self.requests.extend(question.map(Action::AskLog));
    }

    /// Shows only lines of the open log that match what is searched, or all.
    pub fn filter_log(&mut self, is_filtered: bool) {
        let question = self.log_view.as_mut().and_then(|view| view.filter(is_filtered));
        self.requests.extend(question.map(Action::AskLog));
    }

    /// Asks the open log.
    pub fn ask_log(&mut self, question: LogQuestion) {
        if self.log_view.is_some() {
            self.requests.push(Action::AskLog(question));
        }
    }

    /// The line of the open log that was stepped to, once.
    pub fn take_log_hit(&mut self) -> Option<LogHit> {
        self.log_view.as_mut().and_then(LogView::take_hit)
    }

    /// The line that the open log had reached at the moment that was asked for, once.
    pub fn take_reached_line(&mut self) -> Option<u64> {
        self.log_view.as_mut().and_then(LogView::take_reached)
    }

    /// The text from the open log that is to be copied, once.
    pub fn take_log_text(&mut self) -> Option<String> {
        self.log_view.as_mut().and_then(LogView::take_copied)
    }

    /// How many jobs go on firing when the window closes.
    pub fn n_jobs_left(&self) -> usize {
        self.n_jobs_left
    }

    /// Sets the visible rows of the list of jobs; none when the list is not open.
    pub fn want_jobs(&mut self, rows: Option<std::ops::Range<usize>>) {
        let requests = self.jobs.want(rows);
        self.requests.extend(requests.into_iter().flatten());
    }

    /// Sets the visible rows of the list of ended runs; none when the list is not open.
    pub fn want_runs(&mut self, rows: Option<std::ops::Range<usize>>) {
        let request = self.history.want(rows);
        self.requests.extend(request);
    }

    /// Sets which ended runs are listed, and in which order.
    pub fn list_runs(&mut self, list: HistoryList) {
        let request = self.history.set_list(list);
        self.requests.extend(request);
    }

    /// Reads the list of ended runs again, with what has ended meanwhile.
    pub fn refresh_runs(&mut self) {
        let request = self.history.refresh();
        self.requests.extend(request);
    }

    /// The list of ended runs, as far as it is visible.
    pub fn history(&self) -> &HistoryModel {
        &self.history
    }

    /// Selects a job, or none.
    pub fn select_job(&mut self, job_id: Option<JobId>) {
        let request = self.jobs.select(job_id);
        self.requests.extend(request);
    }

    /// Sets the span of history that is shown at `now`, and after how long it is worth reading again; none when its page
    /// is not open. To be called again when
    /// `MachineModel::next_reading` has passed.
    pub fn want_history(&mut self, span: Option<(HistorySpan, TimeDelta)>, now: DateTime<Utc>) {
        let request = self.machine.want(span, now);
        self.requests.extend(request);
    }

    /// Sets the part of the time that is shown in detail; none when none is.
    pub fn want_range(&mut self, shown: Option<TimeRange>) {
        let request = self.time.want_range(shown);
        self.requests.extend(request);
    }

    /// Sets the moment at the line; none when no line is shown.
    pub fn want_moment(&mut self, at: Option<DateTime<Utc>>) {
        let request = self.time.want_moment(at);
        self.requests.extend(request);
    }

    /// Sets the run whose use is shown over its time, from its start to its end at `now`; none when none is.
    pub fn want_use_of_run(&mut self, run_id: Option<&RunId>, now: DateTime<Utc>) {
        let run = run_id.and_then(|run_id| self.runs.get(run_id)).map(|entry| &entry.run);
        let run = run.map(|run| (&run.run_id, run.started_at, run.finished_at));
        let request = self.time.want_run(run, now);
        self.requests.extend(request);
    }

    /// What is known of the time.
    pub fn time(&self) -> &TimeModel {
        &self.time
    }

    /// Asks for the number of ended runs, because it is visible now.
    pub fn want_ended_count(&mut self) {
        let request = self.ended.want();
        self.requests.extend(request);
    }

    /// Sets the run whose page is open; none when no such page is open.
    pub fn want_facts(&mut self, run_id: Option<&RunId>) {
        let request = self.facts.want(run_id);
        self.requests.extend(request);
    }

    /// The facts of the run whose page is open, once they have arrived.
    pub fn facts(&self, run_id: &RunId) -> Option<&RunFacts> {
        self.facts.of(run_id)
    }

    /// Asks for the settings, because they are shown now.
    pub fn load_settings(&mut self) {
        self.requests.push(Action::LoadSettings);
    }

    /// The settings as they were read last.
    pub fn settings(&self) -> Option<&Arc<SettingsView>> {
        self.settings.as_ref()
    }

    /// What of the last form of settings was refused, once.
    pub fn take_saved_settings(&mut self) -> Option<Vec<RefusedSetting>> {
        self.saved_settings.take()
    }

    /// Asks how long runs of these pipelines take, because that is visible now.
    pub fn want_estimates(&mut self, pipelines: &[PipelineId]) {
        let request = self.estimates.want(pipelines);
        self.requests.extend(request);
    }

    /// How long the past runs of a pipeline took, once it was asked.
    pub fn estimate(&self, pipeline_id: &PipelineId) -> Option<&Estimate> {
        self.estimates.of(pipeline_id)
    }

    /// Asks for the names of all jobs, because they can be searched now.
    pub fn want_job_names(&mut self) {
        self.requests.push(Action::LoadJobNames);
    }

    /// All jobs by name, as they were asked for last; whether each is enabled.
    pub fn job_names(&self) -> &[(JobId, bool)] {
        self.job_names.as_deref().unwrap_or_default()
    }

    /// A sentence about the process that has the engine; none when it is this one.
    pub fn attached(&self) -> Option<&str> {
        self.attached.as_deref()
    }

    /// The commands that were carried out, each once.
    pub fn take_done(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.done)
    }

    /// What jobs will do and have done, as far as it is visible.
    pub fn agenda(&self) -> &AgendaModel {
        &self.agenda
    }

    /// Sets whether the next 24 hours are visible at `now`.
    pub fn want_day(&mut self, is_open: bool, now: DateTime<Utc>) {
        let request = self.agenda.want_day(is_open, now);
        self.requests.extend(request);
    }

    /// Sets the visible month; none when no calendar is open.
    pub fn want_month(&mut self, of: Option<MonthOf>) {
        let request = self.agenda.want_month(of);
        self.requests.extend(request);
    }

    /// Sets the visible rows of the ledger; none when it is not open.
    pub fn want_fires(&mut self, question: Option<FiresQuestion>) {
        let request = self.agenda.want_fires(question);
        self.requests.extend(request);
    }

    /// Sets the backfill whose preview is visible; none when no form for one is open.
    pub fn want_backfill(&mut self, of: Option<(JobId, DateTime<Utc>, DateTime<Utc>)>) {
        let request = self.agenda.want_backfill(of);
        self.requests.extend(request);
    }

    /// The outcome of the last backfill, once.
    pub fn take_backfilled(&mut self) -> Option<Result<usize, String>> {
        self.agenda.take_backfilled()
    }

    /// Sets the two runs that are compared; none when none are.
    pub fn want_comparison(&mut self, runs: Option<(RunId, RunId)>) {
        let request = self.comparison.want(runs);
        self.requests.extend(request.map(|(of, with)| Action::Compare(of, with)));
    }

    /// Sets the folder whose content is shown; none when none is.
    pub fn want_folder(&mut self, folder: Option<PathBuf>) {
        let request = self.folder.want(folder);
        self.requests.extend(request.map(Action::LoadFolder));
    }

    /// What lies in this folder, once it is known.
    pub fn folder(&self, asked: &Path) -> Option<&FolderContent> {
        let known = self.folder.known().filter(|(folder, _)| folder == asked);
        known.map(|(_, content)| &**content)
    }

    /// The two runs that are compared, once they are; within: none when one of them is gone.
    pub fn comparison(&self, of: &RunId, with: &RunId) -> Option<Option<&Comparison>> {
        let known = self.comparison.known().filter(|((a, b), _)| (a, b) == (of, with));
        known.map(|(_, comparison)| comparison.as_deref())
    }

    /// The jobs, as far as they are visible.
    pub fn jobs(&self) -> &JobsModel {
        &self.jobs
    }

    /// The outcome of the last form, once.
    pub fn take_saved_job(&mut self) -> Option<SavedJob> {
        self.jobs.take_saved()
    }

    /// What the start form that was asked for shows, once.
    pub fn take_start_basis(&mut self) -> Option<Arc<StartBasis>> {
        self.start_basis.take()
    }

    /// The outcome of the last start from a form, once.
    pub fn take_started(&mut self) -> Option<Result<RunId, String>> {
        self.started.take()
    }

    /// The actions that the store needs. Each is returned once.
    pub fn take_requests(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.requests)
    }

    /// The id of the selected run, also before the run is known.
    pub fn selected_id(&self) -> Option<&RunId> {
        self.selected.as_ref()
    }

    /// The selected run.
    pub fn selected(&self) -> Option<&RunEntry> {
        self.selected.as_ref().and_then(|id| self.runs.get(id))
    }

    /// The followed log: of the chosen step, or else of the one that runs.
    pub fn log(&self) -> Option<&FollowedLog> {
        self.log.as_ref()
    }

    /// The step that the operator chose, if any.
    pub fn chosen_step(&self) -> Option<&StepId> {
        self.chosen_step.as_ref()
    }

    /// What a run or one of its steps waits for, with the figures of the last sample. None when nothing is known.
    pub fn wait(&self, run_id: &RunId, step_id: Option<&StepId>) -> Option<&Wait> {
        self.waits.get(&(run_id.clone(), step_id.cloned()))
    }

    /// The operator's orders in force.
    pub fn orders(&self) -> Orders {
        self.orders
    }

    /// The machine with its limits and its history.
    pub fn watched(&self) -> &MachineModel {
        &self.machine
    }

    /// All pipelines; none until they arrive.
    pub fn pipelines(&self) -> Option<&[PipelineView]> {
        self.pipelines.listed()
    }

    /// The pipelines with what is visible of them.
    pub fn pipeline_list(&self) -> &PipelinesModel {
        &self.pipelines
    }

    /// Sets which of [`Self::pipelines`] are in the visible rows and around them; none when their page is not open.
    pub fn want_pipelines(&mut self, visible: Option<&[usize]>) {
        let requests = self.pipelines.want(visible);
        self.requests.extend(requests.into_iter().flatten());
    }

    /// Selects the pipeline of this file, or none.
    pub fn select_pipeline(&mut self, path: Option<PathBuf>) {
        self.pipelines.select(path);
    }

    /// The outcome of the last new pipeline, once.
    pub fn take_made_pipeline(&mut self) -> Option<Result<PathBuf, String>> {
        self.pipelines.take_made()
    }

    /// The resources that are short.
    pub fn alerts(&self) -> &[Notice] {
        &self.alerts
    }

    /// What failed, oldest first.
    pub fn failures(&self) -> &[Notice] {
        &self.failures
    }

    /// Whether the window may close.
    pub fn is_ready_to_close(&self) -> bool {
        self.is_ready_to_close
    }

    /// Whether another process has asked for the window since the last call.
    pub fn take_raise(&mut self) -> bool {
        std::mem::take(&mut self.is_to_be_raised)
    }

    fn touch_jobs(&mut self, job_id: Option<&JobId>) {
        self.pipelines.touch(None);
        self.agenda.touch();
        let requests = self.jobs.touch(job_id);
        self.requests.extend(requests.into_iter().flatten());
    }
}
