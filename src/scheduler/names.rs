//! Ids for runs of jobs that are not recorded yet. However many runs are due at one instant, each id is found at once:
//! the ids in use are read once for each source and second, and counted on from there.

use std::collections::{HashMap, HashSet};

use crate::base::id::RunId;
use crate::store::{CheckpointManager, JobStore, StoreError};

/// Ids by their beginning, which is the source and the second.
#[derive(Default)]
pub(super) struct Names(HashMap<String, Taken>);

struct Taken {
    /// The ids in use when they were read.
    names: HashSet<String>,
    /// The lowest number that was not given out since then.
    next: u64,
}

impl Names {
    /// Reserves the next free id that begins with `base`. It is not given out again until [`forget`](Self::forget).
    pub(super) fn reserve(
        &mut self,
        base: &str,
        jobs: &JobStore,
        runs: &CheckpointManager,
    ) -> Result<RunId, StoreError> {
        if !self.0.contains_key(base) {
            let mut names = runs.run_ids_of_base(base)?;
            names.extend(jobs.reserved_run_ids(base)?);
            self.0.insert(base.to_owned(), Taken { names, next: 1 });
        }
        let mut found = None;
        if let Some(taken) = self.0.get_mut(base) {
            while found.is_none() {
                let name = if taken.next == 1 { base.to_owned() } else { format!("{base}-{}", taken.next) };
                taken.next += 1;
                found = Some(name).filter(|name| !taken.names.contains(name));
            }
        }
        Ok(RunId::new(found.unwrap_or_default())?)
    }

    /// Forgets all. Ids that were given out are on disk by now, or unused; they are read again when needed.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Forgets all when there are too many.
    pub(super) fn tidy(&mut self) {
        const MOST: usize = 64;
        if self.0.len() > MOST {
            self.forget();
        }
    }
}
