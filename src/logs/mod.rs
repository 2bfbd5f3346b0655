//! What steps write: their reports, read as they are written, and their logs, read in windows.
//!
//! Nothing is decided here: reports become [`ReportBatch`](crate::run::ReportBatch)es, logs become windows of lines.

mod follower;
mod holes;
mod index;
mod plain;
mod reader;
mod report_file;
mod reports;

pub use follower::{LogChunk, LogFollower, LogFollowerHandle};
pub use index::TimeIndex;
pub use plain::plain_line;
pub use reader::{LogLine, LogReader, LogWindow, MAX_WINDOW_BYTES, TextForm};
pub use report_file::append_report;
pub use reports::ReportFollower;
