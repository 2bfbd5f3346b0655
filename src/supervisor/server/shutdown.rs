//! Whether the system is shutting down: a step that ends with it was interrupted and has not failed.
//!
//! A TERM alone does not prove a shutdown: `kill` with many pids, or a daemon that frees memory, sends it too. So the
//! supervisor goes on serving. A step that ends within ten seconds after the TERM, with another code than 0, counts as
//! interrupted. Then logind is asked whether it is shutting down. As long as it says yes, another ten seconds begin.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rustix::event::epoll::{self, EventFlags};

use super::step::MainEnd;
use super::{Server, Source};
use crate::supervisor::host::ExitCause;

/// A step that ends this soon after a TERM most likely ended for the same reason.
const WINDOW: Duration = Duration::from_secs(10);
/// A process killed this close to a supervisor's death, before or after, was most likely killed together with it.
const TOGETHER: Duration = Duration::from_secs(2);
/// logind has this long to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is known about a shutdown.
#[derive(Debug, Default)]
pub(super) enum Shutdown {
    /// There is no sign of one.
    #[default]
    No,
    /// A TERM came, or logind confirmed a shutdown. Steps that end until then are interrupted.
    Likely { until: Instant },
    /// logind is being asked whether the shutdown goes on, and has until then to answer.
    Acquisition { answer: Child, until: Instant },
}

impl Shutdown {
    pub(super) fn seems_under_way(&self) -> bool {
        match self {
            Self::No => false,
            Self::Likely { .. } | Self::Acquisition { .. } => true,
        }
    }

    pub(super) fn next_alarm(&self) -> Option<Instant> {
        match self {
            Self::No => None,
            Self::Likely { until } | Self::Acquisition { until, .. } => Some(*until),
        }
    }
}

impl Server {
    /// A TERM came, or the signal that the power fails.
    pub(super) fn on_end_signal(&mut self) {
        self.stop_asking_logind();
        self.shutdown = Shutdown::Likely { until: Instant::now() + WINDOW };
        self.settle_as_interrupted();
    }

    /// Steps that ended by a signal a moment ago did so because the system shuts down.
    fn settle_as_interrupted(&mut self) {
        let mut settled = Vec::new();
        for (n, step) in &mut self.steps {
            if let MainEnd::Settling { exit, .. } = &mut step.main_end {
                exit.interrupted = true;
                settled.push(*n);
            }
        }
        for n in settled {
            self.settled(n);
        }
    }

    pub(super) fn check_shutdown(&mut self, now: Instant) {
        match &self.shutdown {
            Shutdown::Likely { until } if *until <= now => self.ask_logind(now),
            Shutdown::Acquisition { until, .. } if *until <= now => {
                self.stop_asking_logind();
                self.shutdown = Shutdown::No;
            }
            Shutdown::No | Shutdown::Likely { .. } | Shutdown::Acquisition { .. } => {}
        }
    }

    /// Asks logind without waiting. If it can't be asked, no shutdown is assumed.
    fn ask_logind(&mut self, now: Instant) {
        self.shutdown = Shutdown::No;
        let spawned = Command::new("busctl")
            .args(["--system", "--timeout=2", "get-property", "org.freedesktop.login1"])
            .args(["/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PreparingForShutdown"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(answer) = spawned else { return };
        // So that it is not taken for an orphan of a step.
        self.mains.insert(answer.id());
        if let Some(stdout) = &answer.stdout {
            let _ = epoll::add(&self.epoll, stdout.as_fd(), Source::Logind.data(), EventFlags::IN);
        }
        self.shutdown = Shutdown::Acquisition { answer, until: now + PATIENCE };
    }

    /// logind has answered, or the process that asked it has ended.
    pub(super) fn read_logind_answer(&mut self) {
        let Shutdown::Acquisition { answer, .. } = &mut self.shutdown else { return };
        // The answer is one line, written at once.
        let mut line = [0; 64];
        let n_read = answer.stdout.as_mut().and_then(|stdout| stdout.read(&mut line).ok()).unwrap_or(0);
        let goes_on = line[..n_read].starts_with(b"b true");
        self.stop_asking_logind();
        self.shutdown = match goes_on {
            true => Shutdown::Likely { until: Instant::now() + WINDOW },
            false => Shutdown::No,
        };
    }

    fn stop_asking_logind(&mut self) {
        if let Shutdown::Acquisition { answer, .. } = &mut self.shutdown {
            if let Some(stdout) = answer.stdout.take() {
                let _ = epoll::delete(&self.epoll, &stdout);
            }
            // It has answered, or is too late. If it still lives, it is reaped later as an orphan.
            let _ = answer.kill();
            let _ = answer.try_wait();
            self.mains.remove(&answer.id());
        }
    }
}

/// Whether a step ended by one of the signals that a shutdown sends, or by the code with which a shell passes one on.
pub(super) fn may_be_a_shutdown(cause: ExitCause) -> bool {
    const SIGNALS: [i32; 2] = [libc::SIGTERM, libc::SIGHUP];
    match cause {
        ExitCause::Signal(signal) => SIGNALS.contains(&signal),
        ExitCause::Code(code) => SIGNALS.contains(&(code - 128)),
        ExitCause::Unknown => false,
    }
}

/// Whether a process was most likely killed together with the supervisor, by one `kill` or because memory was short.
pub(super) fn were_killed_together(
    cause: ExitCause,
    ended_at: DateTime<Utc>,
    supervisor_died_at: DateTime<Utc>,
) -> bool {
    let apart = (ended_at - supervisor_died_at).abs();
    cause == ExitCause::Signal(libc::SIGKILL) && apart.to_std().is_ok_and(|apart| apart <= TOGETHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kill_near_the_death_of_a_supervisor_is_taken_for_the_same() {
        let died_at = DateTime::UNIX_EPOCH;
        let killed = ExitCause::Signal(libc::SIGKILL);
        for (cause, after_ms, expected) in [
            (killed, 0, true),
            (killed, -500, true),
            (killed, 500, true),
            (killed, -5000, false),
            (killed, 5000, false),
            (ExitCause::Signal(libc::SIGSEGV), 0, false),
            (ExitCause::Code(137), 0, false),
            (ExitCause::Unknown, 0, false),
        ] {
            let ended_at = died_at + chrono::TimeDelta::milliseconds(after_ms);
            assert_eq!(were_killed_together(cause, ended_at, died_at), expected, "{cause:?} {after_ms}");
        }
    }
}
