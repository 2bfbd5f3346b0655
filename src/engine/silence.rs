//! A step host that is there and does not answer: said once, and until it answers again no lever is pulled in silence.

use super::core::{Engine, Entry};
use super::error::EngineError;
use super::message::{Ask, Message};
use crate::run::{EventKind, Input};
use crate::supervisor::silence;

impl Engine {
    /// No answer came in time.
    pub(super) fn meet_silence(&mut self, pid: u32, is_stopped: bool) {
        let text = silence(pid, is_stopped);
        self.end_silence();
        self.host.set_silence(Some(text.clone()));
        // Who follows one run hears what is said of that alone.
        let concerned = self.runs.values().filter(|entry| has_living_steps(entry));
        let warnings = concerned
            .map(|entry| (Some(entry.run.id.clone()), EventKind::WarningRaised { text: text.clone() }));
        let warnings: Vec<_> = warnings.collect();
        let alert = (None, EventKind::ResourceAlert { text, cleared: false });
        self.tell_all([alert].into_iter().chain(warnings).collect());
    }

    /// It answers again, or is gone.
    pub(super) fn end_silence(&mut self) {
        if let Some(text) = self.host.set_silence(None) {
            self.tell(EventKind::ResourceAlert { text, cleared: true });
        }
    }

    /// Refuses a lever that only a host which answers can move. Anything else is given back.
    pub(super) fn unless_silent(&mut self, message: Message) -> Option<Message> {
        let Some(silence) = self.host.silence() else { return Some(message) };
        let is_lever = if let Message::Ask(Ask { run_id, input, .. }) = &message {
            matches!(input, Input::Pause | Input::Resume | Input::Stop(_))
                && self.runs.get(run_id).is_some_and(has_living_steps)
        } else {
            false
        };
        if !is_lever {
            return Some(message);
        }
        let error = EngineError::Host(silence.to_owned());
        message.refuse(error);
        None
    }
}

fn has_living_steps(entry: &Entry) -> bool {
    entry.run.steps.iter().any(|step| step.state.is_live())
}
