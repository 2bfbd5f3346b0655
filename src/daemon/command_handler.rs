//! Handles all requests to an engine: from the window, the command line or a client of the control socket. It knows no
//! window, no terminal and no socket.

use std::path::Path;
use std::sync::Arc;

use super::firing::name_missing_pipelines;
use super::live_limits::LiveLimits;
use crate::api;
use crate::api::*;
use crate::base::id::{PipelineId, RunId};
use crate::control::server::Handler;
use crate::engine::{CoreExecutionEngine, EngineError, ShutdownKind, StartRequest};
use crate::monitor::MonitorHandle;
use crate::records::{Records, RunRecord, definition_of, fresh_definition, refresh_definition};
use crate::run::{Definition, Plan, RunSummary, StopKind};
use crate::scheduler::DesktopScheduler;
use crate::settings::{Catalogue, LiveSettings, read_definition};
use crate::store::{DataDir, FireFilter, RunFilter, StoredRun};

/// The process that has an engine, and how it reacts to requests about itself.
#[derive(Clone)]
pub struct Owner {
    /// The kind of process.
    pub face: ProcessKind,
    /// Brings the window to the front. None without a window.
    pub raise: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Called when the engine has ended at a client's request. It must return at once.
    pub ended: Arc<dyn Fn() + Send + Sync>,
}

impl Owner {
    /// An owner without a window. `ended` is called when the engine has ended.
    pub fn without_window(face: ProcessKind, ended: impl Fn() + Send + Sync + 'static) -> Self {
        Self { face, raise: None, ended: Arc::new(ended) }
    }
}

/// Handles requests. Cheap to clone.
#[derive(Clone)]
pub struct CommandHandler {
    pub(crate) engine: CoreExecutionEngine,
    pub(crate) settings: LiveSettings,
    jobs: DesktopScheduler,
    owner: Owner,
    pub(crate) monitor: Option<MonitorHandle>,
    limits: LiveLimits,
}

impl CommandHandler {
    /// A handler for an engine that is not measured.
    pub fn new(
        engine: CoreExecutionEngine,
        jobs: DesktopScheduler,
        settings: LiveSettings,
        owner: Owner,
    ) -> Self {
        Self::measured_by(None, engine, jobs, settings, owner)
    }

    /// A handler for an engine that `monitor` measures for.
    pub(crate) fn measured_by(
        monitor: Option<MonitorHandle>,
        engine: CoreExecutionEngine,
        jobs: DesktopScheduler,
        settings: LiveSettings,
        owner: Owner,
    ) -> Self {
        let limits = LiveLimits::new(&engine, &settings, monitor.clone());
        Self { engine, settings, jobs, owner, monitor, limits }
    }

    /// The limits in force.
    pub(crate) fn limits(&self) -> &LiveLimits {
        &self.limits
    }

    pub fn engine(&self) -> &CoreExecutionEngine {
        &self.engine
    }

    pub fn jobs(&self) -> &DesktopScheduler {
        &self.jobs
    }

    /// The engine's data directory.
    pub fn data_dir(&self) -> &DataDir {
        self.engine.data_dir()
    }

    /// Process, owner and epoch of the engine, and whether it fires jobs.
    pub fn engine_id(&self) -> EngineId {
        EngineId {
            pid: std::process::id(),
            face: self.owner.face,
            epoch: self.engine.snapshot().epoch(),
            fires_jobs: Some(self.jobs.is_started()),
        }
    }

    fn shutdown(&self, kind: ShutdownKind) -> Result<Done, Error> {
        // No job fires into an engine that ends.
        self.jobs.stop();
        self.engine.shutdown(kind)?;
        (self.owner.ended)();
        Ok(Done {})
    }

    fn raise(&self) -> Result<Done, Error> {
        let Some(raise) = &self.owner.raise else {
            let face = self.owner.face.as_str();
            return Err(Error::impossible(format!(
                "the engine of this data directory has no window to raise (it belongs to `{face}`)"
            )));
        };
        raise();
        Ok(Done {})
    }

    fn status(&self) -> EngineStatus {
        let snapshot = self.engine.snapshot();
        EngineStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: self.engine_id(),
            data_dir: self.data_dir().path().to_owned(),
            seq: snapshot.seq,
            n_living: snapshot.runs.len(),
            orders: snapshot.orders,
        }
    }

    fn checkpoints(&self, run_id: &RunId) -> Result<Vec<CheckpointDocument>, Error> {
        let checkpoints = self.records().checkpoints(run_id).map_err(EngineError::from)?;
        if checkpoints.is_empty() {
            self.summary(run_id)?;
        }
        Ok(checkpoints.into_iter().map(CheckpointDocument::from).collect())
    }

    fn list_jobs(&self) -> Result<Vec<JobView>, Error> {
        let mut jobs = self.jobs.list_jobs()?;
        name_missing_pipelines(&mut jobs, &self.catalogue());
        for job in &mut jobs {
            // A registered function needs no file.
            let id = PipelineId::new(&job.pipeline_id);
            job.trouble = job.trouble.take().filter(|_| !id.is_ok_and(|id| self.engine.is_registered(&id)));
        }
        Ok(jobs)
    }

    fn fires(&self, asked: ListFires) -> Result<Vec<FireView>, Error> {
        let ListFires { job_id, from, to, limit } = asked;
        let limit = Some(limit.unwrap_or(MAX_ROWS).min(MAX_ROWS));
        Ok(self.jobs.fires(&job_id, FireFilter { since: from, until: to, limit })?)
    }

    /// All living runs now.
    pub(crate) fn living_runs(&self) -> LivingRuns {
        let snapshot = self.engine.snapshot();
        let living = |run: &Arc<crate::run::Run>| {
            let mut steps = run.step_summaries();
            steps.iter_mut().for_each(|step| step.locate_log(self.data_dir().path()));
            LivingRun { run: run.summary(), steps }
        };
        let runs = snapshot.runs.values().map(living).collect();
        LivingRuns { seq: snapshot.seq, runs, orders: snapshot.orders }
    }

    /// Starts the only pipeline with this source, or else the one with this id.
    pub(crate) fn start_job(&self, source: &str, run_type: Option<&str>) -> Result<RunId, Error> {
        let start = StartRun { run_type: run_type.map(str::to_owned), ..StartRun::default() };
        if let Some(id) = self.registered(source) {
            return self.start_registered(id, start);
        }
        self.start_definition(self.catalogue().by_source(source)?, &start)
    }

    fn start(&self, start: StartRun) -> Result<RunId, Error> {
        let earlier = start.like.as_ref().map(|earlier| self.stored(earlier)).transpose()?;
        if let Some(id) = start.pipeline.as_deref().and_then(|pipeline| self.registered(pipeline)) {
            return self.start_registered(id, start);
        }
        let definition = match (&start.pipeline, &earlier) {
            (Some(pipeline), _) => self.definition(pipeline)?,
            (None, Some(earlier)) => definition_of(earlier).map_err(EngineError::from)?,
            (None, None) => {
                let text = "name a pipeline to start: its id, or the absolute path of its file";
                return Err(Error::invalid(text.to_owned()));
            }
        };
        let start = match &earlier {
            Some(earlier) => start.filled_from(earlier, &definition),
            None => start,
        };
        self.start_definition(definition, &start)
    }

    fn definition(&self, pipeline: &str) -> Result<Arc<Definition>, Error> {
        if !pipeline.contains('/') {
            return Ok(self.catalogue().find(pipeline)?);
        }
        let path = Path::new(pipeline);
        if path.is_relative() {
            return Err(Error::invalid(format!(
                "the pipeline file {pipeline} can't be found from here; give its absolute path"
            )));
        }
        Ok(read_definition(path)?)
    }

    fn start_definition(&self, definition: Arc<Definition>, start: &StartRun) -> Result<RunId, Error> {
        Ok(self.engine.start_pipeline(start.plan(definition)?)?)
    }

    /// The id, if it is that of a registered function.
    fn registered(&self, pipeline: &str) -> Option<PipelineId> {
        PipelineId::new(pipeline).ok().filter(|id| self.engine.is_registered(id))
    }

    fn start_registered(&self, id: PipelineId, start: StartRun) -> Result<RunId, Error> {
        let source = id.to_string();
        let run_id = match start.run_id {
            Some(run_id) => run_id,
            None => {
                let (store, now) = (self.engine.store(), crate::engine::now().wall);
                store.next_run_id(&source, now, |_| false).map_err(EngineError::from)?
            }
        };
        let mut plan = Plan::driven(run_id, id, source);
        plan.run_type = start.run_type.unwrap_or(plan.run_type);
        plan.environment = start.environment.unwrap_or(plan.environment);
        Ok(self.engine.start_registered(StartRequest { plan })?.run_id)
    }

    /// Gives an ended run the present definition, if `wants_fresh` or if it has none.
    fn renew(&self, run_id: &RunId, wants_fresh: bool) -> Result<(), Error> {
        let is_living = self.engine.snapshot().runs.contains_key(run_id);
        if is_living && !wants_fresh {
            return Ok(());
        }
        let stored = self.stored(run_id)?;
        let path = self.data_dir().path();
        if let Some(fresh) = fresh_definition(&stored, wants_fresh, path, &self.settings.now())? {
            refresh_definition(&self.engine, run_id, &fresh)?;
        }
        Ok(())
    }

    fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, Error> {
        let snapshot = self.engine.snapshot();
        let mut runs = self.records().runs(filter, crate::engine::now()).map_err(EngineError::from)?;
        for run in &mut runs {
            // The engine's values are newer than those on disk.
            if let Some(living) = snapshot.runs.get(&run.run_id) {
                *run = living.summary();
            }
        }
        Ok(runs)
    }

    fn record(&self, run_id: &RunId) -> Result<RunRecord, Error> {
        let snapshot = self.engine.snapshot();
        let record = self.records().run(run_id, crate::engine::now()).map_err(EngineError::from)?;
        let mut record = record.ok_or_else(|| EngineError::NotFound { run_id: run_id.clone() })?;
        if let Some(living) = snapshot.runs.get(run_id) {
            (record.run, record.steps) = (living.summary(), living.step_summaries());
        }
        Ok(record.with_whole_paths(self.data_dir().path()))
    }

    fn summary(&self, run_id: &RunId) -> Result<RunSummary, Error> {
        let found = self.engine.get_execution_state(run_id)?;
        Ok(found.ok_or_else(|| EngineError::NotFound { run_id: run_id.clone() })?)
    }

    fn stored(&self, run_id: &RunId) -> Result<StoredRun, Error> {
        let stored = self.engine.store().load_run(run_id).map_err(EngineError::from)?;
        Ok(stored.ok_or_else(|| EngineError::NotFound { run_id: run_id.clone() })?)
    }

    pub(crate) fn records(&self) -> Records {
        Records::beside(&self.engine)
    }

    fn catalogue(&self) -> Catalogue {
        Catalogue::scan(self.data_dir().path(), &self.settings.now())
    }
}

impl Handler for CommandHandler {
    fn understand(&self, method: &str, params: &str) -> Option<serde_json::Result<Understood<'_>>> {
        api::understand(self, method, params)
    }

    fn engine_id(&self) -> EngineId {
        self.engine_id()
    }
}

macro_rules! carried_out {
    ($($request:ident: |$handler:ident, $params:pat_param| $work:expr;)*) => {$(
        impl Handles<$request> for CommandHandler {
            fn handle(&self, request: $request) -> Result<<$request as Request>::Answer, Error> {
                let ($handler, $params) = (self, request);
                $work
            }
        }
    )*};
}

carried_out! {
    StartRun: |it, start| it.summary(&it.start(start)?);
    Pause: |it, Pause { run_id }| {
        it.engine.pause_execution(&run_id)?;
        it.summary(&run_id)
    };
    Resume: |it, Resume { run_id, refresh }| {
        it.renew(&run_id, refresh)?;
        it.summary(&it.engine.resume_execution(&run_id)?.run_id)
    };
    Stop: |it, Stop { run_id, force }| {
        it.engine.stop_execution(&run_id, if force { StopKind::Force } else { StopKind::Graceful })?;
        it.summary(&run_id)
    };
    Retry: |it, Retry { run_id, from, refresh }| {
        it.renew(&run_id, refresh)?;
        it.engine.retry_execution(&run_id, from)?;
        it.summary(&run_id)
    };
    Admit: |it, Admit { run_id }| {
        it.engine.admit_execution(&run_id)?;
        it.summary(&run_id)
    };
    Quiet: |it, asked| Ok(it.engine.begin_quiet(asked.until)?);
    EndQuiet: |it, _| Ok(it.engine.end_quiet()?);
    Drain: |it, _| Ok(it.engine.begin_drain()?);
    EndDrain: |it, _| Ok(it.engine.end_drain()?);
    AddJob: |it, asked| Ok(it.jobs.schedule_job(asked.params.into_spec()?)?);
    SetJob: |it, asked| Ok(it.jobs.set_job(*asked.params)?);
    RemoveJob: |it, asked| Ok(it.jobs.unschedule_job(&asked.job_id).map(|()| Done {})?);
    EnableJob: |it, asked| Ok(it.jobs.enable_job(&asked.job_id)?);
    DisableJob: |it, asked| Ok(it.jobs.disable_job(&asked.job_id)?);
    RenameJob: |it, asked| Ok(it.jobs.rename_job(&asked.job_id, &asked.to)?);
    RunJobNow: |it, asked| it.summary(&it.jobs.run_job_now(&asked.job_id)?);
    Backfill: |it, asked| {
        Ok(Backfilled { n_instants: it.jobs.backfill(&asked.job_id, asked.from, asked.to)? })
    };
    SetLimit: |it, asked| {
        it.limits.set(&asked.params)?;
        Ok(it.limits.views())
    };
    Shutdown: |it, asked| it.shutdown(asked.kind);
    Raise: |it, _| it.raise();
    GetStatus: |it, _| Ok(it.status());
    GetSnapshot: |it, _| Ok(it.living_runs());
    GetUsage: |it, asked| it.usage(asked.after);
    ListRuns: |it, asked| it.runs(&asked.filter);
    ShowRun: |it, asked| it.record(&asked.run_id);
    ExplainRun: |it, asked| it.why(&asked.run_id);
    ListCheckpoints: |it, asked| it.checkpoints(&asked.run_id);
    ListJobs: |it, _| it.list_jobs();
    ShowJob: |it, asked| Ok(it.jobs.get_job(&asked.job_id)?);
    ListJobHistory: |it, asked| {
        let limit = asked.limit.unwrap_or(MAX_HISTORY).min(MAX_ROWS);
        Ok(it.jobs.get_job_history(&asked.job_id, limit)?)
    };
    ListFires: |it, asked| it.fires(asked);
    GetLimits: |it, _| Ok(it.limits.views());
    ListPipelines: |it, _| Ok(it.catalogue().entries.into_iter().map(PipelineView::from).collect());
}
