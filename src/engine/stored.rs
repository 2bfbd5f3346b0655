//! Runs as they are read from disk.

use super::error::EngineError;
use super::options::Scope;
use crate::base::id::RunId;
use crate::pipeline::Pipeline;
use crate::run::Run;
use crate::store::{CheckpointManager, StoredBody};

/// A run by its id; an error if this version can't parse its definition.
pub(super) type ReadRun = (RunId, Result<Run, String>);

/// The runs of this scope that have not ended.
pub(super) fn load_living(store: &CheckpointManager, scope: &Scope) -> Result<Vec<ReadRun>, EngineError> {
    let stored = match scope {
        Scope::Nothing => Vec::new(),
        Scope::All => store.load_living()?,
        Scope::Only(run_ids) => {
            let stored: Result<Vec<_>, _> = run_ids.iter().map(|run_id| store.load_run(run_id)).collect();
            stored?.into_iter().flatten().filter(|run| !run.summary.state.is_ended()).collect()
        }
    };
    let read = stored.into_iter().map(|run| {
        (run.summary.run_id.clone(), run.into_run(parse_stored).map_err(|error| error.to_string()))
    });
    Ok(read.collect())
}

/// A run that has not ended. None when it has, or does not exist.
pub(super) fn load_if_living(store: &CheckpointManager, run_id: &RunId) -> Result<Option<Run>, EngineError> {
    let stored = store.load_run(run_id)?.filter(|run| !run.summary.state.is_ended());
    Ok(stored.map(|run| run.into_run(parse_stored)).transpose()?)
}

/// An ended run, to be resumed.
///
/// # Errors
/// [`EngineError::NotFound`]; [`EngineError::OutOfScope`] when it has not ended: this engine's scope excludes it, and
/// deciding about it here would give it two owners. [`EngineError::Store`] when it can't be read.
pub(super) fn load_ended(store: &CheckpointManager, run_id: &RunId) -> Result<Run, EngineError> {
    let stored = store.load_run(run_id)?;
    let stored = stored.ok_or_else(|| EngineError::NotFound { run_id: run_id.clone() })?;
    if !stored.summary.state.is_ended() {
        return Err(EngineError::OutOfScope { run_id: run_id.clone() });
    }
    Ok(stored.into_run(parse_stored)?)
}

/// Whether the run exists and the engine runs its steps.
pub(super) fn has_steps(store: &CheckpointManager, run_id: &RunId) -> bool {
    match store.load_run(run_id) {
        Ok(Some(stored)) => matches!(stored.body, StoredBody::Pipeline(_)),
        Ok(None) | Err(_) => false,
    }
}

fn parse_stored(path: &str, text: &str) -> Result<Pipeline, String> {
    Pipeline::parse(text, std::path::Path::new(path), std::env::home_dir().as_deref()).map_err(
        |diagnostics| {
            let first = diagnostics.first().map(ToString::to_string);
            first.unwrap_or_else(|| "it can't be read".to_owned())
        },
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::test_runs::{driven, of_steps};
    use crate::run::Phase;
    use crate::run::RunState;
    use crate::store::RunWrite;

    #[test]
    fn a_run_is_read_as_what_it_is_and_a_living_one_is_not_taken_up() {
        let store = CheckpointManager::in_memory().expect("a store");
        let living = of_steps("living", &["s"]);
        let ended = Run { phase: Phase::of(RunState::Failed, None), ..driven("ended") };
        let writes = [&living, &ended].map(|run| RunWrite::Run(Arc::new(run.clone())));
        store.commit(&writes).expect("it is recorded");
        let all: Vec<_> = load_living(&store, &Scope::All).expect("they are read").into_iter().collect();
        assert!(matches!(all.as_slice(), [(run_id, Ok(_))] if *run_id == living.id));
        let both = Scope::Only(vec![living.id.clone(), ended.id.clone()]);
        assert_eq!(load_living(&store, &both).expect("they are read").len(), 1);
        assert!(matches!(load_ended(&store, &living.id), Err(EngineError::OutOfScope { .. })));
        assert!(load_ended(&store, &ended.id).is_ok());
        assert!(matches!(load_ended(&store, &driven("none").id), Err(EngineError::NotFound { .. })));
        assert!(load_if_living(&store, &ended.id).expect("it is read").is_none());
        assert!(has_steps(&store, &living.id) && !has_steps(&store, &ended.id));
    }
}
