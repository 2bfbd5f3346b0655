//! Whether jobs can fire: whether an engine or a service fires the jobs of a data directory, and whether their
//! pipelines exist.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::user_service::UserService;
use crate::control::{ControlClient, OWN_NAME};
use crate::scheduler::JobView;
use crate::settings::{Catalogue, CatalogueError};
use crate::store::{Presence, presence};

/// The message that nothing fires the enabled jobs, and what would.
pub const NOBODY_FIRES: &str = "nothing on this machine fires these jobs: neither the window nor `leverframe serve` runs, and there is no service that starts it; `leverframe service install` installs one";

/// Whether something fires the jobs of a data directory. Displays as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobsFired {
    /// A living engine does, or a service that starts one with each session.
    Yes,
    /// Nothing does.
    No,
    /// An engine lives, but its answer is missing.
    Unknown {
        /// The reason.
        why: String,
    },
}

impl fmt::Display for JobsFired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("these jobs are fired"),
            Self::No => f.write_str(NOBODY_FIRES),
            Self::Unknown { why } => write!(f, "whether anything fires these jobs is unknown: {why}"),
        }
    }
}

/// Whether a due instant or the end of another job's run can make this job fire.
pub fn fires_by_itself(job: &JobView) -> bool {
    job.enabled && job.problem.is_none() && (job.next_run.is_some() || job.schedule_type == "after")
}

/// How long a command that reads the databases waits for the engine's part of the answer: an engine that hangs delays
/// no list.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether something fires the jobs of this data directory. Asks the living engine.
pub fn jobs_fired(data_dir: &Path) -> JobsFired {
    if UserService::is_installed_for(data_dir) {
        return JobsFired::Yes;
    }
    let Presence::Engine { pid } = presence(data_dir) else { return JobsFired::No };
    let unknown = |why: String| JobsFired::Unknown { why };
    match ControlClient::connect_within(data_dir, OWN_NAME, PATIENCE) {
        Ok(Some(client)) => match client.welcome().engine.fires_jobs {
            Some(true) => JobsFired::Yes,
            Some(false) => JobsFired::No,
            None => unknown(format!(
                "the engine (process {pid}) does not report it; its version {} is older",
                client.welcome().version
            )),
        },
        // It may have ended meanwhile.
        Ok(None) if !presence(data_dir).is_alive() => JobsFired::No,
        Ok(None) => unknown(format!("the engine (process {pid}) has no control socket at this moment")),
        Err(error) => unknown(error.to_string()),
    }
}

/// Notes at each job why its pipeline can't run, if it can't.
pub fn name_missing_pipelines(jobs: &mut [JobView], catalogue: &Catalogue) {
    let mut known: HashMap<String, Option<String>> = HashMap::new();
    for job in jobs {
        let trouble =
            known.entry(job.pipeline_id.clone()).or_insert_with(|| trouble_of(&job.pipeline_id, catalogue));
        job.trouble.clone_from(trouble);
    }
}

fn trouble_of(pipeline_id: &str, catalogue: &Catalogue) -> Option<String> {
    match catalogue.find(pipeline_id) {
        Ok(_) => None,
        Err(CatalogueError::Invalid(problems)) => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            Some(format!("its pipeline {pipeline_id} can't be used as its file is now: {first}"))
        }
        Err(
            error @ (CatalogueError::Unknown { .. }
            | CatalogueError::NoFile { .. }
            | CatalogueError::Unreadable { .. }
            | CatalogueError::Ambiguous { .. }),
        ) => Some(error.to_string()),
    }
}
