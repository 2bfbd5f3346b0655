//! Single values of `settings.toml`: as they are written there, and written anew. Everything around them, comments
//! included, stays as it is.

use std::io;
use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, Value};

use super::limit_edit::{replace, say};
use super::model::{Settings, SettingsError};
use crate::files::read_small_text;

/// A value that can be edited one by one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SettingKey {
    /// `[admission] max_concurrent_runs`.
    MaxRuns,
    /// `[retention] runs`.
    KeepRuns,
    /// `[retention] runs_per_pipeline`.
    KeepPerPipeline,
    /// `[retention] logs`.
    KeepLogs,
    /// `[retention] fires`.
    KeepFires,
    /// `[pipelines] dirs`: a folder a line.
    PipelineDirs,
    /// A group in `[groups]`, by its name.
    Group(String),
}

impl SettingKey {
    /// The table that it is in, and its name there.
    pub fn place(&self) -> (&'static str, &str) {
        match self {
            Self::MaxRuns => ("admission", "max_concurrent_runs"),
            Self::KeepRuns => ("retention", "runs"),
            Self::KeepPerPipeline => ("retention", "runs_per_pipeline"),
            Self::KeepLogs => ("retention", "logs"),
            Self::KeepFires => ("retention", "fires"),
            Self::PipelineDirs => ("pipelines", "dirs"),
            Self::Group(name) => ("groups", name),
        }
    }

    /// The value that a text means. A text that is no number, where one is needed, is left to the reader of the settings,
    /// who says what is wrong with it.
    fn value(&self, text: &str) -> Value {
        match self {
            Self::KeepRuns | Self::KeepLogs | Self::KeepFires => Value::from(text),
            Self::PipelineDirs => Value::from_iter(text.lines()),
            Self::MaxRuns | Self::KeepPerPipeline | Self::Group(_) => {
                text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
            }
        }
    }
}

/// What is to be written for one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingEdit {
    pub key: SettingKey,
    /// The new value; none leaves it out, so that the default counts.
    pub said: Option<String>,
}

/// A value that can't be written, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSetting {
    /// Which; none when it is the file.
    pub key: Option<SettingKey>,
    /// Why, in a sentence.
    pub why: String,
}

/// The text of the settings at `path`; empty where there is no file.
///
/// # Errors
/// The file is there and can't be read.
pub(crate) fn settings_text(path: &Path) -> Result<String, SettingsError> {
    match read_small_text(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(SettingsError::Unreadable { path: path.to_owned(), why: error.to_string() }),
    }
}

/// Writes values into the settings at `path`, and returns what the settings are then.
///
/// # Errors
/// What is wrong with each of them; the file is as it was then.
pub(crate) fn edit_settings(path: &Path, edits: &[SettingEdit]) -> Result<Settings, Vec<RefusedSetting>> {
    let of_file = |why: String| {
        vec![RefusedSetting { key: None, why: format!("{why}; edit {} by hand", path.display()) }]
    };
    let text = settings_text(path).map_err(|error| of_file(error.to_string()))?;
    let before = Settings::read(&text, path).map_err(|error| of_file(error.to_string()))?;
    let refused: Vec<RefusedSetting> = edits
        .iter()
        .filter_map(|edit| {
            let why = match with_values(&text, [edit]).map(|new| Settings::read(&new, path)) {
                Ok(Ok(after)) => no_folder(&before, &after)?,
                Ok(Err(SettingsError::Invalid(problems))) => {
                    problems.into_iter().map(|problem| problem.message).next().unwrap_or_default()
                }
                Ok(Err(error @ SettingsError::Unreadable { .. })) => error.to_string(),
                Err(why) => why,
            };
            Some(RefusedSetting { key: Some(edit.key.clone()), why })
        })
        .collect();
    if !refused.is_empty() {
        return Err(refused);
    }
    let new = with_values(&text, edits).map_err(&of_file)?;
    let settings = Settings::read(&new, path).map_err(|error| of_file(error.to_string()))?;
    if new != text {
        replace(path, &new).map_err(|error| of_file(format!("the file can't be written: {error}")))?;
    }
    Ok(settings)
}

/// Says which folder is named anew and is none. One that was named before may be away for a while.
fn no_folder(before: &Settings, after: &Settings) -> Option<String> {
    let mut fresh = after.pipeline_dirs.iter().filter(|folder| !before.pipeline_dirs.contains(folder));
    fresh.find(|folder| !folder.is_dir()).map(|folder| format!("there is no folder {}", folder.display()))
}

/// The settings with these values in them; `text` is what they are now, and valid.
///
/// # Errors
/// A sentence, when they are written in a way that can't be edited.
fn with_values<'a>(text: &str, edits: impl IntoIterator<Item = &'a SettingEdit>) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|_| "the file is not valid TOML now".to_owned())?;
    for SettingEdit { key, said } in edits {
        let (table, name) = key.place();
        match said {
            Some(said) => {
                let table = document.entry(table).or_insert_with(|| Item::Table(Table::new()));
                let table = table.as_table_like_mut().ok_or("it is not a table there")?;
                say(table, name, key.value(said.trim()));
            }
            None => {
                if let Some(table) = document.get_mut(table).and_then(Item::as_table_like_mut) {
                    table.remove(name);
                }
            }
        }
    }
    Ok(document.to_string())
}

/// The values that a file says, of those that can be edited; `text` is valid.
pub(crate) fn values_in(text: &str) -> Vec<(SettingKey, String)> {
    let Ok(document) = text.parse::<DocumentMut>() else { return Vec::new() };
    let said = |key: &SettingKey| {
        let (table, name) = key.place();
        let value = document.get(table)?.as_table_like()?.get(name)?.as_value()?;
        let number = value.as_integer().map(|number| number.to_string());
        let lines = || {
            let lines: Option<Vec<&str>> = value.as_array()?.iter().map(Value::as_str).collect();
            lines.map(|lines| lines.join("\n"))
        };
        number.or_else(|| value.as_str().map(str::to_owned)).or_else(lines)
    };
    let groups = document.get("groups").and_then(Item::as_table_like);
    let groups = groups.into_iter().flat_map(|groups| groups.iter()).map(|(name, _)| name.to_owned());
    let keys = [
        SettingKey::MaxRuns,
        SettingKey::KeepRuns,
        SettingKey::KeepPerPipeline,
        SettingKey::KeepLogs,
        SettingKey::KeepFires,
        SettingKey::PipelineDirs,
    ];
    let keys = keys.into_iter().chain(groups.map(SettingKey::Group));
    keys.filter_map(|key| said(&key).map(|said| (key, said))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# mine\n[admission] # at once\nmax_concurrent_runs = 4 # four\n\n[groups]\nscrapers = 2\n\n\
                        [retention]\nruns = \"90d\" # a quarter\n";

    fn edit(key: SettingKey, said: Option<&str>) -> SettingEdit {
        SettingEdit { key, said: said.map(str::to_owned) }
    }

    #[test]
    fn only_what_changes_is_written_and_read_again() {
        let edits = [
            edit(SettingKey::MaxRuns, Some("3")),
            edit(SettingKey::KeepRuns, Some("30d")),
            edit(SettingKey::KeepPerPipeline, Some("50")),
            edit(SettingKey::Group("nightly".to_owned()), Some("1")),
            edit(SettingKey::Group("scrapers".to_owned()), None),
        ];
        let new = with_values(FILE, &edits).unwrap();
        let expected = FILE
            .replace("= 4 # four", "= 3 # four")
            .replace("scrapers = 2", "nightly = 1")
            .replace("\"90d\" # a quarter\n", "\"30d\" # a quarter\nruns_per_pipeline = 50\n");
        assert_eq!(new, expected);
        let settings = Settings::parse(&new, Path::new("/data/settings.toml"), |_| None).unwrap();
        assert_eq!(settings.admission.max_concurrent_runs, Some(3));
        assert_eq!(settings.retention.max_runs_per_pipeline, 50);
        assert_eq!(with_values(&new, &edits).unwrap(), new, "twice is once");
        let said = values_in(&new);
        let words: Vec<_> = said.iter().map(|(key, said)| (key.place().1, said.as_str())).collect();
        assert_eq!(
            words,
            [("max_concurrent_runs", "3"), ("runs", "30d"), ("runs_per_pipeline", "50"), ("nightly", "1")]
        );
    }

    #[test]
    fn an_empty_file_gets_its_tables_and_a_value_that_is_left_out_has_its_default() {
        let new = with_values("", &[edit(SettingKey::KeepLogs, Some("2GiB"))]).unwrap();
        assert_eq!(new, "[retention]\nlogs = \"2GiB\"\n");
        assert_eq!(with_values(&new, &[edit(SettingKey::KeepLogs, None)]).unwrap(), "[retention]\n");
        assert_eq!(with_values("", &[edit(SettingKey::MaxRuns, None)]).unwrap(), "");
    }

    #[test]
    fn folders_of_pipelines_are_added_and_removed_and_one_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.toml");
        std::fs::write(&path, "[pipelines]\ndirs = [\"gone\"] # mine\n").unwrap();
        std::fs::create_dir(dir.path().join("more")).unwrap();
        let edited = |said| edit_settings(&path, &[edit(SettingKey::PipelineDirs, said)]);
        let settings = edited(Some("gone\nmore")).unwrap();
        assert_eq!(settings.pipeline_dirs, [dir.path().join("gone"), dir.path().join("more")]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "[pipelines]\ndirs = [\"gone\", \"more\"] # mine\n");
        assert_eq!(values_in(&text), [(SettingKey::PipelineDirs, "gone\nmore".to_owned())]);
        let refused = edited(Some("gone\nmore\nnone")).unwrap_err();
        assert!(refused[0].why.starts_with("there is no folder ") && refused[0].why.ends_with("/none"));
        assert_eq!(edited(None).unwrap().pipeline_dirs, Vec::<std::path::PathBuf>::new());
    }

    #[test]
    fn what_is_no_number_is_left_to_the_reader_to_refuse() {
        let new = with_values(FILE, &[edit(SettingKey::MaxRuns, Some("many"))]).unwrap();
        let problems = Settings::parse(&new, Path::new("/data/settings.toml"), |_| None).unwrap_err();
        assert!(problems[0].message.contains("max_concurrent_runs"), "{problems:?}");
    }

    #[test]
    fn a_value_that_is_refused_says_why_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.toml");
        let good = edit(SettingKey::KeepRuns, Some("30d"));
        let bad = edit(SettingKey::MaxRuns, Some("0"));
        let refused = edit_settings(&path, &[good.clone(), bad]).unwrap_err();
        assert_eq!(
            refused.iter().map(|one| one.key.clone()).collect::<Vec<_>>(),
            [Some(SettingKey::MaxRuns)]
        );
        assert!(refused[0].why.contains("of at least 1"), "{refused:?}");
        assert!(!path.exists());
        let settings = edit_settings(&path, &[good]).unwrap();
        assert_eq!(settings, Settings::load(dir.path()).unwrap());
        assert_eq!(settings.retention.max_age.as_secs(), 30 * 86_400);
        std::fs::write(&path, "retention = 3").unwrap();
        let refused = edit_settings(&path, &[edit(SettingKey::KeepRuns, None)]).unwrap_err();
        assert!(refused[0].key.is_none() && refused[0].why.contains("by hand"), "{refused:?}");
    }
}
