//! The window's end of an engine, without a window.

use std::path::Path;

use crossbeam_channel::{Receiver, bounded};
use leverframe::ExecutionIntegration;
use leverframe::engine::{EventBus, ShutdownKind};
use leverframe::window::{Action, AppUpdate, WindowPort, window_port};

pub(crate) struct Desk {
    integration: ExecutionIntegration,
    port: WindowPort,
    /// Rings after an update.
    news: Receiver<()>,
}

impl Desk {
    /// With an engine on the data in `dir`.
    pub(crate) fn open(dir: &Path) -> Self {
        let (port, world) = window_port();
        // Capacity 1: when it is full, the bell has rung already.
        let (ring, news) = bounded(1);
        port.wake_by(move |_| {
            let _ = ring.try_send(());
        });
        let mut integration = ExecutionIntegration::for_window(world, EventBus::new());
        integration.start(dir).expect("the engine starts");
        Self { integration, port, news }
    }

    pub(crate) fn act(&self, action: Action) {
        self.port.send(action).expect("room");
    }

    /// What is looked for in the next updates.
    pub(crate) fn wait<T>(&self, mut is_it: impl FnMut(AppUpdate) -> Option<T>) -> T {
        loop {
            while let Some(update) = self.port.try_recv() {
                if let Some(found) = is_it(update) {
                    return found;
                }
            }
            self.news.recv().expect("the engine lives");
        }
    }

    pub(crate) fn close(self) {
        let Self { mut integration, port, .. } = self;
        // An integration ends when nobody holds its window's port.
        drop(port);
        integration.shutdown(ShutdownKind::LeaveSteps);
    }
}
