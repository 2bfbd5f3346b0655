//! Why a living run is as it is, with present figures.

use super::command_handler::CommandHandler;
use crate::api::Error;
use crate::base::id::RunId;
use crate::engine::{EngineError, now};
use crate::records::WhyAnswer;
use crate::run::{WhyContext, why};

impl CommandHandler {
    /// Why a run is as it is; for a living run with the present figures of its waits.
    ///
    /// # Errors
    /// [`Error`] when there is no such run, or it can't be read.
    pub(crate) fn why(&self, run_id: &RunId) -> Result<WhyAnswer, Error> {
        let living = self.engine.snapshot().runs.get(run_id).cloned();
        let Some(run) = living else {
            let answer = self.records().why(run_id, now()).map_err(EngineError::from)?;
            return Ok(answer.ok_or_else(|| EngineError::NotFound { run_id: run_id.clone() })?);
        };
        let waits = self.engine.waits()?;
        let of_run = waits.into_iter().filter(|wait| wait.run_id == *run_id);
        let waits: Vec<_> = of_run.map(|wait| (wait.step_id, wait.wait)).collect();
        let (now, n_cpus) = (now(), std::thread::available_parallelism().map_or(1, usize::from));
        let answers = why(&run, WhyContext { now: now.wall, waits: &waits, is_live: true, n_cpus });
        let slower = self.records().slower(&run, now).map_err(EngineError::from)?;
        Ok(WhyAnswer { run: run.summary(), priority: run.ledger.priority, answers, slower })
    }
}
