//! What a decision may know besides the run and its input: the clocks, the machine, and whether steps may start.

use crate::admission::Admission;
use crate::base::time::Now;

/// What a decision may know besides the run.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Both clocks.
    pub now: Now,
    /// Steps at once where the pipeline does not say.
    pub n_cpus: usize,
    /// Whether new steps may start at all (they may not while the disk is full or the engine closes).
    pub starts: Starts,
    /// What the machine is short of, where only cleaning up may start.
    pub held_for: Option<&'a str>,
    /// What each run holds, and what is left.
    pub admission: &'a Admission,
    /// Makes tokens unique over data directories and epochs.
    pub salt: &'a str,
    /// This boot.
    pub boot_id: &'a str,
}

/// Whether new steps may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// They may.
    Allowed,
    /// Those that clean up (`finally`) may; the others wait.
    CleanUpOnly,
    /// They wait.
    Held,
}
