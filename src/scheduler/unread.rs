//! Reads rows of jobs that a script has written: when each is due first, and what it comes after. A row that can't be
//! read is set aside with its problem, and delays no other.

use super::after::Pending;
use super::claims::{Draft, park};
use super::core::{Act, SchedulerCore, changed};
use super::error::SchedulerError;
use super::instants::ceil_ms;
use super::job::{Job, next_ms};
use crate::base::time::{Now, parse_instant};
use crate::schedule::ScheduleConfig;
use crate::store::{Durability, JobWrite, NEVER_MS, StoreError, StoredJob};

impl SchedulerCore {
    /// Reads all rows that a script has written.
    pub(super) fn read_unread(&mut self, now: Now) -> Result<Vec<Act>, StoreError> {
        const AT_ONCE: usize = 1000;
        let mut acts = Vec::new();
        let mut last_rowid = i64::MIN;
        loop {
            let unread = self.jobs.unread_jobs(last_rowid, AT_ONCE)?;
            let Some(last) = unread.last() else { return Ok(acts) };
            last_rowid = last.rowid;
            // Jobs of this round are not on disk yet.
            let mut pending = Pending::default();
            let mut drafts = Vec::with_capacity(unread.len());
            for row in unread {
                let job_id = row.job_id.clone();
                let draft = match Job::read_anew(&row) {
                    Ok(job) => self.read_one(job, row, now, &mut pending),
                    Err(problem) => Ok(park(&row, problem)),
                };
                match draft {
                    Ok(draft) => drafts.push(draft),
                    Err(error) => acts.extend(self.bear_of(&job_id, Err(error), now)?),
                }
            }
            acts.extend(self.commit_each(drafts, Durability::Synced, now)?);
        }
    }

    fn read_one(
        &self,
        mut job: Job,
        row: StoredJob,
        now: Now,
        pending: &mut Pending,
    ) -> Result<Draft, StoreError> {
        let timetable = match job.timetable(&self.local) {
            Ok(timetable) => timetable,
            Err(error) => return Ok(park(&row, error.to_string())),
        };
        let above = job.spec.schedule.upstreams().to_vec();
        if let Some(cycle) = self.cycle(&job.spec.job_id, &above, pending)? {
            let mut draft = park(&row, SchedulerError::Cycle { cycle }.to_string());
            // Its earlier upstream jobs no longer count.
            draft.writes.push(JobWrite::Upstreams { job_id: row.job_id, upstreams: Vec::new() });
            pending.put(job.spec.job_id, Vec::new());
            return Ok(draft);
        }
        // A due instant is a whole millisecond, and never before the one that was written.
        let written = parse_instant(&row.next_run).ok().map(ceil_ms);
        let first = match &mut job.spec.schedule {
            // A manual job, or one after others, is never due by itself, whatever the row says.
            ScheduleConfig::After { .. } | ScheduleConfig::Manual => None,
            ScheduleConfig::Interval { anchor, .. } => {
                let first = written.or_else(|| timetable.next_after(now.wall));
                if anchor.is_none() {
                    *anchor = first;
                }
                first
            }
            ScheduleConfig::Once { .. }
            | ScheduleConfig::Daily { .. }
            | ScheduleConfig::Weekly { .. }
            | ScheduleConfig::Cron(_) => written.or_else(|| timetable.next_after(now.wall)),
        };
        let first = first.filter(|at| next_ms(Some(*at)) < NEVER_MS);
        let stored = StoredJob {
            next_run: row.next_run,
            created_at: row.created_at,
            zone: row.zone,
            misfire: row.misfire,
            overlap: row.overlap,
            params: row.params,
            first_by_hand: first.is_some(),
            ..job.to_row(first, &self.local)
        };
        let mut draft = Draft::of(&job.spec.job_id);
        draft.writes.push(JobWrite::ChangeJob(Box::new(stored)));
        let names = above.iter().map(ToString::to_string).collect();
        draft.writes.push(JobWrite::Upstreams { job_id: row.job_id, upstreams: names });
        draft.acts.push(changed(&job.spec.job_id));
        pending.put(job.spec.job_id, above);
        Ok(draft)
    }
}
