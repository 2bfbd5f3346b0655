//! How a step is started: its command, its folder and its whole environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::secrets::{NoSecret, fetch_secret};
use crate::base::id::RunId;
use crate::pipeline::{Background, Command, Param, SecretSource};
use crate::run::{Definition, Run, log_path, report_path};
use crate::store::{CheckpointManager, DataDir};
use crate::supervisor::{Cancel, Guard, StartSpec};
use crate::{files, pipeline};

/// What all starts of one engine share.
pub(super) struct LaunchEnv {
    data_dir: DataDir,
    /// The engine's own environment, without the variables of an outer step.
    inherited: BTreeMap<OsString, OsString>,
    settings: BTreeMap<String, String>,
    program: PathBuf,
    /// Runs the commands of secrets; none when this program can't.
    guard: Option<Guard>,
}

/// Why a start can't be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchRefusal {
    /// Final for this attempt.
    #[error("{0}")]
    Impossible(String),
    /// The run waits for the operator.
    #[error("{0}")]
    SecretMissing(String),
    /// The start is not wanted, or not now.
    #[error("it was cancelled")]
    Cancelled,
}

impl LaunchEnv {
    pub(super) fn new(data_dir: DataDir, settings: BTreeMap<String, String>, guard: Option<Guard>) -> Self {
        let is_ours = |name: &OsStr| name.to_string_lossy().starts_with("LEVERFRAME_");
        Self {
            data_dir,
            inherited: std::env::vars_os().filter(|(name, _)| !is_ours(name)).collect(),
            settings,
            program: std::env::current_exe().unwrap_or_default(),
            guard,
        }
    }

    /// A random text, different for each engine.
    pub(super) fn salt(&self) -> String {
        format!("{:016x}", RandomState::new().hash_one(self.data_dir.path()))
    }

    /// Creates the folders of a run, and the two files that most of its steps share: no checkpoint, no outputs.
    pub(super) fn make_run_files(&self, run_id: &RunId) -> io::Result<()> {
        self.data_dir.make_run_dirs(run_id)?;
        let folder = self.data_dir.reports_dir(run_id);
        for (name, text) in [(NO_CHECKPOINT, NULL), (NO_OUTPUTS, NOTHING)] {
            keep_text(&folder.join(name), text)?;
        }
        Ok(())
    }
}

const NO_CHECKPOINT: &str = "checkpoint.none.json";
const NO_OUTPUTS: &str = "outputs.none.json";
const NULL: &str = "null\n";
const NOTHING: &str = "{}\n";

/// One start to be prepared.
pub(super) struct LaunchJob {
    pub(super) run: Arc<Run>,
    pub(super) index: usize,
    pub(super) may_be_alive: bool,
    pub(super) launch_env: Arc<LaunchEnv>,
    pub(super) store: CheckpointManager,
    /// Cancels the preparation.
    pub(super) cancel: Cancel,
}

impl LaunchJob {
    /// Whether preparing it may take long. It is then not done on the engine's thread.
    pub(super) fn needs_time(&self) -> bool {
        let has_secrets = self.definition().is_some_and(|definition| {
            definition.pipeline.params.values().any(|param| matches!(param, Param::Secret(_)))
        });
        has_secrets || self.run.steps[self.index].ledger.has_checkpoint
    }

    fn definition(&self) -> Option<&Arc<Definition>> {
        self.run.definition()
    }

    /// # Errors
    /// [`LaunchRefusal`], with what failed and why.
    pub(super) fn build(&self) -> Result<StartSpec, LaunchRefusal> {
        let Some(definition) = self.definition() else {
            return Err(LaunchRefusal::Impossible("the run has no steps".into()));
        };
        let step = &definition.pipeline.steps[self.index];
        let attempt = &self.run.steps[self.index];
        let argv = match &step.command {
            Command::Argv(argv) => argv.iter().map(OsString::from).collect(),
            Command::Line { shell, line } => shell.iter().chain([line]).map(OsString::from).collect(),
        };
        let data_dir = self.launch_env.data_dir.path();
        Ok(StartSpec {
            key: self.run.attempt_key(self.index),
            token: attempt.ledger.token.clone(),
            argv,
            env: self.environment(definition)?,
            working_dir: step.working_dir.clone(),
            log_path: data_dir.join(log_path(&self.run.id, &attempt.id, attempt.attempt)),
            log_limit: step.log_limit,
            keep_background: step.background == Background::Keep,
            may_be_alive: self.may_be_alive,
        })
    }

    /// The engine's variables, then the settings', the pipeline's, the step's, and last our own.
    fn environment(&self, definition: &Definition) -> Result<Vec<(OsString, OsString)>, LaunchRefusal> {
        let pipeline = &definition.pipeline;
        let step = &pipeline.steps[self.index];
        let mut env = self.launch_env.inherited.clone();
        for (name, value) in self.launch_env.settings.iter().chain(&pipeline.env).chain(&step.env) {
            let lookup =
                |wanted: &str| env.get(OsStr::new(wanted)).map(|value| value.to_string_lossy().into_owned());
            let value = pipeline::expand(value, lookup)
                .map_err(|why| LaunchRefusal::Impossible(format!("env {name}: {why}")))?;
            env.insert(name.into(), value.into());
        }
        env.entry("PYTHONUNBUFFERED".into()).or_insert_with(|| "1".into());
        for (name, param) in &pipeline.params {
            let value = match param {
                Param::Value { .. } => self.run.params.get(name).cloned(),
                Param::Secret(source) => Some(self.secret(name, source)?),
            };
            if let Some(value) = value {
                env.insert(pipeline::param_env_name(name).into(), value.into());
            }
        }
        self.add_ours(&mut env).map_err(|e| LaunchRefusal::Impossible(e.to_string()))?;
        Ok(env.into_iter().collect())
    }

    fn secret(&self, name: &str, source: &SecretSource) -> Result<String, LaunchRefusal> {
        let guard = self.launch_env.guard.as_ref();
        fetch_secret(source, guard, &self.cancel).map_err(|why| match why {
            NoSecret::Missing(why) => {
                LaunchRefusal::SecretMissing(format!("secret {name} is missing: {why}"))
            }
            NoSecret::Cancelled => LaunchRefusal::Cancelled,
        })
    }

    fn add_ours(&self, env: &mut BTreeMap<OsString, OsString>) -> io::Result<()> {
        let (run, step) = (&self.run, &self.run.steps[self.index]);
        let data_dir = self.launch_env.data_dir.path();
        let reports = self.launch_env.data_dir.reports_dir(&run.id);
        let mut set = |name: &str, value: &OsStr| {
            env.insert(format!("LEVERFRAME_{name}").into(), value.into());
        };
        set("RUN_ID", run.id.as_str().as_ref());
        set("PIPELINE_ID", run.pipeline_id.as_str().as_ref());
        set("STEP_ID", step.id.as_str().as_ref());
        set("ATTEMPT", step.attempt.to_string().as_ref());
        set("SOURCE", run.source.as_ref().as_ref());
        set("RUN_TYPE", run.run_type.as_ref().as_ref());
        set("ENVIRONMENT", run.environment.as_ref().as_ref());
        set("TRIGGER", run.trigger.as_str().as_ref());
        if let Some(fired_by) = &run.ledger.fired_by {
            set("JOB_ID", fired_by.job_id.as_str().as_ref());
            for (name, instant) in
                [("DUE_AT", &fired_by.due_at), ("PREVIOUS_DUE_AT", &fired_by.previous_due_at)]
            {
                instant.iter().for_each(|instant| set(name, instant.as_ref()));
            }
        }
        set("TOKEN", step.ledger.token.as_ref());
        set("BIN", self.launch_env.program.as_ref());
        set("DATA_DIR", data_dir.as_ref());
        set("REPORT", data_dir.join(report_path(&run.id, &step.id, step.attempt)).as_ref());
        set("CHECKPOINT", self.checkpoint_file(&reports)?.as_ref());
        set("OUTPUTS", self.outputs_file(&reports)?.as_ref());
        Ok(())
    }

    /// The file with the last checkpoint of the step in this run.
    fn checkpoint_file(&self, reports: &Path) -> io::Result<PathBuf> {
        let step = &self.run.steps[self.index];
        if !step.ledger.has_checkpoint {
            let path = reports.join(NO_CHECKPOINT);
            keep_text(&path, NULL)?;
            return Ok(path);
        }
        let checkpoint = self.store.load_checkpoint(&self.run.id, &step.id).map_err(io::Error::other)?;
        let path = reports.join(format!("{}.{}.checkpoint.json", step.id, step.attempt));
        files::write_anew(&path, checkpoint.unwrap_or_default().to_string().as_bytes())?;
        Ok(path)
    }

    /// The file with the outputs of the finished steps, by step id.
    fn outputs_file(&self, reports: &Path) -> io::Result<PathBuf> {
        let finished = self.run.steps.with_outputs();
        let outputs: serde_json::Map<_, _> = finished
            .filter_map(|step| Some((step, serde_json::from_str(step.outputs.as_deref()?).ok()?)))
            .map(|(step, outputs)| (step.id.to_string(), outputs))
            .collect();
        if outputs.is_empty() {
            let path = reports.join(NO_OUTPUTS);
            keep_text(&path, NOTHING)?;
            return Ok(path);
        }
        let step = &self.run.steps[self.index];
        let path = reports.join(format!("{}.{}.outputs.json", step.id, step.attempt));
        files::write_anew(&path, serde_json::Value::Object(outputs).to_string().as_bytes())?;
        Ok(path)
    }
}

/// Ensures that a file that many steps read exists and has its contents: an earlier step could write to it.
fn keep_text(path: &Path, text: &str) -> io::Result<()> {
    let is_file =
        fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == text.len() as u64);
    if is_file { Ok(()) } else { files::write_anew(path, text.as_bytes()) }
}
