//! The figures of the machine that need no time to measure: memory, the space of the watched file systems, power. They
//! can be read at any moment and from any thread. The monitor's samples use them, and so does an engine that must
//! decide before the first sample.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sysinfo::{MemoryRefreshKind, System};

use super::sensors::power;
use crate::resources::{MachineSample, Power, VolumeSpace};

pub(super) struct QuickReader {
    volumes: Vec<Arc<Path>>,
    power_supplies: PathBuf,
}

impl QuickReader {
    /// For the file systems of these folders (the data directory's first), and the batteries and mains that are listed
    /// in `power_supplies`.
    pub(super) fn new(folders: &[PathBuf], power_supplies: &Path) -> Self {
        Self { volumes: one_of_each_volume(folders), power_supplies: power_supplies.to_owned() }
    }

    /// Reads all these figures.
    pub(super) fn read(&self, at: DateTime<Utc>) -> MachineSample {
        let mut sample = MachineSample { at, power: self.power(), ..MachineSample::default() };
        // On a platform that `sysinfo` does not support there is no monitor, so this does not happen.
        if let Ok(mut system) = System::new() {
            self.add_memory(&mut system, &mut sample);
        }
        self.add_space(&mut sample);
        sample
    }

    pub(super) fn add_memory(&self, system: &mut System, sample: &mut MachineSample) {
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram().with_swap());
        sample.memory_used_bytes = system.used_memory();
        sample.memory_available_bytes = system.available_memory();
        sample.memory_total_bytes = system.total_memory();
        sample.swap_used_bytes = system.used_swap();
        sample.swap_total_bytes = system.total_swap();
    }

    pub(super) fn add_space(&self, sample: &mut MachineSample) {
        let volumes: Arc<[VolumeSpace]> = self.volumes.iter().filter_map(space_of).collect();
        let of_data_dir = volumes.first().filter(|volume| Some(&volume.path) == self.volumes.first());
        sample.disk_free_bytes = of_data_dir.map_or(0, |volume| volume.free_bytes);
        sample.volumes = volumes;
    }

    pub(super) fn power(&self) -> Option<Power> {
        power(&self.power_supplies)
    }
}

/// The first folder of each file system; missing folders are left out.
fn one_of_each_volume(folders: &[PathBuf]) -> Vec<Arc<Path>> {
    let mut seen = Vec::new();
    let mut is_new = |folder: &&PathBuf| {
        let device = rustix::fs::stat(folder.as_path()).map(|stat| stat.st_dev).ok();
        let is_new = device.is_some_and(|device| !seen.contains(&device));
        seen.extend(device);
        is_new
    };
    folders.iter().filter(&mut is_new).map(|folder| folder.as_path().into()).collect()
}

/// None when the file system does not answer: its folder is gone, or its disk was removed.
fn space_of(path: &Arc<Path>) -> Option<VolumeSpace> {
    let disk = rustix::fs::statvfs(path.as_ref()).ok()?;
    let (free_bytes, total_bytes) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
    Some(VolumeSpace { path: path.clone(), free_bytes, total_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_one_file_system_are_one_volume_and_missing_ones_none() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let folders = [dir.path().to_owned(), inner, dir.path().join("gone"), "/proc".into()];
        let volumes = one_of_each_volume(&folders);
        assert_eq!(volumes.iter().map(AsRef::as_ref).collect::<Vec<_>>(), [dir.path(), Path::new("/proc")]);
        assert!(space_of(&volumes[0]).is_some_and(|space| space.free_bytes <= space.total_bytes));
        assert!(space_of(&dir.path().join("gone").as_path().into()).is_none());
    }
}
