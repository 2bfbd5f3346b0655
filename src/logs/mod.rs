//! What steps write: their reports, taken in as they are written, and their logs, read by window.
//!
//! The only place that knows file notification. Nothing here decides anything: reports become
//! [`ReportBatch`](crate::run::ReportBatch)es for whoever asked, logs become windows of lines.

mod follower;
mod holes;
mod index;
mod plain;
mod reader;
mod report_file;
mod reports;
mod settled;
mod watch;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

pub use follower::{LogChunk, LogFollower, LogFollowerHandle};
pub use index::TimeIndex;
pub use plain::plain_line;
pub use reader::{LogLine, LogReader, LogWindow, MAX_WINDOW_BYTES, TextForm};
pub use report_file::append_report;
pub use reports::ReportFollower;
pub use settled::SettledWatch;
pub use watch::FolderWatch;

/// Opens a log or its index for reading. What stands in its place and is no regular file is refused, and not waited for.
fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    Ok(file)
}
