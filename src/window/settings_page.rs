//! What the page of settings shows: the values that `settings.toml` says, and where everything lies.

use std::path::PathBuf;

use crate::backend::Backend;
use crate::settings::{SettingKey, settings_text, values_in};

/// A file or a folder, and what lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What lies there.
    pub what: &'static str,
    pub path: PathBuf,
    /// Whether it is there.
    pub exists: bool,
}

/// The settings as they are written, and the places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsView {
    /// The values that the file says; those that it leaves out have their defaults.
    pub values: Vec<(SettingKey, String)>,
    /// Why the file can't be read, if it can't.
    pub problem: Option<String>,
    pub places: Vec<Place>,
}

impl SettingsView {
    /// Reads them.
    pub(crate) fn read(backend: &Backend) -> Self {
        let data_dir = backend.data_dir();
        let file = data_dir.path().join(crate::settings::FILE);
        let (values, problem) = match settings_text(&file) {
            Ok(text) => (values_in(&text), None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let further = backend.settings().now().pipeline_dirs.clone().into_iter();
        let paths = [
            ("Data", data_dir.path().to_owned()),
            ("Settings", file),
            ("Logs", data_dir.path().join("logs")),
            ("Pipelines", data_dir.pipelines_dir()),
        ];
        let paths = paths.into_iter().chain(further.map(|dir| ("Further pipelines", dir)));
        let places = paths.map(|(what, path)| Place { what, exists: path.exists(), path }).collect();
        Self { values, problem, places }
    }
}
