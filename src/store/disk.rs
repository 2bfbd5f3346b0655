//! The disk itself: how much is free, whether it is another machine's, and the reserve of space for a full disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

/// Size of the reserve: enough to record the ends of many runs, and little on a disk of today.
pub const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes that this user may still write on the file system of `path`.
///
/// # Errors
/// `path` can't be reached.
pub fn free_space(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The name of the network file system that `path` lies on; none for a local one. SQLite's WAL needs locks and shared
/// memory between processes, which network file systems do not give.
///
/// # Errors
/// `path` can't be reached.
#[cfg(target_os = "linux")]
pub fn is_network_file_system(path: &Path) -> io::Result<Option<&'static str>> {
    let magic = rustix::fs::statfs(path)?.f_type as u64 & 0xffff_ffff;
    if magic == FUSE_MAGIC {
        return Ok(fuse_type(path)?.as_deref().and_then(network_fuse));
    }
    Ok(NETWORK_MAGICS.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name))
}

/// On other systems no network file system is known yet: always none.
///
/// # Errors
/// Never.
#[cfg(not(target_os = "linux"))]
pub fn is_network_file_system(_path: &Path) -> io::Result<Option<&'static str>> {
    Ok(None)
}

/// The kernel's `statfs` magics, from `include/uapi/linux/magic.h` and the file systems' own headers.
#[cfg(target_os = "linux")]
const NETWORK_MAGICS: [(u64, &str); 10] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
];

#[cfg(target_os = "linux")]
const FUSE_MAGIC: u64 = 0x6573_5546;

/// FUSE carries local file systems too (NTFS, encrypted folders). Only these are remote.
#[cfg(target_os = "linux")]
fn network_fuse(fs_type: &str) -> Option<&'static str> {
    const REMOTE: [&str; 8] =
        ["sshfs", "rclone", "s3fs", "gcsfuse", "glusterfs", "davfs", "curlftpfs", "gvfsd-fuse"];
    REMOTE.into_iter().find(|name| fs_type.strip_prefix("fuse.").unwrap_or(fs_type).starts_with(name))
}

/// The type of the mount that holds `path`, as `/proc/self/mountinfo` names it.
#[cfg(target_os = "linux")]
fn fuse_type(path: &Path) -> io::Result<Option<String>> {
    let path = path.canonicalize()?;
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mount_point = left.split(' ').nth(4)?.replace("\\040", " ");
            path.starts_with(&mount_point)
                .then(|| (mount_point.len(), right.split(' ').next().unwrap_or_default().to_owned()))
        })
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, fs_type)| fs_type))
}

/// A file that occupies its blocks. Releasing it makes room to record the ends of runs when the disk is full.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    bytes: u64,
    is_held: bool,
}

impl Reserve {
    /// Opens the reserve at `path` and fills it to `bytes`. If there is no room for that, the reserve is empty and not
    /// held: a program must start on a full disk.
    ///
    /// # Errors
    /// The file can't be created or written for any reason but lack of space.
    pub fn create(path: impl Into<PathBuf>, bytes: u64) -> io::Result<Self> {
        let mut reserve = Self { path: path.into(), bytes, is_held: false };
        match reserve.restore() {
            Ok(()) => Ok(reserve),
            Err(error) if is_no_space(&error) => Ok(reserve),
            Err(error) => Err(error),
        }
    }

    /// Whether the reserve occupies its space.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Releases the space. Safe to repeat.
    ///
    /// # Errors
    /// The file can't be truncated.
    pub fn release(&mut self) -> io::Result<()> {
        let file = self.open()?;
        file.set_len(0)?;
        file.sync_all()?;
        self.is_held = false;
        Ok(())
    }

    /// Occupies the space again. Safe to repeat.
    ///
    /// # Errors
    /// `StorageFull` when there is no room for all of it. It then occupies nothing, so that it never takes the last
    /// blocks from what waits for them. Otherwise what the file system reports.
    pub fn restore(&mut self) -> io::Result<()> {
        let file = self.open()?;
        match occupy(&file, self.bytes) {
            Ok(()) => {
                self.is_held = true;
                Ok(())
            }
            Err(error) => {
                file.set_len(0)?;
                self.is_held = false;
                Err(error)
            }
        }
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&self.path)
    }
}

/// Makes `file` occupy `bytes`.
fn occupy(mut file: &File, bytes: u64) -> io::Result<()> {
    let found = file.metadata()?;
    // The kernel counts blocks of 512 bytes, whatever the file system's are.
    if found.len() >= bytes && found.blocks() * 512 >= bytes {
        // Nothing to sync: if a loss of power takes the blocks back, the next start sees that.
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => file.sync_all(),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            // A file system without fallocate: the blocks are written.
            let block = vec![0x55_u8; 1024 * 1024];
            let mut left = bytes;
            while left > 0 {
                let n = left.min(block.len() as u64);
                file.write_all(&block[..n as usize])?;
                left -= n;
            }
            file.sync_all()
        }
        Err(errno) => Err(errno.into()),
    }
}

fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_occupies_its_blocks_and_gives_them_up_and_takes_them_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        let occupied = || std::fs::metadata(&path).unwrap().blocks() * 512;
        let mut reserve = Reserve::create(&path, 1024 * 1024).unwrap();
        assert!(reserve.is_held());
        assert!(occupied() >= 1024 * 1024);
        reserve.release().unwrap();
        reserve.release().unwrap();
        assert_eq!((reserve.is_held(), occupied()), (false, 0));
        reserve.restore().unwrap();
        assert!(reserve.is_held() && occupied() >= 1024 * 1024);
        assert!(Reserve::create(&path, 1024 * 1024).unwrap().is_held(), "one that is there is taken up");
    }

    #[test]
    fn a_local_directory_is_no_network_file_system() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(is_network_file_system(dir.path()).unwrap(), None);
        assert!(free_space(dir.path()).unwrap() > 0);
        assert_eq!(network_fuse("fuse.sshfs"), Some("sshfs"));
        assert_eq!(network_fuse("fuseblk"), None);
    }
}
