//! The smallest program around the engine: it drives a run of its own, says how far it is, saves a checkpoint, and ends.
//!
//! `cargo run --no-default-features --example library_engine`
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use leverframe::{CoreExecutionEngine, EngineOptions, StartRequest};
use serde_json::json;

fn main() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    std::env::set_current_dir(scratch.path())?;

    let engine = CoreExecutionEngine::open("data", EngineOptions::default())?;
    let context = engine.start_execution(StartRequest::new("alfabeta-1", "alfabeta", "alfabeta")?)?;
    engine.update_progress(&context.run_id, 0.5, Some("processing_products"))?;
    engine.checkpoint(&context.run_id, "processing_products", &json!({"page": 3}))?;
    engine.complete_execution(&context.run_id, true, None)?;

    let run = engine.get_execution_state(&context.run_id)?;
    println!("{} is {}", context.run_id, run.map_or("unknown", |run| run.state.as_str()));
    Ok(())
}
