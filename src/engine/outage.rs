//! When nothing can be recorded: a full disk, or a database that somebody else keeps locked. Pause, stop
//! and kill act all the same; what the world says is kept and decided again; nothing new starts.

use super::beats::Batch;
use super::clock;
use super::core::Engine;
use super::error::EngineError;
use super::message::{PendingInput, Waiting};
use super::options::OnDiskFull;
use crate::base::id::RunId;
use crate::run::{EventKind, Hold, Input, Run, RunState};
use crate::store::{RESERVE_BYTES, StoreError, free_space};

/// Free room beyond the reserve at which things go on.
const ROOM_BYTES: u64 = 8 << 20;
/// No system tells when there is room again, or a lock is gone: it is looked at while there is trouble, and only then.
const LOOK_AGAIN_MS: u64 = 1000;

/// What stands in the way of recording, and what waits for its end.
pub(super) struct StorageOutage {
    is_disk_full: bool,
    /// The alert that was told, which is cleared by the same words.
    alert: String,
    /// On the clock of awake time.
    pub(super) look_again_at_ms: u64,
    retained: Vec<PendingInput>,
}

impl Engine {
    /// A commit failed: refuses what was asked, acts on what can't wait, keeps what the world said.
    pub(super) fn enter_outage(
        &mut self,
        error: StoreError,
        heard: Vec<PendingInput>,
        sent_ahead: Vec<(RunId, Input)>,
    ) {
        let is_new = self.outage.is_none();
        let is_disk_full = matches!(error, StoreError::DiskFull { .. });
        if is_disk_full && is_new {
            // Before anything else: the reserve is there so that what follows can be recorded.
            self.begin_full_disk();
        }
        let reason = error.to_string();
        let alert = format!("nothing can be recorded: {reason}; no step starts until it can");
        let outage = self.outage.get_or_insert_with(|| StorageOutage {
            is_disk_full,
            alert: alert.clone(),
            look_again_at_ms: clock::now().awake_ms + LOOK_AGAIN_MS,
            retained: Vec::new(),
        });
        outage.is_disk_full |= is_disk_full;
        if is_new && !is_disk_full {
            self.tell(EventKind::ResourceAlert { text: alert, cleared: false });
        }
        // What the decisions that are lost have sent all the same, lives: it is to be frozen or stopped like the rest.
        for (run_id, input) in sent_ahead {
            self.act_unrecorded(PendingInput::world(run_id, input));
        }
        let mut retained = Vec::new();
        for one in heard {
            match one.waiting {
                _ if one.input.is_urgent() => self.act_unrecorded(one),
                Waiting::Caller(_) => one.refuse(EngineError::NotRecorded { reason: reason.clone() }),
                Waiting::Nobody | Waiting::Reporter(..) => retained.push(one),
            }
        }
        if is_new && is_disk_full {
            self.freeze_for_room();
            // With the reserve given up, what the world said can most likely be recorded at once.
            self.handle(retained);
        } else if let Some(outage) = &mut self.outage {
            outage.retained.extend(retained);
        }
    }

    /// Something of what was handed over can't be stored, whatever room there is: it is refused to whoever asked, and
    /// the rest is decided again without it.
    pub(super) fn meet_offence(
        &mut self,
        error: StoreError,
        mut heard: Vec<PendingInput>,
        sent_ahead: Vec<(RunId, Input)>,
    ) {
        for (run_id, input) in sent_ahead {
            self.act_unrecorded(PendingInput::world(run_id, input));
        }
        match heard.pop() {
            Some(one) if heard.is_empty() && matches!(one.waiting, Waiting::Caller(_)) => {
                one.refuse(error.into());
            }
            Some(one) if heard.is_empty() => self.enter_outage(error, vec![one], Vec::new()),
            last => {
                for one in heard.into_iter().chain(last) {
                    self.handle(vec![one]);
                }
            }
        }
    }

    /// The disk is full, as the supervisor found out.
    pub(super) fn meet_full_disk(&mut self) {
        if self.outage.is_none() {
            self.begin_full_disk();
            self.freeze_for_room();
        }
    }

    fn begin_full_disk(&mut self) {
        let text = format!(
            "the disk of {} is full: no step starts and running ones are held until there is room",
            self.publisher.data_dir().path().display()
        );
        self.outage = Some(StorageOutage {
            is_disk_full: true,
            alert: text.clone(),
            look_again_at_ms: clock::now().awake_ms + LOOK_AGAIN_MS,
            retained: Vec::new(),
        });
        // If it can't be given up, it is not there: then there is nothing to give.
        let _ = self.reserve.release();
        self.tell(EventKind::ResourceAlert { text, cleared: false });
    }

    fn freeze_for_room(&mut self) {
        if self.options.on_disk_full == OnDiskFull::Freeze {
            let running: Vec<_> = self.runs.keys().cloned().collect();
            for run_id in running {
                self.act_unrecorded(PendingInput::world(run_id, Input::DiskFull));
            }
        }
    }

    /// Decides and acts; it is recorded with the next commit that succeeds.
    fn act_unrecorded(&mut self, heard: PendingInput) {
        let mut batch = Batch::default();
        match self.decide(&mut batch, &heard) {
            Ok(()) => {
                self.unrecorded.append(&mut batch.records);
                batch.is_hard = false;
                self.carry_out(batch, vec![heard]);
            }
            Err(error) => heard.refuse(error),
        }
    }

    /// Looks whether the trouble is over, if it is time.
    pub(super) fn look_at_trouble(&mut self, now_ms: u64) {
        let Some(outage) = &mut self.outage else { return };
        if outage.look_again_at_ms > now_ms {
            return;
        }
        outage.look_again_at_ms = now_ms + LOOK_AGAIN_MS;
        let is_disk_full = outage.is_disk_full;
        let retained = std::mem::take(&mut outage.retained);
        // With the trouble still in place: what fails again comes back, without a new alert.
        self.handle(retained);
        self.flush();
        let is_recorded =
            self.is_all_recorded() && self.outage.as_ref().is_none_or(|t| t.retained.is_empty());
        if !is_recorded || (is_disk_full && !self.has_room()) {
            return;
        }
        let Some(StorageOutage { alert, .. }) = self.outage.take() else { return };
        self.is_line_stale = true;
        if is_disk_full {
            // Without room for it the next full disk is met without a reserve.
            let _ = self.reserve.restore();
        }
        self.tell(EventKind::ResourceAlert { text: alert, cleared: true });
        // What has not begun is looked at in the order of the line.
        let has_begun = |id: &&RunId| self.runs[*id].run.state != RunState::Queued;
        let living: Vec<_> = self.runs.keys().filter(has_begun).cloned().collect();
        let input = |id: &RunId| match self.runs[id].run.state {
            RunState::Paused => Input::DiskRoom,
            RunState::Queued
            | RunState::Running
            | RunState::Stopping
            | RunState::Stopped
            | RunState::ForceStopped
            | RunState::Completed
            | RunState::Failed
            | RunState::Interrupted => Input::StartsChanged,
        };
        let heard = living.into_iter().map(|id| PendingInput::world(id.clone(), input(&id))).collect();
        self.handle(heard);
        let heard = self.thaw_later();
        self.handle(heard);
    }

    /// Runs that an earlier engine froze for want of room: they go on, or wait for it as they did there.
    pub(super) fn look_at_disk_holds(&mut self) {
        let is_held = |run: &Run| run.state == RunState::Paused && run.ledger.holds.has(Hold::DiskFull);
        let held: Vec<_> =
            self.runs.iter().filter(|(_, entry)| is_held(&entry.run)).map(|(id, _)| id.clone()).collect();
        if held.is_empty() || self.outage.is_some() {
            return;
        }
        if self.has_room() {
            self.handle(held.into_iter().map(|id| PendingInput::world(id, Input::DiskRoom)).collect());
        } else {
            self.begin_full_disk();
        }
    }

    fn has_room(&self) -> bool {
        let needed = ROOM_BYTES + if self.reserve.is_held() { 0 } else { RESERVE_BYTES };
        free_space(self.publisher.data_dir().path()).is_ok_and(|free| free >= needed)
    }
}
