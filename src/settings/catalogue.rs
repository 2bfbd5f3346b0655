//! The catalogue: every pipeline file of a data directory and of the further folders that the settings name, valid or not.
//! A scan reads them once; nothing is watched here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::model::{Settings, in_lines};
use crate::base::nearest::nearest;
use crate::config::Diagnostic;
use crate::files::read_small_text;
use crate::pipeline::Pipeline;
use crate::run::Definition;

/// All pipeline files that were found.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// By id, then by path.
    pub entries: Vec<CatalogueEntry>,
    /// Folders that can't be read, a sentence each.
    pub problems: Vec<String>,
}

/// One pipeline file.
#[derive(Debug, Clone)]
pub struct CatalogueEntry {
    /// The pipeline's id; of a file that is not valid its stem.
    pub id: String,
    /// What it reads from.
    pub source: String,
    /// The file, absolute.
    pub path: PathBuf,
    /// What it says, or everything that is wrong with it.
    pub outcome: Result<Arc<Definition>, Vec<Diagnostic>>,
}

/// Why there is no pipeline to run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CatalogueError {
    /// No file has this id.
    #[error("there is no pipeline {name:?}{hint}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest name, or all of them, after a semicolon.
        hint: String,
    },
    /// There is no such file.
    #[error("there is no pipeline file {}; name a file, or the id of a pipeline", path.display())]
    NoFile {
        /// Which.
        path: PathBuf,
    },
    /// The file can't be read.
    #[error("the pipeline file {} can't be read: {why}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file is not valid.
    #[error("{}", in_lines(.0))]
    Invalid(Vec<Diagnostic>),
    /// Several pipelines have this source, and none this id.
    #[error("{} pipelines have the source {source_name:?}: {}; name one of them by its id", ids.len(), ids.join(", "))]
    Ambiguous {
        /// What was asked for.
        source_name: String,
        /// The pipelines of that source.
        ids: Vec<String>,
    },
}

/// Reads one pipeline file.
///
/// # Errors
/// [`CatalogueError::NoFile`], [`CatalogueError::Unreadable`], or [`CatalogueError::Invalid`] with everything
/// that is wrong with it.
pub fn read_definition(path: &Path) -> Result<Arc<Definition>, CatalogueError> {
    let unreadable = |why: String| CatalogueError::Unreadable { path: path.to_owned(), why };
    let absolute = std::path::absolute(path).map_err(|error| unreadable(error.to_string()))?;
    let shown = absolute.to_str().ok_or_else(|| unreadable("its path is not UTF-8; rename it".into()))?;
    let text = read_small_text(&absolute).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            CatalogueError::NoFile { path: path.to_owned() }
        } else {
            unreadable(error.to_string())
        }
    })?;
    let home = std::env::home_dir();
    let pipeline = Pipeline::parse(&text, &absolute, home.as_deref()).map_err(CatalogueError::Invalid)?;
    Ok(Arc::new(Definition { path: shown.into(), text: text.into(), pipeline }))
}

impl Catalogue {
    /// Reads all pipeline files: `pipelines/*.toml` of the data directory, and `*.toml` of the folders that
    /// the settings name. Folders below these are the pipelines' own, for scripts and data.
    pub fn scan(data_dir: &Path, settings: &Settings) -> Self {
        let mut catalogue = Self::default();
        let mut seen = BTreeMap::new();
        for folder in &settings.pipeline_folders(data_dir) {
            match toml_files(folder) {
                Ok(files) => {
                    for path in files {
                        // One file that is reached by two ways is one file.
                        let identity = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
                        if seen.insert(identity, ()).is_none() {
                            catalogue.entries.push(CatalogueEntry::read(path));
                        }
                    }
                }
                // A data directory without pipelines is a new one.
                Err(error) if error.kind() == io::ErrorKind::NotFound && *folder == data_dir.join("pipelines") => {}
                Err(error) => catalogue.problems.push(format!(
                    "the folder of pipelines {} can't be read: {error}; correct it, or remove it from the settings",
                    folder.display()
                )),
            }
        }
        catalogue.entries.sort_by(|a, b| (&a.id, &a.path).cmp(&(&b.id, &b.path)));
        catalogue.refuse_namesakes();
        catalogue
    }

    /// The pipeline of this id.
    ///
    /// # Errors
    /// [`CatalogueError::Unknown`] with the nearest names, [`CatalogueError::Invalid`] when its file is refused.
    pub fn find(&self, id: &str) -> Result<Arc<Definition>, CatalogueError> {
        match self.entries.iter().find(|entry| entry.id == id) {
            Some(entry) => entry.outcome.clone().map_err(CatalogueError::Invalid),
            None => Err(CatalogueError::Unknown { name: id.to_owned(), hint: self.hint(id) }),
        }
    }

    /// The one pipeline of this source, else the one whose id equals it.
    ///
    /// # Errors
    /// [`CatalogueError::Ambiguous`] when several have this source, else as [`Catalogue::find`].
    pub fn by_source(&self, source: &str) -> Result<Arc<Definition>, CatalogueError> {
        let of_source: Vec<_> = self.entries.iter().filter(|entry| entry.source == source).collect();
        match of_source.as_slice() {
            [one] => one.outcome.clone().map_err(CatalogueError::Invalid),
            [] => self.find(source),
            several => match several.iter().find(|entry| entry.id == source) {
                Some(entry) => entry.outcome.clone().map_err(CatalogueError::Invalid),
                None => Err(CatalogueError::Ambiguous {
                    source_name: source.to_owned(),
                    ids: several.iter().map(|entry| entry.id.clone()).collect(),
                }),
            },
        }
    }

    /// What `run` names: a file when it looks like a path (it holds a `/` or ends in `.toml`), else the id of
    /// a pipeline, else a file of that name. A file is read without a look at any folder.
    pub fn find_in(
        name: &str,
        data_dir: &Path,
        settings: &Settings,
    ) -> Result<Arc<Definition>, CatalogueError> {
        if name.contains('/') || name.ends_with(".toml") {
            return read_definition(Path::new(name));
        }
        match Self::scan(data_dir, settings).find(name) {
            Err(CatalogueError::Unknown { .. }) if Path::new(name).is_file() => {
                read_definition(Path::new(name))
            }
            outcome => outcome,
        }
    }

    /// Whether a file lies in one of the folders of pipelines, so that its `[[schedule]]` tables become jobs.
    pub fn is_in_folders(path: &Path, data_dir: &Path, settings: &Settings) -> bool {
        let Some(folder) = path.parent().and_then(|folder| fs::canonicalize(folder).ok()) else {
            return false;
        };
        settings
            .pipeline_folders(data_dir)
            .into_iter()
            .any(|known| fs::canonicalize(known).is_ok_and(|known| known == folder))
    }

    fn hint(&self, id: &str) -> String {
        const MOST: usize = 8;
        let names = || self.entries.iter().map(|entry| entry.id.as_str());
        if self.entries.is_empty() {
            return "; there are none yet: `leverframe init` writes samples, or name a file".to_owned();
        }
        if let Some(near) = nearest(id, names()) {
            return format!("; did you mean {near:?}?");
        }
        let shown: Vec<_> = names().take(MOST).collect();
        let more = if self.entries.len() > MOST { ", …" } else { "" };
        format!("; there are {}{more}", shown.join(", "))
    }

    /// Refuses both of two files with one id: otherwise the one that was not meant would run one day.
    fn refuse_namesakes(&mut self) {
        let mut by_id: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.outcome.is_ok()) {
            by_id.entry(entry.id.clone()).or_default().push(entry.path.clone());
        }
        for entry in &mut self.entries {
            let others = by_id.get(&entry.id).map(Vec::as_slice).unwrap_or_default();
            let other = others.iter().find(|path| **path != entry.path);
            if let (Ok(definition), Some(other)) = (&entry.outcome, other) {
                let message = format!(
                    "the pipeline id {:?} is also that of {}, so that both are refused; give one of them another id",
                    definition.pipeline.id.as_str(),
                    other.display()
                );
                let problem = Diagnostic { file: entry.path.clone(), line: 1, column: 1, message };
                entry.outcome = Err(vec![problem]);
            }
        }
    }
}

impl CatalogueEntry {
    fn read(path: PathBuf) -> Self {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        match read_definition(&path) {
            Ok(definition) => Self {
                id: definition.pipeline.id.to_string(),
                source: definition.pipeline.source.clone(),
                path,
                outcome: Ok(definition),
            },
            Err(CatalogueError::Invalid(problems)) => {
                Self { id: stem.clone(), source: stem, path, outcome: Err(problems) }
            }
            Err(error) => {
                let message = error.to_string();
                let problem = Diagnostic { file: path.clone(), line: 1, column: 1, message };
                Self { id: stem.clone(), source: stem, path, outcome: Err(vec![problem]) }
            }
        }
    }
}

/// The files of a folder that end in `.toml`, by name; hidden ones are left alone (editors keep theirs so).
fn toml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        // Anything else with such a name is reported when it is read.
        if !is_hidden && path.extension().is_some_and(|extension| extension == "toml") && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(id: &str, source: &str) -> String {
        format!("id = \"{id}\"\nsource = \"{source}\"\n[[step]]\nid = \"a\"\nrun = \"true\"\n")
    }

    /// A data directory with these files in its folder of pipelines.
    fn catalogue(files: &[(&str, String)]) -> (tempfile::TempDir, Catalogue) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("pipelines/below")).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join("pipelines").join(name), text).unwrap();
        }
        let catalogue = Catalogue::scan(dir.path(), &Settings::default());
        (dir, catalogue)
    }

    #[test]
    fn a_pipeline_is_found_by_its_id_and_an_unknown_one_has_a_neighbour() {
        let (_dir, catalogue) = catalogue(&[
            ("x.toml", pipeline("prices", "shop")),
            (".y.toml", "?".into()),
            ("z.txt", "?".into()),
        ]);
        assert_eq!(catalogue.entries.len(), 1);
        assert_eq!(catalogue.find("prices").unwrap().pipeline.id.as_str(), "prices");
        let error = catalogue.find("price").unwrap_err().to_string();
        assert_eq!(error, "there is no pipeline \"price\"; did you mean \"prices\"?");
        assert!(catalogue.find("zzzzzzz").unwrap_err().to_string().contains("there are prices"));
    }

    #[test]
    fn ten_thousand_files_are_all_listed_and_each_is_found() {
        let name = |n: usize| format!("p{n:05}");
        let files: Vec<_> = (0..10_000).map(|n| (name(n) + ".toml", pipeline(&name(n), "many"))).collect();
        let files: Vec<_> = files.iter().map(|(file, text)| (file.as_str(), text.clone())).collect();
        let (_dir, catalogue) = catalogue(&files);
        assert_eq!(catalogue.entries.len(), 10_000);
        assert!(catalogue.entries.iter().all(|entry| entry.outcome.is_ok()));
        for n in [0, 4_999, 9_999] {
            assert_eq!(catalogue.find(&name(n)).unwrap().pipeline.id.as_str(), name(n));
        }
        assert!(catalogue.find("p10000").is_err());
    }

    #[test]
    fn two_files_with_one_id_are_both_refused_naming_both() {
        let (_dir, catalogue) = catalogue(&[("a.toml", pipeline("p", "p")), ("b.toml", pipeline("p", "q"))]);
        let messages: Vec<_> = catalogue
            .entries
            .iter()
            .map(|entry| in_lines(entry.outcome.as_ref().expect_err("it is refused")))
            .collect();
        assert!(
            messages[0].contains("a.toml:1:1") && messages[0].contains("pipelines/b.toml"),
            "{messages:?}"
        );
        assert!(
            messages[1].contains("b.toml:1:1") && messages[1].contains("pipelines/a.toml"),
            "{messages:?}"
        );
        assert!(matches!(catalogue.find("p"), Err(CatalogueError::Invalid(_))));
    }

    #[test]
    fn a_source_names_its_one_pipeline_else_the_one_of_that_id() {
        let files = [
            ("a.toml", pipeline("nightly", "shop")),
            ("b.toml", pipeline("bank", "bank")),
            ("c.toml", pipeline("bank-delta", "bank")),
            ("d.toml", pipeline("d1", "many")),
            ("e.toml", pipeline("d2", "many")),
        ];
        let (_dir, catalogue) = catalogue(&files);
        let found = |source: &str| catalogue.by_source(source).map(|it| it.pipeline.id.to_string());
        assert_eq!(found("shop").as_deref(), Ok("nightly"));
        assert_eq!(found("bank").as_deref(), Ok("bank"));
        assert_eq!(found("bank-delta").as_deref(), Ok("bank-delta"));
        let error = found("many").unwrap_err().to_string();
        assert!(error.contains("d1, d2"), "{error}");
        assert!(matches!(found("none"), Err(CatalogueError::Unknown { .. })));
    }

    #[test]
    fn a_broken_file_is_listed_with_what_is_wrong() {
        let (_dir, catalogue) = catalogue(&[("broken.toml", "stp = 1".into())]);
        let error = catalogue.find("broken").unwrap_err().to_string();
        assert!(error.contains("broken.toml:1:1"), "{error}");
    }

    #[test]
    fn a_file_is_read_by_its_path_and_a_missing_folder_is_said() {
        let (dir, _) = catalogue(&[("a.toml", pipeline("p", "p"))]);
        let path = dir.path().join("pipelines/a.toml");
        let settings = Settings { pipeline_dirs: vec![dir.path().join("none")], ..Settings::default() };
        let found = Catalogue::find_in(path.to_str().unwrap(), Path::new("/nowhere"), &settings).unwrap();
        assert_eq!(Path::new(&*found.path), path);
        let missing = Catalogue::find_in("./none.toml", dir.path(), &settings);
        assert!(matches!(missing, Err(CatalogueError::NoFile { .. })));
        assert!(Catalogue::scan(dir.path(), &settings).problems[0].contains("none"));
    }
}
