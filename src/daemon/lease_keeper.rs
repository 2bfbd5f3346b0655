//! The thread that keeps an engine's lease: it answers requests for it, and ends the engine when the lease is given up
//! or handed over. A successor that was refused may stand by, and gets the lease when the engine leaves.

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

/// Orders to the thread that keeps the lease.
pub(crate) enum Order {
    /// Another process asks for the lease.
    HandOver(HandOver),
    /// End the engine in this way and hand the lease to a standby. Answers whether one has taken it; if none has, the
    /// lease is kept for the next that asks.
    PassOn(ShutdownKind, Sender<Result<bool, EngineError>>),
    /// Give the lease up.
    Close(ShutdownKind, Sender<Result<(), EngineError>>),
    /// Give the lease up in a process that ends right after that.
    CloseAtExit(ShutdownKind, Sender<Result<(), EngineError>>),
    /// Give the lease up if no run lives. Answers whether it was given up.
    CloseIfIdle(Sender<Result<bool, EngineError>>),
}

/// What the keeper and the owner of a service share.
pub(crate) struct Shared {
    pub(crate) disposition: Mutex<Disposition>,
    /// The process that was started as the successor.
    pub(crate) new_holder: Mutex<Option<u32>>,
}

pub(crate) struct Keeper {
    pub(crate) handler: CommandHandler,
    pub(crate) face: ProcessKind,
    pub(crate) server: ControlServer,
    pub(crate) shared: Arc<Shared>,
    /// The lock of an engine that has ended, until it is handed over.
    pub(crate) lock: Option<EngineLock>,
    /// Successors that stand by, in the order in which they came.
    pub(crate) standbys: Vec<HandOver>,
    pub(crate) _keeping: Sender<()>,
}

impl Keeper {
    /// Keeps the lease until it is given up or handed over.
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
                    // The caller may be gone.
                    let _ = tell.send(passed.map(|word| word.is_some()));
                    if let Some(word) = word {
                        return self.server.close(&word);
                    }
                }
                Order::Close(kind, tell) => {
                    // No job fires into an engine that ends.
                    self.handler.jobs().stop();
                    let outcome = self.handler.engine().shutdown(kind);
                    return self.leave(&tell, outcome);
                }
                Order::CloseAtExit(kind, tell) => {
                    self.handler.jobs().stop();
                    let outcome = self.handler.engine().close_at_exit(kind);
                    let outcome = outcome.map(|lock| self.lock = Some(lock));
                    return self.leave(&tell, outcome);
                }
                Order::CloseIfIdle(tell) => match self.handler.engine().shutdown_if_idle() {
                    // The caller may be gone.
                    Ok(false) => drop(tell.send(Ok(false))),
                    outcome => return self.leave(&tell, outcome),
                },
            }
        }
    }

    /// Closes all connections after the engine has ended with `outcome`.
    fn leave<T>(self, tell: &Sender<T>, outcome: T) {
        self.put_away();
        self.server.close("the engine has ended");
        // Before the answer: its receiver may acquire the lease.
        drop(self.lock);
        // The caller may be gone.
        let _ = tell.send(outcome);
    }

    /// Whether the successor may have the lease now; the error says why not.
    fn may_leave(&self, hand_over: &HandOver) -> Result<(), String> {
        let successor = &hand_over.successor;
        let pid = hand_over.peer_pid();
        let is_successor = pid.is_some() && pid == *self.shared.new_holder.lock();
        let is_newer = version(&successor.version) > version(env!("CARGO_PKG_VERSION"));
        let me = std::process::id();
        match (self.face, successor.face) {
            _ if is_successor => Ok(()),
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
                "the window (process {me}) runs the engine; close it and let a background process take over"
            )),
            (ProcessKind::Library, _) => {
                Err(format!("the program of process {me} keeps its engine; end it first"))
            }
        }?;
        let snapshot = self.handler.engine().snapshot();
        match snapshot.runs.values().find(|run| matches!(run.body, Body::Driven)) {
            Some(run) => {
                Err(format!("run {} is driven by this program itself and can't be handed over", run.id))
            }
            None => Ok(()),
        }
    }

    /// Ends the engine, if it has not ended yet, and hands its lock and its socket over. False when the successor is
    /// gone: if the engine had not ended, nothing has happened.
    fn hand_over(&mut self, hand_over: &HandOver) -> bool {
        if hand_over.is_gone() {
            return false;
        }
        // New clients wait for the successor from now on.
        self.server.turn_away();
        // Set before the events end: their receivers then ask for the reason.
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
        // Closed, not unlocked: the successor holds the lock through its copy.
        drop(self.lock.take().map(EngineLock::into_fd));
        true
    }

    /// Ends the engine and hands the lease to the first standby that takes it. Returns the closing reason for the
    /// clients.
    fn pass_on(&mut self, kind: ShutdownKind) -> Result<Option<String>, EngineError> {
        self.standbys.retain(|waiting| !waiting.is_gone());
        if self.standbys.is_empty() && kind == ShutdownKind::LeaveSteps {
            // The engine goes on until another successor is found.
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

    /// Moves the WALs into the databases' files. A short run leaves that to later engines, unless they would read a long
    /// one.
    fn put_away(&self) {
        let runs = self.handler.engine().store();
        // If it fails, the next engine reads the WAL.
        match self.face {
            ProcessKind::Window | ProcessKind::Serve => drop(runs.put_away_wal()),
            ProcessKind::Run | ProcessKind::Library => return drop(runs.put_away_long_wal()),
        }
        if let Some(jobs) = self.handler.jobs().store() {
            let _ = jobs.put_away_wal();
        }
    }

    /// Ends the engine and keeps its lock.
    fn end_engine(&mut self, kind: ShutdownKind) -> Result<(), EngineError> {
        if self.lock.is_none() {
            // No job fires into an engine that ends.
            self.handler.jobs().stop();
            self.lock = Some(self.handler.engine().hand_over(kind)?);
        }
        Ok(())
    }
}

/// The successor's name, for messages.
fn name_of(hand_over: &HandOver) -> String {
    let pid = hand_over.peer_pid().map_or_else(String::new, |pid| format!(", process {pid}"));
    format!("{}{pid}", hand_over.successor.face.as_str())
}

fn leave_word(successor: &HandOver) -> String {
    format!("the engine was handed over to {}", name_of(successor))
}

/// A version that can be compared. A text that is no version is older than any.
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
