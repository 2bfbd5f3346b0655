//! The process trees of living steps, measured together. Only these trees are walked, by the kernel's lists of
//! children, never all processes of the machine.
//!
//! A detached process becomes a child of the supervisor. Which step it belongs to is found by the same rules by which
//! the supervisor signals: session, token, output pipe, or membership in an earlier search. An orphan without any of
//! these marks is not measured; the supervisor ends it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use super::meter::{Cost, Moment, Reading, TreeMeter, Units};
use super::procfs::ProcReader;
use crate::base::id::AttemptKey;
use crate::process::tree::{Origin, ProcessContext, Tree, token_entry};
use crate::process::{ProcTable, Stat, environment_of, output_pipes};
use crate::resources::{StepSample, StepTotals};

/// A step to measure.
#[derive(Debug, Clone)]
pub(super) struct Tracked {
    pub(super) key: AttemptKey,
    pub(super) pid: u32,
    pub(super) token: String,
}

/// The trees of all living steps.
pub(super) struct Forest {
    trees: BTreeMap<AttemptKey, StepTree>,
    reader: ProcReader,
    /// Children of supervisors that belong to no tree. They are read again when another tree is added.
    outsiders: HashSet<u32>,
    units: Units,
    last: Option<Moment>,
    /// The samples of the last successful round.
    last_samples: Vec<StepSample>,
    /// Steps whose processes could not be read yet.
    pending: Vec<Tracked>,
}

struct StepTree {
    tree: Tree,
    main: u32,
    /// The parent of the main process, which orphans get as their parent.
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
        let (trees, outsiders) = Default::default();
        let (last_samples, pending) = Default::default();
        Self { trees, reader: ProcReader::new(), outsiders, units, last: None, last_samples, pending }
    }

    pub(super) fn units(&self) -> Units {
        self.units
    }

    /// Whether no step is measured.
    pub(super) fn is_empty(&self) -> bool {
        self.trees.is_empty() && self.pending.is_empty()
    }

    /// Begins to measure a step, unless it has ended or its pid belongs to another process by now.
    pub(super) fn track(&mut self, tracked: Tracked) {
        let found = self.reader.stat(tracked.pid).and_then(|stat| match stat {
            Some(stat) => Ok(is_expected_process(&stat, &tracked.token)?.then_some(stat)),
            None => Ok(None),
        });
        let Tracked { key, pid, token } = match found {
            Ok(Some(_)) => tracked,
            Ok(None) => return,
            // It may exist: tried again in the next round.
            Err(_) => return self.pending.push(tracked),
        };
        let Ok(Some(stat)) = found else { return };
        let pipe = output_pipes(pid).next().map(|(inode, _)| inode);
        let main = stat.proc.id;
        let tree = Tree::new(Some(main), &token, pipe, Origin::Started);
        let step_tree = StepTree { tree, main: pid, host: stat.proc.parent, meter: TreeMeter::default() };
        // The same step again, after the engine has reconnected, say: what was measured stays.
        let is_known = self.trees.get(&key).is_some_and(|known| known.tree.main == Some(main));
        if !is_known {
            self.trees.insert(key, step_tree);
        }
        self.outsiders.clear();
    }

    /// Stops measuring a step.
    pub(super) fn forget(&mut self, key: &AttemptKey) {
        self.trees.remove(key);
        self.pending.retain(|tracked| tracked.key != *key);
    }

    /// Measures every tree. If that fails, returns the last samples of the steps that are still tracked, because
    /// nothing newer is known.
    pub(super) fn measure(&mut self, now: Moment) -> Vec<StepSample> {
        for tracked in std::mem::take(&mut self.pending) {
            self.track(tracked);
        }
        match self.try_measure(now) {
            Ok(samples) => self.last_samples = samples,
            Err(_) => self.last_samples.retain(|sample| self.trees.contains_key(&sample.key)),
        }
        self.reader.end_round();
        self.last_samples.clone()
    }

    fn try_measure(&mut self, now: Moment) -> io::Result<Vec<StepSample>> {
        if self.trees.is_empty() {
            self.last = Some(now);
            self.outsiders.clear();
            return Ok(Vec::new());
        }
        let (stats, host_children) = self.walk()?;
        let table = ProcTable::of(stats.values().map(|stat| stat.proc));
        let mains: HashSet<u32> = self.trees.values().map(|step_tree| step_tree.main).collect();
        let (before, kept) = (self.last, HashSet::new());
        let mut found = HashSet::new();
        let mut samples = Vec::with_capacity(self.trees.len());
        for (key, step_tree) in &mut self.trees {
            if let Some(main) = table.get(step_tree.main).filter(|main| step_tree.tree.main == Some(main.id))
            {
                step_tree.host = main.parent;
            }
            let context = ProcessContext { me: step_tree.host, mains: &mains, only_tree: false, kept: &kept };
            let members = step_tree.tree.members(&table, &context)?;
            let living = members.iter().map(|member| member.id);
            // A process that has ended and was not waited for yet still shows what it used.
            let ids: HashSet<_> =
                living.chain(step_tree.meter.known().filter(|id| table.holds(*id))).collect();
            found.extend(ids.iter().map(|id| id.pid));
            let readings = ids.iter().filter_map(|id| stats.get(&id.pid));
            let readings: Vec<_> =
                readings.map(|stat| Reading { stat: *stat, io: self.reader.io(stat.proc.id.pid) }).collect();
            let cost = step_tree.meter.take(now, before, readings, self.units);
            samples.push(sample(key.clone(), cost));
        }
        self.outsiders.retain(|pid| host_children.contains(pid));
        self.outsiders.extend(host_children.into_iter().filter(|pid| !found.contains(pid)));
        self.last = Some(now);
        Ok(samples)
    }

    /// What each step has used so far.
    pub(super) fn totals(&self) -> impl Iterator<Item = (&AttemptKey, StepTotals)> {
        self.trees.iter().map(|(key, step_tree)| (key, step_tree.meter.totals()))
    }

    /// Reads every process of the trees, and the children of their hosts.
    fn walk(&mut self) -> io::Result<(HashMap<u32, Stat>, HashSet<u32>)> {
        let hosts: HashSet<u32> = self.trees.values().map(|step_tree| step_tree.host).collect();
        let mut queue = Vec::new();
        for host in &hosts {
            if let Some(stat) = self.reader.stat(*host)? {
                self.reader.children(*host, stat.proc.n_threads, &mut queue)?;
            }
        }
        let host_children: HashSet<u32> = queue.iter().copied().collect();
        queue.retain(|pid| !self.outsiders.contains(pid));
        queue.extend(self.trees.values().flat_map(|step_tree| step_tree.tree.known()).map(|id| id.pid));
        let mut stats = HashMap::new();
        while let Some(pid) = queue.pop() {
            // Neither a host nor this process is part of a tree.
            if stats.contains_key(&pid) || hosts.contains(&pid) || pid == std::process::id() {
                continue;
            }
            let Some(stat) = self.reader.stat(pid)? else { continue };
            stats.insert(pid, stat);
            self.reader.children(pid, stat.proc.n_threads, &mut queue)?;
        }
        Ok((stats, host_children))
    }
}

/// Whether this is the process with that token. If its environment can't be read, whether it may be: a step leads its
/// session.
fn is_expected_process(stat: &Stat, token: &str) -> io::Result<bool> {
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
