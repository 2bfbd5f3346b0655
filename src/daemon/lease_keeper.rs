//! The thread that keeps an engine's lease: it answers those who ask for it, and ends the engine when the lease is given
//! up or handed over. Who asks in vain may stand by, and gets the lease when it is left.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;

use super::command_handler::CommandHandler;
use super::lease::Handover;
use super::service::{Disposition, NewHolder};
use crate::api::ProcessKind;
use crate::control::server::{ControlServer, HandOver};
use crate::engine::{EngineError, ShutdownKind};
use crate::run::Body;
use crate::store::EngineLock;

/// What is asked of the thread that keeps the lease.
pub(crate) enum Order {
    /// Another process asks for it.
    HandOver(HandOver),
    /// End the engine in this way and give the lease to a process that stands by; true when one has taken it. Otherwise
    /// the lease is kept for whoever asks next.
    PassOn(ShutdownKind, Sender<Result<bool, EngineError>>),
    /// Give it up.
    Close(ShutdownKind, Sender<Result<(), EngineError>>),
    /// Give it up if no run lives; true when it was given up.
    CloseIfIdle(Sender<Result<bool, EngineError>>),
}

/// What the keeper and the owner of a service share.
pub(crate) struct Shared {
    pub(crate) disposition: Mutex<Disposition>,
    /// The process that was started to take over.
    pub(crate) new_holder: Mutex<Option<u32>>,
}

/// The thread that keeps the lease.
pub(crate) struct Keeper {
    pub(crate) handler: CommandHandler,
    pub(crate) face: ProcessKind,
    pub(crate) server: ControlServer,
    pub(crate) shared: Arc<Shared>,
    /// The lock of an engine that has ended, until somebody has taken it.
    pub(crate) lock: Option<EngineLock>,
    /// Those who take the lease when it is left, the first that came first.
    pub(crate) standbys: Vec<HandOver>,
    pub(crate) _keeping: Sender<()>,
}

impl Keeper {
    /// Keeps it until it is given up or handed over.
    pub(crate) fn keep(mut self, orders: &Receiver<Order>) {
        for order in orders {
            match order {
                Order::HandOver(hand_over) => match self.may_leave(&hand_over) {
                    Ok(()) => {
                        if self.hand_over(&hand_over) {
                            return self.server.close(&leave_word(&hand_over));
                        }
                    }
                    Err(_) if hand_over.successor.waits => {
                        self.standbys.retain(|waiting| !waiting.is_gone());
                        self.standbys.push(hand_over);
                    }
                    Err(why) => hand_over.refuse(&why),
                },
                Order::PassOn(kind, tell) => {
                    let passed = self.pass_on(kind);
                    let word = passed.as_ref().ok().cloned().flatten();
                    // Whoever waited no longer needs no answer.
                    let _ = tell.send(passed.map(|word| word.is_some()));
                    if let Some(word) = word {
                        return self.server.close(&word);
                    }
                }
                Order::Close(kind, tell) => {
                    // Nothing is fired into an engine that ends.
                    self.handler.jobs().stop();
                    let outcome = self.handler.engine().shutdown(kind);
                    return self.leave(&tell, outcome);
                }
                Order::CloseIfIdle(tell) => match self.handler.engine().shutdown_if_idle() {
                    // Whoever waited no longer needs no answer.
                    Ok(false) => drop(tell.send(Ok(false))),
                    outcome => return self.leave(&tell, outcome),
                },
            }
        }
    }

    /// Takes leave of everybody, when the engine has ended so.
    fn leave<T>(self, tell: &Sender<T>, outcome: T) {
        self.put_away();
        self.server.close("the engine has ended");
        // Before it is told: whoever hears it may take the lease.
        drop(self.lock);
        // Whoever waited no longer needs no answer.
        let _ = tell.send(outcome);
    }

    /// Whether the asker may have the lease now; else why not.
    fn may_leave(&self, hand_over: &HandOver) -> Result<(), String> {
        let successor = &hand_over.successor;
        let pid = hand_over.peer_pid();
        let is_heir = pid.is_some() && pid == *self.shared.new_holder.lock();
        let is_newer = version(&successor.version) > version(env!("CARGO_PKG_VERSION"));
        let me = std::process::id();
        match (self.face, successor.face) {
            _ if is_heir => Ok(()),
            (_, ProcessKind::Run | ProcessKind::Library) => {
                Err("only a window or `serve` takes over".to_owned())
            }
            (ProcessKind::Run, ProcessKind::Window | ProcessKind::Serve)
            | (ProcessKind::Serve, ProcessKind::Window) => Ok(()),
            (ProcessKind::Window | ProcessKind::Serve | ProcessKind::Library, _) if is_newer => Ok(()),
            (ProcessKind::Serve, ProcessKind::Serve) => {
                Err(format!("`leverframe serve` runs already (process {me}); there is nothing to do"))
            }
            (ProcessKind::Window, _) => Err(format!(
                "the window (process {me}) runs the engine; close it and leave what runs to a process in the background"
            )),
            (ProcessKind::Library, _) => {
                Err(format!("the program of process {me} keeps its engine; end it first"))
            }
        }?;
        let snapshot = self.handler.engine().snapshot();
        match snapshot.runs.values().find(|run| matches!(run.body, Body::Driven)) {
            Some(run) => {
                Err(format!("run {} is driven by this very program; it can't be handed over", run.id))
            }
            None => Ok(()),
        }
    }

    /// Ends the engine, if that was not done yet, and hands its lock and its socket over. False when the asker has gone
    /// meanwhile: as long as the engine has not ended, nothing has happened then.
    fn hand_over(&mut self, hand_over: &HandOver) -> bool {
        if hand_over.is_gone() {
            return false;
        }
        // Whoever comes from now on waits for the successor.
        self.server.turn_away();
        // Before the events are over: whoever hears their end asks why.
        *self.shared.disposition.lock() =
            Disposition::HandedOver(NewHolder { face: hand_over.successor.face, name: name_of(hand_over) });
        if let Err(error) = self.end_engine(ShutdownKind::LeaveSteps) {
            *self.shared.disposition.lock() = Disposition::Unknown;
            hand_over.refuse(&error.to_string());
            return false;
        }
        let engine = self.handler.engine().snapshot();
        let living = engine.runs.keys().cloned().collect();
        let handover = Handover { seq: engine.seq, face: self.face, living };
        let Some(lock) = self.lock.as_ref().and_then(EngineLock::as_fd) else { return false };
        if hand_over.hand(&handover, &[lock, hand_over.listener()]).is_err() {
            return false;
        }
        tracing::info!(successor = name_of(hand_over), seq = handover.seq, "the engine is handed over");
        // Closed and not unlocked: the successor holds it through a copy of its own.
        drop(self.lock.take().map(EngineLock::into_fd));
        true
    }

    /// Ends the engine and gives the lease to the first who stands by and takes it; the last word to everybody.
    fn pass_on(&mut self, kind: ShutdownKind) -> Result<Option<String>, EngineError> {
        self.standbys.retain(|waiting| !waiting.is_gone());
        if self.standbys.is_empty() && kind == ShutdownKind::LeaveSteps {
            // It goes on until somebody else has been found.
            return Ok(None);
        }
        self.end_engine(kind)?;
        for standby in std::mem::take(&mut self.standbys) {
            if self.hand_over(&standby) {
                return Ok(Some(leave_word(&standby)));
            }
        }
        Ok(None)
    }

    /// Leaves the databases' own files as all there is. A short run leaves that to others.
    fn put_away(&self) {
        match self.face {
            ProcessKind::Window | ProcessKind::Serve => {}
            ProcessKind::Run | ProcessKind::Library => return,
        }
        // What can't be written back now is read from the log by the next engine.
        let _ = self.handler.engine().store().put_away_wal();
        if let Some(jobs) = self.handler.jobs().store() {
            let _ = jobs.put_away_wal();
        }
    }

    /// Ends the engine and keeps its lock.
    fn end_engine(&mut self, kind: ShutdownKind) -> Result<(), EngineError> {
        if self.lock.is_none() {
            // Nothing is fired into an engine that ends.
            self.handler.jobs().stop();
            self.lock = Some(self.handler.engine().hand_over(kind)?);
        }
        Ok(())
    }
}

/// Who takes over, for messages.
fn name_of(hand_over: &HandOver) -> String {
    let pid = hand_over.peer_pid().map_or_else(String::new, |pid| format!(", process {pid}"));
    format!("{}{pid}", hand_over.successor.face.as_str())
}

fn leave_word(successor: &HandOver) -> String {
    format!("the engine was handed over to {}", name_of(successor))
}

/// A version as what can be compared; what is no version is older than any.
fn version(text: &str) -> Option<[u64; 3]> {
    let numbers = text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(version("0.10.0") > version("0.9.12"));
        assert!(version("1.0.0") > version("0.99.99"));
        assert!(version("one") < version("0.0.0"));
        assert_eq!(version("0.2.0"), version("0.2.0"));
    }
}
