//! The supervisor with real processes: what it starts, ends, freezes, survives and fences off.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that meets the unexpected fails"
)]

mod bench;
mod ending;
mod fences;
mod freezing;
mod logs;
mod parent;
mod silence;
mod starting;
mod starved;
mod surviving;
mod told_to_end;
