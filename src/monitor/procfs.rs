//! Reads files of `/proc` again and again, into one buffer and through descriptors that stay open, which is half the
//! work of opening them each time. A descriptor always means the same process, so a reused pid does not mislead. What
//! could not be read is an error; only a process that has ended is none.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::pread;
use rustix::process::{Resource, getrlimit};

use crate::process::{Stat, unless_gone};

/// One in this many of the descriptors that this program may have is used to keep files open.
const SHARE_OF_DESCRIPTORS: u64 = 4;
/// Descriptors kept open for one process.
const PER_PROCESS: u64 = 3;
/// The most processes whose files stay open.
const MAX_KEPT: u64 = 1024;

/// A file that is read from its beginning again and again.
pub(super) struct ProcFile {
    path: String,
    file: Option<OwnedFd>,
}

impl ProcFile {
    pub(super) fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), file: None }
    }

    /// The whole file, in `buffer`; empty when it can't be read.
    pub(super) fn read<'a>(&mut self, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        if self.file.is_none() {
            self.file = open(&self.path).ok().flatten();
        }
        let n = self.file.as_ref().and_then(|file| read_whole(file, buffer).ok().flatten()).unwrap_or(0);
        &buffer[..n]
    }
}

/// Bytes that a process, and the children that it has waited for, read and wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct IoBytes {
    /// Read from disk.
    pub(super) read: u64,
    /// Written to disk.
    pub(super) written: u64,
    /// Passed to write calls to any target: a disk, a file system in memory, a pipe, a socket.
    pub(super) output: u64,
}

/// Reads the files of processes.
pub(super) struct ProcReader {
    kept: HashMap<u32, Kept>,
    max_kept: usize,
    buffer: Vec<u8>,
    round: u64,
}

/// The open files of one process.
struct Kept {
    stat: OwnedFd,
    io: Option<OwnedFd>,
    children: Option<OwnedFd>,
    /// The last round that read it.
    round: u64,
}

impl ProcReader {
    pub(super) fn new() -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let max_kept = (limit / SHARE_OF_DESCRIPTORS / PER_PROCESS).min(MAX_KEPT);
        Self { kept: HashMap::new(), max_kept: max_kept as usize, buffer: vec![0; 4096], round: 0 }
    }

    /// The present process with this pid; none when there is none.
    ///
    /// # Errors
    /// It could not be read, and may exist.
    pub(super) fn stat(&mut self, pid: u32) -> io::Result<Option<Stat>> {
        if let Some(kept) = self.kept.get_mut(&pid) {
            kept.round = self.round;
            if let Some(n) = read_once(&kept.stat, &mut self.buffer)?
                && let Some(stat) = Stat::parse(pid, &self.buffer[..n])
            {
                return Ok(Some(stat));
            }
            // It has ended; the pid may belong to another process by now.
            self.kept.remove(&pid);
        }
        let Some(file) = open(&format!("/proc/{pid}/stat"))? else { return Ok(None) };
        let Some(n) = read_once(&file, &mut self.buffer)? else { return Ok(None) };
        let Some(stat) = Stat::parse(pid, &self.buffer[..n]) else { return Ok(None) };
        if self.kept.len() < self.max_kept {
            self.kept.insert(pid, Kept { stat: file, io: None, children: None, round: self.round });
        }
        Ok(Some(stat))
    }

    /// What it has read and written; none when we may not read that, or can't at the moment.
    pub(super) fn io(&mut self, pid: u32) -> Option<IoBytes> {
        let open = || open(&format!("/proc/{pid}/io")).ok().flatten();
        let read_once = |file: &OwnedFd, buffer: &mut [u8]| read_once(file, buffer).ok().flatten();
        let n = match self.kept.get_mut(&pid) {
            Some(kept) => {
                kept.io = kept.io.take().or_else(open);
                read_once(kept.io.as_ref()?, &mut self.buffer)?
            }
            None => read_once(&open()?, &mut self.buffer)?,
        };
        parse_io(&self.buffer[..n])
    }

    /// Adds the children of all threads of a process to `children`.
    ///
    /// # Errors
    /// They could not be read, and there may be more.
    pub(super) fn children(&mut self, pid: u32, n_threads: u32, children: &mut Vec<u32>) -> io::Result<()> {
        if n_threads > 1 {
            for tid in threads_of(pid)? {
                if let Some(file) = open(&children_of(pid, tid))?
                    && let Some(n) = read_whole(&file, &mut self.buffer)?
                {
                    children.extend(pids(&self.buffer[..n]));
                }
            }
            return Ok(());
        }
        let path = children_of(pid, pid);
        let n = match self.kept.get_mut(&pid) {
            Some(kept) => {
                if kept.children.is_none() {
                    kept.children = open(&path)?;
                }
                kept.children.as_ref().map(|file| read_whole(file, &mut self.buffer)).transpose()?.flatten()
            }
            None => open(&path)?.map(|file| read_whole(&file, &mut self.buffer)).transpose()?.flatten(),
        };
        children.extend(pids(&self.buffer[..n.unwrap_or(0)]));
        Ok(())
    }

    /// Ends a round: closes the files of processes that were not read in it.
    pub(super) fn end_round(&mut self) {
        self.kept.retain(|_, kept| kept.round == self.round);
        self.round += 1;
    }
}

fn children_of(pid: u32, tid: u32) -> String {
    format!("/proc/{pid}/task/{tid}/children")
}

fn threads_of(pid: u32) -> io::Result<Vec<u32>> {
    let threads = match std::fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(threads) => threads,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // A list that breaks off belongs to a process that has ended meanwhile.
    Ok(threads.map_while(Result::ok).filter_map(|thread| thread.file_name().to_str()?.parse().ok()).collect())
}

fn pids(list: &[u8]) -> impl Iterator<Item = u32> {
    let words = list.split(|byte| *byte == b' ');
    words.filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok())
}

fn parse_io(text: &[u8]) -> Option<IoBytes> {
    let text = std::str::from_utf8(text).ok()?;
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    let (read, written) = (number("read_bytes:")?, number("write_bytes:")?);
    Some(IoBytes { read, written, output: number("wchar:")? })
}

fn open(path: &str) -> io::Result<Option<OwnedFd>> {
    unless_gone(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))
}

/// Reads a file whose whole content the kernel returns at once.
fn read_once(file: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    unless_gone(pread(file, buffer, 0))
}

fn read_whole(file: &OwnedFd, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut n = 0;
    loop {
        if n == buffer.len() {
            buffer.resize(2 * n, 0);
        }
        match unless_gone(pread(file, &mut buffer[n..], n as u64))? {
            None => return Ok(None),
            Some(0) => return Ok(Some(n)),
            Some(more) => n += more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_is_read_through_files_that_stay_open_or_not() {
        let me = std::process::id();
        for max_kept in [8, 0] {
            let mut reader = ProcReader { max_kept, ..ProcReader::new() };
            for _ in 0..3 {
                let stat = reader.stat(me).unwrap().unwrap();
                assert_eq!(stat.proc.id.pid, me);
                assert!(stat.resident_pages > 0);
                assert!(reader.io(me).is_some());
                reader.end_round();
            }
            assert_eq!(reader.kept.len(), max_kept.min(1));
            reader.end_round();
            assert!(reader.kept.is_empty());
        }
    }

    #[test]
    fn each_figure_is_read_from_its_own_line() {
        let text = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n";
        assert_eq!(parse_io(text), Some(IoBytes { read: 5, written: 6, output: 2 }));
        assert_eq!(parse_io(b"rchar: 1\n"), None);
    }

    #[test]
    fn children_are_found_whichever_thread_has_made_them() {
        let (tell, told) = crossbeam_channel::bounded(1);
        let (end, ended) = crossbeam_channel::bounded::<()>(0);
        let parent = std::thread::spawn(move || {
            let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
            tell.send(child.id()).unwrap();
            let _ = ended.recv();
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let child = told.recv().unwrap();
        let mut reader = ProcReader::new();
        let n_threads = reader.stat(std::process::id()).unwrap().unwrap().proc.n_threads;
        let mut children = Vec::new();
        reader.children(std::process::id(), n_threads, &mut children).unwrap();
        assert!(children.contains(&child), "{child} is not among {children:?}");
        drop(end);
        parent.join().unwrap();
    }

    #[test]
    fn a_process_that_has_ended_is_none_whatever_is_asked() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let mut reader = ProcReader::new();
        assert!(reader.stat(child.id()).unwrap().is_some());
        assert!(reader.io(child.id()).is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        let mut children = Vec::new();
        assert!(reader.io(child.id()).is_none());
        reader.children(child.id(), 1, &mut children).unwrap();
        assert!(children.is_empty());
        assert!(reader.stat(child.id()).unwrap().is_none());
    }
}
