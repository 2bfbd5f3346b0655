//! Signals as messages on a channel: the handlers themselves do nothing.

use std::io;

use crossbeam_channel::{Receiver, unbounded};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::{Handle, Signals};

use crate::base::thread::{self, Thread};

/// What a signal asks of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
    /// `fg` or `bg`, after Ctrl-Z.
    Continue,
    /// The terminal is gone.
    HangUp,
    /// End.
    Terminate,
}

/// Receives signals until it is dropped.
pub(super) struct SignalWatch {
    /// The signals, in order.
    pub(super) asked: Receiver<Asked>,
    handle: Handle,
    _thread: Thread,
}

impl SignalWatch {
    /// From now on these signals only arrive as messages. Signals that the parent process had set to be ignored
    /// (`nohup`, or a script's `&`) stay ignored.
    pub(super) fn start() -> io::Result<Self> {
        let ignored = ignored_signals();
        let taken = [SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT];
        let mut signals = Signals::new(taken.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0))?;
        let handle = signals.handle();
        // Unbounded: few messages, because signals come from people, and the system merges equal ones that wait. When
        // it is closed, the receiver is gone and the thread ends.
        let (sender, asked) = unbounded();
        let thread = thread::start("lf-signals", move || {
            for asked in signals.forever().filter_map(meaning) {
                if sender.send(asked).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { asked, handle, _thread: thread })
    }
}

/// A bit set of the signals that this process ignores; the lowest bit is signal 1.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

fn meaning(signal: i32) -> Option<Asked> {
    match signal {
        SIGINT => Some(Asked::Interrupt),
        SIGTSTP => Some(Asked::Suspend),
        SIGCONT => Some(Asked::Continue),
        SIGHUP => Some(Asked::HangUp),
        SIGTERM => Some(Asked::Terminate),
        _ => None,
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        // It ends the thread, which is joined then.
        self.handle.close();
    }
}
