//! A small file system that can be filled and made read-only. It needs root. Without root, a test that needs it prints
//! that and is skipped; with `LEVERFRAME_REQUIRE_ROOT=1` it fails instead.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// A tmpfs, unmounted when this value is dropped.
pub(crate) struct SmallDisk {
    dir: tempfile::TempDir,
    n_fillings: u32,
}

impl SmallDisk {
    pub(crate) fn mount(mib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let size = format!("size={mib}m,mode=0700");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        let why = match mount {
            Ok(output) if output.status.success() => return Some(Self { dir, n_fillings: 0 }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        let is_required = std::env::var_os("LEVERFRAME_REQUIRE_ROOT").is_some_and(|value| value == "1");
        assert!(!is_required, "a tmpfs could not be mounted: {why}");
        #[expect(clippy::print_stdout, reason = "a skip says so, and CI looks for it")]
        {
            println!("SKIPPED: a small disk is needed, and none can be mounted here ({why})");
        }
        None
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().canonicalize().expect("it is there")
    }

    /// Free space, in bytes.
    pub(crate) fn free_bytes(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.dir.path()).expect("it is there");
        disk.f_bavail * disk.f_frsize
    }

    /// Writes until it is full.
    pub(crate) fn fill(&mut self) {
        self.n_fillings += 1;
        let path = self.filling(self.n_fillings);
        let mut file = File::create(path).expect("a file");
        for size in [1 << 20, 4096, 1] {
            let block = vec![0x55; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    /// Removes what [`fill`](Self::fill) has written.
    pub(crate) fn free(&mut self) {
        for n in 1..=self.n_fillings {
            fs::remove_file(self.filling(n)).expect("a file");
        }
        self.n_fillings = 0;
    }

    pub(crate) fn make_read_only(&self) {
        let status = Command::new("mount").args(["-o", "remount,ro"]).arg(self.dir.path()).status();
        assert!(status.expect("mount").success(), "it can be remounted");
    }

    fn filling(&self, n: u32) -> PathBuf {
        self.dir.path().join(format!("filling-{n}"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a process that is just ending may still use it.
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}
