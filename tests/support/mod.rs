//! Shared parts of the tests: data directories, pipelines from text, and waiting for events with a deadline.

pub(crate) mod bench;
pub(crate) mod bus;
pub(crate) mod compositor;
pub(crate) mod display;
pub(crate) mod engine_process;
pub(crate) mod host;
pub(crate) mod logind;
pub(crate) mod process;
pub(crate) mod screen_reader;
pub(crate) mod small_disk;
pub(crate) mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leverframe::base::id::RunId;
use leverframe::engine::{CoreExecutionEngine, EngineOptions, HostChoice, Subscription};
use leverframe::pipeline::Pipeline;
use leverframe::run::{Definition, Event, Plan};

/// Longer than any operation takes on a busy machine; a test that reaches it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The program under test, which is also the supervisor.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_leverframe");

pub(crate) fn run_id(text: &str) -> RunId {
    RunId::new(text).expect("a valid run id")
}

pub(crate) fn step_id(text: &str) -> leverframe::base::id::StepId {
    leverframe::base::id::StepId::new(text).expect("a valid step id")
}

/// A definition from a pipeline's text.
pub(crate) fn definition(text: &str) -> Arc<Definition> {
    let path = Path::new("/tmp/pipeline-under-test.toml");
    let pipeline = Pipeline::parse(text, path, None).expect("a valid pipeline");
    Arc::new(Definition { path: path.to_string_lossy().into(), text: text.into(), pipeline })
}

/// An engine whose steps run under a real supervisor: the program's own.
pub(crate) fn open_engine(data_dir: &Path) -> CoreExecutionEngine {
    CoreExecutionEngine::open(data_dir, options()).expect("the engine opens")
}

pub(crate) fn options() -> EngineOptions {
    EngineOptions { host: HostChoice::SupervisorProgram(PROGRAM.into()), ..EngineOptions::default() }
}

/// Starts a pipeline under a chosen run id.
pub(crate) fn start(engine: &CoreExecutionEngine, id: &str, text: &str) -> RunId {
    let request = Plan { run_id: Some(run_id(id)), ..Plan::new(definition(text), Default::default()) };
    engine.start_pipeline(request).expect("the run starts")
}

/// Waits for an event that `is_it` accepts, and returns it.
pub(crate) fn wait_for(
    events: &Subscription,
    what: &str,
    mut is_it: impl FnMut(&Event) -> bool,
) -> Arc<Event> {
    let until = Instant::now() + DEADLINE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let event = events.recv_timeout(left).unwrap_or_else(|| panic!("{what} was not told in time"));
        if is_it(&event) {
            return event;
        }
    }
}

/// Waits for the event of this name.
pub(crate) fn wait_for_named(events: &Subscription, name: &str) -> Arc<Event> {
    wait_for(events, name, |event| event.kind.name() == name)
}

/// Waits until the run has ended in any way, and returns its last event.
pub(crate) fn wait_for_end(events: &Subscription, run: &RunId) -> Arc<Event> {
    wait_for(events, "the end of the run", |event| {
        event.run_id.as_ref() == Some(run) && event.kind.run().is_some_and(|run| run.state.is_ended())
    })
}
