//! What is asked of a data directory without an engine: whether all is well with it. It takes no lock and changes
//! nothing.

mod doctor;
mod job_doctor;

pub use doctor::{Finding, Severity, check_up, has_display};
