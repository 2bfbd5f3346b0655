//! What happened while the operator was away, in the read model: looked up when the operator comes back, and again when
//! something is recorded late.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::window::away::{AwayMark, AwayPage};
use crate::window::port::Action;

#[derive(Debug, Default)]
pub(super) struct AwayModel {
    /// When the operator came back.
    until: Option<DateTime<Utc>>,
    known: Option<Arc<AwayPage>>,
    is_old: bool,
    is_asked: bool,
}

impl AwayModel {
    pub(super) fn page(&self) -> Option<&AwayPage> {
        self.known.as_deref()
    }

    /// The operator has come back at this instant.
    pub(super) fn come_back(&mut self, at: DateTime<Utc>) {
        (self.until, self.is_old) = (Some(at), true);
    }

    /// Something was recorded that may have happened before the operator came back.
    pub(super) fn touch(&mut self) {
        self.is_old = true;
    }

    /// The request that is due, now that the page or its summary is visible.
    pub(super) fn want(&mut self) -> Option<Action> {
        let until = self.until.filter(|_| self.is_old && !self.is_asked)?;
        (self.is_old, self.is_asked) = (false, true);
        Some(Action::LoadAway(until))
    }

    pub(super) fn put(&mut self, page: Arc<AwayPage>) {
        // The first one comes without having been asked for.
        self.until.get_or_insert(page.until);
        (self.known, self.is_asked) = (Some(page), false);
    }

    /// A question may have failed. It is asked again when something happens, not at once.
    pub(super) fn forget_question(&mut self) {
        self.is_asked = false;
    }

    /// Takes out what was handled. Returns the request that keeps it.
    pub(super) fn mark(&mut self, mark: AwayMark) -> Option<Action> {
        let page = Arc::make_mut(self.known.as_mut()?);
        // An answer on its way was read without the mark.
        self.is_old |= self.is_asked;
        match &mark {
            AwayMark::Handled(keys) => page.items.retain(|item| !keys.contains(&item.key)),
            AwayMark::All(_) => {
                page.items.clear();
                page.ended.clear();
                page.n_ended = 0;
            }
            AwayMark::Seen(_) => {}
        }
        Some(Action::MarkAway(mark))
    }
}
