//! The table of all processes at one moment, read in one go and used for every question about that moment. An error
//! means that a file could not be read: there may be more than was seen.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};

use super::proc::{Proc, ProcId, TOKEN_VARIABLE, environment_of, list_of_pids, output_pipes, unless_gone};
use super::stat::Stat;

/// `/proc`, held open, so that reading all processes needs only one further descriptor at a time.
#[derive(Debug)]
pub(crate) struct ProcDir(OwnedFd);

/// All processes at one moment, by pid, by parent and by session.
#[derive(Debug, Default)]
pub(crate) struct ProcTable {
    by_pid: BTreeMap<u32, Proc>,
    by_parent: HashMap<u32, Vec<u32>>,
    by_session: HashMap<u32, Vec<u32>>,
    /// Read when first needed.
    marks: RefCell<HashMap<u32, Rc<Marks>>>,
    by_mark: OnceCell<ByMark>,
}

/// What shows the step of a process, independent of its parent.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The entries `LEVERFRAME_TOKEN=…` of its environment.
    pub(crate) tokens: Vec<Vec<u8>>,
    /// The pipes that it has as stdout and stderr, by inode.
    pub(crate) pipes: Vec<u64>,
}

/// Processes by their marks.
#[derive(Debug, Default)]
struct ByMark {
    by_token: HashMap<Vec<u8>, Vec<u32>>,
    by_pipe: HashMap<u64, Vec<u32>>,
}

impl Proc {
    /// Reads one process; none when it does not exist any more.
    ///
    /// # Errors
    /// It could not be read (no descriptor left, say), and may exist.
    pub(crate) fn read(pid: u32) -> io::Result<Option<Self>> {
        ProcDir::open()?.process(pid)
    }
}

/// The direct children of any process, of all its threads. The children of a process that has ended have another parent
/// by then.
pub(crate) fn children_of(pid: u32) -> io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for tid in ProcDir::open()?.threads_of(pid)? {
        children.extend(list_of_pids(&format!("/proc/{pid}/task/{tid}/children"))?.unwrap_or_default());
    }
    Ok(children)
}

impl ProcDir {
    ///
    /// # Errors
    /// `/proc` is not mounted, or there is no descriptor left.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open("/proc", flags, Mode::empty())?))
    }

    /// Reads every process.
    ///
    /// # Errors
    /// At least one could not be read. There is no partial answer.
    pub(crate) fn table(&self) -> io::Result<ProcTable> {
        rustix::fs::seek(&self.0, SeekFrom::Start(0))?;
        let mut found = Vec::new();
        for pid in numbers_in(&self.0)? {
            found.extend(self.process(pid)?);
        }
        Ok(ProcTable::of(found))
    }

    /// Reads one process; none when it does not exist any more.
    pub(crate) fn process(&self, pid: u32) -> io::Result<Option<Proc>> {
        let Some(mut found) = self.stat(&format!("{pid}/stat"), pid)? else { return Ok(None) };
        if found.n_threads > 1 && matches!(found.state, b'Z' | b'T' | b't') {
            // The line describes only the first thread.
            match self.state_of_threads(pid)? {
                Some(state) => found.state = state,
                None => return self.stat(&format!("{pid}/stat"), pid),
            }
        }
        Ok(Some(found))
    }

    fn stat(&self, path: &str, pid: u32) -> io::Result<Option<Proc>> {
        // One read is enough: the kernel returns the whole line, which is always shorter than this.
        let mut line = [0; 1024];
        let file = rustix::fs::openat(&self.0, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let Some(file) = unless_gone(file)? else { return Ok(None) };
        let Some(n) = unless_gone(rustix::io::read(&file, &mut line))? else { return Ok(None) };
        Ok(Stat::parse(pid, &line[..n]).map(|stat| stat.proc))
    }

    /// The threads of a process; empty when the process does not exist any more.
    pub(crate) fn threads_of(&self, pid: u32) -> io::Result<Vec<u32>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&self.0, format!("{pid}/task"), flags, Mode::empty());
        unless_gone(folder)?.map_or(Ok(Vec::new()), |folder| numbers_in(&folder))
    }

    /// The state of all living threads together; none when there are none. A thread that runs or can run counts first,
    /// then one that waits uninterruptibly, then those that are stopped.
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

/// The entries of a folder whose names are numbers.
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
    /// A table of these processes.
    pub(crate) fn of(processes: impl IntoIterator<Item = Proc>) -> Self {
        let mut table = Self::default();
        for p in processes {
            table.by_pid.insert(p.id.pid, p);
            table.by_parent.entry(p.parent).or_default().push(p.id.pid);
            table.by_session.entry(p.session).or_default().push(p.id.pid);
        }
        table
    }

    /// The process with this pid.
    pub(crate) fn get(&self, pid: u32) -> Option<&Proc> {
        self.by_pid.get(&pid)
    }

    /// Whether this exact process exists (a zombie does).
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

    /// The marks of a process.
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

    /// The tokens (`LEVERFRAME_TOKEN=…`) of all living processes of the machine.
    ///
    /// # Errors
    /// At least one process could not be read.
    pub(crate) fn tokens(&self) -> io::Result<impl Iterator<Item = &Vec<u8>>> {
        Ok(self.by_mark()?.by_token.keys())
    }

    /// The living processes of the whole machine with this token (`LEVERFRAME_TOKEN=…`) in their environment.
    ///
    /// # Errors
    /// At least one process could not be read.
    pub(crate) fn with_token(&self, entry: &[u8]) -> io::Result<&[u32]> {
        Ok(self.by_mark()?.by_token.get(entry).map_or(&[], Vec::as_slice))
    }

    /// The living processes of the whole machine that have this pipe as stdout or stderr.
    ///
    /// # Errors
    /// At least one process could not be read.
    pub(crate) fn writing_to(&self, pipe: u64) -> io::Result<&[u32]> {
        Ok(self.by_mark()?.by_pipe.get(&pipe).map_or(&[], Vec::as_slice))
    }

    /// Read once: the marks of every process are many files.
    fn by_mark(&self) -> io::Result<&ByMark> {
        if let Some(known) = self.by_mark.get() {
            return Ok(known);
        }
        let mut by_mark = ByMark::default();
        // Kernel threads (children of process 2) have no marks.
        let shows = |p: &&Proc| p.id.pid > 2 && p.parent != 2 && !p.is_dead();
        for p in self.by_pid.values().filter(shows) {
            let marks = self.marks_of(p.id.pid)?;
            for token in &marks.tokens {
                by_mark.by_token.entry(token.clone()).or_default().push(p.id.pid);
            }
            for pipe in &marks.pipes {
                by_mark.by_pipe.entry(*pipe).or_default().push(p.id.pid);
            }
        }
        Ok(self.by_mark.get_or_init(|| by_mark))
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
        assert_eq!(table.with_token(b"LEVERFRAME_TOKEN=a-token").unwrap(), [child.id()]);
        assert!(table.with_token(b"LEVERFRAME_TOKEN=a-toke").unwrap().is_empty());
        let pipe = table.marks_of(child.id()).unwrap().pipes[0];
        assert!(table.writing_to(pipe).unwrap().contains(&child.id()));
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
