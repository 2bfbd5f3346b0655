//! `leverframe init`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::exit::{Failure, Outcome};
use super::output::{count, note};
use super::{Place, Print};
use crate::api::exit_code::{DONE, UNUSABLE};
use crate::records::unpack_samples;
use crate::store::DataDir;

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The folder to write into; default: the data directory's own folder of pipelines.
    dir: Option<PathBuf>,
    #[command(flatten)]
    print: Print,
}

pub(super) fn init(args: InitArgs, place: &Place) -> Outcome {
    let is_own = args.dir.is_none();
    let folder = match args.dir {
        Some(dir) => dir,
        None => DataDir::open(place.path()?)?.pipelines_dir(),
    };
    let done = unpack_samples(&folder).map_err(|error| {
        Failure::new(UNUSABLE, format!("the samples can't be written: {error}; choose another folder"))
    })?;
    args.print.form().print(&json!({ "written": done.written, "kept": done.kept }), |page| {
        for path in done.written.iter().filter(|path| path.extension().is_some_and(|it| it == "toml")) {
            page.line(path.display())?;
        }
        page.flush()?;
        let written = count(done.written.len(), "file", "files");
        note(format_args!("wrote {written} into {}", folder.display()));
        if !done.kept.is_empty() {
            let kept = count(done.kept.len(), "file that was", "files that were");
            note(format_args!("kept {kept} there already, as they are"));
        }
        let name = if is_own { "price-list".into() } else { folder.join("price-list.toml") };
        note(format_args!("try: leverframe run {}", name.display()));
        Ok(())
    })?;
    Ok(DONE)
}
