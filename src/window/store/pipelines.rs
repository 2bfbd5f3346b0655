//! The pipelines in the read model: all that are listed, the facts of those in the visible rows, and the selected one.
//! It asks only for what is visible, one request of each kind at a time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::api::PipelineView;
use crate::base::id::PipelineId;
use crate::window::pipeline_page::{PipelineDetail, PipelineFacts};
use crate::window::port::Action;

/// The pipelines, as far as they are visible.
#[derive(Debug, Default)]
pub struct PipelinesModel {
    listed: Option<Vec<PipelineView>>,
    /// Counts the lists that have arrived.
    serial: u64,
    /// Of the rows that were asked for last.
    facts: HashMap<String, PipelineFacts>,
    is_open: bool,
    is_asked: bool,
    /// The last lookup of facts failed: it is not repeated until something changes.
    has_failed: bool,
    /// The known facts may be out of date.
    is_old: bool,
    selected: Option<PathBuf>,
    detail: Option<Arc<PipelineDetail>>,
    is_detail_asked: bool,
    is_detail_old: bool,
    /// The file that was opened last, and with what.
    edited: Option<(PathBuf, String)>,
    made: Option<Result<PathBuf, String>>,
}

impl PipelinesModel {
    /// All of them, by id; none until they arrive.
    pub fn listed(&self) -> Option<&[PipelineView]> {
        self.listed.as_deref()
    }

    /// Which list it is: it counts up with each that arrives.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// What is known of a pipeline beside its file; none until it has arrived.
    pub fn facts(&self, id: &str) -> Option<&PipelineFacts> {
        self.facts.get(id)
    }

    /// The selected one, as it is listed.
    pub fn selected(&self) -> Option<&PipelineView> {
        let path = self.selected.as_ref()?;
        self.listed.as_ref()?.iter().find(|entry| entry.path == *path)
    }

    /// The file of the selected one.
    pub fn selected_path(&self) -> Option<&Path> {
        self.selected.as_deref()
    }

    /// The selected one whole; none until it has arrived.
    pub fn detail(&self) -> Option<&PipelineDetail> {
        self.detail.as_deref()
    }

    /// With what this file was opened, if it was the last one.
    pub fn edited_with(&self, path: &Path) -> Option<&str> {
        self.edited.as_ref().filter(|(edited, _)| edited == path).map(|(_, with)| &**with)
    }

    /// The outcome of the last new pipeline, once.
    pub(crate) fn take_made(&mut self) -> Option<Result<PathBuf, String>> {
        self.made.take()
    }

    /// Sets which of the list are in the visible rows and around them; none when the list is not open.
    pub(crate) fn want(&mut self, visible: Option<&[usize]>) -> [Option<Action>; 2] {
        if visible.is_none() {
            self.has_failed = false;
        }
        self.is_open = visible.is_some();
        let Some(visible) = visible else { return [None, None] };
        [self.ask(visible), self.ask_detail()]
    }

    fn ask(&mut self, visible: &[usize]) -> Option<Action> {
        let listed = self.listed.as_deref().unwrap_or_default();
        let ids = || visible.iter().filter_map(|at| listed.get(*at)).map(|entry| &*entry.id);
        let is_known = ids().all(|id| self.facts.contains_key(id));
        if self.is_asked || visible.is_empty() || ((is_known || self.has_failed) && !self.is_old) {
            return None;
        }
        let mut ids: Vec<PipelineId> = ids().filter_map(|id| PipelineId::new(id).ok()).collect();
        ids.dedup();
        (self.is_asked, self.is_old) = (true, false);
        Some(Action::LoadPipelines(ids))
    }

    /// Selects the pipeline of this file, or none.
    pub(crate) fn select(&mut self, path: Option<PathBuf>) {
        if self.selected != path {
            self.selected = path;
            self.detail = None;
            (self.is_detail_asked, self.is_detail_old) = (false, true);
        }
    }

    pub(crate) fn put_list(&mut self, listed: Vec<PipelineView>) {
        self.listed = Some(listed);
        self.serial += 1;
        // A file may have another id now, or define other jobs.
        (self.is_old, self.is_detail_old) = (true, true);
    }

    pub(crate) fn put_facts(&mut self, facts: Vec<PipelineFacts>) {
        (self.is_asked, self.has_failed) = (false, false);
        self.facts = facts.into_iter().map(|facts| (facts.id.clone(), facts)).collect();
    }

    pub(crate) fn put_detail(&mut self, detail: Arc<PipelineDetail>) {
        if self.selected.as_deref() == Some(&*detail.path) {
            self.is_detail_asked = false;
            self.detail = Some(detail);
        }
    }

    pub(crate) fn put_edited(&mut self, path: PathBuf, with: String) {
        self.edited = Some((path, with));
    }

    pub(crate) fn put_made(&mut self, made: Result<PathBuf, String>) {
        self.made = Some(made);
    }

    /// A run of this pipeline has ended or begun; none: jobs have changed.
    pub(crate) fn touch(&mut self, pipeline_id: Option<&PipelineId>) {
        self.is_old |= pipeline_id.is_none_or(|id| self.facts.contains_key(id.as_str()));
        let is_shown = |id: &PipelineId| self.detail.as_ref().is_some_and(|detail| detail.id == id.as_str());
        self.is_detail_old |= pipeline_id.is_none_or(is_shown);
    }

    /// A lookup failed; the next change asks again.
    pub(crate) fn forget_questions(&mut self) {
        self.has_failed |= self.is_asked;
        (self.is_asked, self.is_detail_asked) = (false, false);
    }

    fn ask_detail(&mut self) -> Option<Action> {
        let may_ask = self.is_open && self.is_detail_old && !self.is_detail_asked;
        let entry = self.selected().filter(|_| may_ask)?;
        let action = Action::LoadPipeline { id: entry.id.clone(), path: entry.path.clone() };
        (self.is_detail_asked, self.is_detail_old) = (true, false);
        Some(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(id: &str) -> PipelineView {
        PipelineView {
            id: id.to_owned(),
            source: id.to_owned(),
            description: None,
            path: format!("/p/{id}.toml").into(),
            n_steps: 1,
            error: None,
            needs_values: false,
        }
    }

    fn facts(id: &str) -> PipelineFacts {
        PipelineFacts { id: id.to_owned(), marks: Vec::new(), median: None, n_jobs: 0, job: None }
    }

    fn ids(names: &[&str]) -> Option<Action> {
        Some(Action::LoadPipelines(names.iter().map(|name| PipelineId::new(name).unwrap()).collect()))
    }

    #[test]
    fn only_the_visible_rows_are_asked_for_and_once() {
        let mut model = PipelinesModel::default();
        model.put_list(vec![view("a"), view("b"), view("c")]);
        assert_eq!(model.want(Some(&[0, 1]))[0], ids(&["a", "b"]));
        assert_eq!(model.want(Some(&[2]))[0], None, "one question at a time");
        model.put_facts(vec![facts("a"), facts("b")]);
        assert_eq!(model.want(Some(&[0]))[0], None, "what is known is not asked for");
        assert_eq!(model.want(Some(&[1, 2]))[0], ids(&["b", "c"]));
        model.put_facts(vec![facts("b"), facts("c")]);
        assert!(model.facts("a").is_none(), "the others are forgotten");
        model.touch(PipelineId::new("elsewhere").ok().as_ref());
        assert_eq!(model.want(Some(&[1, 2]))[0], None, "it is not visible");
        model.touch(PipelineId::new("b").ok().as_ref());
        assert_eq!(model.want(Some(&[1, 2]))[0], ids(&["b", "c"]));
        model.forget_questions();
        assert_eq!(model.want(Some(&[1, 2]))[0], None, "what failed is not asked again and again");
        model.touch(None);
        assert_eq!(model.want(None), [None, None], "nobody looks");
        assert_eq!(model.want(Some(&[1, 2]))[0], ids(&["b", "c"]));
    }

    #[test]
    fn the_selected_one_is_read_when_it_is_selected_and_again_when_a_file_has_changed() {
        let mut model = PipelinesModel::default();
        model.put_list(vec![view("a")]);
        model.select(Some("/p/a.toml".into()));
        let asked = Some(Action::LoadPipeline { id: "a".to_owned(), path: "/p/a.toml".into() });
        assert_eq!(model.want(Some(&[]))[1], asked);
        assert_eq!(model.want(Some(&[]))[1], None);
        let detail =
            PipelineDetail { id: "a".to_owned(), path: "/p/a.toml".into(), ..PipelineDetail::default() };
        model.put_detail(Arc::new(detail.clone()));
        assert!(model.detail().is_some());
        model.put_list(vec![view("a")]);
        assert_eq!(model.want(Some(&[]))[1], asked);
        model.select(None);
        model.put_detail(Arc::new(detail));
        assert!(model.detail().is_none(), "the answer came too late");
    }
}
