//! A bell: it wakes a thread to look again, and never makes the ringing thread wait.

use crossbeam_channel::{Receiver, Sender, bounded};

/// The side that rings. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Bell(Sender<()>);

/// A bell, and the receiver that waits for it, alone or beside other channels.
pub(crate) fn bell() -> (Bell, Receiver<()>) {
    // Capacity 1: full means that a ring waits already, and one look serves all rings. Closed means that no one is left
    // to look, or to ring.
    let (ring, rung) = bounded(1);
    (Bell(ring), rung)
}

impl Bell {
    /// Rings, from any thread and without waiting.
    pub(crate) fn ring(&self) {
        // Full and closed are both fine; see `bell`.
        let _ = self.0.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_that_rings_twice_is_heard_once_and_its_end_is_heard() {
        let (bell, rung) = bell();
        let other = bell.clone();
        bell.ring();
        other.ring();
        assert!(rung.try_recv().is_ok() && rung.try_recv().is_err());
        drop((bell, other));
        assert!(rung.recv().is_err());
    }
}
