//! The supervisor, driven through its public host with real processes.

mod supervisor;
