//! Work to be done when code of a library ends this process. Xlib calls `exit` by itself when the X server is gone,
//! without asking the program.
#![expect(unsafe_code, reason = "`atexit` has no safe wrapper in std or rustix")]

use std::io;
use std::sync::Once;
use std::time::Duration;

use crossbeam_channel::bounded;
use parking_lot::Mutex;

type Work = Box<dyn FnOnce() + Send>;

/// How long the process waits for the work before it ends anyway.
const PATIENCE: Duration = Duration::from_secs(60);

static WORK: Mutex<Option<Work>> = Mutex::new(None);

/// While this value lives, a call of `exit` first does the work.
pub(crate) struct AtExit(());

impl AtExit {
    /// Sets the work, which replaces earlier work. It is done on a thread of its own while all other threads still run.
    ///
    /// # Errors
    /// The C library can't register more handlers.
    pub(crate) fn set(work: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        static REGISTERED: Once = Once::new();
        let mut outcome = 0;
        // SAFETY: the handler is a function of this program, which is never unloaded. It does not unwind: a panic ends
        // only the thread that does the work.
        REGISTERED.call_once(|| outcome = unsafe { libc::atexit(do_work) });
        if outcome != 0 {
            return Err(io::Error::other("the C library accepts no more exit handlers"));
        }
        *WORK.lock() = Some(Box::new(work));
        Ok(Self(()))
    }
}

impl Drop for AtExit {
    fn drop(&mut self) {
        WORK.lock().take();
    }
}

extern "C" fn do_work() {
    let Some(work) = WORK.lock().take() else { return };
    // Capacity 1: the one end. Closed without a message when the work has panicked.
    let (tell, done) = bounded(1);
    let thread = std::thread::Builder::new().name("lf-at-exit".into()).spawn(move || {
        work();
        // After the patience the process has ended.
        let _ = tell.send(());
    });
    if thread.is_ok() {
        // Done, failed or too slow: the process ends now.
        let _ = done.recv_timeout(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test program runs this test once more, in a process that ends by `exit`.
    #[test]
    fn the_work_is_done_before_the_process_ends_unless_it_was_taken_back() {
        const NAME: &str =
            "base::at_exit::tests::the_work_is_done_before_the_process_ends_unless_it_was_taken_back";
        const WHERE: &str = "LEVERFRAME_TEST_AT_EXIT";
        if let Some(path) = std::env::var_os(WHERE) {
            let taken_back = path.clone();
            drop(AtExit::set(move || std::fs::write(taken_back, "taken back").unwrap()).unwrap());
            let _kept = AtExit::set(move || {
                let before = std::fs::read_to_string(&path).unwrap_or_default();
                std::fs::write(path, before + "done").unwrap();
            });
            std::process::exit(7);
        }
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("work");
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", NAME, "--nocapture"]).env(WHERE, &path).output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "done");
    }
}
