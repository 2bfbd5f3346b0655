//! The jobs' part of `leverframe doctor`: jobs that can't fire, or whose runs can't start, and whether any engine fires
//! them at all.

use std::path::Path;

use super::doctor::Finding;
use crate::daemon::{JobsFired, NOBODY_FIRES, fires_by_itself, jobs_fired, name_missing_pipelines};
use crate::schedule::Outcome;
use crate::scheduler::{DesktopScheduler, JobView};
use crate::settings::Catalogue;

const ABOUT: &str = "jobs";

/// The most jobs that are named; of the others only the number is shown.
const MOST_NAMED: usize = 10;

/// Checks the jobs of a data directory. Changes nothing and asks no engine.
pub(crate) fn check_jobs(data_dir: &Path, catalogue: &Catalogue, findings: &mut Vec<Finding>) {
    let jobs = match DesktopScheduler::read_only(data_dir).list_jobs() {
        Ok(jobs) if jobs.is_empty() => return findings.push(Finding::fine(ABOUT, "there are none")),
        Ok(mut jobs) => {
            name_missing_pipelines(&mut jobs, catalogue);
            jobs
        }
        Err(error) => {
            let advice = "restore a copy of it, or move it and its -wal file away to begin with an empty one";
            return findings.push(Finding::broken(ABOUT, error.to_string(), advice));
        }
    };
    let mut wrong: Vec<Finding> = jobs.iter().filter(|job| job.enabled).filter_map(finding_of).collect();
    let n_more = wrong.len().saturating_sub(MOST_NAMED);
    wrong.truncate(MOST_NAMED);
    if n_more > 0 {
        wrong.push(Finding::odd(
            ABOUT,
            format!("{n_more} more have problems"),
            "`leverframe schedule list` names all",
        ));
    }
    let n_firing = jobs.iter().filter(|job| fires_by_itself(job)).count();
    match (n_firing > 0).then(|| jobs_fired(data_dir)) {
        Some(JobsFired::No) => {
            let advice = "`leverframe serve` fires them for as long as it runs";
            wrong.push(Finding::odd(ABOUT, format!("{n_firing} are enabled, and {NOBODY_FIRES}"), advice));
        }
        Some(unknown @ JobsFired::Unknown { .. }) => {
            let advice = "find out why the engine does not answer, then check again";
            wrong.push(Finding::odd(ABOUT, format!("{n_firing} are enabled; {unknown}"), advice));
        }
        Some(JobsFired::Yes) | None => {}
    }
    if wrong.is_empty() {
        let n_enabled = jobs.iter().filter(|job| job.enabled).count();
        wrong.push(Finding::fine(ABOUT, format!("{} are there, {n_enabled} of them enabled", jobs.len())));
    }
    findings.append(&mut wrong);
}

fn finding_of(job: &JobView) -> Option<Finding> {
    let job_id = &job.job_id;
    if let Some(problem) = &job.problem {
        let advice = "set its schedule again (`leverframe schedule set`), or remove it";
        return Some(Finding::broken(ABOUT, format!("job {job_id} never fires: {problem}"), advice));
    }
    if let Some(trouble) = &job.trouble {
        let advice = "restore the file, name another pipeline (`leverframe schedule set`), or remove the job";
        return Some(Finding::broken(ABOUT, format!("job {job_id} can't run: {trouble}"), advice));
    }
    if let Some(held) = &job.held {
        return Some(Finding::odd(
            ABOUT,
            format!("a run of job {job_id} is {held}"),
            format!("`leverframe schedule show {job_id}` names the run"),
        ));
    }
    let failed = job.last_fire.as_ref().filter(|fire| fire.outcome == Outcome::FailedToStart.as_str())?;
    let reason = failed.reason.as_deref().unwrap_or("no reason was recorded");
    Some(Finding::odd(
        ABOUT,
        format!("job {job_id} failed to start when it was due last: {reason}"),
        format!("`leverframe schedule run-now {job_id}` tries it"),
    ))
}
