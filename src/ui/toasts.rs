//! What was done: messages that go away by themselves, with an undo where there is one. What failed stays in the read
//! model until it is dismissed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::format::count;
use super::labels::{Deed, deed_of, undo_of};
use crate::api::Command;

/// How long a message stays.
const STAYS: TimeDelta = TimeDelta::seconds(8);
/// The most messages at once.
const MAX_TOASTS: usize = 4;

/// One message: the same deed, done to one or more things.
#[derive(Debug, Clone)]
pub(super) struct Toast {
    deed: Deed,
    subjects: Vec<String>,
    /// What undoes all of it; fewer than the subjects if it can't be undone.
    undo: Vec<Command>,
    until: DateTime<Utc>,
}

impl Toast {
    /// What it says.
    pub(super) fn text(&self) -> String {
        let verb = self.deed.verb;
        match self.subjects.as_slice() {
            [] => verb.to_owned(),
            [subject] => format!("{verb} {subject}"),
            many => format!("{verb} {}", count(many.len(), self.deed.noun)),
        }
    }

    /// Whether it can be undone.
    pub(super) fn has_undo(&self) -> bool {
        !self.undo.is_empty() && self.undo.len() >= self.subjects.len()
    }
}

/// The messages, oldest first.
#[derive(Debug, Default)]
pub(super) struct Toasts(Vec<Toast>);

impl Toasts {
    /// A command was carried out. The same deed done to several things is one message.
    pub(super) fn push(&mut self, command: &Command, subject: Option<String>, now: DateTime<Utc>) {
        let (deed, undo, until) = (deed_of(command), undo_of(command), now + STAYS);
        match self.0.last_mut().filter(|last| last.deed == deed && subject.is_some()) {
            Some(last) => {
                last.subjects.extend(subject);
                last.undo.extend(undo);
                last.until = until;
            }
            None => {
                let (subjects, undo) = (subject.into_iter().collect(), undo.into_iter().collect());
                self.0.push(Toast { deed, subjects, undo, until });
            }
        }
        let excess = self.0.len().saturating_sub(MAX_TOASTS);
        self.0.drain(..excess);
    }

    pub(super) fn all(&self) -> &[Toast] {
        &self.0
    }

    /// Removes those whose time is over.
    pub(super) fn expire(&mut self, now: DateTime<Utc>) {
        self.0.retain(|toast| toast.until > now);
    }

    /// How long until the first one goes away.
    pub(super) fn holds_for(&self, now: DateTime<Utc>) -> Option<Duration> {
        self.0.iter().filter_map(|toast| (toast.until - now).to_std().ok()).min()
    }

    /// Removes one, and returns what undoes it.
    pub(super) fn take_undo(&mut self, index: usize) -> Vec<Command> {
        if index < self.0.len() { self.0.remove(index).undo } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{JobId, RunId};

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
    }

    #[test]
    fn the_same_deed_is_one_message_and_one_undo() {
        let mut toasts = Toasts::default();
        for n in 0..20 {
            let run_id = RunId::new(format!("r{n}")).unwrap();
            toasts.push(&Command::pause(&run_id), Some(run_id.to_string()), now());
        }
        let [toast] = toasts.all() else { panic!("{:?}", toasts.all()) };
        assert_eq!((toast.text().as_str(), toast.has_undo()), ("Paused 20 runs", true));
        assert_eq!(toasts.take_undo(0)[19], Command::resume(&RunId::new("r19").unwrap()));
        assert!(toasts.take_undo(0).is_empty());
    }

    #[test]
    fn a_message_goes_away_and_what_cannot_be_undone_offers_no_undo() {
        let mut toasts = Toasts::default();
        let job_id = JobId::new("nightly").unwrap();
        let disable: Command = crate::api::DisableJob { job_id: job_id.clone() }.into();
        toasts.push(&disable, Some(job_id.to_string()), now());
        toasts.push(&Command::start("books"), Some("books".to_owned()), now() + TimeDelta::seconds(1));
        let said: Vec<_> = toasts.all().iter().map(|toast| (toast.text(), toast.has_undo())).collect();
        assert_eq!(said, [("Disabled nightly".to_owned(), true), ("Started books".to_owned(), false)]);
        assert_eq!(toasts.holds_for(now() + TimeDelta::seconds(2)), Some(Duration::from_secs(6)));
        toasts.expire(now() + STAYS);
        assert_eq!(toasts.all().len(), 1);
        toasts.expire(now() + STAYS + TimeDelta::seconds(1));
        assert!(toasts.all().is_empty() && toasts.holds_for(now()).is_none());
    }
}
