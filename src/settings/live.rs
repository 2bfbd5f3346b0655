//! The settings that a process works with, some of which change while it runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::model::Settings;

/// The settings in force. Cheap to clone: all clones change together.
#[derive(Clone)]
pub struct LiveSettings(Arc<Shared>);

struct Shared {
    now: RwLock<Arc<Settings>>,
    /// Called when pipelines are looked for in other folders.
    listeners: Mutex<Vec<Listener>>,
}

type Listener = Box<dyn Fn(&Settings) + Send + Sync>;

impl From<Settings> for LiveSettings {
    fn from(settings: Settings) -> Self {
        let now = RwLock::new(Arc::new(settings));
        Self(Arc::new(Shared { now, listeners: Mutex::default() }))
    }
}

impl fmt::Debug for LiveSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now().fmt(f)
    }
}

impl LiveSettings {
    /// The settings as they are now.
    pub fn now(&self) -> Arc<Settings> {
        self.0.now.read().clone()
    }

    /// The folders of pipelines as they are now, that of the data directory first.
    pub(crate) fn pipeline_folders(&self, data_dir: &Path) -> Vec<PathBuf> {
        self.now().pipeline_folders(data_dir)
    }

    /// Looks for pipelines in these folders besides that of the data directory, from now on.
    pub(crate) fn look_in(&self, folders: &[PathBuf]) {
        let settings = {
            let mut now = self.0.now.write();
            if now.pipeline_dirs == folders {
                return;
            }
            let pipeline_dirs = folders.to_owned();
            *now = Arc::new(Settings { pipeline_dirs, ..Settings::clone(&now) });
            now.clone()
        };
        for tell in self.0.listeners.lock().iter() {
            tell(&settings);
        }
    }

    /// Calls `tell` whenever pipelines are looked for in other folders.
    pub(crate) fn on_folders(&self, tell: impl Fn(&Settings) + Send + Sync + 'static) {
        self.0.listeners.lock().push(Box::new(tell));
    }
}
