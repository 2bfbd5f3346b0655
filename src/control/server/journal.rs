//! The last events, encoded once and shared by all subscriptions: a ring, bounded by count and by bytes. A subscription
//! is a place in the ring, so that a slow client costs no memory. A place that falls out of the ring gets a `resync`.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::filter::Filter;
use crate::base::id::RunId;
use crate::base::time::format_instant;
use crate::engine::Subscription;
use crate::run::{Event, EventKind};

/// How many events the ring holds at most.
const MAX_ENTRIES: usize = 65_536;
/// How many bytes of JSON the ring holds at most.
const MAX_BYTES: usize = 32 << 20;
/// How many events are appended together at most.
const MAX_BATCH: usize = 512;
/// How many events one look passes at most, before other subscriptions may look.
const MAX_LOOK: usize = 1024;
/// How many bytes one look takes at most.
const MAX_TAKEN: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Entry {
    seq: u64,
    pub(crate) run_id: Option<RunId>,
    pub(crate) name: &'static str,
    pub(crate) json: Box<[u8]>,
}

impl Entry {
    fn new(event: &Event) -> Self {
        // Every event can be encoded. If one could not, its place would hold a `resync`.
        let json = serde_json::to_vec(event).unwrap_or_else(|_| resync(event.seq, &format_instant(event.at)));
        let (run_id, name) = (event.run_id.clone(), event.kind.name());
        Self { seq: event.seq, run_id, name, json: json.into() }
    }

    pub(crate) fn is_resync(&self) -> bool {
        self.name == EventKind::Resync.name()
    }
}

fn resync(seq: u64, at: &str) -> Vec<u8> {
    format!(r#"{{"seq":{seq},"at":"{at}","event":"resync"}}"#).into_bytes()
}

pub(crate) struct Journal {
    ring: Mutex<Ring>,
    grown: Condvar,
}

struct Ring {
    entries: VecDeque<Arc<Entry>>,
    n_bytes: usize,
    /// The place of the first entry. Places only count up.
    first: u64,
    /// Events up to this one are not in the ring, or came from an earlier engine.
    floor: u64,
    /// The newest event.
    seq: u64,
    /// No more events will come.
    is_over: bool,
}

/// A place between two events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    next: u64,
    /// Events up to this one are not wanted, even if they arrive later.
    after: u64,
    /// The wanted events are not in the ring: a `resync` comes first.
    is_lost: bool,
}

/// The next message of one subscription.
#[derive(Debug)]
pub(crate) enum Taken {
    Event(Arc<Entry>),
    /// Events were lost.
    Resync(Vec<u8>),
}

impl Taken {
    pub(crate) fn json(&self) -> &[u8] {
        match self {
            Self::Event(entry) => &entry.json,
            Self::Resync(json) => json,
        }
    }
}

/// A subscription of a connection.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// Its number on the connection.
    pub(crate) subscription: u64,
    pub(crate) place: Place,
    pub(crate) filter: Filter,
}

impl Journal {
    /// An empty journal. It will hold every event after `floor`.
    pub(crate) fn new(floor: u64) -> Self {
        let ring = Ring { entries: VecDeque::new(), n_bytes: 0, first: 0, floor, seq: floor, is_over: false };
        Self { ring: Mutex::new(ring), grown: Condvar::new() }
    }

    /// Appends all events until there are no more.
    pub(crate) fn keep(&self, events: &Subscription) {
        while let Some(event) = events.recv() {
            let mut batch = vec![Arc::new(Entry::new(&event))];
            while batch.len() < MAX_BATCH
                && let Some(event) = events.try_recv()
            {
                batch.push(Arc::new(Entry::new(&event)));
            }
            self.append(batch);
        }
        self.ring.lock().is_over = true;
        self.grown.notify_all();
    }

    fn append(&self, batch: Vec<Arc<Entry>>) {
        let mut dropped = Vec::new();
        let mut ring = self.ring.lock();
        for entry in batch {
            ring.n_bytes += entry.json.len();
            ring.seq = entry.seq;
            ring.entries.push_back(entry);
            while ring.entries.len() > MAX_ENTRIES || ring.n_bytes > MAX_BYTES {
                let Some(oldest) = ring.entries.pop_front() else { break };
                ring.n_bytes -= oldest.json.len();
                ring.first += 1;
                ring.floor = oldest.seq;
                dropped.push(oldest);
            }
        }
        drop(ring);
        self.grown.notify_all();
        // Freed without the lock.
        drop(dropped);
    }

    /// The newest event.
    pub(crate) fn seq(&self) -> u64 {
        self.ring.lock().seq
    }

    /// The place behind the event `since`, or behind the newest one; and the newest event.
    pub(crate) fn place(&self, since: Option<u64>) -> (Place, u64) {
        let ring = self.ring.lock();
        let end = Place { next: ring.end(), after: 0, is_lost: false };
        let place = match since {
            None => end,
            Some(since) if since < ring.floor => Place { is_lost: true, ..end },
            Some(since) => {
                let n_before = ring.entries.partition_point(|entry| entry.seq <= since);
                Place { next: ring.first + n_before as u64, after: since, is_lost: false }
            }
        };
        (place, ring.seq)
    }

    /// Waits until there is something for one of the `cursors`, and takes it. None when `is_over` is true, or when no
    /// more events will come.
    pub(crate) fn take(
        &self,
        cursors: &Mutex<Vec<Cursor>>,
        is_over: impl Fn() -> bool,
    ) -> Option<Vec<(u64, Taken)>> {
        let mut ring = self.ring.lock();
        loop {
            if is_over() {
                return None;
            }
            let mut taken = Vec::new();
            let mut has_more = false;
            for cursor in cursors.lock().iter_mut() {
                has_more |= ring.look(cursor, &mut taken);
            }
            if !taken.is_empty() {
                return Some(taken);
            }
            if !has_more {
                if ring.is_over {
                    return None;
                }
                self.grown.wait(&mut ring);
            }
        }
    }

    /// Wakes all waiting threads to look again.
    pub(crate) fn wake(&self) {
        drop(self.ring.lock());
        self.grown.notify_all();
    }
}

impl Ring {
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Takes the wanted events at a cursor's place, and moves the cursor. Returns whether there are more to look at.
    fn look(&self, cursor: &mut Cursor, taken: &mut Vec<(u64, Taken)>) -> bool {
        let place = &mut cursor.place;
        if place.is_lost || place.next < self.first {
            *place = Place { next: self.end(), after: self.seq, is_lost: false };
            let at = format_instant(crate::engine::now().wall);
            taken.push((cursor.subscription, Taken::Resync(resync(self.seq, &at))));
            return false;
        }
        let skipped = usize::try_from(place.next - self.first).unwrap_or(usize::MAX);
        let mut n_bytes = 0;
        for entry in self.entries.iter().skip(skipped).take(MAX_LOOK) {
            place.next += 1;
            if entry.seq > place.after && cursor.filter.lets_through(entry) {
                n_bytes += entry.json.len();
                taken.push((cursor.subscription, Taken::Event(entry.clone())));
                if n_bytes > MAX_TAKEN {
                    break;
                }
            }
        }
        place.next < self.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::wire::EventFilter;
    use chrono::DateTime;

    fn entry(seq: u64, run: &str) -> Arc<Entry> {
        let kind = EventKind::CheckpointSaved { step_id: "s".into() };
        let run_id = RunId::new(run).ok();
        Arc::new(Entry::new(&Event { seq, at: DateTime::UNIX_EPOCH, run_id, kind }))
    }

    fn cursor(journal: &Journal, since: Option<u64>, filter: EventFilter) -> Mutex<Vec<Cursor>> {
        let (place, _) = journal.place(since);
        Mutex::new(vec![Cursor { subscription: 1, place, filter: Filter::new(filter).unwrap() }])
    }

    fn seqs(journal: &Journal, cursors: &Mutex<Vec<Cursor>>) -> Vec<u64> {
        journal.ring.lock().is_over = true;
        let mut seqs = Vec::new();
        while let Some(taken) = journal.take(cursors, || false) {
            seqs.extend(taken.iter().map(|(_, taken)| match taken {
                Taken::Event(entry) => entry.seq,
                Taken::Resync(_) => 0,
            }));
        }
        seqs
    }

    #[test]
    fn a_subscription_begins_behind_the_event_that_it_names() {
        let journal = Journal::new(10);
        journal.append((11..=20).map(|seq| entry(seq, "a")).collect());
        assert_eq!(seqs(&journal, &cursor(&journal, Some(17), EventFilter::default())), [18, 19, 20]);
        assert_eq!(seqs(&journal, &cursor(&journal, Some(10), EventFilter::default())).len(), 10);
        assert_eq!(seqs(&journal, &cursor(&journal, None, EventFilter::default())), [0; 0]);
        assert_eq!(seqs(&journal, &cursor(&journal, Some(9), EventFilter::default())), [0], "a resync");
    }

    #[test]
    fn who_falls_out_of_the_ring_is_told_once_and_goes_on_from_the_end() {
        let journal = Journal::new(0);
        let slow = cursor(&journal, None, EventFilter::default());
        for block in 0..=(MAX_ENTRIES as u64 / 1000) {
            journal.append((block * 1000 + 1..=block * 1000 + 1000).map(|seq| entry(seq, "a")).collect());
        }
        assert_eq!(journal.ring.lock().entries.len(), MAX_ENTRIES);
        let taken = journal.take(&slow, || false).unwrap();
        assert!(matches!(taken.as_slice(), [(1, Taken::Resync(_))]), "{taken:?}");
        journal.append(vec![entry(1_000_000, "a")]);
        assert_eq!(seqs(&journal, &slow), [1_000_000]);
    }

    #[test]
    fn the_ring_is_bounded_by_bytes_too() {
        let journal = Journal::new(0);
        let long = "x".repeat(1 << 20);
        for seq in 1..=40 {
            let kind = EventKind::WarningRaised { text: long.clone() };
            let event = Event { seq, at: DateTime::UNIX_EPOCH, run_id: None, kind };
            journal.append(vec![Arc::new(Entry::new(&event))]);
        }
        let ring = journal.ring.lock();
        assert!(ring.n_bytes <= MAX_BYTES && ring.entries.len() == 31, "{}", ring.entries.len());
        assert_eq!(ring.floor, 9);
    }

    #[test]
    fn a_filter_lets_its_run_through() {
        let journal = Journal::new(0);
        let filter = EventFilter { runs: Some(vec![RunId::new("b").unwrap()]), ..EventFilter::default() };
        let only_b = cursor(&journal, None, filter);
        let runs = ["a", "b"].into_iter().cycle();
        journal.append((1..=5000).zip(runs).map(|(seq, run)| entry(seq, run)).collect());
        let seen = seqs(&journal, &only_b);
        assert_eq!((seen.len(), seen[0], seen[2499]), (2500, 2, 5000));
    }
}
