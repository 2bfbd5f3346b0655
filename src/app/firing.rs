//! Whether jobs can fire: whether something on this machine fires those of a data directory, and whether their pipelines
//! are there. It looks, and asks nobody: an engine that hangs must not hang whoever wants to know.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::{Catalogue, CatalogueError, JobView, Presence, UserService, presence};

/// That nothing fires the enabled jobs, and what does.
pub const NOBODY_FIRES: &str = "nothing on this machine fires these jobs: neither the window nor `leverframe serve` runs, and there is no service that starts it; `leverframe service install` puts one in place";

/// Whether an instant or the end of another job's run makes this job due, and it may fire then.
pub fn fires_by_itself(job: &JobView) -> bool {
    job.enabled && job.problem.is_none() && (job.next_run.is_some() || job.schedule_type == "after")
}

/// Whether something fires the jobs of this data directory: an engine with a scheduler, or a service that starts one
/// with each session.
pub fn is_fired(data_dir: &Path) -> bool {
    let has_scheduler = match presence(data_dir) {
        Presence::Engine { pid } => has_scheduler(pid),
        Presence::Nobody => false,
    };
    has_scheduler || UserService::is_installed_for(data_dir)
}

/// Whether a process has the scheduler's thread, which only those have that fire jobs. Where threads can't be listed, it
/// is taken to have one.
fn has_scheduler(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().any(|thread| {
        fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.trim() == "lf-scheduler")
    })
}

/// Says with each job whose pipeline can't be run that it can't, and why.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_fires_jobs_is_known_by_its_scheduler() {
        assert!(!has_scheduler(std::process::id()));
        let (sender, receiver) = crossbeam_channel::bounded::<()>(0);
        // A thread takes its name when it begins.
        let (begun, has_begun) = crossbeam_channel::bounded(1);
        let thread = crate::thread::lasting("lf-scheduler", move || {
            begun.send(()).unwrap();
            // Ends with the test.
            let _ = receiver.recv();
        });
        has_begun.recv().unwrap();
        assert!(has_scheduler(std::process::id()));
        drop(sender);
        thread.unwrap().join().unwrap();
    }
}
