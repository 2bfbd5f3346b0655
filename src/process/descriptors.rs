//! How many descriptors this process may have open. It raises its soft limit to the hard one, because one step costs
//! the supervisor several descriptors. Steps are started with the limit that the shell gave.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The variable in which a process of this program passes on the soft limit that it was started with.
pub(crate) const VARIABLE: &str = "LEVERFRAME_OPEN_FILES";

/// The soft limit that this program was started with. A constant fact about the process, not state: set once, when the
/// limit is raised.
static BEFORE: OnceLock<Option<u64>> = OnceLock::new();

/// Raises the soft limit to the hard one. Called at the start of a process; harmless when repeated.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let passed_on = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    BEFORE.get_or_init(|| passed_on.or(limit.current));
    // Refused only when it is as high as it can be.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// The soft limit for programs that are started; none means no limit.
pub(crate) fn before() -> Option<u64> {
    *BEFORE.get_or_init(|| getrlimit(Resource::Nofile).current)
}

/// That limit as a variable for a child of this program; none when there is no limit.
pub(crate) fn for_child() -> Option<(&'static str, String)> {
    before().map(|limit| (VARIABLE, limit.to_string()))
}

/// How many descriptors this process may have open; none means no limit.
pub(crate) fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Does something under the limit that this program was started with: what is started meanwhile inherits it. What other
/// threads open meanwhile may be refused for a moment.
pub(crate) fn as_before<T>(act: impl FnOnce() -> T) -> T {
    let raised = getrlimit(Resource::Nofile);
    // Both are within the hard limit.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: before(), ..raised });
    let done = act();
    let _ = setrlimit(Resource::Nofile, raised);
    done
}
