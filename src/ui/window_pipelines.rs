//! The window's own state about pipelines: the selected row, and the form for a new one.

use super::command::{Neighbour, Page};
use super::state::Overlay;
use super::window::LeverframeWindow;

impl LeverframeWindow {
    /// Selects the pipeline in the next or the previous row.
    pub(super) fn select_neighbour_pipeline(&mut self, neighbour: Neighbour) {
        let list = self.store.pipeline_list();
        let listed = list.listed().unwrap_or_default();
        let shown = self.state.pipelines.shown();
        let path_at = |row: usize| listed.get(*shown.get(row)?).map(|entry| &entry.path);
        let at = list
            .selected_path()
            .and_then(|path| (0..shown.len()).find(|row| path_at(*row).is_some_and(|known| known == path)));
        let next = neighbour.of(at);
        if let Some(path) = path_at(next).cloned() {
            self.state.pipelines.scroll_to = Some(next);
            self.store.select_pipeline(Some(path));
        }
    }

    /// Writes the file of the new pipeline, if its name is one.
    pub(super) fn make_pipeline(&mut self) {
        let Overlay::NewPipeline(form) = &mut self.state.overlay else { return };
        let Some(action) = form.request() else { return };
        // Not by `send`: what fails is shown in the form.
        match self.port.send(action) {
            Ok(()) => (form.is_saving, form.refusal) = (true, None),
            Err(reason) => form.refusal = Some(reason.to_owned()),
        }
    }

    /// Takes over the outcome of a new pipeline: its file is selected, or the form says why there is none.
    pub(super) fn take_made_pipeline(&mut self) {
        let Some(made) = self.store.take_made_pipeline() else { return };
        let form = if let Overlay::NewPipeline(form) = &mut self.state.overlay { Some(form) } else { None };
        match (made, form) {
            (Ok(path), form) => {
                if form.is_some() {
                    self.state.overlay = Overlay::None;
                    self.state.page = Page::Pipelines;
                    self.state.pipelines.text.clear();
                    self.store.want_jobs(None);
                }
                self.store.select_pipeline(Some(path));
            }
            (Err(refusal), Some(form)) => (form.is_saving, form.refusal) = (false, Some(refusal)),
            (Err(refusal), None) => self.store.push_failure("create a pipeline", refusal),
        }
    }
}
