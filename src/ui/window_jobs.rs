//! What the window does about jobs with what it holds itself: the form that waits for an answer, the selected row.

use super::command::Neighbour;
use super::window::LeverframeWindow;
use crate::window::SavedJob;

impl LeverframeWindow {
    /// Looks at the job in the next row, or in the one before.
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

    /// The world has answered a form.
    pub(super) fn take_saved(&mut self, saved: SavedJob) {
        let Some(form) = &mut self.state.schedule.form else { return };
        form.is_saving = false;
        match saved.refusal {
            Some(refusal) => form.refusal = Some(refusal),
            None if form.job_id.is_none() => {
                self.state.schedule.form = None;
                self.store.select_job(Some(saved.job_id));
            }
            None => form.settle(),
        }
    }
}
