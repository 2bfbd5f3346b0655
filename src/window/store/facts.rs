//! The facts of the run whose page is open, in the read model: read again whenever something happened in that run.

use std::sync::Arc;

use crate::base::id::RunId;
use crate::window::port::Action;
use crate::window::run_facts::RunFacts;

#[derive(Debug, Default)]
pub(super) struct FactsModel {
    wanted: Option<RunId>,
    known: Option<Arc<RunFacts>>,
    is_old: bool,
    is_asked: bool,
}

impl FactsModel {
    pub(super) fn of(&self, run_id: &RunId) -> Option<&RunFacts> {
        self.known.as_deref().filter(|_| self.wanted.as_ref() == Some(run_id))
    }

    /// Sets the run whose page is open. Returns the request for its facts, if they have to be read.
    pub(super) fn want(&mut self, run_id: Option<&RunId>) -> Option<Action> {
        if self.wanted.as_ref() != run_id {
            *self = Self { wanted: run_id.cloned(), is_old: true, ..Self::default() };
        }
        let run_id = self.wanted.as_ref().filter(|_| self.is_old && !self.is_asked)?;
        (self.is_old, self.is_asked) = (false, true);
        Some(Action::LoadFacts(run_id.clone()))
    }

    /// Something happened in this run.
    pub(super) fn touch(&mut self, run_id: Option<&RunId>) {
        self.is_old |= run_id.is_some() && self.wanted.as_ref() == run_id;
    }

    pub(super) fn put(&mut self, run_id: &RunId, facts: Arc<RunFacts>) {
        if self.wanted.as_ref() == Some(run_id) {
            (self.known, self.is_asked) = (Some(facts), false);
        }
    }

    /// A question may have failed. It is asked again when something happens, not at once.
    pub(super) fn forget_question(&mut self) {
        self.is_asked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_asked_for_once_and_again_when_something_happened_in_that_run() {
        let (a, b) = (RunId::new("a").unwrap(), RunId::new("b").unwrap());
        let mut facts = FactsModel::default();
        assert_eq!(facts.want(None), None);
        assert_eq!(facts.want(Some(&a)), Some(Action::LoadFacts(a.clone())));
        facts.touch(Some(&a));
        assert_eq!(facts.want(Some(&a)), None, "the answer is on its way");
        facts.put(&b, Arc::default());
        assert!(facts.of(&b).is_none() && facts.of(&a).is_none(), "another run's");
        facts.put(&a, Arc::default());
        assert!(facts.of(&a).is_some() && facts.of(&b).is_none());
        assert_eq!(facts.want(Some(&a)), Some(Action::LoadFacts(a.clone())), "it was touched meanwhile");
        facts.forget_question();
        assert_eq!(facts.want(Some(&a)), None, "what can't be read is not asked for again and again");
        facts.touch(Some(&b));
        facts.touch(None);
        assert_eq!(facts.want(Some(&a)), None);
        facts.touch(Some(&a));
        assert_eq!(facts.want(Some(&a)), Some(Action::LoadFacts(a.clone())));
        assert_eq!(facts.want(None), None, "a page that is closed asks for nothing");
        facts.touch(Some(&a));
        assert_eq!(facts.want(None), None);
    }
}
