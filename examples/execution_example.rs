//! Six complete examples of the engine as a library. Each works in a data directory of its own that is gone
//! afterwards.
//!
//! `cargo run --no-default-features --example execution_example [NAME]` runs one of `basic`, `signals`, `checkpoints`,
//! `pipeline`, `events`, `recovery`; without a name, all of them.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use crossbeam_channel::{bounded, unbounded};
use leverframe::{
    CoreExecutionEngine, Definition, EngineOptions, EventKind, Pipeline, Plan, RunId, RunState, RunSummary,
    StartRequest, StepId, StopKind, Subscription,
};
use serde_json::json;

/// One example, in a data directory of its own.
type Example = fn(&Path) -> anyhow::Result<()>;

const EXAMPLES: [(&str, Example); 6] = [
    ("basic", basic_execution),
    ("signals", signals),
    ("checkpoints", checkpoints_and_resume),
    ("pipeline", parallel_pipeline),
    ("events", events),
    ("recovery", recovery_after_a_crash),
];

/// The word after which this program plays the engine that crashes.
const DOOMED: &str = "--doomed";

fn main() -> anyhow::Result<()> {
    // First of all: steps are children of a supervisor, which outlives the engine. It is this same program, started
    // again; in that process the call never returns.
    leverframe::supervisor_entry();

    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, data_dir] = &args[..]
        && word == DOOMED
    {
        return start_and_wait_for_death(Path::new(data_dir));
    }
    let wanted = args.first();
    if let Some(wanted) = wanted.filter(|wanted| EXAMPLES.iter().all(|(name, _)| name != wanted)) {
        bail!("there is no example {wanted}; there are {}", EXAMPLES.map(|(name, _)| name).join(", "));
    }
    for (name, example) in EXAMPLES.into_iter().filter(|(name, _)| wanted.is_none_or(|w| w == name)) {
        println!("\n=== {name}");
        let data_dir = tempfile::tempdir()?;
        example(data_dir.path()).with_context(|| format!("example {name}"))?;
    }
    Ok(())
}

/// A run that this program drives: it says how far it is, saves a checkpoint, and says that it is done.
fn basic_execution(data_dir: &Path) -> anyhow::Result<()> {
    let engine = open(data_dir)?;
    let context = engine.start_execution(driven("basic-1")?)?;
    println!("started: {}", in_words(&state(&engine, &context.run_id)?));

    context.update_progress(0.5, Some("fetch"))?;
    context.checkpoint(&StepId::new("fetch")?, &json!({ "page": 12 }))?;
    println!("saved:   {}", engine.store().load_checkpoint(&context.run_id, "fetch")?.unwrap_or_default());

    context.complete(true, None)?;
    println!("ended:   {}", in_words(&state(&engine, &context.run_id)?));
    Ok(())
}

/// Pause and stop reach a driving program as signals that block: it never has to sleep and look.
fn signals(data_dir: &Path) -> anyhow::Result<()> {
    let engine = open(data_dir)?;
    let context = engine.start_execution(driven("signals-1")?)?;
    let run_id = context.run_id.clone();
    // Capacity 0: the worker hands over each piece before it begins the next. It stops when nobody takes them.
    let (done, pieces) = bounded(0);
    let worker =
        std::thread::Builder::new().name("worker".into()).spawn(move || -> anyhow::Result<u32> {
            let mut n_pieces = 0;
            // Waits while the run is paused; false once it is to stop.
            while context.proceed() && done.send(n_pieces).is_ok() {
                n_pieces += 1;
            }
            context.complete(true, None)?;
            Ok(n_pieces)
        })?;

    println!("the worker did piece {}", pieces.recv()?);
    engine.pause_execution(&run_id)?;
    // One piece may have been under way.
    let under_way = pieces.try_iter().count();
    println!("paused:  {}; {under_way} pieces were under way", in_words(&state(&engine, &run_id)?));
    engine.resume_execution(&run_id)?;
    println!("resumed: the worker did piece {}", pieces.recv()?);
    engine.stop_execution(&run_id, StopKind::Graceful)?;
    drop(pieces);
    let n_pieces = worker.join().map_err(|_| anyhow::anyhow!("the worker panicked"))??;
    println!("stopped: {}; the worker had done {n_pieces} pieces", in_words(&state(&engine, &run_id)?));
    Ok(())
}

/// A run that was lost in the middle goes on from its last checkpoint, under the same id.
fn checkpoints_and_resume(data_dir: &Path) -> anyhow::Result<()> {
    const N_PAGES: u64 = 10;
    let (run_id, fetch) = (RunId::new("pages-1")?, StepId::new("fetch")?);

    let engine = open(data_dir)?;
    let context = engine.start_execution(driven(run_id.as_str())?)?;
    for page in 1..=6 {
        context.checkpoint(&fetch, &json!({ "page": page }))?;
    }
    println!("six of {N_PAGES} pages, then the engine is gone without a word");
    drop((context, engine));

    let engine = open(data_dir)?;
    println!("found:   {}", in_words(&state(&engine, &run_id)?));
    let context = engine.resume_execution(&run_id)?;
    let last = context.load_checkpoint(&fetch)?.and_then(|data| data["page"].as_u64()).unwrap_or(0);
    println!("resumed: after page {last}");
    for page in last + 1..=N_PAGES {
        context.checkpoint(&fetch, &json!({ "page": page }))?;
    }
    context.complete(true, None)?;
    let pages = engine.store().load_checkpoint(&run_id, "fetch")?.unwrap_or_default();
    println!("ended:   {}, with {pages}", in_words(&state(&engine, &run_id)?));
    Ok(())
}

/// Steps that are real processes: two side by side, and one that needs both.
fn parallel_pipeline(data_dir: &Path) -> anyhow::Result<()> {
    let engine = open(data_dir)?;
    let events = engine.subscribe();
    // Left and right each wait for a word from the other: neither could end if they did not run at once.
    for name in ["to-left", "to-right"] {
        make_fifo(&data_dir.join(name))?;
    }
    let pipeline = definition(
        data_dir,
        r#"
        id = "prices"
        max_parallel = 2

        [[step]]
        id = "left"
        needs = []
        run = 'echo hello > to-right & read word < to-left && wait && echo "left heard $word"'

        [[step]]
        id = "right"
        needs = []
        run = 'echo hello > to-left & read word < to-right && wait && echo "right heard $word"'

        [[step]]
        id = "join"
        needs = ["left", "right"]
        run = "cat $LEVERFRAME_DATA_DIR/logs/$LEVERFRAME_RUN_ID/left.1.log $LEVERFRAME_DATA_DIR/logs/$LEVERFRAME_RUN_ID/right.1.log"
        "#,
    )?;
    let run_id = engine.start_pipeline(Plan::new(pipeline, Default::default()))?;
    let ended = follow(&events, &run_id)?;
    let log = std::fs::read_to_string(data_dir.join(format!("logs/{run_id}/join.1.log")))?;
    println!("the join read: {}", log.trim().replace('\n', ", "));
    println!("ended:   {}", in_words(&ended));
    ensure!(ended.state == RunState::Completed, "the pipeline should complete");
    Ok(())
}

/// The same events twice: handed to a callback, and taken from a channel.
fn events(data_dir: &Path) -> anyhow::Result<()> {
    let engine = open(data_dir)?;
    // Unbounded: the few names of one short run.
    let (heard, names) = unbounded();
    let guard = engine.subscribe_events(move |event_type, _data| {
        // Nobody to tell once the example is over.
        let _ = heard.send(event_type.to_owned());
    });
    let channel = engine.subscribe();

    let context = engine.start_execution(driven("events-1")?)?;
    context.update_progress(0.25, Some("fetch"))?;
    context.checkpoint(&StepId::new("fetch")?, &json!({ "page": 1 }))?;
    context.complete(true, None)?;

    let mut last_seq = 0;
    loop {
        let event = channel.recv().context("the engine is there")?;
        ensure!(event.seq > last_seq, "seq strictly increases");
        last_seq = event.seq;
        println!("channel:  {} (seq {})", event.kind.name(), event.seq);
        if matches!(event.kind, EventKind::ExecutionCompleted { .. }) {
            break;
        }
    }
    for name in names {
        println!("callback: {name}");
        if name == "execution_completed" {
            break;
        }
    }
    // From here on the callback is not called any more.
    drop(guard);
    Ok(())
}

/// The engine is killed in the middle of a step. The step does not notice; the next engine takes it back.
fn recovery_after_a_crash(data_dir: &Path) -> anyhow::Result<()> {
    // A folder that Leverframe knows: one with files of others in it is no data directory.
    std::fs::create_dir(data_dir.join("pipelines"))?;
    make_fifo(&data_dir.join("pipelines/gate"))?;
    // This program again, in the part of an engine that will be killed.
    let mut doomed =
        Command::new(std::env::current_exe()?).arg(DOOMED).arg(data_dir).stdout(Stdio::piped()).spawn()?;
    let mut pid_before = String::new();
    BufReader::new(doomed.stdout.take().context("its output")?).read_line(&mut pid_before)?;
    let pid_before: u32 = pid_before.trim().parse().context("the pid of the step")?;
    println!("an engine runs step `wait` as process {pid_before}");
    // SIGKILL: no handler, no last words.
    doomed.kill()?;
    println!("killed:  the engine ended by {}", doomed.wait()?);

    let engine = open(data_dir)?;
    let events = engine.subscribe();
    let run_id = RunId::new("crash-1")?;
    let snapshot = engine.snapshot();
    let run = snapshot.runs.get(&run_id).context("the run is taken back")?;
    let (step, pid) = (&run.steps[0], run.steps[0].pid.unwrap_or_default());
    println!("found:   run {}, step {} attempt {}, process {pid}", run.state(), step.state(), step.attempt);
    ensure!(pid == pid_before, "it is the same process");

    // The step waits for one line from us.
    writeln!(std::fs::OpenOptions::new().write(true).open(data_dir.join("pipelines/gate"))?, "go on")?;
    let ended = follow(&events, &run_id)?;
    println!("ended:   {}", in_words(&ended));
    let steps = engine.store().attempts(&run_id)?;
    let step = &steps.first().context("the step is recorded")?.step;
    println!("its true exit: code {:?} of attempt {}", step.exit_code.unwrap_or_default(), step.attempt);
    ensure!((step.exit_code, step.attempt) == (Some(7), 1), "it ran once, and ended as it did");
    Ok(())
}

/// The part of the engine that is killed: starts the run, says the pid of its step, and waits.
fn start_and_wait_for_death(data_dir: &Path) -> anyhow::Result<()> {
    let engine = open(data_dir)?;
    let events = engine.subscribe();
    let pipeline = definition(
        data_dir,
        r#"
        id = "crash"
        [[step]]
        id = "wait"
        run = 'read line < pipelines/gate && echo "heard: $line" && exit 7'
        may_fail = true
        "#,
    )?;
    let request = Plan::new(pipeline, Default::default());
    engine.start_pipeline(Plan { run_id: Some(RunId::new("crash-1")?), ..request })?;
    loop {
        let event = events.recv().context("the engine is there")?;
        if let EventKind::StepStarted { step } = &event.kind {
            println!("{}", step.pid.unwrap_or_default());
        }
    }
}

// What the examples share.

fn open(data_dir: &Path) -> anyhow::Result<CoreExecutionEngine> {
    Ok(CoreExecutionEngine::open(data_dir, EngineOptions::default())?)
}

fn driven(run_id: &str) -> anyhow::Result<StartRequest> {
    Ok(StartRequest::new(run_id, "example", "alfabeta")?)
}

fn state(engine: &CoreExecutionEngine, run_id: &RunId) -> anyhow::Result<RunSummary> {
    engine.get_execution_state(run_id)?.context("the run is known")
}

fn in_words(run: &RunSummary) -> String {
    format!("{} is {} at {:.0} %", run.run_id, run.state, run.progress * 100.0)
}

/// A pipeline from its text, as if it stood in a file of the data directory.
fn definition(data_dir: &Path, text: &str) -> anyhow::Result<Arc<Definition>> {
    let path = data_dir.join("pipeline.toml");
    let pipeline = Pipeline::parse(text, &path, None)
        .map_err(|problems| anyhow::anyhow!("the pipeline has problems: {problems:?}"))?;
    Ok(Arc::new(Definition { path: path.to_string_lossy().into(), text: text.into(), pipeline }))
}

/// Prints what happens to a run's steps until the run has ended.
fn follow(events: &Subscription, run_id: &RunId) -> anyhow::Result<RunSummary> {
    loop {
        let event = events.recv().context("the engine is there")?;
        if event.run_id.as_ref() != Some(run_id) {
            continue;
        }
        if let Some(step) = event.kind.step() {
            println!("step {}: {}", step.step_id, step.state);
        }
        if let Some(run) = event.kind.run().filter(|run| run.state.is_ended()) {
            return Ok((**run).clone());
        }
    }
}

fn make_fifo(path: &Path) -> anyhow::Result<()> {
    ensure!(Command::new("mkfifo").arg(path).status()?.success(), "mkfifo {} failed", path.display());
    Ok(())
}
