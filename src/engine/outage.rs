//! When nothing can be recorded: a full disk, or a database that another program keeps locked. Inputs from the world
//! are kept until they can be decided again, and the engine tries at intervals.

use std::path::PathBuf;
use std::{io, mem};

use super::message::PendingInput;
use super::options::OnDiskFull;
use crate::store::{RESERVE_BYTES, Reserve, StoreError, free_space};

/// The free space, beyond the reserve, that ends a full disk.
const ROOM_BYTES: u64 = 8 << 20;
/// No event says that there is space again or a lock is free. So it is looked at with this interval, only during an
/// outage.
const LOOK_AGAIN_MS: u64 = 1000;

/// Whether things can be recorded, and what is kept while they can't.
pub(super) struct Outage {
    data_dir: PathBuf,
    /// Released when the disk is full, so that the consequences can be recorded.
    reserve: Reserve,
    on_disk_full: OnDiskFull,
    current: Option<StorageOutage>,
}

/// A present outage, and the inputs that wait for its end.
struct StorageOutage {
    is_disk_full: bool,
    /// The alert, which is cleared with the same text.
    alert: String,
    /// On the clock of awake time.
    look_again_at_ms: u64,
    retained: Vec<PendingInput>,
}

impl Outage {
    /// No outage yet.
    ///
    /// # Errors
    /// The reserve can't be created for any reason but lack of space.
    pub(super) fn new(data_dir: PathBuf, on_disk_full: OnDiskFull) -> io::Result<Self> {
        let reserve = Reserve::create(data_dir.join("reserve"), RESERVE_BYTES)?;
        Ok(Self { data_dir, reserve, on_disk_full, current: None })
    }

    /// Whether nothing can be recorded at present.
    pub(super) fn is_on(&self) -> bool {
        self.current.is_some()
    }

    /// Whether running steps are frozen while the disk is full.
    pub(super) fn freezes_runs(&self) -> bool {
        self.on_disk_full == OnDiskFull::Freeze
    }

    /// The disk is full: releases the reserve. Returns the alert.
    pub(super) fn begin_full_disk(&mut self, now_ms: u64) -> String {
        let alert = format!(
            "the disk of {} is full: no step starts and running ones are held until there is room",
            self.data_dir.display()
        );
        self.current = Some(StorageOutage::new(true, alert.clone(), now_ms));
        // If it can't be released, it was not held.
        let _ = self.reserve.release();
        alert
    }

    /// A commit failed with this error. Returns the alert, if the outage is new.
    pub(super) fn begin(&mut self, error: &StoreError, now_ms: u64) -> Option<String> {
        let is_disk_full = matches!(error, StoreError::DiskFull { .. });
        if let Some(current) = &mut self.current {
            current.is_disk_full |= is_disk_full;
            return None;
        }
        if is_disk_full {
            return Some(self.begin_full_disk(now_ms));
        }
        let alert = format!("nothing can be recorded: {error}; no step starts until it can");
        self.current = Some(StorageOutage::new(false, alert.clone(), now_ms));
        Some(alert)
    }

    /// Keeps inputs until they can be decided again.
    pub(super) fn retain(&mut self, heard: Vec<PendingInput>) {
        if let Some(current) = &mut self.current {
            current.retained.extend(heard);
        }
    }

    /// When the next try is due.
    pub(super) fn look_again_at_ms(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.look_again_at_ms)
    }

    /// The inputs to try again, if it is time.
    pub(super) fn try_again(&mut self, now_ms: u64) -> Option<Vec<PendingInput>> {
        let current = self.current.as_mut().filter(|current| current.look_again_at_ms <= now_ms)?;
        current.look_again_at_ms = now_ms + LOOK_AGAIN_MS;
        Some(mem::take(&mut current.retained))
    }

    /// Ends the outage, if no input is left and a full disk has space again. Returns the alert to clear.
    pub(super) fn end(&mut self) -> Option<String> {
        let current = self.current.as_ref().filter(|current| current.retained.is_empty())?;
        let was_disk_full = current.is_disk_full;
        if was_disk_full && !self.has_room() {
            return None;
        }
        if was_disk_full {
            // If it fails, the next full disk has no reserve.
            let _ = self.reserve.restore();
        }
        self.current.take().map(|current| current.alert)
    }

    /// Whether the disk has enough space to go on.
    pub(super) fn has_room(&self) -> bool {
        let needed = ROOM_BYTES + if self.reserve.is_held() { 0 } else { RESERVE_BYTES };
        free_space(&self.data_dir).is_ok_and(|free| free >= needed)
    }
}

impl StorageOutage {
    fn new(is_disk_full: bool, alert: String, now_ms: u64) -> Self {
        let look_again_at_ms = now_ms + LOOK_AGAIN_MS;
        Self { is_disk_full, alert, look_again_at_ms, retained: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::RunId;
    use crate::run::Input;

    fn outage(dir: &std::path::Path) -> Outage {
        Outage::new(dir.to_owned(), OnDiskFull::Freeze).expect("a reserve")
    }

    fn reserved(dir: &std::path::Path) -> u64 {
        std::fs::metadata(dir.join("reserve")).expect("a file").len()
    }

    #[test]
    fn a_full_disk_gets_the_reserve_and_gives_it_back_when_there_is_room() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut outage = outage(dir.path());
        let full = StoreError::DiskFull { path: dir.path().to_owned() };
        let alert = outage.begin(&full, 0).expect("it is new");
        assert!(alert.contains("is full"), "{alert}");
        assert_eq!(reserved(dir.path()), 0);
        assert!(outage.begin(&full, 1).is_none(), "it is told once");
        assert_eq!(outage.end().as_ref(), Some(&alert), "there is room here");
        assert_eq!(reserved(dir.path()), RESERVE_BYTES);
        assert!(!outage.is_on());
    }

    #[test]
    fn what_the_world_said_is_tried_again_in_time_and_only_then_may_it_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut outage = outage(dir.path());
        let alert = outage.begin(&StoreError::Locked { path: dir.path().to_owned() }, 0);
        assert_eq!(reserved(dir.path()), RESERVE_BYTES, "the disk is not full");
        let run_id = RunId::new("a").expect("an id");
        outage.retain(vec![PendingInput::world(run_id, Input::Tick)]);
        assert!(outage.end().is_none(), "something waits for it");
        assert!(outage.try_again(LOOK_AGAIN_MS - 1).is_none());
        assert_eq!(outage.try_again(LOOK_AGAIN_MS).map(|retained| retained.len()), Some(1));
        assert_eq!(outage.look_again_at_ms(), Some(2 * LOOK_AGAIN_MS));
        assert_eq!(outage.end(), alert);
    }
}
