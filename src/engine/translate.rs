//! Requests and samples as inputs to runs. What concerns no run is handled here.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use crossbeam_channel::Sender;

use super::clock;
use super::core::Engine;
use super::error::EngineError;
use super::lifecycle::{ShutdownKind, When};
use super::line::{CurrentWait, OrderAnswer};
use super::message::{Answer, Message, PendingInput, Waiting};
use crate::admission::{AdmissionPolicy, Order, Orders};
use crate::base::id::RunId;
use crate::resources::ResourceSnapshot;
use crate::run::{EventKind, Input, Run, StepNews, StopKind};
use crate::store::{EngineLock, RunWrite, StoreError};

impl Engine {
    /// Turns a message into inputs of runs.
    pub(super) fn translate(&mut self, message: Message, heard: &mut Vec<PendingInput>) {
        if message.may_make_room() {
            self.line.touch();
        }
        match message {
            Message::Ask(ask) => heard.push(PendingInput {
                run_id: ask.run_id,
                input: ask.input,
                new_run: None,
                waiting: Waiting::Caller(ask.reply),
            }),
            Message::Start { run_id, run, footprints, reply } => {
                if let Some(footprints) = footprints {
                    self.line.learn(&run.pipeline_id, footprints);
                }
                self.translate_start(run_id, run, reply, heard);
            }
            // The caller may be gone.
            Message::Signals { run_id, reply } => drop(reply.send(self.runs.signals(&run_id))),
            Message::Progress(run_id) => {
                if let Some((progress, current_step)) = self.publisher.take_progress(&run_id) {
                    heard.push(PendingInput::world(run_id, Input::Progress { progress, current_step }));
                }
            }
            Message::Host(generation, event) => self.translate_host(generation, event, heard),
            Message::HostReady(generation, host) => self.host_ready(generation, host, heard),
            Message::Report(batch) => {
                let (key, new_offset) = (batch.key.clone(), batch.new_offset);
                if let Some(input) = self.runs.step_input(&key, StepNews::Reported(batch)) {
                    let waiting = Waiting::Reporter(key.clone(), new_offset);
                    heard.push(PendingInput { waiting, ..PendingInput::world(key.run_id, input) });
                }
            }
            Message::Spec(key, ticket, spec) => self.translate_spec(key, ticket, spec, heard),
            Message::Tell(events) => self.tell_all(events),
            Message::Sample(sample) => self.translate_sample(sample, heard),
            Message::Order(order, reply) => self.translate_order(order, reply, heard),
            Message::Policy(policy) => self.translate_policy(*policy),
            // The caller may be gone.
            Message::Waits(reply) => drop(reply.send(self.current_waits())),
            Message::WallRing => {}
            Message::Shutdown { kind, when, reply } => self.begin_closing(kind, when, reply, heard),
            Message::LeaveAtOnce => self.lifecycle.leave_at_once(),
            Message::Abandoned => {}
        }
    }

    /// Gives a new run the requested id, or the next free one.
    fn translate_start(
        &mut self,
        run_id: Option<RunId>,
        mut run: Box<Run>,
        reply: Sender<Answer>,
        heard: &mut Vec<PendingInput>,
    ) {
        match self.free_id(run_id, &run, heard) {
            Ok(id) => {
                run.id = id.clone();
                heard.push(PendingInput {
                    run_id: id,
                    input: Input::Begin,
                    new_run: Some(run),
                    waiting: Waiting::Caller(reply),
                });
            }
            // The caller may be gone.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn free_id(
        &self,
        run_id: Option<RunId>,
        run: &Run,
        heard: &[PendingInput],
    ) -> Result<RunId, EngineError> {
        if self.lifecycle.refuses_runs() {
            return Err(EngineError::ShutDown);
        }
        let store = self.publisher.store();
        let is_reserved =
            |id: &RunId| self.runs.contains(id) || heard.iter().any(|other| other.run_id == *id);
        let is_taken = |id: &RunId| -> Result<bool, StoreError> {
            Ok(is_reserved(id) || store.load_summary(id)?.is_some())
        };
        match run_id {
            Some(id) if is_taken(&id)? => Err(EngineError::Exists { run_id: id }),
            Some(id) => Ok(id),
            None => Ok(store.next_run_id(&run.source, run.started_at, is_reserved)?),
        }
    }

    /// Takes in a sample, with its consequences for limits and power.
    fn translate_sample(&mut self, sample: Arc<ResourceSnapshot>, heard: &mut Vec<PendingInput>) {
        let may_thaw = !self.outage.is_on();
        let news = self.machine.look_at_limits(&sample, &self.runs, may_thaw);
        for alert in news.alerts {
            self.tell(alert);
        }
        heard.extend(news.heard);
        self.line.see(sample);
        heard.extend(self.machine.look_at_power(self.line.admission().is_on_battery()));
    }

    /// Sets the admission policy.
    fn translate_policy(&mut self, policy: AdmissionPolicy) {
        self.line.set_policy(policy);
        let living: Vec<_> = self.runs.iter().cloned().collect();
        for run in living {
            self.line.learn_of(&run, self.publisher.store());
            self.note(&run);
        }
    }

    fn current_waits(&mut self) -> Vec<CurrentWait> {
        self.line.open();
        let waits = self.line.current_waits(&self.runs, self.context());
        self.end_look_at_line();
        waits
    }

    /// Ends a look at the line, and publishes whether samples are wanted for it.
    pub(super) fn end_look_at_line(&mut self) {
        let is_room_awaited = self.line.end(&self.runs);
        self.publisher.want_samples(is_room_awaited || self.machine.is_power_minded());
    }

    pub(super) fn begin_closing(
        &mut self,
        kind: ShutdownKind,
        when: When,
        reply: Sender<Option<EngineLock>>,
        heard: &mut Vec<PendingInput>,
    ) {
        self.lifecycle.begin_closing(kind, when, reply, clock::now().awake_ms);
        if when == When::IfIdle {
            // Decided when all earlier messages are.
            return;
        }
        let input = match kind {
            ShutdownKind::LeaveSteps => {
                // A start that is being prepared goes back to waiting: the next engine starts the step.
                for key in self.acting.cancel_starts() {
                    let input = self.runs.step_input(&key, StepNews::NotSent);
                    heard.extend(input.map(|input| PendingInput::world(key.run_id, input)));
                }
                return;
            }
            ShutdownKind::FreezeRuns => Input::Pause,
            ShutdownKind::StopRuns => Input::Stop(StopKind::Graceful),
        };
        heard.extend(self.runs.ids().map(|run_id| PendingInput::world(run_id.clone(), input.clone())));
    }
}

/// The operator's orders for all runs: quiet and drain. An order is recorded, then told, then met by every run. A start
/// that finds a recorded order has every run meet it.
impl Engine {
    /// Handles an order. The caller gets its answer when every run has met it.
    fn translate_order(&mut self, order: Order, reply: Sender<OrderAnswer>, heard: &mut Vec<PendingInput>) {
        let orders = self.line.orders_after(order, clock::now().wall);
        let outcome = self.set_orders(orders, heard);
        self.line.answer_later(reply, outcome.map(|()| orders));
    }

    fn set_orders(&mut self, orders: Orders, heard: &mut Vec<PendingInput>) -> Result<(), EngineError> {
        if orders != self.line.orders() {
            // In a commit of its own, before it has consequences: a start that finds it recorded has every run meet it.
            self.publisher.store().commit(&[RunWrite::Orders(orders)])?;
            self.adopt_orders(orders, heard);
        }
        Ok(())
    }

    fn adopt_orders(&mut self, orders: Orders, heard: &mut Vec<PendingInput>) {
        self.line.set_orders(orders, clock::now().wall);
        self.deadlines.set_turn(self.line.next_turn_at());
        self.tell(EventKind::OrdersChanged { orders: Box::new(orders) });
        self.publish_seq();
        heard.extend(self.meet_quiet());
    }

    /// The inputs that make every living run meet quiet, whether it has or not.
    fn meet_quiet(&self) -> Vec<PendingInput> {
        let since = self.line.orders().quiet.map(|quiet| quiet.since);
        let living = self.runs.ids().cloned();
        living.map(|run_id| PendingInput::world(run_id, Input::Quiet(since))).collect()
    }

    /// After a start: the recovered runs meet the recorded orders.
    pub(super) fn look_at_orders(&mut self) {
        let heard = match self.end_quiet_in_time(clock::now().wall) {
            Some(heard) => heard,
            None => self.meet_quiet(),
        };
        self.deadlines.set_turn(self.line.next_turn_at());
        self.handle(heard);
    }

    /// Ends quiet if its end has passed, and looks whether the next turn has come.
    pub(super) fn look_at_turns(&mut self, now: DateTime<Utc>) {
        if let Some(heard) = self.end_quiet_in_time(now) {
            self.handle(heard);
        }
        if self.line.look_at_turn(now) {
            self.deadlines.set_turn(self.line.next_turn_at());
        }
    }

    /// Ends quiet if its end has passed. Returns the inputs to every run.
    fn end_quiet_in_time(&mut self, now: DateTime<Utc>) -> Option<Vec<PendingInput>> {
        if !self.line.is_quiet_over(now) {
            return None;
        }
        let mut heard = Vec::new();
        let orders = Orders { quiet: None, ..self.line.orders() };
        if self.set_orders(orders, &mut heard).is_err() {
            // If it can't be recorded, quiet is over nevertheless, and the next start finds that its end is past.
            self.adopt_orders(orders, &mut heard);
        }
        Some(heard)
    }
}
