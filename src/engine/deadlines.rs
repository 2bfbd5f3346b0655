//! When the engine must look at its runs without a message: timeouts on the clock of awake time, retries on the wall
//! clock, and the next turn in the line for admission.

use std::collections::{BTreeSet, HashMap};
use std::io;

use chrono::{DateTime, Utc};

use super::clock::WallTimer;
use crate::base::id::RunId;
use crate::base::time::Now;
use crate::run::Deadline;

/// The deadlines of all runs, and the timer for the next one on the wall clock.
pub(super) struct Deadlines {
    timer: WallTimer,
    /// When the line must be looked at.
    turn_at: Option<DateTime<Utc>>,
    /// For each run that has a deadline. A passed one stays until the run is decided anew.
    of_runs: HashMap<RunId, Deadline>,
    awake: BTreeSet<(u64, RunId)>,
    wall: BTreeSet<(DateTime<Utc>, RunId)>,
}

impl Deadlines {
    /// `ring` is called on the poller's thread when an instant of the wall clock is reached, or that clock is set.
    ///
    /// # Errors
    /// The system has no timer, pipe or thread left.
    pub(super) fn new(ring: impl Fn() + Send + 'static) -> io::Result<Self> {
        let timer = WallTimer::start(ring)?;
        let (turn_at, of_runs, awake, wall) = Default::default();
        Ok(Self { timer, turn_at, of_runs, awake, wall })
    }

    /// The run's deadline, as of its last decision.
    pub(super) fn of(&self, run_id: &RunId) -> Deadline {
        self.of_runs.get(run_id).copied().unwrap_or_default()
    }

    /// Sets the run's deadline. Setting the same instants again makes the run due again.
    pub(super) fn set(&mut self, run_id: &RunId, deadline: Deadline) {
        let before = self.of(run_id);
        if before == deadline && deadline == Deadline::default() {
            return;
        }
        if let Some(at) = before.awake_ms {
            self.awake.remove(&(at, run_id.clone()));
        }
        if let Some(at) = before.wall {
            self.wall.remove(&(at, run_id.clone()));
        }
        if let Some(at) = deadline.awake_ms {
            self.awake.insert((at, run_id.clone()));
        }
        if let Some(at) = deadline.wall {
            self.wall.insert((at, run_id.clone()));
        }
        if deadline == Deadline::default() {
            self.of_runs.remove(run_id);
        } else {
            self.of_runs.insert(run_id.clone(), deadline);
        }
        self.arm();
    }

    /// Sets when the line must be looked at.
    pub(super) fn set_turn(&mut self, at: Option<DateTime<Utc>>) {
        self.turn_at = at;
        self.arm();
    }

    /// The next deadline on the clock of awake time.
    pub(super) fn next_awake_ms(&self) -> Option<u64> {
        self.awake.first().map(|(at, _)| *at)
    }

    /// The runs whose deadline has passed on either clock. Each is returned once.
    pub(super) fn take_due(&mut self, now: Now) -> BTreeSet<RunId> {
        let mut due = BTreeSet::new();
        while let Some((at, _)) = self.awake.first()
            && *at <= now.awake_ms
        {
            due.extend(self.awake.pop_first().map(|(_, run_id)| run_id));
        }
        let mut is_rung = false;
        while let Some((at, _)) = self.wall.first()
            && *at <= now.wall
        {
            is_rung = true;
            due.extend(self.wall.pop_first().map(|(_, run_id)| run_id));
        }
        if is_rung {
            self.arm();
        }
        due
    }

    /// Arms the timer for the next instant on the wall clock.
    fn arm(&self) {
        let of_runs = self.wall.first().map(|(at, _)| *at);
        self.timer.arm([of_runs, self.turn_at].into_iter().flatten().min());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn id(text: &str) -> RunId {
        RunId::new(text).expect("an id")
    }

    fn deadlines() -> Deadlines {
        Deadlines::new(|| {}).expect("a timer")
    }

    fn at_ms(awake_ms: u64) -> Now {
        Now { wall: DateTime::UNIX_EPOCH, awake_ms }
    }

    fn awake(at_ms: u64) -> Deadline {
        Deadline { awake_ms: Some(at_ms), wall: None }
    }

    #[test]
    fn a_run_is_due_once_on_either_clock_and_again_when_the_same_deadline_is_set_again() {
        let mut deadlines = deadlines();
        let wall = DateTime::UNIX_EPOCH + TimeDelta::seconds(9);
        deadlines.set(&id("awake"), awake(5));
        deadlines.set(&id("wall"), Deadline { awake_ms: None, wall: Some(wall) });
        assert_eq!(deadlines.next_awake_ms(), Some(5));
        assert_eq!(deadlines.take_due(at_ms(4)), BTreeSet::new());
        assert_eq!(deadlines.take_due(at_ms(5)), [id("awake")].into());
        assert_eq!(deadlines.take_due(Now { wall, awake_ms: 5 }), [id("wall")].into());
        assert_eq!(deadlines.take_due(Now { wall, awake_ms: 5 }), BTreeSet::new());
        deadlines.set(&id("awake"), deadlines.of(&id("awake")));
        assert_eq!(deadlines.take_due(at_ms(5)), [id("awake")].into());
    }

    #[test]
    fn another_deadline_takes_the_place_of_the_one_before() {
        let mut deadlines = deadlines();
        deadlines.set(&id("a"), awake(5));
        deadlines.set(&id("a"), awake(7));
        assert_eq!(deadlines.take_due(at_ms(6)), BTreeSet::new());
        deadlines.set(&id("a"), Deadline::default());
        assert_eq!(deadlines.next_awake_ms(), None);
        assert_eq!(deadlines.of(&id("a")), Deadline::default());
    }

    #[test]
    fn the_timer_rings_for_the_next_turn_beside_the_deadlines_of_runs() {
        // Unbounded: a ring or two.
        let (tx, rx) = crossbeam_channel::unbounded();
        let mut deadlines = Deadlines::new(move || tx.send(()).expect("the test listens")).expect("a timer");
        let far = crate::engine::now().wall + TimeDelta::hours(1);
        deadlines.set(&id("a"), Deadline { awake_ms: None, wall: Some(far) });
        deadlines.set_turn(Some(DateTime::UNIX_EPOCH));
        rx.recv_timeout(std::time::Duration::from_secs(60))
            .expect("it rings at once: that instant has passed");
    }
}
