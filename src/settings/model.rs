//! What the operator has chosen, and its reader.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys;
use crate::admission::AdmissionPolicy;
use crate::config::{Diagnostic, Problems, Table};
use crate::engine::{EngineOptions, OnDiskFull};
use crate::files::read_small_text;
use crate::monitor::{MAX_INTERVAL, MIN_INTERVAL};
use crate::pipeline::expand;
use crate::resources::{Limit, LimitAction, Limits, Resource, Threshold};
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
    #[error("the settings {} can't be read: {why}; correct the file or move it away", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file is not valid.
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
            // A directory that is none is reported where it is used.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            Err(error) => Err(SettingsError::Unreadable { path, why: error.to_string() }),
        }
    }

    /// The folders of pipelines, that of the data directory first.
    pub(crate) fn pipeline_folders(&self, data_dir: &Path) -> Vec<PathBuf> {
        [data_dir.join("pipelines")].into_iter().chain(self.pipeline_dirs.iter().cloned()).collect()
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
        let (file, mut problems) = keys::FORMAT.read(text, path)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        match Self::from_table(file.table(), folder, lookup, &mut problems) {
            Some(settings) if problems.is_empty() => Ok(settings),
            _ => Err(problems.into_diagnostics(path)),
        }
    }

    /// None when a value was refused, which is a problem already.
    fn from_table(
        top: Table<'_>,
        folder: &Path,
        lookup: impl Fn(&str) -> Option<String>,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        let mut pipeline_dirs = Vec::new();
        for dir in top.table("pipelines").strings("dirs").unwrap_or_default() {
            match expand(&dir.value, &lookup) {
                Ok(expanded) => pipeline_dirs.push(folder.join(expanded)),
                Err(why) => problems.add(dir.at, why.to_string()),
            }
        }
        let (monitor, limits) = (top.table("monitor"), top.table("limits"));
        let monitor_interval = monitor.duration("interval");
        if monitor_interval.is_some_and(|interval| !(MIN_INTERVAL..=MAX_INTERVAL).contains(&interval)) {
            problems.add(monitor.place_of("interval"), "`interval` must be from 200ms to 60s");
        }
        let limits = Resource::ALL.into_iter().fold(Limits::none(), |all, resource| {
            match limit(resource, limits.table(resource.name()), problems) {
                Some(limit) => all.with(limit),
                None => all,
            }
        });
        let (retention, admission) = (top.table("retention"), top.table("admission"));
        Some(Self {
            pipeline_dirs,
            retention: Retention {
                max_age: retention.duration("runs")?,
                max_runs_per_pipeline: retention.count("runs_per_pipeline")?,
                max_log_bytes: retention.size("logs")?,
            },
            fires_max_age: retention.duration("fires")?,
            env: top.env("env").iter().map(|(name, text)| (name.value.clone(), text.value.clone())).collect(),
            on_disk_full: match top.word("on_disk_full")? {
                "continue" => OnDiskFull::Continue,
                _ => OnDiskFull::Freeze,
            },
            monitor_interval: monitor_interval?,
            limits,
            admission: AdmissionPolicy {
                max_concurrent_runs: admission.count("max_concurrent_runs"),
                groups: top.counts("groups").iter().map(|(name, n)| (name.clone(), *n as usize)).collect(),
                memory: admission.threshold("memory"),
                cpus: admission.number("cpus"),
                learns: admission.flag("learn"),
                ageing: admission.duration("ageing")?,
                limits: Limits::none(),
            },
        })
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

/// The limit that one table in `[limits]` says; none without a table, or with one that has a problem.
fn limit(resource: Resource, table: Table<'_>, problems: &mut Problems<'_>) -> Option<Limit> {
    let raise_at = table.threshold(if resource == Resource::Disk { "below" } else { "above" })?;
    let clear_at =
        if table.has("clear") { table.threshold("clear")? } else { usual_clearing(resource, raise_at) };
    let (sustain, action) = (table.duration("for")?, table.word("action")?);
    let limit = Limit::new(resource, raise_at, clear_at, sustain);
    let limit = limit.map_err(|error| problems.add(table.at(), error.to_string())).ok()?;
    Some(limit.with_action(LimitAction::ALL.into_iter().find(|known| known.name() == action)?))
}

/// Where a limit is cleared by default: far enough from where it is raised that it does not flap.
fn usual_clearing(resource: Resource, raise_at: Threshold) -> Threshold {
    match (resource, raise_at) {
        (Resource::Disk, Threshold::Fraction(share)) => Threshold::Fraction((share * 1.25).min(1.0)),
        (Resource::Disk, Threshold::Bytes(bytes)) => Threshold::Bytes(bytes.saturating_add(bytes / 4)),
        (Resource::Cpu | Resource::Memory | Resource::Swap, Threshold::Fraction(share)) => {
            Threshold::Fraction(share * 0.9)
        }
        (Resource::Cpu | Resource::Memory | Resource::Swap, Threshold::Bytes(bytes)) => {
            Threshold::Bytes(bytes / 10 * 9)
        }
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
             runs_per_pipeline = 7\nlogs = \"0B\"\nfires = \"0s\"\n[env]\nLANG = \"C\"\n[monitor]\ninterval = \"2s\"\n",
        )
        .unwrap();
        assert_eq!(settings.pipeline_dirs, [Path::new("/home/ann/jobs"), Path::new("/data/more")]);
        assert_eq!(settings.on_disk_full, OnDiskFull::Continue);
        let month = Duration::from_secs(30 * 86_400);
        let retention = Retention { max_age: month, max_runs_per_pipeline: 7, max_log_bytes: 0 };
        assert_eq!((settings.retention, settings.fires_max_age), (retention, Duration::ZERO));
        assert_eq!(settings.env["LANG"], "C");
        assert_eq!(settings.monitor_interval, Duration::from_secs(2));
    }

    #[test]
    fn limits_are_read_with_what_is_usual_where_nothing_is_said() {
        let settings = parse(
            "[limits.memory]\nabove = \"90%\"\nclear = \"75%\"\nfor = \"1m\"\n\
             [limits.disk]\nbelow = \"2GiB\"\naction = \"freeze\"\n",
        )
        .unwrap();
        let memory = settings.limits.of(Resource::Memory).unwrap();
        assert_eq!(
            (memory.raise_at(), memory.clear_at()),
            (Threshold::Fraction(0.9), Threshold::Fraction(0.75))
        );
        assert_eq!(memory.sustain_ms(), 60_000);
        let disk = settings.limits.of(Resource::Disk).unwrap();
        assert_eq!(
            (disk.raise_at(), disk.clear_at()),
            (Threshold::Bytes(2 << 30), Threshold::Bytes(5 << 29))
        );
        assert_eq!((disk.sustain_ms(), disk.action()), (30_000, LimitAction::Freeze));
        assert_eq!(memory.action(), LimitAction::Alert);
        assert_eq!(settings.limits.of(Resource::Cpu), None);
    }

    #[test]
    fn what_may_run_at_once_is_read() {
        let text = "[admission]\nmax_concurrent_runs = 4\nmemory = \"60%\"\ncpus = 3\nlearn = false\n\
                    ageing = \"1m\"\n[groups]\nscrapers = 5_000_000_000\n";
        let expected = AdmissionPolicy {
            max_concurrent_runs: Some(4),
            memory: Some(Threshold::Fraction(0.6)),
            cpus: Some(3.0),
            learns: false,
            ageing: Duration::from_secs(60),
            groups: [("scrapers".to_owned(), 5_000_000_000)].into(),
            ..AdmissionPolicy::default()
        };
        assert_eq!(parse(text).map(|settings| settings.admission), Ok(expected));
        assert_eq!(parse("[admission]\ncpus = inf").unwrap().admission.cpus, Some(f64::INFINITY));
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
        check("x =", &["settings.toml:1:4: this is not valid TOML"]);
        check(
            "retentoin = 1",
            &[":1:1: unknown key `retentoin` at the top of the file; did you mean `retention`?"],
        );
        check(
            "[retention]\nruns = 90\nlogs = \"much\"",
            &[":2:8: `runs` must be a duration", ":3:8: `logs`: "],
        );
        check("[retention]\nruns_per_pipeline = 0", &["of at least 1, not 0"]);
        check(
            "[retention]\nlearn = true",
            &["`learn` does not belong in [retention]; move it to [admission]"],
        );
        check(
            "[env]\nLEVERFRAME_X = \"a\"\nY = 1",
            &["set by Leverframe", "must be a string, not an integer"],
        );
        check("on_disk_full = \"freese\"", &["did you mean `freeze`?"]);
        check("pipelines = []", &["`pipelines` must be a table, not an array"]);
        check(
            "[pipelines]\ndirs = \"x\"",
            &[":2:8: `dirs` must be an array of folders such as [\"~/jobs\"]"],
        );
        check("[pipelines]\ndirs = [\"$NONE\"]", &[":2:9: the variable NONE"]);
        check("[monitor]\ninterval = \"0s\"", &[":2:12: `interval` must be from 200ms to 60s"]);
        check("[monitor]\ninterval = \"2h\"", &["from 200ms to 60s"]);
        check("[monitor]\npace = \"1s\"", &["unknown key `pace` in [monitor]; there is only interval"]);
        check("[limits.memory]\nabove = \"80%\"\nclear = \"90%\"", &[":1:1: "]);
        check(
            "[limits.memory]\nabove = \"80%\"\nclear = \"90%\"",
            &["it must be cleared below where it is raised"],
        );
        check("[limits.memory]\nfor = \"1s\"", &["`above` is missing in this [limits.memory]"]);
        check(
            "[limits.disk]\nabove = \"1GiB\"",
            &["`below` is missing", "unknown key `above` in [limits.disk]; did you mean `below`?"],
        );
        check("[limits.cpu]\nabove = \"1GiB\"", &["give a share"]);
        check("[limits.cpu]\nabove = 90", &[":2:9: `above` must be a share such as \"90%\""]);
        check(
            "[limits.cpu]\nabove = \"9%\"\naction = \"stop\"",
            &["must be \"alert\", \"hold\" or \"freeze\""],
        );
        check("[limits.cpu]\nabove = \"much\"", &["\"much\" is not a limit"]);
        check("[limits]\nmemroy = {}", &["did you mean `memory`?"]);
        check("[limits]\nmemory = 1", &["`memory` must be a table"]);
        check("[limits.cpu]\nabove = \"190%\"", &["a share lies between 0% and 100%"]);
        check(
            "[admission]\nmax_concurrent_runs = 0",
            &[":2:23: `max_concurrent_runs` must be a whole number"],
        );
        check("[admission]\nmax_concurent_runs = 1", &["did you mean `max_concurrent_runs`?"]);
        check("[admission]\nmemory = \"much\"", &["\"much\" is not a limit"]);
        check("[admission]\ncpus = \"two\"", &["`cpus` must be a number above 0"]);
        check("[admission]\nlearn = 1", &["`learn` must be true or false"]);
        check("[admission]\nageing = \"0s\"", &["the duration is zero"]);
        check("[groups]\n\"a b\" = 1\nc = 1.5", &["the name \"a b\" is malformed", "not a float"]);
        check("[groups]\nscrapers = -1", &[":2:12: `scrapers` must be a whole number of at least 1, not -1"]);
    }
}
