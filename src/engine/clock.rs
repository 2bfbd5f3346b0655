//! The engine's clocks, and its one timer for the wall clock. All other code gets time as an argument.

use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

use crate::base::time::Now;
use crate::poller::Waiting;

/// Reads both clocks.
pub fn now() -> Now {
    let awake = clock_gettime(ClockId::Monotonic);
    Now { wall: Utc::now(), awake_ms: awake.tv_sec as u64 * 1000 + awake.tv_nsec as u64 / 1_000_000 }
}

/// An id of this boot of the machine; empty if the system has none.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Calls back when an instant of the wall clock is reached (also when the clock jumps past it, or the machine wakes
/// after it), and whenever the clock is set.
pub struct WallTimer {
    timer: Arc<OwnedFd>,
    _waiting: Waiting,
}

impl WallTimer {
    /// A timer that is not armed. `ring` is called on the poller's thread and must return at once.
    ///
    /// # Errors
    /// The system has no timer or thread left.
    pub fn start(ring: impl Fn() + Send + 'static) -> io::Result<Self> {
        let timer = Arc::new(timerfd_create(
            TimerfdClockId::Realtime,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?);
        let expired = timer.clone();
        let waiting = Waiting::start(timer.clone(), move || {
            let mut expirations = [0_u8; 8];
            match rustix::io::read(&*expired, &mut expirations) {
                Ok(_) | Err(Errno::CANCELED) => ring(),
                // It was armed anew meanwhile.
                Err(_) => {}
            }
        })?;
        Ok(Self { timer, _waiting: waiting })
    }

    /// Arms it for `at`. None disarms it.
    pub fn arm(&self, at: Option<DateTime<Utc>>) {
        let it_value = at.map_or(Timespec { tv_sec: 0, tv_nsec: 0 }, |at| Timespec {
            // Zero would disarm it.
            tv_sec: at.timestamp().max(1),
            tv_nsec: at.timestamp_subsec_nanos().into(),
        });
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        // Fails only for invalid arguments.
        let _ = timerfd_settime(&*self.timer, flags, &spec);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_armed_timer_rings_and_a_disarmed_one_does_not() {
        // Unbounded: a ring or two.
        let (tx, rx) = crossbeam_channel::unbounded();
        let timer = WallTimer::start(move || tx.send(()).expect("the test listens")).expect("a timer");
        timer.arm(Some(now().wall + chrono::TimeDelta::milliseconds(20)));
        rx.recv_timeout(Duration::from_secs(5)).expect("it rings");
        timer.arm(Some(now().wall + chrono::TimeDelta::milliseconds(100)));
        timer.arm(None);
        assert!(rx.recv_timeout(Duration::from_millis(200)).is_err());
    }

    #[test]
    fn an_instant_that_has_passed_rings_at_once() {
        // Unbounded: a ring or two.
        let (tx, rx) = crossbeam_channel::unbounded();
        let timer = WallTimer::start(move || tx.send(()).expect("the test listens")).expect("a timer");
        timer.arm(Some(now().wall - chrono::TimeDelta::hours(1)));
        rx.recv_timeout(Duration::from_secs(5)).expect("it rings");
    }
}
