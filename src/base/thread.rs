//! Threads that a process can't lose. If one panics, it ends the process with a message: a process without its
//! scheduler or engine would still answer, but do nothing. The next start continues from what is recorded (a service
//! manager restarts it at once), and steps go on under their supervisor meanwhile.

use std::io::{self, Write};
use std::thread::{Builder, JoinHandle};

/// Starts a thread that its owner joins. If `work` panics, the process is aborted.
///
/// # Errors
/// The system has no thread left.
pub(crate) fn lasting<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let watch = Watch(name.to_owned());
    Builder::new().name(name.to_owned()).spawn(move || {
        let outcome = work();
        drop(watch);
        outcome
    })
}

/// A thread that is joined when this is dropped. Its owner tells it to end before, for example by a field that is
/// dropped first. If it is dropped on its own thread, it is not joined.
#[derive(Debug)]
#[must_use = "dropped at once, it is waited for at once"]
pub(crate) struct Thread(Option<JoinHandle<()>>);

/// Starts a thread as [`lasting`] does. It is joined when it is dropped.
///
/// # Errors
/// The system has no thread left.
pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    lasting(name, work).map(Thread::from)
}

/// Starts a thread whose panic ends only itself. It is joined when it is dropped.
///
/// # Errors
/// The system has no thread left.
pub(crate) fn short(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    Builder::new().name(name.to_owned()).spawn(work).map(Thread::from)
}

impl From<JoinHandle<()>> for Thread {
    fn from(handle: JoinHandle<()>) -> Self {
        Self(Some(handle))
    }
}

impl Thread {
    /// Waits for its end; the drop does.
    pub(crate) fn join(self) {}

    /// Detaches the thread: it ends when its work is done, or with the process.
    pub(crate) fn detach(mut self) {
        drop(self.0.take());
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.0.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take()
            && handle.thread().id() != std::thread::current().id()
        {
            // The panic was printed on that thread.
            let _ = handle.join();
        }
    }
}

/// Aborts the process when a panic drops it.
struct Watch(String);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // If it can't be printed, there is nothing more to do.
            let _ = writeln!(
                io::stderr(),
                "leverframe: thread {:?} failed (the reason is above), so the process ends; steps go on, and the next start takes them back",
                self.0
            );
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test program runs this test again in a process that the panic may end.
    #[test]
    fn a_thread_that_panics_takes_its_process_with_it() {
        const NAME: &str = "base::thread::tests::a_thread_that_panics_takes_its_process_with_it";
        if std::env::var_os("LEVERFRAME_TEST_DIES").is_some() {
            let thread = lasting("lf-test", || panic!("no reason"));
            drop(thread.unwrap().join());
            std::process::exit(0);
        }
        let program = std::env::current_exe().unwrap();
        let mut again = std::process::Command::new(program);
        again.args(["--exact", NAME, "--nocapture"]).env("LEVERFRAME_TEST_DIES", "1");
        let output = again.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), None, "it is ended by a signal: {said}");
        assert!(said.contains("thread \"lf-test\" failed"), "{said}");
    }

    #[test]
    fn a_thread_that_ends_in_good_order_ends_nothing_else() {
        let thread = lasting("lf-test", || 7).unwrap();
        assert_eq!(thread.join().unwrap(), 7);
    }
}
