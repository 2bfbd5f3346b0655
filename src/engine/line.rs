//! The line of runs and steps that wait for admission. The engine looks at it in each turn in which something has
//! happened, such as an end, a sample or an order. [`crate::admission`] has the rules; here they are applied to the
//! living runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use crossbeam_channel::Sender;
use serde::{Deserialize, Serialize};

use super::error::EngineError;
use super::runs::Runs;
use crate::admission::{Admission, AdmissionPolicy, Footprints, Order, Orders, Quiet, Rank, Wait};
use crate::base::id::{PipelineId, RunId, StepId};
use crate::base::time::Now;
use crate::resources::ResourceSnapshot;
use crate::run::{Context, Phase, Run, RunState, claim_of, current_waits, rank_of, waits};
use crate::store::CheckpointManager;

/// The interval between two notices that tell waiting runs who holds what they wait for.
const TELL_HOLDERS_MS: u64 = 2000;
/// The interval between two starts of runs that waited for the end of quiet.
const TURN: TimeDelta = TimeDelta::seconds(5);

/// A present wait for admission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurrentWait {
    pub run_id: RunId,
    /// The waiting step; none when the run itself has not begun.
    pub step_id: Option<StepId>,
    /// What it waits for.
    pub wait: Wait,
}

/// The orders that result from an order, or why it failed.
pub(super) type OrderAnswer = Result<Orders, EngineError>;

/// Everything that waits for admission.
pub(super) struct AdmissionLine {
    /// Who holds what, and what is left.
    admission: Admission,
    /// Runs that wait, or whose steps do.
    waiting: BTreeSet<RunId>,
    /// Something has happened since the last look that may let one of them start.
    is_stale: bool,
    notices: WaitNotices,
    /// Orders that are recorded, with the callers that await the answer.
    given_orders: Vec<(Sender<OrderAnswer>, OrderAnswer)>,
}

/// When waiting runs are told who holds what they wait for, on the clock of awake time.
#[derive(Debug, Default)]
struct WaitNotices {
    /// When they were told last.
    told_at_ms: u64,
    /// When they are to be told of changes since then; none when they know.
    due_at_ms: Option<u64>,
}

impl AdmissionLine {
    /// The line of a new engine. Runs of an earlier one begin in its order, once all of them are known.
    pub(super) fn new(mut admission: Admission) -> Self {
        admission.await_line();
        let (waiting, notices, given_orders) = Default::default();
        Self { admission, waiting, is_stale: true, notices, given_orders }
    }

    /// The rules and the state that decide admission.
    pub(super) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Notes that something in the line may be able to start.
    pub(super) fn touch(&mut self) {
        self.is_stale = true;
    }

    /// Whether the line is to be looked at. True once.
    pub(super) fn take_stale(&mut self) -> bool {
        std::mem::take(&mut self.is_stale)
    }

    /// Notes what a decided run holds and whether it waits.
    pub(super) fn note(&mut self, run: &Run) {
        self.admission.note(&run.id, claim_of(run, &self.admission));
        if rank_of(run, &self.admission, DateTime::UNIX_EPOCH).is_some() {
            self.waiting.insert(run.id.clone());
        } else {
            self.waiting.remove(&run.id);
        }
    }

    /// Removes a run that no longer lives here.
    pub(super) fn forget(&mut self, run_id: &RunId) {
        self.admission.note(run_id, None);
        self.waiting.remove(run_id);
    }

    /// Sets the newest sample, for the next decisions.
    pub(super) fn see(&mut self, sample: Arc<ResourceSnapshot>) {
        self.admission.machine = Some(sample);
    }

    /// Sets how many steps may live at once, and looks at the line again.
    pub(super) fn set_capacity(&mut self, n_steps: usize) {
        self.admission.max_steps = Some(n_steps);
        self.touch();
    }

    /// Begins a look at the line. Returns it in order.
    pub(super) fn begin(&mut self, runs: &Runs, now: Now) -> Vec<Rank> {
        self.notices.due_at_ms = None;
        if self.waiting.is_empty() {
            return Vec::new();
        }
        self.time_notices(now.awake_ms);
        let waiting = self.waiting.iter().filter_map(|run_id| runs.get(run_id));
        let mut line: Vec<_> = waiting.filter_map(|run| rank_of(run, &self.admission, now.wall)).collect();
        line.sort_unstable();
        self.admission.begin_line();
        line
    }

    /// Ends the look at one entry. If it has waited so long that none may overtake it, what it waits for is kept for
    /// it.
    pub(super) fn keep(&mut self, rank: &Rank, run: &Run) {
        if !rank.is_overtaken_by_nobody() {
            return;
        }
        if let Some(wait) = run.phase.wait() {
            self.admission.keep_place(&run.id, wait);
        }
        let of_steps: Vec<_> = waits(run, &self.admission).map(|(wait, step)| (wait.clone(), step)).collect();
        for (wait, step) in of_steps {
            self.admission.keep_room(&run.id, &wait, &step);
        }
    }

    /// Ends a look at the line: new entries stand behind it. Returns whether the next sample may let something start.
    pub(super) fn end(&mut self, runs: &Runs) -> bool {
        let waiting = || self.waiting.iter().filter_map(|run_id| runs.get(run_id));
        // Runs that quiet held back do not all begin at once, whichever order ends.
        let stands_in_line = |run: &Arc<Run>| {
            let Phase::Queued { wait, is_held_by_quiet } = &run.phase else { return false };
            *is_held_by_quiet || wait.as_ref().is_some_and(|wait| wait.is_for_place())
        };
        let are_places_awaited = waiting().any(stands_in_line);
        let is_room_awaited =
            waiting().any(|run| waits(run, &self.admission).any(|(wait, _)| wait.is_for_room()));
        self.admission.end_line(are_places_awaited, is_room_awaited);
        is_room_awaited
    }

    /// Lets each entry be looked at by itself, not behind others, until [`end`](Self::end).
    pub(super) fn open(&mut self) {
        self.admission.end_line(false, false);
    }

    /// Everything that waits, with present figures.
    pub(super) fn current_waits(&self, runs: &Runs, cx: Context<'_>) -> Vec<CurrentWait> {
        let mut waits = Vec::new();
        for run in self.waiting.iter().filter_map(|run_id| runs.get(run_id)) {
            let of_run = current_waits(run, cx).into_iter();
            waits.extend(of_run.map(|(step_id, wait)| CurrentWait { run_id: run.id.clone(), step_id, wait }));
        }
        waits
    }

    /// When waiting runs are to be told who holds what they wait for.
    pub(super) fn notices_due_at_ms(&self) -> Option<u64> {
        self.notices.due_at_ms
    }

    /// Has the line looked at, if a notice is due.
    pub(super) fn look_at_notices(&mut self, now_ms: u64) {
        if self.notices.due_at_ms.is_some_and(|at| at <= now_ms) {
            self.notices.due_at_ms = None;
            self.touch();
        }
    }

    /// Decides whether this look tells waiting runs who holds what they wait for. When places change hands by the
    /// hundred, telling all of them each time would cost more than their runs.
    fn time_notices(&mut self, now_ms: u64) {
        let due_at_ms = self.notices.told_at_ms + TELL_HOLDERS_MS;
        self.admission.tells_holders = now_ms >= due_at_ms;
        if self.admission.tells_holders {
            self.notices.told_at_ms = now_ms;
        } else {
            self.notices.due_at_ms = Some(due_at_ms);
        }
    }
}

/// The operator's orders and the policy.
impl AdmissionLine {
    pub(super) fn orders(&self) -> Orders {
        self.admission.orders
    }

    /// The orders in force after another order.
    pub(super) fn orders_after(&self, order: Order, now: DateTime<Utc>) -> Orders {
        self.admission.orders.after(order, now)
    }

    /// Sets the orders in force.
    pub(super) fn set_orders(&mut self, orders: Orders, now: DateTime<Utc>) {
        let was_quiet = self.admission.orders.quiet.is_some();
        self.admission.orders = orders;
        if was_quiet && orders.quiet.is_none() {
            // What was frozen goes on first.
            self.admission.next_turn_at = Some(now + TURN);
        }
    }

    /// Keeps an order's answer for its caller until every run has met the order.
    pub(super) fn answer_later(&mut self, reply: Sender<OrderAnswer>, answer: OrderAnswer) {
        self.given_orders.push((reply, answer));
    }

    /// Answers the callers of orders: every run has met them.
    pub(super) fn answer_orders(&mut self) {
        for (reply, answer) in self.given_orders.drain(..) {
            // The caller may be gone.
            let _ = reply.send(answer);
        }
    }

    /// Whether quiet has an end that has passed.
    pub(super) fn is_quiet_over(&self, now: DateTime<Utc>) -> bool {
        let is_over = |quiet: Quiet| quiet.until.is_some_and(|until| until <= now);
        self.admission.orders.quiet.is_some_and(is_over)
    }

    /// If a run that quiet held back has begun, the next one begins later. Returns whether it has.
    pub(super) fn keep_turn(&mut self, before: &Run, run: &Run, now: DateTime<Utc>) -> bool {
        let was_held = matches!(before.phase, Phase::Queued { is_held_by_quiet: true, .. });
        let has_begun = was_held && run.state() == RunState::Running;
        if has_begun {
            self.admission.next_turn_at = Some(now + TURN);
        }
        has_begun
    }

    /// Has the line looked at, if the turn of the next run that quiet held back has come. Returns whether it has.
    pub(super) fn look_at_turn(&mut self, now: DateTime<Utc>) -> bool {
        // Further ahead than a turn can be: the clock was set back.
        let has_come = self.admission.next_turn_at.is_some_and(|at| at <= now || at > now + TURN);
        if has_come {
            self.admission.next_turn_at = None;
            self.touch();
        }
        has_come
    }

    /// When quiet ends or the next turn comes.
    pub(super) fn next_turn_at(&self) -> Option<DateTime<Utc>> {
        let end_of_quiet = self.admission.orders.quiet.and_then(|quiet| quiet.until);
        [end_of_quiet, self.admission.next_turn_at].into_iter().flatten().min()
    }

    /// Sets the policy. Every run must be noted anew.
    pub(super) fn set_policy(&mut self, policy: AdmissionPolicy) {
        self.admission.policy = policy;
        if !self.admission.policy.learns {
            self.admission.footprints.clear();
        }
    }

    /// Sets what the steps of a pipeline usually need.
    pub(super) fn learn(&mut self, pipeline_id: &PipelineId, footprints: Arc<Footprints>) {
        if self.admission.policy.learns {
            self.admission.footprints.insert(pipeline_id.clone(), footprints);
        }
    }

    /// The same for a run that was read from disk. If it can't be read, it stays unknown: nothing waits for it.
    pub(super) fn learn_of(&mut self, run: &Run, store: &CheckpointManager) {
        let Some(definition) = run.definition() else { return };
        if self.admission.policy.learns && !self.admission.footprints.contains_key(&run.pipeline_id) {
            let n_steps = definition.pipeline.steps.len();
            if let Ok(footprints) = store.footprints(&run.pipeline_id, n_steps) {
                self.learn(&run.pipeline_id, Arc::new(footprints));
            }
        }
    }

    /// A run of this pipeline has ended. Without another one, the needs of its steps are forgotten.
    pub(super) fn forget_pipeline(&mut self, pipeline_id: &PipelineId, runs: &Runs) {
        if !runs.iter().any(|run| run.pipeline_id == *pipeline_id) {
            self.admission.footprints.remove(pipeline_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_runs::of_steps;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn now(seconds: i64) -> Now {
        Now { wall: at(seconds), awake_ms: seconds as u64 * 1000 }
    }

    fn line() -> AdmissionLine {
        AdmissionLine::new(Admission::new(AdmissionPolicy::default(), 2))
    }

    /// A line in which these runs wait, with these priorities.
    fn line_of(waiting: &[(&str, u8)]) -> (AdmissionLine, Runs) {
        let (mut line, mut runs) = (line(), Runs::default());
        for (run_id, priority) in waiting {
            let mut run = of_steps(run_id, &["s"]);
            run.ledger.priority = *priority;
            line.note(&run);
            runs.put(Arc::new(run), true);
        }
        (line, runs)
    }

    fn order(line: &mut AdmissionLine, runs: &Runs, now: Now) -> Vec<String> {
        line.begin(runs, now).iter().map(|rank| rank.run_id().to_string()).collect()
    }

    #[test]
    fn the_line_goes_by_priority_and_without_those_who_have_begun_or_are_gone() {
        let (mut line, mut runs) =
            line_of(&[("first-named", 1), ("gone", 9), ("last-named", 5), ("begun", 7)]);
        assert!(line.take_stale() && !line.take_stale(), "it is looked at once at the beginning");
        line.forget(&"gone".try_into().expect("an id"));
        let begun = Run { phase: Phase::of(RunState::Running, None), ..of_steps("begun", &["s"]) };
        line.note(&begun);
        runs.put(Arc::new(begun), true);
        assert_eq!(order(&mut line, &runs, now(0)), ["last-named", "first-named"]);
    }

    #[test]
    fn who_waits_is_told_of_holders_at_intervals_and_of_what_was_kept_from_it_afterwards() {
        let (mut line, runs) = line_of(&[("a", 1)]);
        line.begin(&runs, now(10));
        assert!(line.admission().tells_holders && line.notices_due_at_ms().is_none());
        line.begin(&runs, now(11));
        assert!(!line.admission().tells_holders);
        assert_eq!(line.notices_due_at_ms(), Some(12_000));
        line.take_stale();
        line.look_at_notices(11_999);
        assert!(!line.take_stale());
        line.look_at_notices(12_000);
        assert!(line.take_stale() && line.notices_due_at_ms().is_none());
    }

    #[test]
    fn after_quiet_the_next_turn_comes_later_and_a_clock_that_is_set_back_delays_nobody() {
        let mut line = line();
        let quiet = line.orders_after(Order::Quiet(Some(at(100))), at(0));
        line.set_orders(quiet, at(0));
        assert_eq!(line.next_turn_at(), Some(at(100)));
        assert!(!line.is_quiet_over(at(99)) && line.is_quiet_over(at(100)));
        line.set_orders(line.orders_after(Order::EndQuiet, at(100)), at(100));
        assert_eq!(line.next_turn_at(), Some(at(100) + TURN));
        line.take_stale();
        assert!(!line.look_at_turn(at(100)) && !line.take_stale());
        assert!(line.look_at_turn(at(20)), "the clock was set back");
        assert!(line.take_stale());
        assert_eq!(line.next_turn_at(), None);
    }

    #[test]
    fn of_what_quiet_held_back_one_begins_at_a_time() {
        let mut line = line();
        let mut held = of_steps("a", &["s"]);
        let begun = Run { phase: Phase::of(RunState::Running, None), ..held.clone() };
        assert!(!line.keep_turn(&held, &begun, at(0)), "it was not held back by quiet");
        held.phase = Phase::Queued { wait: None, is_held_by_quiet: true };
        assert!(!line.keep_turn(&held, &held, at(0)), "it has not begun");
        assert!(line.keep_turn(&held, &begun, at(0)));
        assert_eq!(line.next_turn_at(), Some(at(0) + TURN));
    }

    #[test]
    fn what_steps_usually_need_is_known_as_long_as_the_policy_lets_it_and_a_run_asks() {
        let (mut line, mut runs) = line_of(&[("a", 1)]);
        let run = runs.iter().next().expect("a run").clone();
        let knows = |line: &AdmissionLine| line.admission().footprints.contains_key(&run.pipeline_id);
        let policy = |learns| AdmissionPolicy { learns, ..AdmissionPolicy::default() };
        line.set_policy(policy(true));
        line.learn(&run.pipeline_id, Arc::default());
        line.forget_pipeline(&run.pipeline_id, &runs);
        assert!(knows(&line), "a run of it lives");
        runs.remove(&run.id);
        line.forget_pipeline(&run.pipeline_id, &runs);
        assert!(!knows(&line));
        line.learn(&run.pipeline_id, Arc::default());
        line.set_policy(policy(false));
        line.learn(&run.pipeline_id, Arc::default());
        assert!(!knows(&line));
    }
}
