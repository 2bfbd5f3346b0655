//! Opens and reads files where something else may be in their place: in folders that steps write to, and paths that
//! people name. A pipe without a writer, a device or a folder is refused and never waited for. In folders of steps no
//! link is followed. A file that should be small is read only up to [`MAX_SMALL_FILE`].
//!
//! Not for databases, nor for `/proc`.

mod settled;
mod watch;
mod watcher;

pub use settled::SettledWatch;
pub use watch::FolderWatch;
pub(crate) use watcher::{FolderChange, FolderChanges};

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// The longest file written by a person that is read: a pipeline, settings, a crontab.
pub const MAX_SMALL_FILE: u64 = 4 << 20;

/// Opens the regular file at `path` with `options`, in a folder that steps write to: a link is refused. A created file
/// is for this user alone.
///
/// # Errors
/// What the file system reports; `InvalidInput`, with what it is, when it is no regular file.
pub(crate) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    open_regular(options, path, OFlags::NOFOLLOW)
}

fn open_regular(options: &mut OpenOptions, path: &Path, links: OFlags) -> io::Result<File> {
    // Without NONBLOCK, opening a pipe waits for its other end. It has no effect on a regular file.
    let flags = links | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = options.mode(0o600).custom_flags(flags.bits().cast_signed()).open(path);
    let other = |error| no_file(path, links).unwrap_or(error);
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(other(io::ErrorKind::InvalidInput.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        // The kernel's message ("no such device or address") would not help a person.
        Err(error) => Err(other(error)),
    }
}

/// Opens the regular file at `path` for reading.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    open(OpenOptions::new().read(true), path)
}

/// Writes a file anew, for this user alone. Whatever was in its place is removed, not written to.
///
/// # Errors
/// What the file system reports, also when a folder is in its place.
pub(crate) fn write_anew(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(no_file(path, OFlags::NOFOLLOW).unwrap_or(error)),
    }
    open(OpenOptions::new().write(true).create_new(true), path)?.write_all(bytes)
}

/// Reads a small regular file.
///
/// # Errors
/// What the file system reports; [`io::ErrorKind::InvalidInput`] for a FIFO, a device, a folder or a socket;
/// [`io::ErrorKind::FileTooLarge`] for more than [`MAX_SMALL_FILE`] bytes.
pub fn read_small_file(path: &Path) -> io::Result<Vec<u8>> {
    read_bounded(open_regular(OpenOptions::new().read(true), path, OFlags::empty())?)
}

/// Reads a small regular file as text.
///
/// # Errors
/// As [`read_small_file`]; [`io::ErrorKind::InvalidData`] when it is not UTF-8.
pub fn read_small_text(path: &Path) -> io::Result<String> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
    String::from_utf8(read_small_file(path)?).map_err(not_text)
}

/// Reads everything from `from`, such as standard input.
///
/// # Errors
/// What reading reports; [`io::ErrorKind::FileTooLarge`] for more than [`MAX_SMALL_FILE`] bytes.
pub fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_SMALL_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SMALL_FILE {
        let why = format!("it is longer than {} MiB", MAX_SMALL_FILE >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// An error that names what is there instead of a regular file. None for a regular file, or for nothing.
fn no_file(path: &Path, links: OFlags) -> Option<io::Error> {
    let found = if links.contains(OFlags::NOFOLLOW) { path.symlink_metadata() } else { path.metadata() };
    let kind = found.ok()?.file_type();
    let what = match kind {
        _ if kind.is_file() => return None,
        _ if kind.is_symlink() => "a symbolic link",
        _ if kind.is_fifo() => "a FIFO (a named pipe)",
        _ if kind.is_dir() => "a folder",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    let remedy = if links.contains(OFlags::NOFOLLOW) { ": remove it" } else { "" };
    let text = format!("{what} is there instead of a regular file{remedy}");
    Some(io::Error::new(io::ErrorKind::InvalidInput, text))
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// A folder with each thing that may be in a file's place, by name.
    fn odd_things() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        mknodat(CWD, path("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        std::fs::write(path("precious"), "precious").unwrap();
        std::os::unix::fs::symlink(path("precious"), path("link")).unwrap();
        std::os::unix::fs::symlink(path("nowhere"), path("dangling")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("device")).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        dir
    }

    #[test]
    fn what_is_no_regular_file_neither_blocks_nor_is_followed_and_is_said() {
        let dir = odd_things();
        for (name, what) in [
            ("fifo", "a FIFO"),
            ("link", "a symbolic link"),
            ("dangling", "a symbolic link"),
            ("device", "a symbolic link"),
            ("folder", "a folder"),
        ] {
            let path = dir.path().join(name);
            let read = open_to_read(&path).unwrap_err();
            let written = open(OpenOptions::new().append(true).create(true), &path).unwrap_err();
            for error in [read, written] {
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}: {error}");
                assert!(error.to_string().starts_with(what), "{name}: {error}");
            }
        }
        assert!(!dir.path().join("nowhere").exists());
    }

    #[test]
    fn a_file_that_is_written_anew_takes_the_place_of_anything_but_a_folder() {
        let dir = odd_things();
        for name in ["fifo", "link", "dangling", "device", "new"] {
            let path = dir.path().join(name);
            write_anew(&path, name.as_bytes()).unwrap();
            assert!(std::fs::symlink_metadata(&path).unwrap().is_file());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), name);
        }
        assert_eq!(std::fs::read_to_string(dir.path().join("precious")).unwrap(), "precious");
        assert!(
            write_anew(&dir.path().join("folder"), b"x").unwrap_err().to_string().starts_with("a folder")
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(open_to_read(&dir.path().join("x")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn only_a_small_regular_file_is_read_and_nothing_else_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let kind = || read_small_file(&path).expect_err("it is refused").kind();
        assert_eq!(kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, "text").expect("a file");
        assert_eq!(read_small_text(&path).expect("it is read"), "text");
        std::fs::write(&path, b"\xff").expect("a file");
        assert_eq!(read_small_text(&path).expect_err("no text").kind(), io::ErrorKind::InvalidData);
        File::create(&path).expect("a file").set_len(MAX_SMALL_FILE + 1).expect("a hole");
        assert_eq!(kind(), io::ErrorKind::FileTooLarge);
        std::fs::remove_file(&path).expect("it is there");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).expect("a FIFO");
        assert_eq!(kind(), io::ErrorKind::InvalidInput);
        for device in ["/dev/zero", "/dev/tty", "/"] {
            assert!(read_small_file(Path::new(device)).is_err(), "{device}");
        }
    }
}
