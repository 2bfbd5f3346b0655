//! The window's own state about jobs: the form that waits for an answer, and the selected row.

use super::command::{Neighbour, Page};
use chrono::{DateTime, Utc};

use super::job_form::JobForm;
use super::schedule_page::{BackfillForm, LedgerSpan, ScheduleTab};
use super::state::Overlay;
use super::window::LeverframeWindow;
use crate::base::id::JobId;
use crate::window::SavedJob;

impl LeverframeWindow {
    /// Opens the form for a new job, of this pipeline or of the first one.
    pub(super) fn new_job(&mut self, pipeline: Option<&str>) {
        self.state.page = Page::Schedule;
        self.state.schedule.tab = ScheduleTab::Jobs;
        self.store.select_job(None);
        let pipelines = self.store.pipelines().unwrap_or_default();
        let first = || pipelines.iter().find(|entry| entry.error.is_none()).map(|entry| &*entry.id);
        self.state.schedule.form = Some(JobForm::new(self.store.jobs().local(), pipeline.or_else(first)));
    }

    /// Asks for what the visible tab of the page shows.
    pub(super) fn want_agenda(&mut self, now: DateTime<Utc>) {
        let page = &self.state.schedule;
        let tab = Some(page.tab).filter(|_| self.state.page == Page::Schedule);
        let today = now.with_timezone(&self.store.jobs().local()).date_naive();
        let selected = self.store.jobs().selected();
        let month = (tab == Some(ScheduleTab::Calendar)).then(|| page.calendar.of(selected, today));
        let fires = (tab == Some(ScheduleTab::Fires)).then(|| page.ledger.question(selected));
        let backfill = if let Overlay::Backfill(form) = &self.state.overlay { form.asked() } else { None };
        let shows_day = tab == Some(ScheduleTab::Jobs) && page.shows_day;
        self.store.want_day(shows_day, now);
        self.store.want_month(month);
        self.store.want_fires(fires);
        self.store.want_backfill(backfill);
    }

    /// Shows the fires of this time, of all jobs or only of the selected one.
    pub(super) fn show_fires(&mut self, span: LedgerSpan, is_of_selected: bool, now: DateTime<Utc>) {
        let local = self.store.jobs().local();
        let page = &mut self.state.schedule;
        page.tab = ScheduleTab::Fires;
        page.ledger.set_span(span, now, local);
        page.ledger.is_of_selected = is_of_selected;
    }

    /// Opens the form of a backfill.
    pub(super) fn ask_backfill(&mut self, job_id: JobId, now: DateTime<Utc>) {
        let jobs = self.store.jobs();
        let detail = jobs.detail().filter(|detail| detail.row.job_id.as_ref() == Some(&job_id));
        let zone = detail.map_or(jobs.local(), |detail| detail.row.zone);
        self.state.overlay = Overlay::Backfill(BackfillForm::new(job_id, zone, now));
    }

    /// Runs the open form of a backfill.
    pub(super) fn run_backfill(&mut self) {
        let Overlay::Backfill(form) = &mut self.state.overlay else { return };
        let Some(action) = form.request() else { return };
        // Not by `send`: what fails is shown in the form.
        match self.port.send(action) {
            Ok(()) => (form.is_running, form.refusal) = (true, None),
            Err(reason) => form.refusal = Some(reason.to_owned()),
        }
    }

    /// Takes over the outcome of a backfill: its fires are shown, or the form says why there are none.
    pub(super) fn take_backfilled(&mut self) {
        let Some(outcome) = self.store.take_backfilled() else { return };
        let form = if let Overlay::Backfill(form) = &mut self.state.overlay { Some(form) } else { None };
        match (outcome, form) {
            (Ok(_), Some(_)) => self.state.overlay = Overlay::None,
            (Ok(_), None) => {}
            (Err(refusal), Some(form)) => (form.is_running, form.refusal) = (false, Some(refusal)),
            (Err(refusal), None) => self.store.push_failure("backfill", refusal),
        }
    }

    /// Shows a job on its page.
    pub(super) fn open_job(&mut self, job_id: JobId) {
        self.state.page = Page::Schedule;
        self.state.schedule.tab = ScheduleTab::Jobs;
        self.state.schedule.form = None;
        self.store.select_job(Some(job_id));
    }

    /// Selects the job in the next or the previous row.
    pub(super) fn select_neighbour_job(&mut self, neighbour: Neighbour) {
        let jobs = self.store.jobs();
        let next = match (jobs.selected_index(), neighbour) {
            (None, _) => self.state.schedule.shown.start,
            (Some(at), Neighbour::Next) => at + 1,
            (Some(at), Neighbour::Previous) => at.saturating_sub(1),
        };
        if let Some(job_id) = jobs.row(next).and_then(|row| row.job_id.clone()) {
            self.state.schedule.scroll_to = Some(next);
            self.state.schedule.form = None;
            self.store.select_job(Some(job_id));
        }
    }

    /// The engine has answered the form.
    pub(super) fn take_saved(&mut self, saved: SavedJob) {
        let Some(form) = &mut self.state.schedule.form else { return };
        form.is_saving = false;
        match saved.refusal {
            Some(refusal) => form.refusal = Some(refusal),
            None if form.job_id.is_none() => {
                self.state.schedule.form = None;
                self.store.select_job(Some(saved.job_id));
            }
            None => form.mark_saved(),
        }
    }
}
