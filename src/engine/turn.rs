//! One round of the engine's thread: it waits, gathers messages, and passes them to the four beats; then it looks at
//! deadlines, at the line, and at its own end.

use super::batch::Batch;
use super::clock;
use super::core::Engine;
use super::inbox::Inbox;
use super::lifecycle::Stage;
use super::message::{Message, PendingInput};
use crate::admission::Rank;
use crate::run::{EventKind, Input, RunState, waits_on};
use crate::supervisor::HostEvent;

impl Engine {
    /// Runs until the engine ends.
    pub(super) fn run(mut self) {
        while self.turn() {}
        self.flush();
    }

    /// One round: wait, gather, handle. False at the end.
    fn turn(&mut self) -> bool {
        let messages = self.inbox.gather(self.next_awake_deadline());
        if let Some(newest) = self.machine.newest_sample() {
            self.line.see(newest);
        }
        if messages.is_empty() {
            // A deadline has come.
            self.line.touch();
        }
        let is_abandoned = messages.iter().any(|message| matches!(message, Message::Abandoned));
        let mut heard = Vec::with_capacity(messages.len());
        for message in messages {
            // An inventory is compared with everything that came before it. A host that is ready may have sent one
            // already.
            if matches!(message, Message::Host(_, HostEvent::Inventory(_)) | Message::HostReady(..)) {
                self.handle(std::mem::take(&mut heard));
            }
            if let Message::Ask(ask) = &message
                && !self.runs.contains(&ask.run_id)
            {
                self.handle(std::mem::take(&mut heard));
                if let Err(error) = self.take_back(&ask.run_id) {
                    message.refuse(error);
                    continue;
                }
            }
            // A message that needs a host first comes back behind that host's inventory.
            if let Some(message) = self.with_host(message) {
                self.translate(message, &mut heard);
            }
        }
        let (mut batch, mut kept) = Default::default();
        self.decide_all(&mut batch, &mut kept, heard);
        self.wait_for_company(&mut batch, &mut kept);
        self.conclude(batch, kept);
        self.line.answer_orders();
        self.on_deadlines();
        self.admit_waiting();
        self.finish_closing() && !is_abandoned
    }

    /// Lets the commit wait for further ends, as long as no caller waits for it.
    fn wait_for_company(&mut self, batch: &mut Batch, kept: &mut Vec<PendingInput>) {
        let until = Inbox::company_until();
        while self.may_wait(batch, kept)
            && let Some(message) = self.inbox.next_news_of_a_step(until)
        {
            let mut heard = Vec::new();
            self.translate(message, &mut heard);
            self.decide_all(batch, kept, heard);
        }
    }

    /// When the engine must wake without a message, on the clock of awake time.
    fn next_awake_deadline(&self) -> Option<u64> {
        let of_parts = [
            self.deadlines.next_awake_ms(),
            self.recorder.flush_at_ms(),
            self.outage.look_again_at_ms(),
            self.line.notices_due_at_ms(),
            self.host.retry_at_ms(),
            self.lifecycle.look_again_at_ms(),
        ];
        of_parts.into_iter().flatten().min()
    }

    /// Gives a tick to every run whose deadline has passed, and does what the parts do at intervals.
    fn on_deadlines(&mut self) {
        let now = clock::now();
        let due = self.deadlines.take_due(now);
        self.handle_for(due.into_iter().collect(), &Input::Tick);
        self.look_at_outage(now.awake_ms);
        self.look_at_turns(now.wall);
        self.host.look_again(now.awake_ms);
        self.line.look_at_notices(now.awake_ms);
        if self.recorder.flush_at_ms().is_some_and(|at| at <= now.awake_ms) {
            self.flush();
        }
    }

    /// Tries to record again, if it is time.
    fn look_at_outage(&mut self, now_ms: u64) {
        let Some(retained) = self.outage.try_again(now_ms) else { return };
        // The outage is still on: what fails again is kept again, without a new alert.
        self.handle(retained);
        self.flush();
        if !self.recorder.is_all_recorded() {
            return;
        }
        let Some(text) = self.outage.end() else { return };
        self.line.touch();
        self.tell(EventKind::ResourceAlert { text, cleared: true });
        // Runs that have not begun are looked at in the order of the line.
        let begun = self.runs.iter().filter(|run| run.state() != RunState::Queued);
        let heard = begun.map(|run| {
            let input = if run.phase.freeze().is_some() { Input::DiskRoom } else { Input::StartsChanged };
            PendingInput::world(run.id.clone(), input)
        });
        let heard = heard.collect();
        self.handle(heard);
        let heard = self.machine.take_thawed(&self.runs);
        self.handle(heard);
    }

    /// Looks at each run in the line, in order. Called once in each turn in which something has happened.
    pub(super) fn admit_waiting(&mut self) {
        let is_open = !self.outage.is_on() && !self.lifecycle.is_closing();
        if !is_open || !self.line.take_stale() {
            return;
        }
        let line = self.line.begin(&self.runs, clock::now());
        let (mut batch, mut kept) = (Batch::default(), Vec::new());
        for rank in line {
            self.admit_next(&rank, &mut batch, &mut kept);
        }
        self.conclude(batch, kept);
        self.end_look_at_line();
    }

    fn admit_next(&mut self, rank: &Rank, batch: &mut Batch, kept: &mut Vec<PendingInput>) {
        let run_id = rank.run_id();
        let Some(before) = self.runs.get(run_id).cloned() else { return };
        let run = if waits_on(&before, self.context()) {
            before
        } else {
            self.decide_all(batch, kept, vec![PendingInput::world(run_id.clone(), Input::StartsChanged)]);
            let run = batch.staged(run_id).unwrap_or(&before).clone();
            if self.line.keep_turn(&before, &run, clock::now().wall) {
                self.deadlines.set_turn(self.line.next_turn_at());
            }
            run
        };
        self.line.keep(rank, &run);
    }

    /// Looks at a shutdown. True while the engine goes on.
    fn finish_closing(&mut self) -> bool {
        match self.lifecycle.look(&self.runs, clock::now().awake_ms) {
            Stage::Open | Stage::Waits => true,
            Stage::CalledOff => {
                self.lifecycle.call_off();
                self.handle_for(self.runs.ids().cloned().collect(), &Input::StartsChanged);
                true
            }
            Stage::Over => {
                self.handle_for(self.runs.ids_of(|run| run.definition().is_none()), &Input::DriverLost);
                self.flush();
                self.lifecycle.end();
                false
            }
        }
    }
}
