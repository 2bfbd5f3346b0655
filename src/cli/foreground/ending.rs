//! The end of following: what is said of it, the number to end with, and what becomes of this process's engine.

use super::super::exit::{Failure, Outcome, of_run};
use super::super::output::note;
use super::super::painter::Painter;
use super::link::Link;
use super::{End, Foreground, tail};
use crate::api::exit_code::{DONE, FAILED};
use crate::base::id::RunId;
use crate::daemon::{ServeFor, Service};
use crate::engine::{ShutdownKind, now};
use crate::run::{Event, EventKind, RunState, RunSummary};

impl Foreground {
    /// The end of a run of which no event was heard, if it has ended: shown as if it had been.
    pub(super) fn end_on_disk(&mut self, run_id: &RunId) -> Result<Option<End>, Failure> {
        let Some(run) = self.run(run_id)?.filter(|run| run.state.is_ended()) else { return Ok(None) };
        let state = run.state;
        show_end(&mut self.painter, run, self.seq);
        Ok(Some(End::Ended(state)))
    }

    pub(super) fn finish(mut self, run_id: &RunId, end: End) -> Outcome {
        self.painter.clear();
        self.painter.flush();
        if let Link::Own(own) = self.link {
            conclude(own.service, &end)?;
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
                        "`leverframe resume {run_id}` takes it up where it failed; `leverframe show {run_id}` shows it whole"
                    ));
                }
                of_run(state)
            }
        };
        Ok(code)
    }
}

/// Shows the end of a run of which no event was heard, as if it had been.
pub(in crate::cli) fn show_end(painter: &mut Painter, run: RunSummary, seq: Option<u64>) {
    let (run_id, at) = (run.run_id.clone(), run.finished_at.unwrap_or_else(|| now().wall));
    if let Some(kind) = EventKind::end_of(run) {
        painter.show(&Event { seq: seq.unwrap_or_default(), at, run_id: Some(run_id), kind });
    }
}

/// Ends the engine of this process. What others have started with it, a process in the background goes on with.
fn conclude(service: Service, end: &End) -> Result<(), Failure> {
    let is_left = match end {
        End::Ended(_) | End::Reached => service.is_busy(),
        // Whoever looks away leaves all of it.
        End::Held(_) | End::Left(_) => false,
    };
    if !is_left {
        return Ok(service.close(ShutdownKind::LeaveSteps)?);
    }
    match service.leave_behind(ShutdownKind::LeaveSteps, ServeFor::WhatRuns) {
        Ok(()) => note("what others have started here goes on in the background"),
        Err(why) => note(format_args!("leverframe: {why}; steps that run go on to their end")),
    }
    Ok(())
}
