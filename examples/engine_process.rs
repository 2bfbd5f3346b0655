//! Embedding the engine in a program of your own: a small daemon that runs pipelines, tells what happens as JSON on
//! its standard output, an event a line, and takes orders from its standard input, a line each.
//!
//! ```text
//! engine_process DATA_DIR [FILE RUN_ID]…
//!
//! schedule PIPELINE JOB_ID KIND CONFIG   a job, such as `schedule p j1 interval {"seconds":1}`; its file is DATA_DIR/p.toml
//! start FILE RUN_ID       pause RUN_ID      stop RUN_ID     leave    end; steps go on under the supervisor
//! retry RUN_ID [STEP]     resume RUN_ID     kill RUN_ID     freeze   end; runs are frozen, and stay so
//!                                                           end      end; runs are stopped in good order
//! ```
//!
//! Kill it with `kill -9` whenever you like and start it again on the same directory: it takes its runs back. When its
//! standard input is closed it leaves. An order is answered by a line such as `{"answer":"pause r1","error":null}`.

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use leverframe::{
    CoreExecutionEngine, Definition, DesktopScheduler, EngineOptions, JobSpec, Pipeline, Plan, RunId,
    ScheduleConfig, ShutdownKind, StepId, StopKind,
};
use serde_json::{Value, json};

fn main() -> ExitCode {
    // First of all: this program is also the supervisor of the steps that it starts.
    leverframe::supervisor_entry();
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&json!({"failed": format!("{error:#}")}));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[OsString]) -> anyhow::Result<()> {
    let (data_dir, runs) = args.split_first().context("say which data directory to use")?;
    let options = EngineOptions::default();
    // Subscribed before it opens: what recovery decides and ends is heard too.
    let guard = options.bus.subscribe_events(|_, event| match serde_json::to_value(event) {
        Ok(event) => say(&event),
        Err(error) => say(&json!({"unsayable": error.to_string()})),
    });
    let engine = CoreExecutionEngine::open(data_dir, options)?;
    let pipelines = Path::new(data_dir).join("pipelines");
    let scheduler = DesktopScheduler::open_with(&engine, move |id| {
        let file = pipelines.join(format!("{id}.toml"));
        definition(&file).map_err(|error| format!("{error:#}"))
    })?;
    scheduler.start()?;
    say(&json!({"ready": std::process::id()}));
    for run in runs.chunks(2) {
        let [file, run_id] = run else { bail!("each file needs a run id beside it") };
        start(&engine, Path::new(file), &run_id.to_string_lossy())?;
    }
    let how = obey(&engine, &scheduler)?;
    // Nothing is fired into an engine that ends.
    scheduler.stop();
    // Returns once everything is recorded and, if asked, frozen or stopped.
    engine.shutdown(how)?;
    drop(guard);
    Ok(())
}

/// Takes orders until one of them, or the end of the input, says how to end.
fn obey(engine: &CoreExecutionEngine, scheduler: &DesktopScheduler) -> anyhow::Result<ShutdownKind> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.trim() {
            "leave" => break,
            "freeze" => return Ok(ShutdownKind::FreezeRuns),
            "end" => return Ok(ShutdownKind::StopRuns),
            order => {
                let error = obey_one(engine, scheduler, order).err().map(|error| format!("{error:#}"));
                say(&json!({"answer": order, "error": error}));
            }
        }
    }
    Ok(ShutdownKind::LeaveSteps)
}

fn obey_one(engine: &CoreExecutionEngine, scheduler: &DesktopScheduler, order: &str) -> anyhow::Result<()> {
    let words: Vec<_> = order.split_whitespace().collect();
    match *words.as_slice() {
        ["start", file, run_id] => start(engine, Path::new(file), run_id)?,
        ["schedule", pipeline, job_id, kind, config] => {
            let schedule = ScheduleConfig::from_parts(kind, config)?;
            let spec = JobSpec::new(job_id, pipeline, schedule)?;
            drop(scheduler.schedule_job(spec)?);
        }
        ["pause", run_id] => engine.pause_execution(&RunId::new(run_id)?)?,
        ["resume", run_id] => drop(engine.resume_execution(&RunId::new(run_id)?)?),
        ["retry", run_id] => engine.retry_execution(&RunId::new(run_id)?, None)?,
        ["retry", run_id, step] => engine.retry_execution(&RunId::new(run_id)?, Some(StepId::new(step)?))?,
        ["stop", run_id] => engine.stop_execution(&RunId::new(run_id)?, StopKind::Graceful)?,
        ["kill", run_id] => engine.stop_execution(&RunId::new(run_id)?, StopKind::Force)?,
        _ => bail!("there is no such order"),
    }
    Ok(())
}

/// Reads a pipeline's file and starts a run of it with the defaults of its parameters.
fn start(engine: &CoreExecutionEngine, file: &Path, run_id: &str) -> anyhow::Result<()> {
    let definition = definition(file)?;
    let params = definition.pipeline.resolve_params(&Default::default(), std::env::home_dir().as_deref())?;
    let request = Plan { run_id: Some(RunId::new(run_id)?), ..Plan::new(definition, params) };
    engine.start_pipeline(request)?;
    Ok(())
}

fn definition(file: &Path) -> anyhow::Result<Arc<Definition>> {
    let path = std::path::absolute(file)?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let home = std::env::home_dir();
    let pipeline = Pipeline::parse(&text, &path, home.as_deref()).map_err(|found| {
        let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
        anyhow!("{}", lines.join("\n"))
    })?;
    Ok(Arc::new(Definition { path: path.to_string_lossy().into(), text: text.into(), pipeline }))
}

/// Writes one line. Where nobody reads any more, nobody is told: the runs go on all the same.
fn say(line: &Value) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
