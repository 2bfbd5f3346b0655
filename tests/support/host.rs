//! Hosts between the engine and the real supervisor, for situations that real processes rarely cause.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use leverframe::base::id::AttemptKey;
use leverframe::engine::HostChoice;
use leverframe::run::StepRun;
use leverframe::store::CheckpointManager;
use leverframe::supervisor::{HostRequest, Launcher, StepHost};

use super::PROGRAM;

/// From a chosen moment on, no request of the engine reaches the supervisor: as if the engine had died after recording
/// and before acting.
#[derive(Clone, Default)]
pub(crate) struct Silence(Arc<AtomicBool>);

impl Silence {
    pub(crate) fn fall(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// The real supervisor, until the silence falls.
    pub(crate) fn host(&self, data_dir: PathBuf) -> HostChoice {
        let silence = self.clone();
        intercept(data_dir, move |host, request| {
            if !silence.0.load(Ordering::SeqCst) {
                host.send(request);
            }
        })
    }
}

/// The real supervisor, which gets every request twice.
pub(crate) fn stammering(data_dir: PathBuf) -> HostChoice {
    intercept(data_dir, |host, request| {
        host.send(request.clone());
        host.send(request);
    })
}

fn intercept(
    data_dir: PathBuf,
    forward: impl Fn(&mut dyn StepHost, HostRequest) + Send + Sync + 'static,
) -> HostChoice {
    let forward = Arc::new(forward);
    HostChoice::Custom(Arc::new(move |epoch, sink| {
        let host = Launcher::new(&data_dir).program(PROGRAM).launch()?.hello(epoch, sink)?;
        Ok(Box::new(Interceptor { host: Box::new(host), forward: forward.clone() }))
    }))
}

struct Interceptor<F> {
    host: Box<dyn StepHost>,
    forward: Arc<F>,
}

impl<F: Fn(&mut dyn StepHost, HostRequest) + Send + Sync> StepHost for Interceptor<F> {
    fn send(&mut self, request: HostRequest) {
        (self.forward)(&mut *self.host, request);
    }
}

/// The real supervisor, with a list of the requests that came before they were on disk. The list must stay empty.
#[derive(Clone, Default)]
pub(crate) struct Witness {
    too_early: Arc<Mutex<Vec<String>>>,
    /// While a test holds it, the engine blocks at its next thaw, and then gets everything that came meanwhile
    /// together.
    pub(crate) barrier: Arc<Mutex<()>>,
}

impl Witness {
    pub(crate) fn host(&self, data_dir: PathBuf) -> HostChoice {
        let (this, at) = (self.clone(), data_dir.clone());
        intercept(data_dir, move |host, request| {
            if let HostRequest::Thaw(_) = request {
                drop(this.barrier.lock());
            }
            if let Some(what) = not_on_disk(&at, &request) {
                this.too_early.lock().expect("no test panics here").push(what);
            }
            host.send(request);
        })
    }

    pub(crate) fn too_early(&self) -> Vec<String> {
        self.too_early.lock().expect("no test panics here").clone()
    }
}

/// What a request needs on disk, if it is not recorded.
fn not_on_disk(data_dir: &Path, request: &HostRequest) -> Option<String> {
    let recorded = |key: &AttemptKey| {
        let store = CheckpointManager::open_read_only(data_dir.join("checkpoints.db")).expect("it opens");
        let run = store.load_run(&key.run_id).expect("it can be read")?;
        let step = run.steps.iter().find(|step| step.id == key.step_id)?.clone();
        (step.attempt >= key.attempt).then_some(step)
    };
    match request {
        HostRequest::Start(spec) if recorded(&spec.key).is_none() => Some(format!("start of {:?}", spec.key)),
        HostRequest::Acknowledge(key) => {
            let is_ended = |step: &StepRun| step.attempt > key.attempt || step.state().is_ended();
            (!recorded(key).is_some_and(|step| is_ended(&step))).then(|| format!("forgetting {key:?}"))
        }
        HostRequest::Start(_)
        | HostRequest::Freeze(_)
        | HostRequest::Thaw(_)
        | HostRequest::Stop { .. }
        | HostRequest::Kill(_) => None,
    }
}
