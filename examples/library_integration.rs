//! The smallest program around the whole of it: engine, scheduler and monitor on one data directory, with a read model
//! that follows them.
//!
//! `cargo run --no-default-features --example library_integration`
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use leverframe::{AppStore, EventBus, ExecutionIntegration, ShutdownKind, StopKind};

fn main() -> anyhow::Result<()> {
    // First of all: steps are children of a supervisor, which outlives this program. It is this same program, started
    // again; in that process the call never returns.
    leverframe::supervisor_entry();

    let scratch = tempfile::tempdir()?;
    std::env::set_current_dir(scratch.path())?;
    std::fs::create_dir_all("data/pipelines")?;
    std::fs::write("data/pipelines/alfabeta.toml", "[[step]]\nid = \"fetch\"\nrun = \"sleep 60\"\n")?;
    let bus = EventBus::default();
    let events = bus.subscribe();

    let mut integration = ExecutionIntegration::new(AppStore::default(), bus);
    integration.start("data")?;
    let run_id = integration.start_job("alfabeta", Some("FULL_REFRESH"))?;
    integration.pause_job(&run_id)?;
    integration.resume_job(&run_id)?;
    integration.stop_job(&run_id, StopKind::Graceful)?;

    while let Some(event) = events.recv() {
        println!("{}", event.kind.name());
        if event.kind.name() == "execution_stopped" {
            break;
        }
    }
    integration.shutdown(ShutdownKind::LeaveSteps);
    let state = integration.read_store(|store| store.run(&run_id).map(|run| run.run.state.as_str()));
    println!("{run_id} is {} in the store", state.flatten().unwrap_or("unknown"));
    Ok(())
}
