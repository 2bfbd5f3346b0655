//! The table of all processes at one moment: read in one go, and asked by everybody who wants to know something then.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};

use super::tree::TOKEN_VARIABLE;
use super::{Proc, ProcId, Stat, environment_of, output_pipes, unless_gone};

/// `/proc`, held open: looking at all processes takes one descriptor at a time and no more.
#[derive(Debug)]
pub(crate) struct ProcDir(OwnedFd);

/// All processes at one moment, by pid, by parent and by session.
#[derive(Debug, Default)]
pub(crate) struct ProcTable {
    by_pid: BTreeMap<u32, Proc>,
    by_parent: HashMap<u32, Vec<u32>>,
    by_session: HashMap<u32, Vec<u32>>,
    /// Looked up when somebody first asks.
    marks: RefCell<HashMap<u32, Rc<Marks>>>,
    bearers: OnceCell<Bearers>,
}

/// By what a process shows whose it is, whoever its parent is.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The entries `LEVERFRAME_TOKEN=…` of its environment.
    pub(crate) tokens: Vec<Vec<u8>>,
    /// The pipes that it has as stdout and stderr, by inode.
    pub(crate) pipes: Vec<u64>,
}

/// Processes by what they show.
#[derive(Debug, Default)]
struct Bearers {
    by_token: HashMap<Vec<u8>, Vec<u32>>,
    by_pipe: HashMap<u64, Vec<u32>>,
}

impl ProcDir {
    /// Opens it.
    ///
    /// # Errors
    /// `/proc` is not mounted, or there is no descriptor left.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open("/proc", flags, Mode::empty())?))
    }

    /// Looks at every process.
    ///
    /// # Errors
    /// Not all of them could be looked at: then nothing is known of any.
    pub(crate) fn table(&self) -> io::Result<ProcTable> {
        rustix::fs::seek(&self.0, SeekFrom::Start(0))?;
        let mut found = Vec::new();
        for pid in numbers_in(&self.0)? {
            found.extend(self.process(pid)?);
        }
        Ok(ProcTable::of(found))
    }

    /// Looks at one process; none when there is no such process any more.
    ///
    /// # Errors
    /// It could not be looked at.
    pub(crate) fn process(&self, pid: u32) -> io::Result<Option<Proc>> {
        let Some(mut found) = self.stat(&format!("{pid}/stat"), pid)? else { return Ok(None) };
        if found.n_threads > 1 && matches!(found.state, b'Z' | b'T' | b't') {
            // The line tells of the first thread alone.
            match self.state_of_threads(pid)? {
                Some(state) => found.state = state,
                None => return self.stat(&format!("{pid}/stat"), pid),
            }
        }
        Ok(Some(found))
    }

    fn stat(&self, path: &str, pid: u32) -> io::Result<Option<Proc>> {
        // One read: the kernel makes the line whole, and it is never this long.
        let mut line = [0; 1024];
        let file = rustix::fs::openat(&self.0, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let Some(file) = unless_gone(file)? else { return Ok(None) };
        let Some(n) = unless_gone(rustix::io::read(&file, &mut line))? else { return Ok(None) };
        Ok(Stat::parse(pid, &line[..n]).map(|stat| stat.proc))
    }

    /// The threads of a process; none when there is no such process any more.
    ///
    /// # Errors
    /// They could not be looked at.
    pub(crate) fn threads_of(&self, pid: u32) -> io::Result<Vec<u32>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&self.0, format!("{pid}/task"), flags, Mode::empty());
        unless_gone(folder)?.map_or(Ok(Vec::new()), |folder| numbers_in(&folder))
    }

    /// What can be said of all living threads together; none where there are none. One that runs or could is told before
    /// one that waits uninterruptibly, and that before those that are stopped.
    fn state_of_threads(&self, pid: u32) -> io::Result<Option<u8>> {
        let mut states = Vec::new();
        for tid in self.threads_of(pid)? {
            let thread = self.stat(&format!("{pid}/task/{tid}/stat"), tid)?;
            states.extend(thread.map(|thread| thread.state));
        }
        states.retain(|state| !matches!(state, b'Z' | b'X' | b'x'));
        let rank = |state: &u8| match state {
            b'T' => 0,
            b't' => 1,
            b'D' => 2,
            _ => 3,
        };
        Ok(states.into_iter().max_by_key(rank))
    }
}

/// The entries of a folder that are numbers.
fn numbers_in(folder: &OwnedFd) -> io::Result<Vec<u32>> {
    let mut buffer = [MaybeUninit::uninit(); 8 << 10];
    let mut entries = RawDir::new(folder, &mut buffer);
    let mut numbers = Vec::new();
    while let Some(entry) = entries.next() {
        // A process that ended while its threads were listed.
        let Some(entry) = unless_gone(entry)? else { break };
        numbers.extend(entry.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(numbers)
}

impl ProcTable {
    /// Of those that somebody has looked at.
    pub(crate) fn of(processes: impl IntoIterator<Item = Proc>) -> Self {
        let mut table = Self::default();
        for p in processes {
            table.by_pid.insert(p.id.pid, p);
            table.by_parent.entry(p.parent).or_default().push(p.id.pid);
            table.by_session.entry(p.session).or_default().push(p.id.pid);
        }
        table
    }

    /// The process with this pid now.
    pub(crate) fn get(&self, pid: u32) -> Option<&Proc> {
        self.by_pid.get(&pid)
    }

    /// Whether this very process is there (a zombie is).
    pub(crate) fn holds(&self, id: ProcId) -> bool {
        self.get(id.pid).is_some_and(|found| found.id == id)
    }

    /// The direct children of a process, dead ones included.
    pub(crate) fn children_of(&self, pid: u32) -> &[u32] {
        self.by_parent.get(&pid).map_or(&[], Vec::as_slice)
    }

    /// Every process of a session.
    pub(crate) fn session(&self, session: u32) -> &[u32] {
        self.by_session.get(&session).map_or(&[], Vec::as_slice)
    }

    /// What a process shows.
    ///
    /// # Errors
    /// It could not be looked at.
    pub(crate) fn marks_of(&self, pid: u32) -> io::Result<Rc<Marks>> {
        if let Some(known) = self.marks.borrow().get(&pid) {
            return Ok(Rc::clone(known));
        }
        let environment = environment_of(pid)?.unwrap_or_default();
        let is_token = |entry: &&[u8]| {
            entry.strip_prefix(TOKEN_VARIABLE.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
        };
        let tokens = environment.split(|&byte| byte == 0).filter(is_token).map(<[u8]>::to_vec).collect();
        let pipes = output_pipes(pid).map(|(inode, _)| inode).collect();
        let marks = Rc::new(Marks { tokens, pipes });
        self.marks.borrow_mut().insert(pid, Rc::clone(&marks));
        Ok(marks)
    }

    /// The living processes of the whole machine that carry this token (`LEVERFRAME_TOKEN=…`).
    ///
    /// # Errors
    /// Not all of them could be looked at.
    pub(crate) fn bearers_of_token(&self, entry: &[u8]) -> io::Result<&[u32]> {
        Ok(self.bearers()?.by_token.get(entry).map_or(&[], Vec::as_slice))
    }

    /// The same for those that write to this pipe.
    ///
    /// # Errors
    /// Not all of them could be looked at.
    pub(crate) fn writers_to(&self, pipe: u64) -> io::Result<&[u32]> {
        Ok(self.bearers()?.by_pipe.get(&pipe).map_or(&[], Vec::as_slice))
    }

    /// Looked up once for all that ask: the marks of every process are many files.
    fn bearers(&self) -> io::Result<&Bearers> {
        if let Some(known) = self.bearers.get() {
            return Ok(known);
        }
        let mut bearers = Bearers::default();
        // Threads of the kernel (children of process 2) show nothing.
        let shows = |p: &&Proc| p.id.pid > 2 && p.parent != 2 && !p.is_dead();
        for p in self.by_pid.values().filter(shows) {
            let marks = self.marks_of(p.id.pid)?;
            for token in &marks.tokens {
                bearers.by_token.entry(token.clone()).or_default().push(p.id.pid);
            }
            for pipe in &marks.pipes {
                bearers.by_pipe.entry(*pipe).or_default().push(p.id.pid);
            }
        }
        Ok(self.bearers.get_or_init(|| bearers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_is_found_with_its_parent_and_its_session() {
        let table = ProcDir::open().unwrap().table().unwrap();
        let me = table.get(std::process::id()).copied().unwrap();
        assert!(table.holds(me.id) && !me.is_dead());
        assert!(table.children_of(me.parent).contains(&me.id.pid));
        assert!(table.session(me.session).contains(&me.id.pid));
    }

    #[test]
    fn a_directory_that_is_held_open_can_be_looked_at_again_and_again() {
        let dir = ProcDir::open().unwrap();
        for _ in 0..3 {
            assert!(dir.table().unwrap().get(std::process::id()).is_some());
        }
    }

    #[test]
    fn what_a_process_shows_is_found_by_token_and_by_pipe() {
        let mut command = std::process::Command::new("sleep");
        command.arg("600").env(TOKEN_VARIABLE, "a-token").stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let table = ProcDir::open().unwrap().table().unwrap();
        assert_eq!(table.bearers_of_token(b"LEVERFRAME_TOKEN=a-token").unwrap(), [child.id()]);
        assert!(table.bearers_of_token(b"LEVERFRAME_TOKEN=a-toke").unwrap().is_empty());
        let pipe = table.marks_of(child.id()).unwrap().pipes[0];
        assert!(table.writers_to(pipe).unwrap().contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_has_ended_is_none_and_no_error() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(ProcDir::open().unwrap().process(pid).unwrap().is_none());
        assert_eq!(environment_of(pid).unwrap(), None);
    }
}
