//! The end of following: what is shown, the exit code, and the end of this process's engine.

use super::super::exit::{Failure, Outcome, of_run};
use super::super::output::note;
use super::super::painter::Painter;
use super::{End, Foreground, tail};
use crate::api::exit_code::{DONE, FAILED};
use crate::base::id::RunId;
use crate::daemon::{ServeFor, Service};
use crate::engine::{ShutdownKind, now};
use crate::run::{Event, EventKind, RunState, RunSummary};

impl Foreground {
    /// Shows the end of a run for which no event came, if it has ended.
    pub(super) fn end_on_disk(&mut self, run_id: &RunId) -> Result<Option<End>, Failure> {
        let Some(run) = self.run(run_id)?.filter(|run| run.state.is_ended()) else { return Ok(None) };
        let state = run.state;
        show_end(&mut self.painter, run, self.seq);
        Ok(Some(End::Ended(state)))
    }

    /// Shows the end, ends the engine of this process, and returns the exit code. The process ends right after this.
    pub(super) fn finish(mut self, run_id: &RunId, end: End) -> Outcome {
        self.painter.clear();
        self.painter.flush();
        if let Some(service) = self.link.backend.take_service() {
            conclude(service, &end)?;
        }
        let code = match end {
            End::Left(code) => code,
            End::Reached => DONE,
            End::Held(reason) => {
                note(format_args!(
                    "leverframe: run {run_id} is held: {reason} (`leverframe resume {run_id}`)"
                ));
                FAILED
            }
            End::Ended(state) => {
                if self.painter.is_for_people() && state == RunState::Failed {
                    self.failed.iter().for_each(|(step, (attempt, log))| tail::print(step, *attempt, log));
                    note(format_args!(
                        "`leverframe resume {run_id}` continues it where it failed; `leverframe show {run_id}` shows its details"
                    ));
                }
                of_run(state)
            }
        };
        // Threads and connections end with the process, sooner than one after the other.
        std::mem::forget(self);
        Ok(code)
    }
}

/// Shows the end of a run for which no event came, as if one had.
pub(in crate::cli) fn show_end(painter: &mut Painter, run: RunSummary, seq: Option<u64>) {
    let (run_id, at) = (run.run_id.clone(), run.finished_at.unwrap_or_else(|| now().wall));
    if let Some(kind) = EventKind::end_of(run) {
        painter.show(&Event { seq: seq.unwrap_or_default(), at, run_id: Some(run_id), kind });
    }
}

/// Ends the engine of this process. Runs that other clients have started with it go on in a background process.
fn conclude(service: Service, end: &End) -> Result<(), Failure> {
    let is_left = match end {
        End::Ended(_) | End::Reached => service.is_busy(),
        // An operator who leaves leaves all of it.
        End::Held(_) | End::Left(_) => false,
    };
    if !is_left {
        return Ok(service.close_at_exit(ShutdownKind::LeaveSteps)?);
    }
    match service.leave_behind(ShutdownKind::LeaveSteps, ServeFor::WhatRuns) {
        Ok(()) => note("runs that others started here go on in the background"),
        Err(why) => note(format_args!("leverframe: {why}; steps that run go on to their end")),
    }
    Ok(())
}
