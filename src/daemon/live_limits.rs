//! The limits, the admission policy and the retention in force while an engine lives. A request sets a limit and writes
//! it into the settings; a change that the operator makes in the file is taken over.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::admission::AdmissionPolicy;
use crate::api::Error;
use crate::base::tasks::{Task, TaskThread};
use crate::diagnostics::NOTICE;
use crate::engine::CoreExecutionEngine;
use crate::files::SettledWatch;
use crate::monitor::MonitorHandle;
use crate::resources::{Limits, Resource};
use crate::settings::{
    FILE, LimitParams, LimitView, LimitWords, LiveSettings, RefusedSetting, SettingEdit, Settings,
    edit_settings, edited, replace, settings_text,
};
use crate::store::Retention;

/// How long an engine lives before its settings are watched: a short run by hand has ended by then, and need not wait
/// for the end of a watch.
const WATCH_AFTER: Duration = Duration::from_millis(500);

/// The limits of one engine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LiveLimits(Arc<Shared>);

struct Shared {
    /// The settings file.
    path: PathBuf,
    /// Gets the folders of pipelines.
    live: LiveSettings,
    monitor: Option<MonitorHandle>,
    /// Gets the admission policy with the limits.
    engine: CoreExecutionEngine,
    /// Held while the file is written, so that two concurrent requests both take effect.
    state: Mutex<State>,
    /// Called when the limits in force change.
    listeners: Mutex<Vec<Listener>>,
}

type Listener = Box<dyn Fn() + Send + Sync>;

struct State {
    in_force: Limits,
    admission: AdmissionPolicy,
    retention: Kept,
    /// What the file had when it was parsed last. An engine may have been opened with other settings than the file's,
    /// so only changes of the file are taken over.
    limits_of_file: Limits,
    admission_of_file: AdmissionPolicy,
    interval_of_file: Duration,
    folders_of_file: Vec<PathBuf>,
    retention_of_file: Kept,
    /// The last warning, so that it is not repeated.
    said: Option<String>,
}

/// How much history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) retention: Retention,
    pub(crate) fires_max_age: Duration,
}

impl Kept {
    fn of(settings: &Settings) -> Self {
        Self { retention: settings.retention, fires_max_age: settings.fires_max_age }
    }
}

impl LiveLimits {
    /// The limits of `settings` for an engine, which `monitor` measures for.
    pub(crate) fn new(
        engine: &CoreExecutionEngine,
        settings: &LiveSettings,
        monitor: Option<MonitorHandle>,
    ) -> Self {
        let (engine, data_dir) = (engine.clone(), engine.data_dir().path());
        let live = settings.clone();
        let settings = live.now();
        let of_file = Settings::load(data_dir).unwrap_or_default();
        let state = State {
            in_force: settings.limits.clone(),
            admission: settings.admission.clone(),
            retention: Kept::of(&settings),
            retention_of_file: Kept::of(&of_file),
            limits_of_file: of_file.limits,
            admission_of_file: of_file.admission,
            interval_of_file: of_file.monitor_interval,
            folders_of_file: of_file.pipeline_dirs,
            said: None,
        };
        let listeners = Mutex::default();
        let path = data_dir.join(FILE);
        Self(Arc::new(Shared { path, live, monitor, engine, state: Mutex::new(state), listeners }))
    }

    /// Takes over changes of the file, from a moment after now until the task is dropped. Warns once for each problem:
    /// when the file can't be watched, or can't be parsed. The values in force then stay.
    pub(crate) fn watch(&self, tasks: &TaskThread) -> Task {
        let (limits, folder) = (self.clone(), self.0.path.parent().unwrap_or(Path::new("/")).to_owned());
        tasks.add(Some(WATCH_AFTER), |bell| {
            let mut watch = None;
            let warn = {
                let data_dir = folder.clone();
                move |sentence: String| {
                    tracing::warn!(target: NOTICE, data_dir = %data_dir.display(), "{sentence}");
                }
            };
            move |_| {
                if watch.is_none() {
                    let bell = bell.clone();
                    let begun = SettledWatch::open(&folder, FILE, move || {
                        bell.ring();
                    });
                    if let Err(error) = &begun {
                        warn(format!(
                            "the settings can't be watched: {error}; a limit that is edited there takes effect at the next start"
                        ));
                        return None;
                    }
                    watch = begun.ok();
                }
                if let Some(sentence) = limits.take_over_file() {
                    warn(sentence);
                }
                None
            }
        })
    }

    /// The limits in force.
    pub(crate) fn in_force(&self) -> Limits {
        self.0.state.lock().in_force.clone()
    }

    /// How much history is kept from the next clean-up on.
    pub(crate) fn kept(&self) -> Kept {
        self.0.state.lock().retention
    }

    /// `tell` is called whenever the limits in force change. It must return at once.
    pub(crate) fn on_change(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.0.listeners.lock().push(Box::new(tell));
    }

    /// The limits in force, and which of them are exceeded.
    pub(crate) fn views(&self) -> Vec<LimitView> {
        let sample = self.0.monitor.as_ref().and_then(MonitorHandle::get_snapshot).unwrap_or_default();
        let is_raised = |resource| sample.raised.iter().any(|raised| raised.limit.resource() == resource);
        let in_force = self.in_force();
        let view = |limit| LimitView { limit: LimitWords::of(limit), raised: is_raised(limit.resource()) };
        in_force.iter().map(view).collect()
    }

    /// Sets or removes a limit: in the settings, and at once.
    ///
    /// # Errors
    /// [`Error`] when the limit makes no sense, or the settings can't be parsed or written. Nothing was changed then.
    pub(crate) fn set(&self, params: &LimitParams) -> Result<(), Error> {
        let limit = params.check().map_err(|problems| {
            let texts: Vec<_> = problems.into_iter().map(|problem| problem.text).collect();
            Error::invalid(texts.join("; "))
        })?;
        let path = &self.0.path;
        let mut state = self.0.state.lock();
        let text = settings_text(path)?;
        let before = Settings::read(&text, path)?;
        let by_hand = |why: &str| {
            let name = params.resource.name();
            Error::impossible(format!("{why}; edit [limits.{name}] in {} by hand", path.display()))
        };
        let new = edited(&text, params).map_err(|why| by_hand(&why))?;
        let after = Settings::read(&new, path).map_err(|error| by_hand(&error.to_string()))?;
        if after.limits != params.applied(&before.limits, limit) {
            return Err(by_hand("the file writes it in a form that can't be edited"));
        }
        if new != text {
            replace(path, &new).map_err(|error| by_hand(&format!("the file can't be written: {error}")))?;
        }
        let earlier = state.in_force.clone();
        self.adopt(&mut state, &after);
        // Also when the file had this limit already but the engine was opened with other settings.
        state.in_force = params.applied(&state.in_force, limit);
        self.enforce(&state, &earlier);
        Ok(())
    }

    /// Writes values into the settings, where they take effect at once.
    ///
    /// # Errors
    /// What is wrong with each of them. Nothing was changed then.
    pub(crate) fn edit(&self, edits: &[SettingEdit]) -> Result<(), Vec<RefusedSetting>> {
        let mut state = self.0.state.lock();
        let settings = edit_settings(&self.0.path, edits)?;
        let earlier = state.in_force.clone();
        self.adopt(&mut state, &settings);
        self.enforce(&state, &earlier);
        Ok(())
    }

    /// Reads the file. Returns a warning when it can't be parsed, unless it is the last one again.
    fn take_over_file(&self) -> Option<String> {
        let mut state = self.0.state.lock();
        let folder = self.0.path.parent().unwrap_or(Path::new("/"));
        match Settings::load(folder) {
            Ok(settings) => {
                state.said = None;
                let earlier = state.in_force.clone();
                self.adopt(&mut state, &settings);
                self.enforce(&state, &earlier);
                None
            }
            Err(error) => {
                let sentence = format!(
                    "the settings of limits, admission, retention and the monitor stay as they were: {error}"
                );
                let is_new = state.said.as_ref() != Some(&sentence);
                is_new.then(|| state.said.insert(sentence).clone())
            }
        }
    }

    /// Takes over what has changed in the file.
    fn adopt(&self, state: &mut State, settings: &Settings) {
        for resource in Resource::ALL {
            let said = settings.limits.of(resource);
            if said != state.limits_of_file.of(resource) {
                let limits = std::mem::take(&mut state.in_force);
                state.in_force = match said {
                    Some(limit) => limits.with(*limit),
                    None => limits.without(resource),
                };
            }
        }
        state.limits_of_file = settings.limits.clone();
        if settings.admission != state.admission_of_file {
            state.admission_of_file = settings.admission.clone();
            state.admission = settings.admission.clone();
            self.admit(state);
        }
        if settings.pipeline_dirs != state.folders_of_file {
            state.folders_of_file.clone_from(&settings.pipeline_dirs);
            self.0.live.look_in(&settings.pipeline_dirs);
        }
        let kept = Kept::of(settings);
        if kept != state.retention_of_file {
            (state.retention_of_file, state.retention) = (kept, kept);
        }
        if settings.monitor_interval != state.interval_of_file {
            state.interval_of_file = settings.monitor_interval;
            if let Some(monitor) = &self.0.monitor {
                // The settings were checked against what a monitor can do.
                let _ = monitor.set_interval(settings.monitor_interval);
            }
        }
    }

    /// Applies the limits in force, if they have changed.
    fn enforce(&self, state: &State, earlier: &Limits) {
        if state.in_force == *earlier {
            return;
        }
        if let Some(monitor) = &self.0.monitor {
            monitor.set_limits(state.in_force.clone());
        }
        self.admit(state);
        for tell in self.0.listeners.lock().iter() {
            tell();
        }
    }

    /// Gives the engine the admission policy in force.
    fn admit(&self, state: &State) {
        let limits = state.in_force.clone();
        // Fails when the engine has ended.
        let _ = self.0.engine.set_admission(AdmissionPolicy { limits, ..state.admission.clone() });
    }
}
