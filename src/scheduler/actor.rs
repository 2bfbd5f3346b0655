//! The scheduler's thread: it waits for orders, for the clock and for the ends of runs, lets the core decide and
//! record, and carries out the result. It blocks and never polls.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use crossbeam_channel::{Receiver, Select};

use super::core::{Act, JobStart, Resolve, SchedulerCore, StartOutcome};
use super::error::SchedulerError;
use super::zone::known_machine_zone;
use crate::base::id::{JobId, RunId};
use crate::base::time::Now;
use crate::base::wake::bell;
use crate::engine::{CoreExecutionEngine, Subscription, WallTimer, now};
use crate::files::SettledWatch;
use crate::run::{EventKind, StopKind};
use crate::store::StoreError;

/// How long until the next try after a failure of the database.
const TRY_AGAIN_MS: u64 = 5_000;

/// If the thread wakes this much later than planned, it was stopped meanwhile.
const OVERSLEPT: TimeDelta = TimeDelta::seconds(10);

/// A call to be made on the scheduler's thread.
pub(super) type Order = Box<dyn FnOnce(&mut Actor) + Send>;

/// The state that the thread owns.
pub(super) struct Actor {
    pub(super) core: SchedulerCore,
    pub(super) engine: CoreExecutionEngine,
    pub(super) resolve: Arc<Resolve>,
    events: Subscription,
    timer: WallTimer,
    armed: Option<DateTime<Utc>>,
    /// When to recover, by [`Now::awake_ms`], because something could not be recorded. None: all is recorded.
    recover_at_ms: Option<u64>,
    is_ending: bool,
    /// Starts whose pipelines were not found once, by run: when to look again, by [`Now::awake_ms`].
    pub(super) again: HashMap<RunId, (u64, JobStart)>,
    _zone_watch: Option<SettledWatch>,
}

/// What wakes the thread besides orders.
pub(super) struct Wakers {
    /// The clock has reached an instant or was set, or the machine's zone has changed.
    pub(super) rung: Receiver<()>,
    /// Events wait.
    pub(super) heard: Receiver<()>,
}

impl Actor {
    /// Created before the thread is started, so that nothing is missed from now on.
    pub(super) fn new(
        core: SchedulerCore,
        engine: CoreExecutionEngine,
        resolve: Arc<Resolve>,
    ) -> std::io::Result<(Self, Wakers)> {
        let ((at_timer, rung), (hear, heard)) = (bell(), bell());
        let events = engine.bus().subscribe_to_facts(move || hear.ring());
        let at_zone = at_timer.clone();
        let timer = WallTimer::start(move || at_timer.ring())?;
        // If it can't be watched, the zone is looked at whenever something is due.
        let zone_watch = SettledWatch::open(Path::new("/etc"), "localtime", move || at_zone.ring()).ok();
        let actor = Self {
            core,
            engine,
            resolve,
            events,
            timer,
            armed: None,
            recover_at_ms: Some(0),
            is_ending: false,
            again: HashMap::new(),
            _zone_watch: zone_watch,
        };
        Ok((actor, Wakers { rung, heard }))
    }

    /// Works until it is ended.
    pub(super) fn run(mut self, orders: &Receiver<Order>, bells: &Wakers) {
        while !self.is_ending {
            self.turn(orders);
            if self.is_ending || self.events.is_over() {
                return;
            }
            self.wait(orders, bells);
        }
    }

    /// Does everything that needs no waiting.
    pub(super) fn turn(&mut self, orders: &Receiver<Order>) {
        let at = now();
        if self.recover_at_ms.is_some_and(|ms| ms <= at.awake_ms) {
            self.recover_at_ms = None;
            let recovered = self.core.recover(at);
            self.carry_out(recovered);
        }
        while let Some(event) = self.events.try_recv() {
            self.hear(&event.kind);
        }
        while let Ok(order) = orders.try_recv() {
            order(self);
            if self.is_ending {
                return;
            }
        }
        self.look_again(at);
        // Due jobs wait until it is known which runs live.
        if self.recover_at_ms.is_none() {
            self.look();
        }
    }

    /// Handles what is due.
    fn look(&mut self) {
        let at = now();
        if let Some(local) = known_machine_zone() {
            let changed = self.core.zone_changed(&local, at);
            self.carry_out(changed);
        }
        let due = self.core.look(at);
        self.carry_out(due);
    }

    fn wait(&mut self, orders: &Receiver<Order>, bells: &Wakers) {
        self.meet_left_trouble();
        let wake = match self.core.wake() {
            Ok(wake) => wake,
            Err(error) => {
                self.enter_outage(&error);
                Default::default()
            }
        };
        if self.recover_at_ms.is_none() || wake.wall.is_none() {
            self.arm(wake.wall);
        } else {
            // Nothing is due while nothing can be recorded.
            self.arm(None);
        }
        let again_ms = self.again.values().map(|(at_ms, _)| *at_ms).min();
        let awake_ms = [wake.awake_ms.filter(|_| self.recover_at_ms.is_none()), self.recover_at_ms, again_ms];
        let until = awake_ms.into_iter().flatten().min();
        let waits_from = now().wall;
        let mut select = Select::new();
        select.recv(orders);
        select.recv(&bells.rung);
        select.recv(&bells.heard);
        match until {
            None => drop(select.ready()),
            Some(at_ms) => {
                let left = Duration::from_millis(at_ms.saturating_sub(now().awake_ms));
                // Whether the time is over or a bell has rung: the thread looks next.
                let _ = select.ready_timeout(left);
            }
        }
        let is_overdue = |at: DateTime<Utc>| now().wall - at > OVERSLEPT;
        if self.armed.is_some_and(|at| at > waits_from && is_overdue(at)) {
            // The process or the machine was stopped: the clock was not watched.
            self.core.stood_still();
        }
        if bells.rung.try_recv().is_ok() {
            // It may have rung because the clock was set: arm it anew, by the present time.
            self.armed = None;
        }
        // It need not have rung.
        let _ = bells.heard.try_recv();
    }

    fn arm(&mut self, at: Option<DateTime<Utc>>) {
        // An instant that has rung is armed anew, because the timer rings once.
        if self.armed != at || at.is_some_and(|at| at <= now().wall) {
            self.timer.arm(at);
            self.armed = at;
        }
    }

    fn hear(&mut self, event: &EventKind) {
        if matches!(event, EventKind::Resync) {
            self.recover_at_ms = Some(0);
            return;
        }
        let Some(run) = event.run() else { return };
        let is_taken_up = matches!(event, EventKind::ExecutionResumed { from, .. } if from.is_ended());
        if run.state.is_ended() {
            let ended = self.core.ended(run, now());
            self.carry_out(ended);
        } else if is_taken_up {
            let reopened = self.core.reopened(run, now());
            self.carry_out(reopened);
        }
    }

    /// Carries out decisions and their consequences. What could not be recorded is tried again.
    pub(super) fn carry_out(&mut self, decided: Result<Vec<Act>, StoreError>) {
        let mut acts = match decided {
            Ok(acts) => acts,
            Err(error) => return self.enter_outage(&error),
        };
        self.meet_left_trouble();
        while !acts.is_empty() {
            let mut starts = Vec::new();
            let mut told = Vec::new();
            for act in acts.drain(..) {
                match act {
                    Act::Start(start) => starts.push(*start),
                    Act::Stop(run_id) => {
                        // If the run has ended meanwhile, its end is an event.
                        let _ = self.engine.stop_execution(&run_id, StopKind::Graceful);
                    }
                    Act::Tell(run_id, event) => told.push((run_id, *event)),
                }
            }
            // Fails when the engine is gone.
            let _ = self.engine.tell(told);
            for (start, outcome) in self.start_all(starts) {
                if matches!(outcome, StartOutcome::NotNow(_)) {
                    // Recover all of them together, and soon: none of them counts as missed.
                    self.recover_at_ms.get_or_insert(now().awake_ms + TRY_AGAIN_MS);
                }
                match self.core.started(start, outcome, now()) {
                    Ok(more) => acts.extend(more),
                    Err(error) => self.enter_outage(&error),
                }
            }
        }
        self.meet_left_trouble();
    }

    /// Also recovers when only a part could be written.
    fn meet_left_trouble(&mut self) {
        if let Some(error) = self.core.take_trouble() {
            self.enter_outage(&error);
        }
    }

    fn enter_outage(&mut self, error: &StoreError) {
        if self.recover_at_ms.is_none() {
            let text = format!("jobs can't be fired at the moment: {error}; it is tried again");
            // Fails when the engine is gone.
            let _ = self.engine.tell(vec![(None, EventKind::WarningRaised { text })]);
        }
        self.recover_at_ms = Some(now().awake_ms + TRY_AGAIN_MS);
    }

    /// Starts a run of a job by hand.
    pub(super) fn run_now(&mut self, job_id: &JobId) -> Result<RunId, SchedulerError> {
        let at: Now = now();
        let mut start = self.core.run_job_now(job_id, at)?;
        // There is a second round only if another run has taken the id first.
        loop {
            let Some((done, outcome)) = self.start_all(vec![start]).pop() else {
                return Err(SchedulerError::Stopped);
            };
            let run_id = done.run_id.clone();
            let outcome = match outcome {
                // The caller sees the reason and can ask again.
                StartOutcome::NotNow(reason) => StartOutcome::Refused(reason),
                other @ (StartOutcome::Started | StartOutcome::Refused(_) | StartOutcome::NameTaken) => other,
            };
            let reason = match &outcome {
                StartOutcome::Refused(reason) => Some(reason.clone()),
                StartOutcome::Started | StartOutcome::NameTaken | StartOutcome::NotNow(_) => None,
            };
            let mut acts = self.core.started(done, outcome, now())?;
            let again = acts.iter().position(|act| matches!(act, Act::Start(_)));
            let again = again.map(|place| acts.swap_remove(place));
            self.carry_out(Ok(acts));
            match (again, reason) {
                (Some(Act::Start(next)), _) => start = *next,
                (_, Some(reason)) => {
                    return Err(SchedulerError::NotStarted { job_id: job_id.clone(), reason });
                }
                (_, None) => return Ok(run_id),
            }
        }
    }

    /// Ends the thread after this turn.
    pub(super) fn end(&mut self) {
        self.is_ending = true;
    }
}
