//! `leverframe schema`.

use super::exit::{DONE, Outcome};
use super::output::Page;
use crate::pipeline;

pub(super) fn schema() -> Outcome {
    let mut page = Page::new();
    page.document(&pipeline::schema())?;
    page.end(DONE)
}
