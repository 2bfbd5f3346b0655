//! The day ahead, a month and the ledger in the read model: looked up while they are visible, and again when a job fires
//! or changes.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};

use super::looked::Looked;
use crate::base::id::JobId;
use crate::window::agenda::{Day, FiresPage, FiresQuestion, Month, MonthOf};
use crate::window::port::Action;

/// How long a day that was looked up is shown before it is looked up again.
const DAY_HOLDS: TimeDelta = TimeDelta::minutes(10);

/// What a backfill would run, or why nothing.
pub type BackfillPreview = Result<Vec<DateTime<Utc>>, String>;

/// What jobs will do and have done, as far as it is visible.
#[derive(Debug, Default)]
pub struct AgendaModel {
    day: Looked<(), Day>,
    month: Looked<MonthOf, Month>,
    fires: Looked<FiresQuestion, FiresPage>,
    backfill: Looked<(JobId, DateTime<Utc>, DateTime<Utc>), BackfillPreview>,
    exported: Option<(PathBuf, usize)>,
    backfilled: Option<Result<usize, String>>,
}

impl AgendaModel {
    /// The fires of the next 24 hours; none until they arrive.
    pub fn day(&self) -> Option<&Day> {
        self.day.known().map(|((), day)| day)
    }

    /// This month; none until it arrives.
    pub fn month(&self, of: &MonthOf) -> Option<&Month> {
        self.month.known().filter(|(known, _)| known == of).map(|(_, month)| month)
    }

    /// Rows of the ledger with this filter; none until they arrive.
    pub fn fires(&self, question: &FiresQuestion) -> Option<&FiresPage> {
        let known = self.fires.known().filter(|(known, _)| known.filter == question.filter);
        known.map(|(_, page)| page)
    }

    /// What this backfill would run; none until it arrives.
    pub fn backfill(&self, of: &(JobId, DateTime<Utc>, DateTime<Utc>)) -> Option<&BackfillPreview> {
        self.backfill.known().filter(|(known, _)| known == of).map(|(_, preview)| preview)
    }

    /// The file that the ledger was written to last, and how many rows it has.
    pub fn exported(&self) -> Option<&(PathBuf, usize)> {
        self.exported.as_ref()
    }

    /// The outcome of the last backfill, once: how many instants are run.
    pub(crate) fn take_backfilled(&mut self) -> Option<Result<usize, String>> {
        self.backfilled.take()
    }

    pub(crate) fn want_day(&mut self, is_open: bool, now: DateTime<Utc>) -> Option<Action> {
        if self.day().is_some_and(|day| now - day.from > DAY_HOLDS || day.from > now) {
            self.day.touch();
        }
        self.day.want(is_open.then_some(())).map(|()| Action::LoadDay)
    }

    pub(crate) fn want_month(&mut self, of: Option<MonthOf>) -> Option<Action> {
        self.month.want(of).map(Action::LoadMonth)
    }

    pub(crate) fn want_fires(&mut self, question: Option<FiresQuestion>) -> Option<Action> {
        self.fires.want(question).map(|question| Action::LoadFires(Box::new(question)))
    }

    pub(crate) fn want_backfill(
        &mut self,
        of: Option<(JobId, DateTime<Utc>, DateTime<Utc>)>,
    ) -> Option<Action> {
        let (job_id, from, to) = self.backfill.want(of)?;
        Some(Action::PreviewBackfill { job_id, from, to })
    }

    pub(crate) fn put_day(&mut self, day: Day) {
        self.day.put(day);
    }

    pub(crate) fn put_month(&mut self, month: Month) {
        self.month.put(month);
    }

    pub(crate) fn put_fires(&mut self, page: FiresPage) {
        self.fires.put(page);
    }

    pub(crate) fn put_backfill(&mut self, preview: BackfillPreview) {
        self.backfill.put(preview);
    }

    pub(crate) fn put_exported(&mut self, path: PathBuf, n_rows: usize) {
        self.exported = Some((path, n_rows));
    }

    pub(crate) fn put_backfilled(&mut self, outcome: Result<usize, String>) {
        self.backfilled = Some(outcome);
    }

    /// A job has fired or changed, or a run has ended.
    pub(crate) fn touch(&mut self) {
        self.day.touch();
        self.month.touch();
        self.fires.touch();
        self.backfill.touch();
    }

    /// A lookup failed; the next change asks again.
    pub(crate) fn forget_questions(&mut self) {
        self.day.forget_question();
        self.month.forget_question();
        self.fires.forget_question();
        self.backfill.forget_question();
    }
}
