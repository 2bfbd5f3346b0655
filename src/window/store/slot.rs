//! One thing of a kind that is looked up in the background: what is wanted now, what is known, and that one question is
//! on its way at most.

/// What is wanted, what is known, and whether an answer is due.
#[derive(Debug)]
pub(super) struct Slot<K, V> {
    wanted: Option<K>,
    known: Option<(K, V)>,
    is_asked: bool,
    /// Could not be answered. Not asked again until something else is wanted.
    failed: Option<K>,
}

impl<K, V> Default for Slot<K, V> {
    fn default() -> Self {
        Self { wanted: None, known: None, is_asked: false, failed: None }
    }
}

impl<K: PartialEq + Clone, V> Slot<K, V> {
    pub(super) fn wanted(&self) -> Option<&K> {
        self.wanted.as_ref()
    }

    pub(super) fn known(&self) -> Option<&(K, V)> {
        self.known.as_ref()
    }

    /// Sets what is wanted. Returns what has to be asked.
    pub(super) fn want(&mut self, wanted: Option<K>) -> Option<K> {
        if wanted.is_none() {
            self.known = None;
        }
        self.wanted = wanted;
        self.missing()
    }

    fn missing(&mut self) -> Option<K> {
        let wanted = self.wanted.as_ref()?;
        let is_known = self.known.as_ref().is_some_and(|(key, _)| key == wanted);
        if is_known || self.is_asked || self.failed.as_ref() == Some(wanted) {
            return None;
        }
        self.is_asked = true;
        Some(wanted.clone())
    }

    /// Takes an answer over. Returns what has to be asked now.
    pub(super) fn put(&mut self, key: K, value: V) -> Option<K> {
        self.is_asked = false;
        if self.wanted.is_some() {
            self.known = Some((key, value));
        }
        self.missing()
    }

    /// The question may have failed.
    pub(super) fn forget_question(&mut self) {
        if std::mem::take(&mut self.is_asked) {
            self.failed.clone_from(&self.wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_is_on_its_way_and_what_failed_is_not_asked_again() {
        let mut slot: Slot<u8, char> = Slot::default();
        assert_eq!(slot.want(Some(1)), Some(1));
        assert_eq!(slot.want(Some(2)), None, "an answer is due");
        assert_eq!(slot.put(1, 'a'), Some(2), "it is wanted by now");
        assert_eq!(slot.known(), Some(&(1, 'a')));
        assert_eq!(slot.put(2, 'b'), None);
        assert_eq!(slot.want(Some(2)), None);
        assert_eq!(slot.want(None), None);
        assert_eq!(slot.known(), None);
        assert_eq!(slot.want(Some(3)), Some(3));
        slot.forget_question();
        assert_eq!(slot.want(Some(3)), None, "it failed");
        assert_eq!(slot.want(Some(4)), Some(4));
        assert_eq!(slot.put(4, 'd'), None);
        assert_eq!(slot.want(None), None);
        assert_eq!(slot.put(5, 'e'), None);
        assert_eq!(slot.known(), None, "nothing is wanted");
    }
}
