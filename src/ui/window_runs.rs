//! The window's own state about runs: which page shows the selected one, and which run comes next.

use super::command::{Neighbour, Page, RunTab};
use super::views::other_run;
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
        let selected = self.store.selected_id().and_then(|run_id| history.index_of(run_id));
        let next = match (selected, neighbour) {
            (None, _) => self.state.history.rows().start,
            (Some(at), Neighbour::Next) => at + 1,
            (Some(at), Neighbour::Previous) => at.saturating_sub(1),
        };
        if let Some(run) = history.row(next) {
            let run_id = run.run_id.clone();
            self.state.history.move_to(next);
            self.state.history.reveal(next);
            self.store.select_run(Some(run_id));
        }
    }

    /// Marks the selected run of the list of ended runs, or no longer.
    pub(super) fn mark_run(&mut self) {
        let Some(run_id) = self.store.selected_id().cloned() else { return };
        if let Some(row) = self.store.history().index_of(&run_id) {
            self.state.history.toggle(row, &run_id);
        }
    }

    /// Marks the selected run and the one in the next or the previous row, which is selected.
    pub(super) fn mark_neighbour(&mut self, neighbour: Neighbour) {
        let mark = |window: &mut Self| {
            let run_id = window.store.selected_id().cloned();
            window.state.history.marked.extend(run_id);
        };
        mark(self);
        self.select_neighbour_ended(neighbour);
        mark(self);
    }

    /// Opens the page of a run.
    pub(super) fn open_run(&mut self, run_id: RunId) {
        if self.state.page != Page::Run {
            (self.state.back, self.state.page) = (self.state.page, Page::Run);
            self.state.run_tab = RunTab::default();
            self.state.compared_with = None;
            self.store.want_jobs(None);
        }
        self.store.select_run(Some(run_id));
    }

    /// Compares the open run with this one.
    pub(super) fn compare_with(&mut self, run_id: RunId) {
        self.state.run_tab = RunTab::Compare;
        self.state.compared_with = Some(run_id);
    }

    /// Opens the page of the second of the two marked runs, compared with the first; without two it does nothing.
    pub(super) fn compare_marked(&mut self) {
        if let Some((first, second)) = self.state.history.marked_pair() {
            let (first, second) = (first.clone(), second.clone());
            self.open_run(second);
            self.compare_with(first);
        }
    }

    /// Says which two runs are compared now.
    pub(super) fn want_comparison(&mut self) {
        let is_open = self.state.page == Page::Run && self.state.run_tab == RunTab::Compare;
        let runs = self.store.selected().filter(|_| is_open).and_then(|entry| {
            let other = other_run(&self.store, &self.state, entry)?;
            Some((entry.run.run_id.clone(), other.clone()))
        });
        self.store.want_comparison(runs);
    }

    /// Goes back to where the page of a run was opened. The run stays selected where runs are shown.
    pub(super) fn close_run(&mut self) {
        self.state.page = self.state.back;
    }

    /// Chooses the next or the previous step of the selected run.
    fn choose_neighbour_step(&mut self, neighbour: Neighbour) {
        let Some(entry) = self.store.selected() else { return };
        let shown = self.store.chosen_step().or(self.store.log().map(|log| &log.key.step_id));
        let at = entry.steps().iter().position(|step| Some(&step.step_id) == shown);
        let step = entry.steps().get(neighbour.of(at));
        if let Some(step_id) = step.map(|step| step.step_id.clone()) {
            self.store.choose_step(Some(step_id));
        }
    }

    pub(super) fn select_neighbour(&mut self, neighbour: Neighbour) {
        let ids: Vec<&RunId> = match self.state.page {
            Page::Run => return self.choose_neighbour_step(neighbour),
            Page::Schedule => return self.select_neighbour_job(neighbour),
            Page::Pipelines => return self.select_neighbour_pipeline(neighbour),
            Page::Machine | Page::Away | Page::Settings => return,
            Page::Now => self.state.now.run_ids().collect(),
            Page::History => return self.select_neighbour_ended(neighbour),
        };
        let selected = self.store.selected().map(|entry| &entry.run.run_id);
        let at = ids.iter().position(|id| Some(*id) == selected);
        let run_id = ids.get(neighbour.of(at)).map(|id| (*id).clone());
        if run_id.is_some() {
            self.store.select_run(run_id);
        }
    }
}
