//! Whether the system is ending: what ends with it was interrupted, and has not failed.
//!
//! A TERM alone does not say so: a broad kill, or a daemon that makes room in memory, sends it too. So the supervisor goes
//! on serving. What ends within ten seconds of it, with another code than 0, counts as interrupted; then logind is asked
//! whether it is shutting down, and as long as it says so that time begins anew.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rustix::event::epoll::{self, EventFlags};

use super::step::MainEnd;
use super::{Server, Source};
use crate::supervisor::host::ExitCause;

/// What ends this soon after a TERM was most likely ended by the same hand.
const WINDOW: Duration = Duration::from_secs(10);
/// What is killed within this time of a supervisor's death, before or after, was most likely killed with it.
const TOGETHER: Duration = Duration::from_secs(2);
/// logind has this long to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is known of the system's end.
#[derive(Debug, Default)]
pub(super) enum Shutdown {
    /// Nothing speaks for it.
    #[default]
    No,
    /// We were told to end, or logind said that the system does: until then ends are interrupted.
    Likely { until: Instant },
    /// logind is being asked whether it goes on, and has until then to answer.
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
    /// A TERM, or the news that the power fails.
    pub(super) fn told_to_end(&mut self) {
        self.stop_asking();
        self.shutdown = Shutdown::Likely { until: Instant::now() + WINDOW };
        self.settle_as_interrupted();
    }

    /// What ended by a signal a moment ago did so because the system goes down.
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

    pub(super) fn look_at_shutdown(&mut self, now: Instant) {
        match &self.shutdown {
            Shutdown::Likely { until } if *until <= now => self.ask_logind(now),
            Shutdown::Acquisition { until, .. } if *until <= now => {
                self.stop_asking();
                self.shutdown = Shutdown::No;
            }
            Shutdown::No | Shutdown::Likely { .. } | Shutdown::Acquisition { .. } => {}
        }
    }

    /// Asks without waiting. Where there is no logind, or none that can be asked, the system is taken to live on.
    fn ask_logind(&mut self, now: Instant) {
        self.shutdown = Shutdown::No;
        let asked = Command::new("busctl")
            .args(["--system", "--timeout=2", "get-property", "org.freedesktop.login1"])
            .args(["/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PreparingForShutdown"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(answer) = asked else { return };
        // So that it is taken neither for an orphan nor for a step's.
        self.mains.insert(answer.id());
        if let Some(stdout) = &answer.stdout {
            let _ = epoll::add(&self.epoll, stdout.as_fd(), Source::Logind.data(), EventFlags::IN);
        }
        self.shutdown = Shutdown::Acquisition { answer, until: now + PATIENCE };
    }

    /// logind has answered, or whoever asked it has ended.
    pub(super) fn hear_logind(&mut self) {
        let Shutdown::Acquisition { answer, .. } = &mut self.shutdown else { return };
        // A line, written at once.
        let mut line = [0; 64];
        let n_read = answer.stdout.as_mut().and_then(|stdout| stdout.read(&mut line).ok()).unwrap_or(0);
        let goes_on = line[..n_read].starts_with(b"b true");
        self.stop_asking();
        self.shutdown = match goes_on {
            true => Shutdown::Likely { until: Instant::now() + WINDOW },
            false => Shutdown::No,
        };
    }

    fn stop_asking(&mut self) {
        if let Shutdown::Acquisition { answer, .. } = &mut self.shutdown {
            if let Some(stdout) = answer.stdout.take() {
                let _ = epoll::delete(&self.epoll, &stdout);
            }
            // It has said all it had to say, or is too late. If it is not gone yet, it is reaped as an orphan.
            let _ = answer.kill();
            let _ = answer.try_wait();
            self.mains.remove(&answer.id());
        }
    }
}

/// The signals with which a system ends what runs, and the codes by which a shell passes them on.
pub(super) fn may_be_a_shutdown(cause: ExitCause) -> bool {
    const SIGNALS: [i32; 2] = [libc::SIGTERM, libc::SIGHUP];
    match cause {
        ExitCause::Signal(signal) => SIGNALS.contains(&signal),
        ExitCause::Code(code) => SIGNALS.contains(&(code - 128)),
        ExitCause::Unknown => false,
    }
}

/// Whether what killed a supervisor, a broad kill or the want of memory, most likely killed this one with it.
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
