//! Hosts between the engine and the real supervisor, for what real processes do only now and then.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leverframe::engine::HostChoice;
use leverframe::supervisor::{HostRequest, Launcher, StepHost};

use super::PROGRAM;

/// From a chosen moment on, nothing that the engine does reaches the world: as if it had died after it recorded and
/// before it acted.
#[derive(Clone, Default)]
pub(crate) struct Silence(Arc<AtomicBool>);

impl Silence {
    pub(crate) fn fall(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// The real supervisor, as long as there is no silence.
    pub(crate) fn host(&self, data_dir: PathBuf) -> HostChoice {
        let silence = self.clone();
        between(data_dir, move |host, request| {
            if !silence.0.load(Ordering::SeqCst) {
                host.send(request);
            }
        })
    }
}

/// The real supervisor, told everything twice.
pub(crate) fn stammering(data_dir: PathBuf) -> HostChoice {
    between(data_dir, |host, request| {
        host.send(request.clone());
        host.send(request);
    })
}

fn between(
    data_dir: PathBuf,
    hand_on: impl Fn(&mut dyn StepHost, HostRequest) + Send + Sync + 'static,
) -> HostChoice {
    let hand_on = Arc::new(hand_on);
    HostChoice::Custom(Arc::new(move |epoch, sink| {
        let host = Launcher::new(&data_dir).program(PROGRAM).launch()?.hello(epoch, sink)?;
        Ok(Box::new(Between { host: Box::new(host), hand_on: hand_on.clone() }))
    }))
}

struct Between<F> {
    host: Box<dyn StepHost>,
    hand_on: Arc<F>,
}

impl<F: Fn(&mut dyn StepHost, HostRequest) + Send + Sync> StepHost for Between<F> {
    fn send(&mut self, request: HostRequest) {
        (self.hand_on)(&mut *self.host, request);
    }
}
