//! The process trees of living steps, looked at together. Only these trees are walked, by the kernel's lists of children,
//! never all processes of the machine.
//!
//! What was detached falls to the supervisor as its child, and is told by session, token, output or the lineage seen
//! while it lived, by the very rules by which the supervisor signals. A lone orphan that carries none of these marks is
//! the supervisor's to end and is not measured.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use super::meter::{Cost, Moment, Reading, TreeMeter, Units};
use super::procfs::ProcReader;
use crate::base::id::AttemptKey;
use crate::process::tree::{Origin, ProcessContext, Tree, token_entry};
use crate::process::{ProcTable, Stat, environment_of, output_pipes};
use crate::resources::{StepSample, StepTotals};

/// A step that is to be measured.
#[derive(Debug, Clone)]
pub(super) struct Tracked {
    pub(super) key: AttemptKey,
    pub(super) pid: u32,
    pub(super) token: String,
}

/// The trees of all living steps.
pub(super) struct Forest {
    trees: BTreeMap<AttemptKey, Grown>,
    reader: ProcReader,
    /// Children of supervisors that belong to no tree; looked at again when there is another tree.
    strangers: HashSet<u32>,
    units: Units,
    last: Option<Moment>,
    /// What the last look that succeeded saw.
    seen: Vec<StepSample>,
    /// Steps whose processes could not be looked at when they began.
    unseen: Vec<Tracked>,
}

struct Grown {
    tree: Tree,
    main: u32,
    /// Whose child the main process is: orphans fall to it.
    host: u32,
    meter: TreeMeter,
}

impl Forest {
    pub(super) fn new(n_cpus: usize) -> Self {
        let units = Units {
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            page_bytes: rustix::param::page_size() as u64,
            n_cpus,
        };
        let (trees, strangers) = Default::default();
        let (seen, unseen) = Default::default();
        Self { trees, reader: ProcReader::new(), strangers, units, last: None, seen, unseen }
    }

    pub(super) fn units(&self) -> Units {
        self.units
    }

    /// Whether no step is measured.
    pub(super) fn is_empty(&self) -> bool {
        self.trees.is_empty() && self.unseen.is_empty()
    }

    /// Begins to measure a step, unless it has ended or its number is another's by now.
    pub(super) fn track(&mut self, tracked: Tracked) {
        let found = self.reader.stat(tracked.pid).and_then(|stat| match stat {
            Some(stat) => Ok(is_meant(&stat, &tracked.token)?.then_some(stat)),
            None => Ok(None),
        });
        let Tracked { key, pid, token } = match found {
            Ok(Some(_)) => tracked,
            Ok(None) => return,
            // It may be there: it is tried again at the next look.
            Err(_) => return self.unseen.push(tracked),
        };
        let Ok(Some(stat)) = found else { return };
        let pipe = output_pipes(pid).next().map(|(inode, _)| inode);
        let main = stat.proc.id;
        let tree = Tree::new(Some(main), &token, pipe, Origin::Started);
        let grown = Grown { tree, main: pid, host: stat.proc.parent, meter: TreeMeter::default() };
        // Told twice, after the engine has found its supervisor again, say: what was measured stays.
        let is_known = self.trees.get(&key).is_some_and(|known| known.tree.main == Some(main));
        if !is_known {
            self.trees.insert(key, grown);
        }
        self.strangers.clear();
    }

    /// Measures it no more.
    pub(super) fn forget(&mut self, key: &AttemptKey) {
        self.trees.remove(key);
        self.unseen.retain(|tracked| tracked.key != *key);
    }

    /// Looks at every tree. A look that failed says what the one before it saw, for its steps that still live: nothing is
    /// known of what has changed since.
    pub(super) fn look(&mut self, now: Moment) -> Vec<StepSample> {
        for tracked in std::mem::take(&mut self.unseen) {
            self.track(tracked);
        }
        match self.try_look(now) {
            Ok(samples) => self.seen = samples,
            Err(_) => self.seen.retain(|sample| self.trees.contains_key(&sample.key)),
        }
        self.reader.end_round();
        self.seen.clone()
    }

    fn try_look(&mut self, now: Moment) -> io::Result<Vec<StepSample>> {
        if self.trees.is_empty() {
            self.last = Some(now);
            self.strangers.clear();
            return Ok(Vec::new());
        }
        let (stats, of_hosts) = self.walk()?;
        let table = ProcTable::of(stats.values().map(|stat| stat.proc));
        let mains: HashSet<u32> = self.trees.values().map(|grown| grown.main).collect();
        let (before, kept) = (self.last, HashSet::new());
        let mut found = HashSet::new();
        let mut samples = Vec::with_capacity(self.trees.len());
        for (key, grown) in &mut self.trees {
            if let Some(main) = table.get(grown.main).filter(|main| grown.tree.main == Some(main.id)) {
                grown.host = main.parent;
            }
            let context = ProcessContext { me: grown.host, mains: &mains, only_tree: false, kept: &kept };
            let members = grown.tree.members(&table, &context)?;
            let living = members.iter().map(|member| member.id);
            // What has ended and was not waited for yet still has its account.
            let ids: HashSet<_> = living.chain(grown.meter.known().filter(|id| table.holds(*id))).collect();
            found.extend(ids.iter().map(|id| id.pid));
            let readings = ids.iter().filter_map(|id| stats.get(&id.pid));
            let readings: Vec<_> =
                readings.map(|stat| Reading { stat: *stat, io: self.reader.io(stat.proc.id.pid) }).collect();
            let cost = grown.meter.take(now, before, readings, self.units);
            samples.push(sample(key.clone(), cost));
        }
        self.strangers.retain(|pid| of_hosts.contains(pid));
        self.strangers.extend(of_hosts.into_iter().filter(|pid| !found.contains(pid)));
        self.last = Some(now);
        Ok(samples)
    }

    /// What each step has cost so far.
    pub(super) fn totals(&self) -> impl Iterator<Item = (&AttemptKey, StepTotals)> {
        self.trees.iter().map(|(key, grown)| (key, grown.meter.totals()))
    }

    /// Reads every process of the trees, and the children of their hosts.
    fn walk(&mut self) -> io::Result<(HashMap<u32, Stat>, HashSet<u32>)> {
        let hosts: HashSet<u32> = self.trees.values().map(|grown| grown.host).collect();
        let mut queue = Vec::new();
        for host in &hosts {
            if let Some(stat) = self.reader.stat(*host)? {
                self.reader.children(*host, stat.proc.n_threads, &mut queue)?;
            }
        }
        let of_hosts: HashSet<u32> = queue.iter().copied().collect();
        queue.retain(|pid| !self.strangers.contains(pid));
        queue.extend(self.trees.values().flat_map(|grown| grown.tree.known()).map(|id| id.pid));
        let mut stats = HashMap::new();
        while let Some(pid) = queue.pop() {
            // A host is no part of what it hosts, and nor are we.
            if stats.contains_key(&pid) || hosts.contains(&pid) || pid == std::process::id() {
                continue;
            }
            let Some(stat) = self.reader.stat(pid)? else { continue };
            stats.insert(pid, stat);
            self.reader.children(pid, stat.proc.n_threads, &mut queue)?;
        }
        Ok((stats, of_hosts))
    }
}

/// Whether this is the process of that token; of one whose environment is not for us to read, whether it may be: a step
/// leads its session.
fn is_meant(stat: &Stat, token: &str) -> io::Result<bool> {
    Ok(match environment_of(stat.proc.id.pid)? {
        Some(environment) if !environment.is_empty() => {
            let entry = token_entry(token);
            environment.split(|&byte| byte == 0).any(|found| found == entry)
        }
        Some(_) | None => stat.proc.session == stat.proc.id.pid,
    })
}

fn sample(key: AttemptKey, cost: Cost) -> StepSample {
    let Cost { cpu_fraction, memory_bytes, read_rate, write_rate, written_bytes, output_rate, n_processes } =
        cost;
    StepSample {
        key,
        cpu_fraction,
        memory_bytes,
        read_rate,
        write_rate,
        written_bytes,
        output_rate,
        n_processes,
    }
}
