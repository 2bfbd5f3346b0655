//! `leverframe schema`.

use super::exit::Outcome;
use super::output::Page;
use crate::api::exit_code::DONE;
use crate::pipeline;

pub(super) fn schema() -> Outcome {
    let mut page = Page::new();
    page.document(&pipeline::schema())?;
    page.end(DONE)
}
