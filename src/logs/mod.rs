//! What steps write: their reports, read as they are written, and their logs, read in windows.
//!
//! Nothing is decided here: reports become [`ReportBatch`](crate::run::ReportBatch)es, logs become windows of lines.

mod follower;
mod holes;
mod line_index;
mod merge;
mod plain;
mod reader;
mod report_file;
mod reports;
mod search;
mod styled;
mod times;

pub(crate) use follower::watch_log;
pub use follower::{LogChunk, LogFollower, LogFollowerHandle};
pub use line_index::{LineIndex, LogRow, rows_before_end, rows_from};
pub use merge::LogMerge;
pub use plain::plain_line;
pub use reader::{LogLine, LogReader};
pub use report_file::append_report;
pub use reports::ReportFollower;
pub use search::{LogHit, LogSearch};
pub use styled::{Ink, Look, StyledText};
pub use times::{LogTimes, TimedOffset};
