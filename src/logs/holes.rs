//! The dropped middle of a log: a hole that the log's keeper punched into the file. Reads the parts in order, data or
//! hole, also while holes are being punched.
//!
//! A step can't make a hole, since it writes to a pipe. On a file system without holes nothing is dropped.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// The largest block of a file system. Bytes beside a hole in the same block read as zeros, and are gone too.
const MAX_BLOCK: u64 = 64 << 10;

/// The next part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes as they were written.
    Data(Vec<u8>),
    /// The number of dropped bytes.
    Dropped(u64),
}

enum Extent {
    Data(Range<u64>),
    Hole(Range<u64>),
}

/// Reads the part at `at`, before `end` (at most the file's length): at most `max_bytes` of data, or a whole hole. None
/// at the end.
pub(super) fn next_piece(file: &File, at: u64, end: u64, max_bytes: usize) -> io::Result<Option<Piece>> {
    loop {
        let extent = match extent_at(file, at, end)? {
            None => return Ok(None),
            Some(Extent::Hole(hole)) => return dropped(file, at, hole.end, end),
            Some(Extent::Data(extent)) => extent,
        };
        let n_wanted = (extent.end - at).min(max_bytes as u64) as usize;
        let mut bytes = read_up_to(file, at, n_wanted)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        // A hole only grows: what is data after reading was data while it was read.
        let still = match extent_at(file, at, end)? {
            Some(Extent::Data(still)) => still,
            Some(Extent::Hole(_)) | None => continue,
        };
        bytes.truncate((still.end - at) as usize);
        if still.end < end && is_zero_between(file, at + bytes.len() as u64, still.end)? {
            let n_kept = bytes.len() - count_zeros(bytes.iter().rev());
            if n_kept == 0 {
                return dropped(file, at, still.end, end);
            }
            bytes.truncate(n_kept);
        }
        return Ok(Some(Piece::Data(bytes)));
    }
}

/// The ranges of all data in a file, in order.
pub(super) fn data_ranges(file: &File, len: u64) -> io::Result<Vec<Range<u64>>> {
    /// A log has one hole or a few. More ranges are not worth the memory.
    const MOST: usize = 4096;
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(extent) = extent_at(file, at, len)? {
        at = match extent {
            Extent::Hole(hole) => hole.end,
            Extent::Data(data) if ranges.len() < MOST => {
                ranges.push(data.clone());
                data.end
            }
            Extent::Data(_) => break,
        };
    }
    Ok(ranges)
}

fn extent_at(file: &File, at: u64, end: u64) -> io::Result<Option<Extent>> {
    if at >= end {
        return Ok(None);
    }
    // Twice, because a hole may be punched between the two calls.
    for _ in 0..2 {
        match seek(file, SeekFrom::Data(at)) {
            Ok(data) if data > at => return Ok(Some(Extent::Hole(at..data.min(end)))),
            Ok(_) => {}
            Err(Errno::NXIO) => return Ok(Some(Extent::Hole(at..end))),
            // This file system has no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => break,
            Err(error) => return Err(error.into()),
        }
        match seek(file, SeekFrom::Hole(at)) {
            Ok(hole) if hole > at => return Ok(Some(Extent::Data(at..hole.min(end)))),
            Ok(_) => {}
            Err(Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(Extent::Data(at..end)))
}

/// A hole from `at` to at least `hole_end`, with the zeros that follow it in its last block.
fn dropped(file: &File, at: u64, mut hole_end: u64, end: u64) -> io::Result<Option<Piece>> {
    while let Some(Extent::Hole(hole)) = extent_at(file, hole_end, end)? {
        hole_end = hole.end;
    }
    let after = read_up_to(file, hole_end, (end - hole_end).min(MAX_BLOCK) as usize)?;
    Ok(Some(Piece::Dropped(hole_end - at + count_zeros(after.iter()) as u64)))
}

/// Whether all bytes from `from` to `hole_start` are zero, so that they may belong to the hole's first block.
fn is_zero_between(file: &File, from: u64, hole_start: u64) -> io::Result<bool> {
    let n_bytes = hole_start - from;
    if n_bytes > MAX_BLOCK {
        return Ok(false);
    }
    let between = read_up_to(file, from, n_bytes as usize)?;
    Ok(count_zeros(between.iter()) == between.len())
}

fn count_zeros<'a>(bytes: impl Iterator<Item = &'a u8>) -> usize {
    bytes.take(MAX_BLOCK as usize).take_while(|byte| **byte == 0).count()
}

/// Reads `n` bytes at `at`, or fewer at the end of the file.
pub(super) fn read_up_to(file: &File, at: u64, n: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; n];
    let mut n_read = 0;
    while n_read < n {
        match file.read_at(&mut bytes[n_read..], at + n_read as u64) {
            Ok(0) => break,
            Ok(more) => n_read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(n_read);
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use rustix::fs::{FallocateFlags, fallocate};

    use super::*;

    /// Drops a range of a file as the keeper of the log does.
    pub(crate) fn punch(file: &File, range: Range<u64>) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(file, flags, range.start, range.end - range.start).unwrap();
    }

    /// A file of its own with these bytes.
    pub(crate) fn file_with(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn pieces(file: &File) -> Vec<Piece> {
        let end = file.metadata().unwrap().len();
        let (mut at, mut pieces) = (0, Vec::new());
        while let Some(piece) = next_piece(file, at, end, 1 << 20).unwrap() {
            at += match &piece {
                Piece::Data(bytes) => bytes.len() as u64,
                Piece::Dropped(n_bytes) => *n_bytes,
            };
            pieces.push(piece);
        }
        assert_eq!(at, end, "every byte is accounted for");
        pieces
    }

    #[test]
    fn a_hole_is_told_with_its_exact_size_also_where_it_does_not_fill_its_blocks() {
        for hole in [65536..262_144, 65537..262_143, 60_000..200_001] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![b'x'; 400_000]).unwrap();
            punch(&file, hole.clone());
            assert_eq!(
                pieces(&file),
                [
                    Piece::Data(vec![b'x'; hole.start as usize]),
                    Piece::Dropped(hole.end - hole.start),
                    Piece::Data(vec![b'x'; 400_000 - hole.end as usize]),
                ]
            );
        }
    }

    #[test]
    fn zeros_that_a_step_wrote_are_data() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[0; 100_000]).unwrap();
        file.sync_all().unwrap();
        assert_eq!(pieces(&file), [Piece::Data(vec![0; 100_000])]);
    }

    #[test]
    fn a_file_that_ends_in_a_hole_or_is_one_is_read_to_its_end() {
        let file = tempfile::tempfile().unwrap();
        assert!(pieces(&file).is_empty());
        file.set_len(1 << 20).unwrap();
        assert_eq!(pieces(&file), [Piece::Dropped(1 << 20)]);
        assert!(data_ranges(&file, 1 << 20).unwrap().is_empty());
    }
}
