//! What steps write: their reports, read as they are written, and their logs, read in windows.
//!
//! Nothing is decided here: reports become [`ReportBatch`](crate::run::ReportBatch)es, logs become windows of lines.

mod follower;
mod holes;
mod plain;
mod reader;
mod report_file;
mod reports;

pub use follower::{LogChunk, LogFollower, LogFollowerHandle};
pub use plain::plain_line;
pub use reader::{LogLine, LogReader};
pub use report_file::append_report;
pub use reports::ReportFollower;
