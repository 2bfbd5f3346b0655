//! The sample pipelines, bundled with the program.

/// A file of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleFile {
    /// Where it goes, relative to the folder of pipelines; `/` between its parts.
    pub path: &'static str,
    /// Its text.
    pub contents: &'static str,
    /// Whether its owner may execute it.
    pub executable: bool,
}

macro_rules! samples {
    ($($path:literal),+ $(,)?) => {
        &[$(SampleFile {
            path: $path,
            contents: include_str!(concat!("../../assets/samples/", $path)),
            executable: false,
        }),+]
    };
}

/// All files of the samples. Their pipelines run from any folder, as long as the files stay together, and write only
/// next to themselves. None must be executable, because `sh` reads the scripts.
pub fn samples() -> &'static [SampleFile] {
    samples![
        "hello.toml",
        "nightly-backup.toml",
        "price-list.toml",
        "price-list/lib.sh",
        "price-list/list.sh",
        "price-list/fetch.sh",
        "price-list/rates.sh",
        "price-list/parse.sh",
        "price-list/validate.sh",
        "price-list/load.sh",
        "price-list/report.sh",
        "price-list/tidy.sh",
        "price-list/pages/index.html",
        "price-list/pages/page-01.html",
        "price-list/pages/page-02.html",
        "price-list/pages/page-03.html",
        "price-list/pages/page-04.html",
        "price-list/pages/page-05.html",
        "price-list/pages/page-06.html",
        "price-list/pages/page-07.html",
        "price-list/pages/page-08.html",
        "price-list/pages/page-09.html",
        "price-list/pages/page-10.html",
        "price-list/pages/page-11.html",
        "price-list/pages/page-12.html",
        "price-list/pages/page-13.html",
        "price-list/pages/page-14.html",
        "price-list/pages/page-15.html",
        "price-list/pages/page-16.html",
        "price-list/pages/page-17.html",
        "price-list/pages/page-18.html",
        "price-list/pages/page-19.html",
        "price-list/pages/page-20.html",
        "price-list/pages/rates.html",
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::pipeline::Pipeline;

    #[test]
    fn every_sample_pipeline_is_valid() {
        let pipelines = samples().iter().filter(|file| file.path.ends_with(".toml"));
        for file in pipelines {
            let path = Path::new("/data/pipelines").join(file.path);
            let pipeline = Pipeline::parse(file.contents, &path, None).expect(file.path);
            assert_eq!(Some(pipeline.id.as_str()), path.file_stem().and_then(|stem| stem.to_str()));
            assert!(pipeline.resolve_params(&Default::default(), None).is_ok(), "{}", file.path);
        }
    }

    #[test]
    fn every_file_of_the_samples_is_bundled() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/samples");
        let (mut on_disk, mut folders) = (BTreeSet::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().expect("the folder is there") {
                let path = entry.expect("the entry is readable").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    on_disk.insert(path);
                }
            }
        }
        let bundled: BTreeSet<PathBuf> = samples().iter().map(|file| root.join(file.path)).collect();
        assert_eq!(bundled, on_disk);
    }
}
