//! The sample pipelines, bundled with the program.

/// A file of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleFile {
    /// Where it goes, relative to the folder of pipelines; `/` between its parts.
    pub path: &'static str,
    /// What it holds.
    pub contents: &'static str,
    /// Whether its owner may execute it.
    pub executable: bool,
}

/// All files of the samples. They run from wherever they are unpacked, as long as they stay together.
pub fn samples() -> &'static [SampleFile] {
    &[]
}
