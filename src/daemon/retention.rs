//! Letting go what the settings let go: at the start and every day.

use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::command_handler::CommandHandler;
use crate::diagnostics::NOTICE;
use crate::records::{log_bytes, prune_fires, spare_unbooked};
use crate::scheduler::DesktopScheduler;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The thread that keeps retention, until it is dropped.
pub(crate) struct RetentionKeeper {
    /// Closing it ends the thread.
    closed: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RetentionKeeper {
    /// Starts it. It warns when something can't be removed.
    ///
    /// # Errors
    /// When there is no thread left.
    pub(crate) fn start(handler: CommandHandler) -> std::io::Result<Self> {
        // Capacity 0: nothing is sent; closing it ends the thread.
        let (closed, is_closed) = bounded(0);
        let thread = crate::base::thread::lasting("lf-retention", move || keep(&handler, &is_closed))?;
        Ok(Self { closed: Some(closed), thread: Some(thread) })
    }
}

impl Drop for RetentionKeeper {
    fn drop(&mut self) {
        drop(self.closed.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

fn keep(handler: &CommandHandler, closed: &Receiver<()>) {
    loop {
        let (store, data_dir) = (handler.engine.store(), handler.data_dir().path());
        let (retention, now) = (&handler.settings.retention, crate::engine::now().wall);
        let jobs = handler.jobs().scheduler().map(DesktopScheduler::store);
        let pruned = store
            .plan_prune(retention, now, |run_id| log_bytes(data_dir, run_id))
            .and_then(|plan| jobs.map_or(Ok(plan.clone()), |jobs| spare_unbooked(plan, jobs)))
            .and_then(|plan| store.apply_prune(&plan, data_dir))
            .and_then(|_| jobs.map_or(Ok(()), |jobs| prune_fires(jobs, &handler.settings, now)));
        if let Err(error) = pruned {
            tracing::warn!(
                target: NOTICE,
                data_dir = %data_dir.display(),
                "old runs can't be removed: {error}"
            );
        }
        if closed.recv_timeout(DAY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
