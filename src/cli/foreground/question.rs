//! The question that Ctrl-C asks when another process drives the run: stop it, or only leave?

use std::io::{self, BufRead, IsTerminal};

use crossbeam_channel::{Receiver, bounded, never};

/// The operator's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// Stop the run in order.
    Stop,
    /// Leave it running, and stop following.
    Leave,
    /// Nothing: go on following.
    GoOn,
}

pub(super) const QUESTION: &str = "the run goes on in another process: [s]top it, [l]eave it running, or [c]ontinue to follow? (Ctrl-C: stop)";

/// A question that was asked, or none.
pub(super) struct Question {
    pub(super) reply: Receiver<Reply>,
}

impl Question {
    pub(super) fn none() -> Self {
        Self { reply: never() }
    }

    /// Whether there is a terminal for the question.
    pub(super) fn can_be_asked() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Waits for a line of the terminal, on a thread that ends with the line or with the program.
    pub(super) fn ask() -> io::Result<Self> {
        // Capacity 1: the one reply.
        let (tell, reply) = bounded(1);
        std::thread::Builder::new().name("lf-question".into()).spawn(move || {
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            // Fails when the question is over.
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
