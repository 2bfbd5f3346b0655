//! Opens files in folders where steps can write: whatever stands in a file's place, a pipe that nobody reads, a link that
//! leads elsewhere, a device, neither blocks nor leads astray. It is an error that says what it is.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens the regular file at `path` as `options` say; one that is made is for our user alone.
///
/// # Errors
/// What the file system says; `InvalidInput`, with what it is, when something else stands there.
pub(crate) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Without NONBLOCK the opening of a pipe waits for its other end; on a regular file it means nothing.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = options.mode(0o600).custom_flags(flags.bits().cast_signed()).open(path);
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(no_file(path).unwrap_or_else(|| io::ErrorKind::InvalidInput.into())),
        // What the kernel says of these ("no such device or address") says nothing to a person.
        Err(error) => Err(no_file(path).unwrap_or(error)),
    }
}

/// Opens the regular file at `path` to read it.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    open(OpenOptions::new().read(true), path)
}

/// Writes a file anew, for our user alone: what stood there, whatever it was, is taken away and not written to.
///
/// # Errors
/// What the file system says, a folder in its place among it.
pub(crate) fn write_anew(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(no_file(path).unwrap_or(error)),
    }
    open(OpenOptions::new().write(true).create_new(true), path)?.write_all(bytes)
}

/// What stands there instead of a regular file; none where there is one, or nothing.
fn no_file(path: &Path) -> Option<io::Error> {
    let kind = std::fs::symlink_metadata(path).ok()?.file_type();
    let what = match kind {
        _ if kind.is_file() => return None,
        _ if kind.is_symlink() => "a symbolic link",
        _ if kind.is_fifo() => "a FIFO (a named pipe)",
        _ if kind.is_dir() => "a folder",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    let text = format!("{what} stands there, where a regular file must be: remove it");
    Some(io::Error::new(io::ErrorKind::InvalidInput, text))
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// A folder with each thing that may stand where a file should be, by name.
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
}
