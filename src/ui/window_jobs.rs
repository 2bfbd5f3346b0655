//! The window's own state about jobs: the form that waits for an answer, and the selected row.

use super::command::{Neighbour, Page};
use super::job_form::JobForm;
use super::window::LeverframeWindow;
use crate::base::id::JobId;
use crate::window::SavedJob;

impl LeverframeWindow {
    /// Opens the form for a new job, of this pipeline or of the first one.
    pub(super) fn new_job(&mut self, pipeline: Option<&str>) {
        self.state.page = Page::Schedule;
        self.store.select_job(None);
        let pipelines = self.store.pipelines().unwrap_or_default();
        let first = || pipelines.iter().find(|entry| entry.error.is_none()).map(|entry| &*entry.id);
        self.state.schedule.form = Some(JobForm::new(self.store.jobs().local(), pipeline.or_else(first)));
    }

    /// Shows a job on its page.
    pub(super) fn open_job(&mut self, job_id: JobId) {
        self.state.page = Page::Schedule;
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
