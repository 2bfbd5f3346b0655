//! Runs that are new: each gets the id that was asked for, or the next that is free.

use crossbeam_channel::Sender;

use super::EngineError;
use super::closing::When;
use super::core::Engine;
use super::message::{Answer, PendingInput, Waiting};
use crate::base::id::RunId;
use crate::run::{Input, Run};
use crate::store::StoreError;

impl Engine {
    pub(super) fn translate_start(
        &mut self,
        run_id: Option<RunId>,
        mut run: Box<Run>,
        reply: Sender<Answer>,
        heard: &mut Vec<PendingInput>,
    ) {
        let is_taken = |engine: &Self, id: &RunId| -> Result<bool, StoreError> {
            let is_staged = heard.iter().any(|other| other.run_id == *id);
            Ok(is_staged
                || engine.runs.contains_key(id)
                || engine.published.store.load_summary(id)?.is_some())
        };
        let free = |engine: &Self| -> Result<RunId, EngineError> {
            // One that ends only if no run lives goes on for this one.
            if engine.closing.as_ref().is_some_and(|closing| closing.when == When::Now) {
                return Err(EngineError::ShutDown);
            }
            match run_id {
                Some(id) if is_taken(engine, &id)? => Err(EngineError::Exists { run_id: id }),
                Some(id) => Ok(id),
                None => {
                    let is_reserved = |id: &RunId| {
                        engine.runs.contains_key(id) || heard.iter().any(|other| other.run_id == *id)
                    };
                    let store = &engine.published.store;
                    Ok(store.next_run_id(&run.source, run.started_at, is_reserved)?)
                }
            }
        };
        match free(self) {
            Ok(id) => {
                run.id = id.clone();
                heard.push(PendingInput {
                    run_id: id,
                    input: Input::Begin,
                    new_run: Some(run),
                    waiting: Waiting::Caller(reply),
                });
            }
            // A caller that has gone needs no answer.
            Err(error) => drop(reply.send(Err(error))),
        }
    }
}
