//! The window's own state about runs: which page shows the selected one, and which run comes next.

use super::command::{Neighbour, Page};
use super::views::is_waiting;
use super::window::LeverframeWindow;
use crate::base::id::RunId;

impl LeverframeWindow {
    /// Selects a run, on a page that shows it: on another page its keys would act on something invisible.
    pub(super) fn show_run(&mut self, run_id: Option<RunId>) {
        if let Some(run_id) = &run_id
            && !self.state.page.shows_runs()
        {
            let is_alive = self.store.run(run_id).is_some_and(|entry| !entry.run.state.is_ended());
            self.state.page = if is_alive { Page::Now } else { Page::History };
            self.store.want_jobs(None);
        }
        self.store.select_run(run_id);
    }

    /// Selects the run in the next or the previous row of the list of ended runs.
    fn select_neighbour_ended(&mut self, neighbour: Neighbour) {
        let history = self.store.history();
        let selected = self.store.selected().and_then(|entry| history.index_of(&entry.run.run_id));
        let next = match (selected, neighbour) {
            (None, _) => self.state.history.rows().start,
            (Some(at), Neighbour::Next) => at + 1,
            (Some(at), Neighbour::Previous) => at.saturating_sub(1),
        };
        if let Some(run) = history.row(next) {
            let run_id = run.run_id.clone();
            self.state.history.begin_at(next);
            self.state.history.reveal(next);
            self.store.select_run(Some(run_id));
        }
    }

    pub(super) fn select_neighbour(&mut self, neighbour: Neighbour) {
        let ids: Vec<&RunId> = match self.state.page {
            Page::Schedule => return self.select_neighbour_job(neighbour),
            Page::Pipelines | Page::Machine => return,
            Page::Now if self.store.living().len() > 0 => {
                // In the order of the cards.
                let (waiting, running): (Vec<_>, Vec<_>) = self.store.living().partition(|it| is_waiting(it));
                running.into_iter().chain(waiting).map(|entry| &entry.run.run_id).collect()
            }
            Page::History => return self.select_neighbour_ended(neighbour),
            Page::Now => self.store.recent().map(|entry| &entry.run.run_id).collect(),
        };
        let selected = self.store.selected().map(|entry| &entry.run.run_id);
        let at = ids.iter().position(|id| Some(*id) == selected);
        let next = match (at, neighbour) {
            (None, _) => 0,
            (Some(at), Neighbour::Next) => at + 1,
            (Some(at), Neighbour::Previous) => at.saturating_sub(1),
        };
        let run_id = ids.get(next).map(|id| (*id).clone());
        if run_id.is_some() {
            self.store.select_run(run_id);
        }
    }
}
