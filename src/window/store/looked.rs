//! An answer that is looked up while it is visible: one question at a time, asked again when it is out of date.

/// What is asked with `Q` and answered with `A`.
#[derive(Debug)]
pub(super) struct Looked<Q, A> {
    /// None while it is not visible.
    wanted: Option<Q>,
    known: Option<(Q, A)>,
    asked: Option<Q>,
    /// What is known may be out of date.
    is_old: bool,
}

impl<Q, A> Default for Looked<Q, A> {
    fn default() -> Self {
        Self { wanted: None, known: None, asked: None, is_old: false }
    }
}

impl<Q: Clone + PartialEq, A> Looked<Q, A> {
    /// Sets the question that is visible now; none: nothing of it is. Returns it if it has to be asked.
    pub(super) fn want(&mut self, wanted: Option<Q>) -> Option<Q> {
        self.wanted = wanted;
        let wanted = self.wanted.as_ref()?;
        let is_known = !self.is_old && self.known.as_ref().is_some_and(|(known, _)| known == wanted);
        if self.asked.is_some() || is_known {
            return None;
        }
        (self.asked, self.is_old) = (Some(wanted.clone()), false);
        self.asked.clone()
    }

    /// The answer to the question before has arrived.
    pub(super) fn put(&mut self, answer: A) {
        if let Some(asked) = self.asked.take() {
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
        self.asked = None;
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
        looked.forget_question();
        assert_eq!(looked.want(Some(2)), Some(2), "the lookup had failed");
        looked.put("two");
        looked.touch();
        assert_eq!(looked.want(None), None, "nobody looks");
        assert_eq!(looked.want(Some(2)), Some(2));
        assert_eq!(looked.known(), Some(&(2, "two")), "the old answer stays until the new one is there");
    }
}
