//! Which pipelines are listed, which of them are visible, and what is entered about a new one. It paints nothing.

use std::ops::Range;

use crate::base::id::PipelineId;
use crate::pipeline::Template;
use crate::window::{Action, PipelinesModel};

/// How many more rows than the visible ones are looked up at either end.
const MARGIN: usize = 20;

/// The page of pipelines.
#[derive(Debug, Default)]
pub(super) struct PipelineList {
    /// The text that a listed pipeline has in its id, source or description.
    pub(super) text: String,
    /// The list and the text that `shown` belongs to.
    of: Option<(u64, String)>,
    /// Those that match, as indices of the list.
    shown: Vec<usize>,
    /// Those in the visible rows and around them, likewise.
    visible: Vec<usize>,
    /// The row to scroll to.
    pub(super) scroll_to: Option<usize>,
}

impl PipelineList {
    /// Finds those that match, if the list or the text has changed.
    pub(super) fn follow(&mut self, model: &PipelinesModel) {
        let listed = model.listed().unwrap_or_default();
        let text = self.text.trim().to_lowercase();
        if self.of.as_ref().is_some_and(|(serial, of)| *serial == model.serial() && *of == text) {
            return;
        }
        let has = |field: &str| field.to_lowercase().contains(&text);
        let matching = listed.iter().enumerate().filter(|(_, entry)| {
            text.is_empty()
                || has(&entry.id)
                || has(&entry.source)
                || entry.description.as_deref().is_some_and(has)
        });
        self.shown = matching.map(|(at, _)| at).collect();
        self.of = Some((model.serial(), text));
        self.visible.clear();
    }

    /// Those that are listed, as indices of all.
    pub(super) fn shown(&self) -> &[usize] {
        &self.shown
    }

    /// Sets the visible rows.
    pub(super) fn set_rows(&mut self, rows: &Range<usize>) {
        let end = (rows.end + MARGIN).min(self.shown.len());
        let around = rows.start.saturating_sub(MARGIN).min(end)..end;
        if self.visible != self.shown[around.clone()] {
            self.visible = self.shown[around].to_vec();
        }
    }

    /// The pipelines in the visible rows and around them, as indices of all.
    pub(super) fn visible(&self) -> &[usize] {
        &self.visible
    }
}

/// The form for a new pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct NewPipeline {
    /// Its id, as it is entered.
    pub(super) name: String,
    /// The index of the chosen template.
    pub(super) template: usize,
    /// Why it was not written.
    pub(super) refusal: Option<String>,
    pub(super) is_saving: bool,
}

impl NewPipeline {
    /// What is wrong with the name; none while nothing is entered.
    pub(super) fn error(&self) -> Option<String> {
        let name = self.name.trim();
        PipelineId::new(name).err().filter(|_| !name.is_empty()).map(|error| error.to_string())
    }

    /// The action that writes its file; none while the name is none or it is being written.
    pub(super) fn request(&self) -> Option<Action> {
        let pipeline_id = PipelineId::new(self.name.trim()).ok().filter(|_| !self.is_saving)?;
        let template = *Template::ALL.get(self.template)?;
        Some(Action::NewPipeline { template, pipeline_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::PipelineView;
    use crate::window::{AppStore, AppUpdate};

    fn listed(n: usize) -> AppStore {
        let view = |n: usize| PipelineView {
            id: format!("p{n:05}"),
            source: "books".to_owned(),
            description: (n == 7).then(|| "Prices of Every branch".to_owned()),
            path: format!("/p/p{n:05}.toml").into(),
            n_steps: 1,
            error: None,
            needs_values: false,
        };
        let mut store = AppStore::default();
        store.apply(AppUpdate::Pipelines((0..n).map(view).collect()));
        store
    }

    #[test]
    fn a_text_is_found_in_ids_and_descriptions_in_either_case() {
        let store = listed(10_000);
        let mut list = PipelineList::default();
        list.follow(store.pipeline_list());
        assert_eq!(list.shown().len(), 10_000);
        list.text = " every BRANCH".to_owned();
        list.follow(store.pipeline_list());
        assert_eq!(list.shown(), [7]);
        list.text = "p0999".to_owned();
        list.follow(store.pipeline_list());
        assert_eq!(list.shown(), (9990..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn only_the_rows_around_the_visible_ones_are_looked_up() {
        let store = listed(10_000);
        let mut list = PipelineList::default();
        list.follow(store.pipeline_list());
        list.set_rows(&(500..510));
        assert_eq!((list.visible().len(), list.visible()[0]), (50, 480));
        list.set_rows(&(9_995..10_005));
        assert_eq!(list.visible().last(), Some(&9_999));
    }

    #[test]
    fn a_new_pipeline_needs_a_name_that_is_an_id() {
        let mut form = NewPipeline::default();
        assert_eq!((form.error(), form.request()), (None, None));
        form.name = "no name".to_owned();
        assert!(form.error().is_some() && form.request().is_none());
        form.name = " books ".to_owned();
        let Some(Action::NewPipeline { pipeline_id, .. }) = form.request() else { panic!("it is an id") };
        assert_eq!((pipeline_id.as_str(), form.error()), ("books", None));
        form.is_saving = true;
        assert_eq!(form.request(), None);
    }
}
