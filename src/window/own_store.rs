//! The read model of a program that embeds Leverframe without a window: a thread applies the updates, and the program
//! only reads.

use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use parking_lot::Mutex;

use super::port::{Action, AppUpdate, QuitChoice, WindowPort};
use super::store::AppStore;
use crate::base::thread::{self, Thread};

/// A store, and the window's end of the port that feeds it.
pub(super) struct OwnStore {
    store: Arc<Mutex<AppStore>>,
    port: Arc<WindowPort>,
}

/// The thread that applies updates. It ends when this is dropped.
pub(super) struct Applying {
    /// Dropped before the thread is joined, which ends it.
    _end: Sender<()>,
    _thread: Thread,
}

impl OwnStore {
    pub(super) fn new(store: AppStore, port: WindowPort) -> Self {
        Self { store: Arc::new(Mutex::new(store)), port: Arc::new(port) }
    }

    /// Calls `look` with the store. Updates wait meanwhile.
    pub(super) fn read<T>(&self, look: impl FnOnce(&AppStore) -> T) -> T {
        look(&self.store.lock())
    }

    /// Ends the thread that carries out actions, as a closing window does.
    pub(super) fn end_actions(&self) {
        // An error means that the thread has ended already.
        let _ = self.port.send(Action::Quit(QuitChoice::Close));
    }

    /// Starts to apply updates.
    pub(super) fn apply_updates(&self) -> io::Result<Applying> {
        let (store, port) = (self.store.clone(), self.port.clone());
        // Capacity 0: nothing is sent. It closes when the thread is to end.
        let (end, ended) = bounded(0);
        let _thread = thread::start("lf-store", move || apply_until(&ended, &port, &store))?;
        Ok(Applying { _end: end, _thread })
    }
}

fn apply_until(ended: &Receiver<()>, port: &WindowPort, store: &Mutex<AppStore>) {
    loop {
        select! {
            recv(port.updates()) -> update => match update {
                Ok(update) => apply(update, port, store),
                Err(_) => return,
            },
            recv(ended) -> _ => {
                // All senders were joined before: what waits now is all.
                while let Some(update) = port.try_recv() {
                    apply(update, port, store);
                }
                return;
            }
        }
    }
}

fn apply(update: AppUpdate, port: &WindowPort, store: &Mutex<AppStore>) {
    let mut store = store.lock();
    store.apply(update);
    for request in store.take_requests() {
        // Fails when too many actions wait or no one reads them. The store then keeps its present values.
        let _ = port.send(request);
    }
}
