//! An answer that is looked up while it is visible: one question at a time, asked again when it is out of date.

/// What is asked with `Q` and answered with `A`.
#[derive(Debug)]
pub(super) struct Looked<Q, A> {
    /// None while it is not visible.
    wanted: Option<Q>,
    known: Option<(Q, A)>,
    asked: Option<Q>,
    /// The question whose lookup failed: it is not asked again and again, but when something changes.
    failed: Option<Q>,
    /// What is known may be out of date.
    is_old: bool,
}

impl<Q, A> Default for Looked<Q, A> {
    fn default() -> Self {
        Self { wanted: None, known: None, asked: None, failed: None, is_old: false }
    }
}

impl<Q: Clone + PartialEq, A> Looked<Q, A> {
    /// Sets the question that is visible now; none: nothing of it is. Returns it if it has to be asked.
    pub(super) fn want(&mut self, wanted: Option<Q>) -> Option<Q> {
        if wanted.is_none() {
            self.failed = None;
        }
        self.wanted = wanted;
        let wanted = self.wanted.as_ref()?;
        let is_known = !self.is_old && self.known.as_ref().is_some_and(|(known, _)| known == wanted);
        let has_failed = !self.is_old && self.failed.as_ref() == Some(wanted);
        if self.asked.is_some() || is_known || has_failed {
            return None;
        }
        (self.asked, self.is_old) = (Some(wanted.clone()), false);
        self.asked.clone()
    }

    /// The answer to the question before has arrived.
    pub(super) fn put(&mut self, answer: A) {
        // What failed may have been something else.
        if let Some(asked) = self.asked.take().or(self.failed.take()) {
            self.known = Some((asked, answer));
        }
    }

    /// The newest answer, whichever question it answers.
    pub(super) fn known(&self) -> Option<&(Q, A)> {
        self.known.as_ref()
    }

    /// Something has changed.
    pub(super) fn touch(&mut self) {
        self.is_old = true;
    }

    /// A lookup failed; the next change asks again.
    pub(super) fn forget_question(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.failed = Some(asked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_asked_once_and_again_when_it_is_another_or_something_changed() {
        let mut looked = Looked::<u8, &str>::default();
        assert_eq!(looked.want(Some(1)), Some(1));
        assert_eq!(looked.want(Some(2)), None, "one question at a time");
        looked.put("one");
        assert_eq!(looked.known(), Some(&(1, "one")));
        assert_eq!(looked.want(Some(1)), None);
        assert_eq!(looked.want(Some(2)), Some(2));
        looked.put("two");
        looked.touch();
        assert_eq!(looked.want(None), None, "nobody looks");
        assert_eq!(looked.want(Some(2)), Some(2));
        assert_eq!(looked.known(), Some(&(2, "two")), "the old answer stays until the new one is there");
    }

    #[test]
    fn what_failed_is_not_asked_again_and_again_but_after_a_change() {
        let mut looked = Looked::<u8, &str>::default();
        looked.want(Some(1));
        looked.forget_question();
        assert_eq!(looked.want(Some(1)), None);
        assert_eq!(looked.want(Some(2)), Some(2), "another question");
        looked.forget_question();
        looked.touch();
        assert_eq!(looked.want(Some(2)), Some(2));
        looked.forget_question();
        looked.put("two");
        assert_eq!(looked.known(), Some(&(2, "two")), "it was another lookup that failed");
        assert_eq!(looked.want(Some(2)), None);
    }
}
