//! What users' scripts rely on, as golden files in `tests/golden`: help texts, JSON documents, answers and events of the
//! control socket, tables, exit codes. `LEVERFRAME_GOLDEN=write` writes them anew; otherwise a difference fails.

mod databases;
mod documents;
mod exits;
mod golden;
mod helps;
mod scenario;
mod scrub;
mod talk;
