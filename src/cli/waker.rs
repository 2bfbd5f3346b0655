//! How a subscription wakes the verb that looks on.

use crossbeam_channel::{Receiver, bounded};

/// A waker for the other end, which wakes as long as that is not dropped.
pub(super) fn waker() -> (impl Fn() + Send + Sync + 'static, Receiver<()>) {
    // Capacity 1: when it is full a wake waits already; when it is closed nobody looks on any more.
    let (wake, wakes) = bounded(1);
    let wake = move || {
        let _ = wake.try_send(());
    };
    (wake, wakes)
}
