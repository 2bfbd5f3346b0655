//! Keeps the supervisor's memory from the spawner, so that the spawner has hardly any of its own.
#![expect(unsafe_code, reason = "rustix's madvise is unsafe, too")]

use std::ffi::{c_int, c_void};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

/// Memory that a copy of this process does not get until this is dropped.
#[derive(Debug)]
pub(super) struct Withheld(Vec<Range<usize>>);

impl Withheld {
    /// Withholds what a copy would hold: the data of the program, the part of it that was relocated when it was loaded, the
    /// heap, and the stack. Libraries keep theirs, and so does the memory around `thread` (what belongs to this thread) and
    /// from `arguments` on.
    pub(super) fn take(thread: usize, arguments: usize) -> Self {
        let ranges = copied(thread, arguments).unwrap_or_default();
        for range in &ranges {
            advise(range, libc::MADV_DONTFORK);
        }
        Self(ranges)
    }
}

impl Drop for Withheld {
    fn drop(&mut self) {
        for range in &self.0 {
            advise(range, libc::MADV_DOFORK);
        }
    }
}

/// The kernel refuses it only where this process has no memory, so that nothing is to be withheld there.
fn advise(pages: &Range<usize>, advice: c_int) {
    // SAFETY: this process's memory stays as it is: only what a copy gets is changed.
    unsafe { libc::madvise(pages.start as *mut c_void, pages.len(), advice) };
}

/// The mappings that a copy of this process would hold pages of, but for what the spawner needs.
///
/// # Errors
/// `/proc` could not be read.
fn copied(thread: usize, arguments: usize) -> io::Result<Vec<Range<usize>>> {
    let exe = std::fs::read_link("/proc/self/exe")?;
    let mappings = std::fs::read("/proc/self/smaps")?;
    let (mut copied, mut mapping) = (Vec::new(), None);
    for line in mappings.split(|byte| *byte == b'\n') {
        if !line.first().is_some_and(u8::is_ascii_uppercase) {
            mapping = Mapping::parse(line);
        } else if let Some(size) = line.strip_prefix(b"Anonymous:")
            && size.trim_ascii() != b"0 kB"
            && let Some(Mapping { range, access: b"rw-p" | b"r--p", path }) = mapping.take()
            && !range.contains(&thread)
        {
            match path {
                b"[stack]" => {
                    let page = arguments / rustix::param::page_size() * rustix::param::page_size();
                    copied.push(range.start..page.clamp(range.start, range.end));
                }
                b"" | b"[heap]" => copied.push(range),
                _ if path == exe.as_os_str().as_bytes() || path.starts_with(b"[anon") => copied.push(range),
                _ => {}
            }
        }
    }
    Ok(copied)
}

/// The first line of a mapping in `/proc/self/smaps`.
struct Mapping<'a> {
    range: Range<usize>,
    /// `rwxp`, with `-` for what is not allowed, and `s` for what is shared.
    access: &'a [u8],
    /// Empty where it is no file's.
    path: &'a [u8],
}

impl<'a> Mapping<'a> {
    /// `START-END ACCESS OFFSET DEVICE INODE PATH`.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = line.splitn(6, |byte| *byte == b' ');
        let (start, end) = std::str::from_utf8(words.next()?).ok()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let range = number(start)?..number(end)?;
        let access = words.next()?;
        Some(Self { range, access, path: words.nth(3)?.trim_ascii_start() })
    }
}
