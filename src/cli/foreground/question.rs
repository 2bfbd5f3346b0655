//! The question that Ctrl-C asks where the run belongs to somebody else's engine: stop it, or only look away?

use std::io::{self, BufRead, IsTerminal};

use crossbeam_channel::{Receiver, bounded, never};

/// What the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// End the run in good order.
    Stop,
    /// Let it run, and follow no longer.
    Leave,
    /// Nothing: go on following.
    GoOn,
}

/// What is asked.
pub(super) const QUESTION: &str = "the run goes on in another process: [s]top it, [l]eave it running, or [c]ontinue to follow? (Ctrl-C: stop)";

/// A question that has been put, or none.
pub(super) struct Question {
    pub(super) reply: Receiver<Reply>,
}

impl Question {
    /// No question.
    pub(super) fn none() -> Self {
        Self { reply: never() }
    }

    /// Whether there is somebody to be asked.
    pub(super) fn can_be_asked() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Waits for a line of the terminal, on a thread of its own: it ends with the line or with the program.
    pub(super) fn ask() -> io::Result<Self> {
        // Capacity 1: the one reply.
        let (tell, reply) = bounded(1);
        std::thread::Builder::new().name("lf-question".into()).spawn(move || {
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            // Nobody waits for it any more: then so be it.
            let _ = tell.send(read.map_or(Reply::GoOn, |_| meaning(&line)));
        })?;
        Ok(Self { reply })
    }
}

fn meaning(line: &str) -> Reply {
    match line.trim().chars().next().map(|letter| letter.to_ascii_lowercase()) {
        Some('s') => Reply::Stop,
        Some('l') => Reply::Leave,
        Some(_) | None => Reply::GoOn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_or_a_word_is_understood_and_anything_else_changes_nothing() {
        assert_eq!(meaning("s\n"), Reply::Stop);
        assert_eq!(meaning(" Leave it\n"), Reply::Leave);
        assert_eq!(meaning("\n"), Reply::GoOn);
        assert_eq!(meaning("what?"), Reply::GoOn);
    }
}
