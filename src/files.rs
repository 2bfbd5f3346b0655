//! Reading small files that others may have written: pipelines, settings, crontabs. What is no regular file is refused
//! and never waited for, and what is longer than any such file is read no further.
//!
//! Deliberately not for logs, databases and reports, which grow, nor for what the kernel shows in `/proc`.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// The longest file that is read.
pub const MAX_SMALL_FILE: u64 = 4 << 20;

/// The bytes of a small regular file.
///
/// # Errors
/// What the file system says; [`io::ErrorKind::InvalidInput`] for a FIFO, a device, a folder or a socket,
/// [`io::ErrorKind::FileTooLarge`] for more than [`MAX_SMALL_FILE`] bytes.
pub fn read_small_file(path: &Path) -> io::Result<Vec<u8>> {
    // A FIFO without a writer, or a terminal, does not hold who opens it.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    read_bounded(file)
}

/// The text of a small regular file.
///
/// # Errors
/// As [`read_small_file`], and [`io::ErrorKind::InvalidData`] for what is not UTF-8.
pub fn read_small_text(path: &Path) -> io::Result<String> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
    String::from_utf8(read_small_file(path)?).map_err(not_text)
}

/// Everything that `from` gives, such as standard input.
///
/// # Errors
/// What reading says; [`io::ErrorKind::FileTooLarge`] for more than [`MAX_SMALL_FILE`] bytes.
pub fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_SMALL_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SMALL_FILE {
        let why = format!("it is longer than {} MiB", MAX_SMALL_FILE >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_a_small_regular_file_is_read_and_nothing_else_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let kind = || read_small_file(&path).expect_err("it is refused").kind();
        assert_eq!(kind(), io::ErrorKind::NotFound);
        fs::write(&path, "text").expect("a file");
        assert_eq!(read_small_text(&path).expect("it is read"), "text");
        fs::write(&path, b"\xff").expect("a file");
        assert_eq!(read_small_text(&path).expect_err("no text").kind(), io::ErrorKind::InvalidData);
        fs::File::create(&path).expect("a file").set_len(MAX_SMALL_FILE + 1).expect("a hole");
        assert_eq!(kind(), io::ErrorKind::FileTooLarge);
        fs::remove_file(&path).expect("it is there");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).expect("a FIFO");
        assert_eq!(kind(), io::ErrorKind::InvalidInput);
        for device in ["/dev/zero", "/dev/tty", "/"] {
            assert!(read_small_file(Path::new(device)).is_err(), "{device}");
        }
    }
}
