//! The engine, through its public calls.
