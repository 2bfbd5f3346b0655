//! How many descriptors this process may have open: as many as the system lets it, whatever the shell said, because one
//! step costs the supervisor several. What a step is started with is what the shell said.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How a parent of this program tells it what its own soft limit was, before it raised it.
pub(crate) const VARIABLE: &str = "LEVERFRAME_OPEN_FILES";

/// The soft limit that this program was started with. A fact about the process, not a state of it; set once, when the
/// limit is raised.
static BEFORE: OnceLock<Option<u64>> = OnceLock::new();

/// Raises the soft limit to the hard one. For the beginning of a process; harmless when repeated.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let told = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    BEFORE.get_or_init(|| told.or(limit.current));
    // Refused only where it is as high as it can be.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// The soft limit that programs are to be started with; none: there is no limit.
pub(crate) fn before() -> Option<u64> {
    *BEFORE.get_or_init(|| getrlimit(Resource::Nofile).current)
}

/// The same as a child that is this program reads it; none where there is nothing to be told.
pub(crate) fn for_child() -> Option<(&'static str, String)> {
    before().map(|limit| (VARIABLE, limit.to_string()))
}

/// How many this process may have open; none: there is no limit.
pub(crate) fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
