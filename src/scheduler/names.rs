//! Names for runs of jobs that are not recorded yet. However many are due at one instant, each name is found at once:
//! what is taken is read once for each instant and source, and counted up from there.

use std::collections::{HashMap, HashSet};

use crate::base::id::RunId;
use crate::store::{CheckpointManager, JobStore, StoreError};

/// Names by what they begin with, which is the source and the second.
#[derive(Default)]
pub(super) struct Names(HashMap<String, Taken>);

struct Taken {
    /// What was taken when it was read.
    names: HashSet<String>,
    /// No name with this number or a higher one has been given away since.
    next: u64,
}

impl Names {
    /// The next free name that begins with `base`; it is not given away again until [`forget`](Self::forget).
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

    /// What was given away is on disk by now, or was not used: it is read again when it matters.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Keeps what is likely to be asked for again, and little of it.
    pub(super) fn tidy(&mut self) {
        const MOST: usize = 64;
        if self.0.len() > MOST {
            self.forget();
        }
    }
}
