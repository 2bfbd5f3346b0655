//! The one loop of everybody who looks for the engine of a data directory: it looks again when the socket is another one,
//! and at a few moments beside.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use crate::control::socket::SOCKET_NAME;
use crate::files::FolderWatch;

/// Between the lock and the socket of a holder that is just starting or ending lies a moment in which neither is to be
/// had. The folder tells of the socket; of the lock nothing tells, so that it is tried again so long after.
const MOMENTS: [Duration; 6] = [
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Looks until it is settled, which is a break; what is worth another look goes on, with the reason to give when that was
/// the last. It looks as often as there are moments. A new holder of the lock begins them anew: in a queue of
/// short-lived holders each gets as long as the one before.
///
/// # Errors
/// That of the last look.
pub fn look_again<T, E>(
    data_dir: &Path,
    mut look: impl FnMut() -> Result<ControlFlow<T, E>, E>,
) -> Result<T, E> {
    // Begun with the first wait: mostly there is none.
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
        // Either is a reason to look again.
        let _ = watch.get_or_insert_with(|| SocketWatch::start(data_dir)).changes.recv_timeout(*moment);
    }
}

struct SocketWatch {
    changes: Receiver<()>,
    /// Ends the watch when it is dropped. Where the system has none left, the moments alone have to do.
    _watch: io::Result<FolderWatch>,
}

impl SocketWatch {
    fn start(data_dir: &Path) -> Self {
        // Capacity 1: a change that waits is as good as two.
        let (tell, changes) = bounded(1);
        let watch = FolderWatch::open(data_dir, &[SOCKET_NAME], move || {
            // Full: it will be looked at in any case.
            let _ = tell.try_send(());
        });
        Self { changes, _watch: watch }
    }
}
