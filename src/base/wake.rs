//! A bell: it has a thread look again, and never holds up what rings it.

use crossbeam_channel::{Receiver, Sender, bounded};

/// The end that rings. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Bell(Sender<()>);

/// A bell, and the end that waits for it: by itself, or beside other channels.
pub(crate) fn bell() -> (Bell, Receiver<()>) {
    // Capacity 1: when it is full it has rung and is not heard yet, and one look serves all; when it is closed there is
    // nothing left that would look, or ring.
    let (ring, rung) = bounded(1);
    (Bell(ring), rung)
}

impl Bell {
    /// Rings, from any thread and without waiting.
    pub(crate) fn ring(&self) {
        // Neither full nor closed needs it: see `bell`.
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
