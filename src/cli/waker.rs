//! How a subscription wakes the verb that waits for its events.

use crossbeam_channel::{Receiver, bounded};

/// A waker and the channel that it wakes.
pub(super) fn waker() -> (impl Fn() + Send + Sync + 'static, Receiver<()>) {
    // Capacity 1: when it is full a wake waits already; when it is closed the verb does not wait any more.
    let (wake, wakes) = bounded(1);
    let wake = move || {
        let _ = wake.try_send(());
    };
    (wake, wakes)
}
