//! The operator's settings: `settings.toml` in the data directory. What is not said there has its default,
//! and what is said wrongly is an error with its place: a key that is silently passed over helps nobody.

mod admission;
mod catalogue;
mod finder;
mod limit_edit;
mod limit_params;
mod limits;
mod table_edit;

pub use catalogue::{Catalogue, CatalogueEntry, CatalogueError, read_definition};
pub use finder::{PipelineFinder, file_tables};
pub(crate) use limit_edit::{edited, replace};
pub use limit_params::{LimitParams, LimitProblem, LimitView, LimitWords};
pub(crate) use table_edit::edit_file;
pub use table_edit::interval_text;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::admission::AdmissionPolicy;
use crate::base::units::{parse_duration, parse_size};
use crate::engine::{EngineOptions, OnDiskFull};
use crate::files::read_small_text;
use crate::pipeline::{Diagnostic, Problems, expand};
use crate::resources::Limits;
use crate::store::Retention;

/// The file in the data directory.
pub(crate) const FILE: &str = "settings.toml";

/// What the operator has chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Further folders of pipelines, absolute: `[pipelines] dirs`.
    pub pipeline_dirs: Vec<PathBuf>,
    /// How much history is kept: `[retention] runs`, `runs_per_pipeline`, `logs`.
    pub retention: Retention,
    /// How long fires of schedules are kept: `[retention] fires`.
    pub fires_max_age: Duration,
    /// Environment of every step, over the engine's own: `[env]`. Expanded when a step starts.
    pub env: BTreeMap<String, String>,
    /// What happens to running steps when the disk is full: `on_disk_full`.
    pub on_disk_full: OnDiskFull,
    /// How often the machine and the steps are measured while something runs: `[monitor] interval`, 200 ms to 60 s.
    pub monitor_interval: Duration,
    /// When the machine counts as short of something: `[limits.cpu]`, `memory`, `swap`, `disk`.
    pub limits: Limits,
    /// What may run at once: `[admission]` and `[groups]`. Its limits are those above.
    pub admission: AdmissionPolicy,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pipeline_dirs: Vec::new(),
            retention: Retention::default(),
            fires_max_age: Duration::from_secs(400 * 24 * 60 * 60),
            env: BTreeMap::new(),
            on_disk_full: OnDiskFull::default(),
            monitor_interval: Duration::from_secs(1),
            limits: Limits::none(),
            admission: AdmissionPolicy::default(),
        }
    }
}

/// Why the settings can't be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// The file is there and can't be read.
    #[error("the settings {} can't be read: {why}; mend the file or move it away", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file says something that can't be meant.
    #[error("{}", in_lines(.0))]
    Invalid(Vec<Diagnostic>),
}

/// Diagnostics one a line.
pub(crate) fn in_lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Settings {
    /// Reads the settings of a data directory; the defaults where there is no file.
    ///
    /// # Errors
    /// [`SettingsError`] with every problem of the file.
    pub fn load(data_dir: &Path) -> Result<Self, SettingsError> {
        let path = data_dir.join(FILE);
        match read_small_text(&path) {
            Ok(text) => Self::read(&text, &path),
            // What is wrong with a directory that is none is for those to say who use it.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            Err(error) => Err(SettingsError::Unreadable { path, why: error.to_string() }),
        }
    }

    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] with every problem of it.
    pub(crate) fn read(text: &str, path: &Path) -> Result<Self, SettingsError> {
        Self::parse(text, path, |name| std::env::var(name).ok()).map_err(SettingsError::Invalid)
    }

    /// Reads settings from a text. `path` is where they stand, absolute: relative folders start at its
    /// folder. `lookup` gives variables, `HOME` for `~`.
    ///
    /// # Errors
    /// Everything that is wrong with them, in their order.
    pub fn parse(
        text: &str,
        path: &Path,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Problems::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().trim_end().replace('\n', ", ");
            problems.add(at, format!("this is no valid TOML: {message}"));
        }
        if !problems.is_empty() {
            return Err(problems.into_diagnostics(path));
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut reader = Reader { problems, settings: Self::default(), folder, lookup: &lookup };
        reader.top(document.get_ref());
        if reader.problems.is_empty() {
            Ok(reader.settings)
        } else {
            Err(reader.problems.into_diagnostics(path))
        }
    }

    /// What an engine under these settings is opened with.
    pub fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            on_disk_full: self.on_disk_full,
            env: self.env.clone(),
            admission: self.admission_policy(),
            ..EngineOptions::default()
        }
    }

    /// What may run at once, the limits of the machine included.
    pub fn admission_policy(&self) -> AdmissionPolicy {
        AdmissionPolicy { limits: self.limits.clone(), ..self.admission.clone() }
    }
}

const TOP: &[&str] =
    &["pipelines", "retention", "env", "on_disk_full", "monitor", "limits", "admission", "groups"];
const PIPELINES: &[&str] = &["dirs"];
const RETENTION: &[&str] = &["runs", "runs_per_pipeline", "logs", "fires"];
const ON_DISK_FULL: &[(&str, OnDiskFull)] =
    &[("freeze", OnDiskFull::Freeze), ("continue", OnDiskFull::Continue)];

struct Reader<'a> {
    problems: Problems<'a>,
    settings: Settings,
    folder: &'a Path,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

/// A value with the byte at which it starts.
type Value<'t, 'i> = &'t Spanned<DeValue<'i>>;

impl Reader<'_> {
    fn top(&mut self, table: &DeTable<'_>) {
        for (key, value) in table.iter() {
            match key.get_ref().as_ref() {
                "pipelines" => self.table(value, |reader, name, value| match name {
                    "dirs" => reader.dirs(value),
                    _ => reader.unknown(name, value, "in [pipelines]", PIPELINES),
                }),
                "retention" => self.table(value, Self::retention),
                "env" => self.table(value, Self::variable),
                "on_disk_full" => self.on_disk_full(value),
                "monitor" => self.table(value, Self::monitor),
                "limits" => self.table(value, Self::limit),
                "admission" => self.table(value, Self::admission),
                "groups" => self.table(value, Self::group),
                other => self.unknown_at(other, key.span().start, "in the settings", TOP),
            }
        }
    }

    fn table(&mut self, value: Value<'_, '_>, mut entry: impl FnMut(&mut Self, &str, Value<'_, '_>)) {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong(value, format!("this must be a table, not {}", kind(value.get_ref())));
            return;
        };
        for (key, value) in table.iter() {
            entry(self, key.get_ref(), value);
        }
    }

    fn dirs(&mut self, value: Value<'_, '_>) {
        let DeValue::Array(dirs) = value.get_ref() else {
            self.wrong(value, "`dirs` must be an array of folders, such as [\"~/jobs\"]".to_owned());
            return;
        };
        for dir in dirs.iter() {
            let Some(text) = self.text(dir, "a folder") else { continue };
            match expand(&text, self.lookup) {
                Ok(expanded) => self.settings.pipeline_dirs.push(self.folder.join(expanded)),
                Err(why) => self.wrong(dir, why.to_string()),
            }
        }
    }

    fn retention(&mut self, name: &str, value: Value<'_, '_>) {
        match name {
            "runs" => {
                if let Some(age) = self.measured(value, parse_duration) {
                    self.settings.retention.max_age = age;
                }
            }
            "fires" => {
                if let Some(age) = self.measured(value, parse_duration) {
                    self.settings.fires_max_age = age;
                }
            }
            "logs" => {
                if let Some(bytes) = self.measured(value, parse_size) {
                    self.settings.retention.max_log_bytes = bytes;
                }
            }
            "runs_per_pipeline" => {
                if let Some(count) = self.count(name, value) {
                    self.settings.retention.max_runs_per_pipeline = count;
                }
            }
            _ => self.unknown(name, value, "in [retention]", RETENTION),
        }
    }

    fn variable(&mut self, name: &str, value: Value<'_, '_>) {
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            let text = "is no name of a variable: use letters, digits and '_', and no digit first";
            self.wrong(value, format!("{name:?} {text}"));
        } else if name.starts_with("LEVERFRAME_") {
            self.wrong(value, format!("{name} is set by Leverframe itself; choose another name"));
        } else if let Some(text) = self.text(value, "a text") {
            if text.contains('\0') {
                self.wrong(value, format!("the value of {name} holds a NUL character; leave it out"));
            }
            self.settings.env.insert(name.to_owned(), text);
        }
    }

    fn on_disk_full(&mut self, value: Value<'_, '_>) {
        let Some(word) = self.text(value, "\"freeze\" or \"continue\"") else { return };
        match ON_DISK_FULL.iter().find(|(known, _)| *known == word) {
            Some((_, choice)) => self.settings.on_disk_full = *choice,
            None => {
                let hint = self.problems.did_you_mean(&word, ON_DISK_FULL.iter().map(|(known, _)| *known));
                self.wrong(
                    value,
                    format!("`on_disk_full` must be \"freeze\" or \"continue\", not {word:?}{hint}"),
                );
            }
        }
    }

    fn measured<T>(&mut self, value: Value<'_, '_>, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(value, "a text with a unit, such as \"90d\" or \"10GiB\"")?;
        parse(&text).map_err(|why| self.wrong(value, why)).ok()
    }

    fn text(&mut self, value: Value<'_, '_>, wanted: &str) -> Option<String> {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong(value, format!("this must be {wanted}, not {}", kind(value.get_ref())));
            return None;
        };
        Some(text.to_string())
    }

    fn unknown(&mut self, name: &str, value: Value<'_, '_>, place: &str, known: &[&str]) {
        self.unknown_at(name, value.span().start, place, known);
    }

    fn unknown_at(&mut self, name: &str, at: usize, place: &str, known: &[&str]) {
        let hint = self.problems.did_you_mean(name, known.iter().copied());
        let known = known.join("`, `");
        self.problems.add(at, format!("there is no key `{name}` {place}{hint} (there are `{known}`)"));
    }

    fn wrong(&mut self, value: Value<'_, '_>, message: String) {
        self.problems.add(value.span().start, message);
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, Vec<String>> {
        let home = |name: &str| (name == "HOME").then(|| "/home/ann".to_owned());
        Settings::parse(text, Path::new("/data/settings.toml"), home)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_not_said_has_its_default_and_what_is_said_counts() {
        assert_eq!(parse(""), Ok(Settings::default()));
        let settings = parse(
            "on_disk_full = \"continue\"\n[pipelines]\ndirs = [\"~/jobs\", \"more\"]\n[retention]\nruns = \"30d\"\n\
             runs_per_pipeline = 7\nlogs = \"1GiB\"\nfires = \"1d\"\n[env]\nLANG = \"C\"\n",
        )
        .unwrap();
        assert_eq!(settings.pipeline_dirs, [Path::new("/home/ann/jobs"), Path::new("/data/more")]);
        assert_eq!(settings.on_disk_full, OnDiskFull::Continue);
        assert_eq!(settings.retention.max_age, Duration::from_secs(30 * 86_400));
        assert_eq!(settings.retention.max_runs_per_pipeline, 7);
        assert_eq!(settings.retention.max_log_bytes, 1 << 30);
        assert_eq!(settings.fires_max_age, Duration::from_secs(86_400));
        assert_eq!(settings.env["LANG"], "C");
    }

    #[test]
    fn every_mistake_is_said_with_its_place() {
        #[track_caller]
        fn check(text: &str, expected: &[&str]) {
            let problems = parse(text).expect_err(text);
            assert_eq!(problems.len(), expected.len(), "{problems:?}");
            for (problem, expected) in problems.iter().zip(expected) {
                assert!(problem.contains(expected), "{problem} should hold {expected}");
            }
        }
        check("x =", &["settings.toml:1:4: this is no valid TOML"]);
        check("retentoin = 1", &["settings.toml:1:1: there is no key `retentoin`"]);
        check("retentoin = 1", &["did you mean `retention`?"]);
        check(
            "[retention]\nruns = 90\nlogs = \"much\"",
            &[":2:8: this must be a text with a unit", ":3:8: "],
        );
        check("[retention]\nruns_per_pipeline = 0", &["above 0"]);
        check("[env]\nLEVERFRAME_X = \"a\"\nY = 1", &["set by Leverframe", "not a whole number"]);
        check("on_disk_full = \"freese\"", &["did you mean `freeze`?"]);
        check("pipelines = []", &["must be a table, not an array"]);
    }
}
