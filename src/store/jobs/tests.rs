//! The job store against real SQLite files.
