//! The loop of every client that looks for the engine of a data directory: it looks again when the socket changes, and
//! after a few delays.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use crate::control::socket::SOCKET_NAME;
use crate::files::FolderWatch;

/// While an engine starts or ends there is a moment with its lock held and no socket, or the reverse. A change of the
/// socket is seen in the folder. No event tells of the lock, so it is tried again after these delays.
const MOMENTS: [Duration; 6] = [
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Calls `look` until it breaks with a result. `Continue` asks for another look, with the error to return if that was
/// the last one. There is one look for each delay. A new holder of the lock starts the delays anew, so that each of a
/// series of short-lived holders gets as long as the one before.
///
/// # Errors
/// The error of the last look.
pub fn look_again<T, E>(
    data_dir: &Path,
    mut look: impl FnMut() -> Result<ControlFlow<T, E>, E>,
) -> Result<T, E> {
    // Started with the first wait: mostly there is none.
    let mut watch = None;
    let (mut left, mut holder) = (MOMENTS.iter(), None);
    loop {
        let why = match look()? {
            ControlFlow::Break(outcome) => return Ok(outcome),
            ControlFlow::Continue(why) => why,
        };
        let holder_now = std::fs::read_to_string(data_dir.join("instance.lock")).ok();
        if holder_now != holder {
            (holder, left) = (holder_now, MOMENTS.iter());
        }
        let Some(moment) = left.next() else { return Err(why) };
        // A change and the end of the delay are both a reason to look again.
        let _ = watch.get_or_insert_with(|| SocketWatch::start(data_dir)).changes.recv_timeout(*moment);
    }
}

struct SocketWatch {
    changes: Receiver<()>,
    /// Ends the watch when dropped. If the kernel has no watches left, the delays have to do.
    _watch: io::Result<FolderWatch>,
}

impl SocketWatch {
    fn start(data_dir: &Path) -> Self {
        // Capacity 1: one waiting change is as good as two.
        let (tell, changes) = bounded(1);
        let watch = FolderWatch::open(data_dir, &[SOCKET_NAME], move || {
            // Full: the loop looks again in any case.
            let _ = tell.try_send(());
        });
        Self { changes, _watch: watch }
    }
}
