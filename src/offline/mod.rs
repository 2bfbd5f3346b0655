//! Questions about a data directory that need no engine: whether everything in it is in order. It takes no lock and
//! changes nothing.

mod doctor;
mod job_doctor;

pub use doctor::{Finding, Severity, check_up, has_display};
