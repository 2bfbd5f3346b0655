//! The jobs in the read model: the rows around the visible ones, and the selected job with its fires. It asks only for
//! what is visible, one request at a time.

use std::ops::Range;

use crate::base::id::JobId;
use crate::base::tz::Tz;
use crate::window::job_page::{JobDetail, JobPage, JobRow};
use crate::window::port::{Action, SavedJob};

/// How many more rows are requested at either end of the visible ones.
pub const ROW_MARGIN: usize = 40;

/// The jobs, as far as they are visible.
#[derive(Debug, Default)]
pub struct JobsModel {
    page: Option<JobPage>,
    /// The visible rows; none when the list is not open.
    wanted: Option<Range<usize>>,
    /// A page was requested and has not arrived.
    is_asked: bool,
    /// The last request failed. It is not made again and again, but when something changes.
    has_failed: bool,
    /// The known rows may be out of date.
    is_stale: bool,
    selected: Option<JobId>,
    detail: Option<Box<JobDetail>>,
    is_detail_asked: bool,
    is_detail_stale: bool,
    saved: Option<SavedJob>,
}

impl JobsModel {
    /// How many jobs there are; none until known.
    pub fn total(&self) -> Option<usize> {
        self.page.as_ref().map(|page| page.total)
    }

    /// The visible rows that were set last; none when the list is not open.
    pub fn wanted(&self) -> Option<&Range<usize>> {
        self.wanted.as_ref()
    }

    /// How many jobs are disabled.
    pub fn n_disabled(&self) -> usize {
        self.page.as_ref().map_or(0, |page| page.n_disabled)
    }

    pub fn local(&self) -> Tz {
        self.page.as_ref().map_or(Tz::UTC, |page| page.local)
    }

    /// The job in this row of the list, if known.
    pub fn row(&self, index: usize) -> Option<&JobRow> {
        let page = self.page.as_ref()?;
        page.rows.get(index.checked_sub(page.offset)?)
    }

    /// The row of the selected job, if known.
    pub fn selected_index(&self) -> Option<usize> {
        let (page, selected) = (self.page.as_ref()?, self.selected.as_ref()?);
        let at = page.rows.iter().position(|row| row.job_id.as_ref() == Some(selected))?;
        Some(page.offset + at)
    }

    pub fn selected(&self) -> Option<&JobId> {
        self.selected.as_ref()
    }

    /// The selected job with its fires; none until they arrive.
    pub fn detail(&self) -> Option<&JobDetail> {
        self.detail.as_deref()
    }

    /// The outcome of the last form, once.
    pub fn take_saved(&mut self) -> Option<SavedJob> {
        self.saved.take()
    }

    /// Sets the visible rows; none when the list is not open.
    pub(crate) fn want(&mut self, rows: Option<Range<usize>>) -> [Option<Action>; 2] {
        if rows.is_none() {
            self.has_failed = false;
        }
        self.wanted = rows;
        [self.ask(), if self.is_detail_stale { self.ask_detail() } else { None }]
    }

    /// Selects a job, or none.
    pub(crate) fn select(&mut self, job_id: Option<JobId>) -> Option<Action> {
        if self.selected == job_id {
            return None;
        }
        self.detail = None;
        self.selected = job_id;
        self.is_detail_asked = false;
        self.ask_detail()
    }

    /// This job has changed; none: any of them may have.
    pub(crate) fn touch(&mut self, job_id: Option<&JobId>) -> [Option<Action>; 2] {
        (self.is_stale, self.has_failed) = (true, false);
        let is_selected = job_id.is_none() || job_id == self.selected.as_ref();
        [self.ask(), if is_selected { self.ask_detail() } else { None }]
    }

    pub(crate) fn put_page(&mut self, page: JobPage) -> Option<Action> {
        (self.is_asked, self.has_failed) = (false, false);
        self.page = Some(page);
        self.ask()
    }

    pub(crate) fn put_detail(&mut self, job_id: &JobId, detail: Option<Box<JobDetail>>) -> Option<Action> {
        if self.selected.as_ref() != Some(job_id) {
            return None;
        }
        self.is_detail_asked = false;
        if detail.is_none() {
            self.selected = None;
        }
        self.detail = detail;
        if self.is_detail_stale { self.ask_detail() } else { None }
    }

    pub(crate) fn put_saved(&mut self, saved: SavedJob) {
        self.saved = Some(saved);
    }

    /// A lookup failed; the next change asks again.
    pub(crate) fn forget_questions(&mut self) {
        self.has_failed |= self.is_asked;
        (self.is_asked, self.is_detail_asked) = (false, false);
    }

    /// Asks for the visible rows that are not known, unless a request is on its way.
    fn ask(&mut self) -> Option<Action> {
        let wanted = self.wanted.clone()?;
        if self.is_asked || self.has_failed || (self.is_known(&wanted) && !self.is_stale) {
            return None;
        }
        self.is_asked = true;
        self.is_stale = false;
        let offset = wanted.start.saturating_sub(ROW_MARGIN);
        Some(Action::LoadJobs { offset, limit: wanted.end.saturating_sub(offset) + ROW_MARGIN })
    }

    fn ask_detail(&mut self) -> Option<Action> {
        let may_ask = self.wanted.is_some() && !self.is_detail_asked;
        self.is_detail_stale = !may_ask && self.selected.is_some();
        let job_id = self.selected.clone().filter(|_| may_ask)?;
        self.is_detail_asked = true;
        Some(Action::LoadJob(job_id))
    }

    fn is_known(&self, rows: &Range<usize>) -> bool {
        self.page.as_ref().is_some_and(|page| {
            let end = rows.end.min(page.total);
            rows.start.min(end) >= page.offset.min(end) && end <= page.offset + page.rows.len()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(total: usize, offset: usize, n_rows: usize) -> JobPage {
        let job = || {
            serde_json::from_value(serde_json::json!({
                "job_id": "books", "pipeline_id": "books", "source": "books", "schedule_type": "manual",
                "schedule_config": {}, "words": "only by hand", "zone": "UTC", "enabled": true, "run_count": 0,
                "created_at": "2026-01-01T00:00:00Z", "misfire": "run_once", "catchup_limit": 100,
                "misfire_grace_seconds": 3600.0, "overlap": "skip", "priority": 0, "params": {}, "running": [],
            }))
            .unwrap()
        };
        let row = |n: usize| JobRow {
            job: job(),
            job_id: JobId::new(format!("job{n}")).ok(),
            zone: Tz::UTC,
            marks: Vec::new(),
        };
        let rows = (offset..offset + n_rows).map(row).collect();
        JobPage { total, n_disabled: 0, offset, rows, local: Tz::UTC }
    }

    #[test]
    fn only_the_rows_around_those_that_can_be_seen_are_asked_for_and_once() {
        let mut jobs = JobsModel::default();
        let [asked, _] = jobs.want(Some(0..10));
        assert_eq!(asked, Some(Action::LoadJobs { offset: 0, limit: 50 }));
        assert_eq!(jobs.want(Some(5000..5010))[0], None, "one question at a time");
        let asked = jobs.put_page(page(100_000, 0, 50));
        assert_eq!(asked, Some(Action::LoadJobs { offset: 4960, limit: 90 }), "what is seen now");
        assert_eq!(jobs.put_page(page(100_000, 4960, 90)), None);
        assert!(jobs.row(5000).is_some() && jobs.row(0).is_none(), "the others are forgotten");
        assert_eq!(jobs.want(Some(5030..5040))[0], None, "what is known is not asked for");
    }

    #[test]
    fn news_are_asked_for_while_somebody_looks_and_else_when_somebody_does() {
        let mut jobs = JobsModel::default();
        jobs.want(Some(0..2));
        jobs.put_page(page(2, 0, 2));
        jobs.select(JobId::new("job1").ok());
        assert_eq!(jobs.selected_index(), Some(1));
        assert_eq!(
            jobs.touch(JobId::new("job0").ok().as_ref()),
            [Some(Action::LoadJobs { offset: 0, limit: 42 }), None]
        );
        jobs.put_page(page(2, 0, 2));
        assert_eq!(jobs.want(None), [None, None]);
        let job1 = JobId::new("job1").unwrap();
        assert_eq!(jobs.put_detail(&job1, None), None);
        assert_eq!(jobs.touch(None), [None, None], "nobody looks");
        assert!(matches!(jobs.want(Some(0..2)), [Some(Action::LoadJobs { .. }), None]));
    }

    #[test]
    fn a_job_that_is_gone_is_no_longer_selected_and_a_question_that_failed_is_asked_again() {
        let mut jobs = JobsModel::default();
        jobs.want(Some(0..2));
        jobs.put_page(page(2, 0, 2));
        let job1 = JobId::new("job1").unwrap();
        assert_eq!(jobs.select(Some(job1.clone())), Some(Action::LoadJob(job1.clone())));
        jobs.touch(Some(&job1));
        jobs.forget_questions();
        assert_eq!(jobs.touch(Some(&job1))[1], Some(Action::LoadJob(job1.clone())));
        jobs.put_detail(&job1, None);
        assert_eq!(jobs.selected(), None);
    }

    #[test]
    fn rows_that_could_not_be_read_are_not_asked_for_again_and_again_but_after_a_change() {
        let mut jobs = JobsModel::default();
        let asked = Some(Action::LoadJobs { offset: 0, limit: 42 });
        assert_eq!(jobs.want(Some(0..2))[0], asked);
        jobs.forget_questions();
        assert_eq!(jobs.want(Some(0..2))[0], None);
        assert_eq!(jobs.touch(None)[0], asked);
        jobs.forget_questions();
        jobs.want(None);
        assert_eq!(jobs.want(Some(0..2))[0], asked, "the page was left and opened again");
    }
}
