//! Whether a run or a step may start: places for runs, then memory, CPUs and disk space for steps.

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::claims::{Admission, Kept, RunClaim, StepClaim};
use super::need::Need;
use super::wait::{Holder, Place, Wait};
use crate::base::id::{RunId, StepId};
use crate::base::time::Now;
use crate::base::units::size_in_words;
use crate::pipeline::{OnBattery, OnQuiet, Pipeline};
use crate::resources::{Resource, StepSample, Threshold};

/// A run that wants to begin.
#[derive(Debug, Clone, Copy)]
pub struct RunRequest<'a> {
    pub pipeline: &'a Pipeline,
    /// Whether it waited for the end of quiet at the last decision.
    pub was_held_by_quiet: bool,
}

/// A step that wants to start.
#[derive(Debug, Clone, Copy)]
pub struct StepRequest<'a> {
    pub run_id: &'a RunId,
    pub need: Need,
    /// Its working directory.
    pub folder: &'a Path,
    /// The living steps of its run at this moment. They count instead of the claim that was noted before.
    pub own: &'a [StepClaim],
}

/// How much a run holds of one resource.
struct Held<'a> {
    run_id: &'a RunId,
    amount: f64,
    frozen_since: Option<DateTime<Utc>>,
}

/// How much there is of one resource.
struct Room<'a> {
    /// How much is left.
    free: f64,
    /// How much there is at most.
    there_is: f64,
    /// How much steps hold.
    held: f64,
    /// The run that holds most.
    largest: Option<Held<'a>>,
}

impl Admission {
    /// Why this run may not begin; none when it may.
    pub fn run(&self, request: RunRequest<'_>, now: Now) -> Option<Wait> {
        let pipeline = request.pipeline;
        if self.orders.draining_since.is_some() {
            return Some(Wait::Drain);
        }
        if let Some(quiet) = self.orders.quiet
            && pipeline.quiet == OnQuiet::Freeze
        {
            return Some(Wait::Quiet { until: quiet.until });
        }
        if pipeline.on_battery != OnBattery::Ignore && self.is_on_battery() {
            return Some(Wait::Battery);
        }
        if request.was_held_by_quiet
            && let Some(at) = self.next_turn_at.filter(|at| *at > now.wall)
        {
            return Some(Wait::Turn { at: Some(at) });
        }
        let group = pipeline.group.as_ref();
        let group_places = group.and_then(|group| self.policy.groups.get(group)).copied();
        let places = [
            (Place::Pipeline(pipeline.id.clone()), pipeline.max_concurrent_runs),
            (Place::Group(group.cloned().unwrap_or_default()), group_places),
            (Place::All, self.policy.max_concurrent_runs),
        ];
        let lacks = places.into_iter().find_map(|(place, n_places)| self.place(place, n_places?));
        // There is room, but other runs may have waited for it.
        lacks.or_else(|| self.are_places_awaited.then_some(Wait::Turn { at: None }))
    }

    fn place(&self, place: Place, n_places: usize) -> Option<Wait> {
        let taken = || self.claims.iter().filter(|(_, claim)| place.is_taken_by(claim));
        if taken().count() < n_places {
            let kept = self.kept.iter().find(|(_, kept)| *kept == Kept::Place(place.clone()));
            return kept.map(|(run_id, _)| Wait::Behind { run_id: run_id.clone() });
        }
        // A frozen run first, because the operator can let it go on; else the one that began first.
        let holder = taken().min_by_key(|(_, claim)| (claim.frozen_since.is_none(), claim.since));
        let holder = holder.map(|(run_id, claim)| Holder {
            run_id: run_id.clone(),
            bytes: None,
            frozen_since: claim.frozen_since,
        });
        Some(Wait::Place { place, n_places, holder })
    }

    /// Why one more step may not live, when `n_own` of its run live already; none when it may. Unlike other waits, this
    /// one can't be overridden.
    pub fn one_more(&self, run_id: &RunId, n_own: usize) -> Option<Wait> {
        let n_steps = self.max_steps?;
        let others = self.claims.iter().filter(|(other, _)| *other != run_id);
        let n_living = n_own + others.map(|(_, claim)| claim.steps.len()).sum::<usize>();
        (n_living >= n_steps).then_some(Wait::OpenFiles { n_steps })
    }

    /// Why this step may not start; none when it may.
    pub fn step(&self, request: StepRequest<'_>) -> Option<Wait> {
        let need = request.need;
        if need.is_none() {
            return None;
        }
        if let Some((run_id, _)) = self.kept.iter().find(|(run_id, kept)| {
            let Kept::Resources(kept) = kept else { return false };
            let competes = (kept.memory_bytes > 0 && need.memory_bytes > 0)
                || (kept.cpus > 0.0 && need.cpus > 0.0)
                || (kept.disk_bytes > 0 && need.disk_bytes > 0);
            competes && run_id != request.run_id
        }) {
            return Some(Wait::Behind { run_id: run_id.clone() });
        }
        if self.is_room_awaited {
            // Steps that wait already come first.
            return Some(Wait::Turn { at: None });
        }
        let memory = (need.memory_bytes > 0).then(|| self.memory(request)).flatten();
        let cpu = || (need.cpus > 0.0).then(|| self.cpu(request)).flatten();
        let disk = || (need.disk_bytes > 0).then(|| self.disk(request)).flatten();
        memory.or_else(cpu).or_else(disk)
    }

    /// Each living step except `request`, with its run.
    fn others<'a>(
        &'a self,
        request: StepRequest<'a>,
    ) -> impl Iterator<Item = (&'a RunId, Option<&'a RunClaim>, &'a StepClaim)> {
        let others = self.claims.iter().filter(move |(run_id, _)| *run_id != request.run_id);
        let living = others
            .flat_map(|(run_id, claim)| claim.steps.iter().map(move |step| (run_id, Some(claim), step)));
        living.chain(request.own.iter().map(move |step| (request.run_id, None, step)))
    }

    /// A measured amount of each living step, by run and step.
    fn measured(&self, amount: impl Fn(&StepSample) -> u64) -> HashMap<(&RunId, &StepId), u64> {
        let steps = self.machine.iter().flat_map(|sample| &sample.steps);
        steps.map(|step| ((&step.key.run_id, &step.key.step_id), amount(step))).collect()
    }

    /// What steps hold together, and the run that holds most.
    fn held<'a>(
        &'a self,
        request: StepRequest<'a>,
        amount: impl Fn(&RunId, Option<&RunClaim>, &StepClaim) -> f64,
    ) -> (f64, Option<Held<'a>>) {
        let mut by_run: HashMap<&RunId, Held<'a>> = HashMap::new();
        let mut sum = 0.0;
        for (run_id, claim, step) in self.others(request) {
            let amount = amount(run_id, claim, step);
            sum += amount;
            let frozen_since = claim.and_then(|claim| claim.frozen_since);
            by_run.entry(run_id).or_insert(Held { run_id, amount: 0.0, frozen_since }).amount += amount;
        }
        let largest = by_run.into_values().filter(|held| held.amount > 0.0);
        (sum, largest.max_by(|a, b| a.amount.total_cmp(&b.amount).then_with(|| b.run_id.cmp(a.run_id))))
    }

    fn memory(&self, request: StepRequest<'_>) -> Option<Wait> {
        let Room { free, there_is, held, largest } = self.memory_room(request, |_| true);
        let needs = request.need.memory_bytes;
        if needs as f64 <= free {
            return None;
        }
        if needs as f64 > there_is {
            // A learned need is a guess: alone the step may try.
            if request.need.is_usual && held <= 0.0 {
                return None;
            }
            if !request.need.is_usual {
                return Some(too_much("memory", size_in_words(needs), size_in_words(there_is as u64)));
            }
        }
        let holder = largest.map(|held| held.holder(Some(held.amount as u64)));
        Some(Wait::Memory { needs, is_usual: request.need.is_usual, free: free.max(0.0) as u64, holder })
    }

    /// The memory for all steps together: at most the operator's budget, and at most what other programs leave below
    /// the limit. A running step holds its peak from its start on, and what it uses already is not counted twice.
    /// `counts` says which other runs are counted.
    fn memory_room<'a>(&'a self, request: StepRequest<'a>, counts: impl Fn(&RunClaim) -> bool) -> Room<'a> {
        let machine = self.machine.as_ref().map(|sample| &sample.machine);
        let total = machine.map(|machine| machine.memory_total_bytes).filter(|total| *total > 0);
        let used = self.measured(|step| step.memory_bytes);
        let (held, largest) = self.held(request, |run_id, claim, step| {
            let used_now = used.get(&(run_id, &step.step_id)).copied().unwrap_or(0);
            let amount = used_now.max(step.need.memory_bytes) as f64;
            if claim.is_none_or(&counts) { amount } else { 0.0 }
        });
        let ours: u64 = used.values().sum();
        let others = machine.map_or(0, |machine| machine.memory_used_bytes.saturating_sub(ours)) as f64;
        let bound = |threshold: Threshold| threshold.of(total.unwrap_or(u64::MAX) as f64);
        let ceiling = match (self.policy.limits.of(Resource::Memory), total) {
            (Some(limit), Some(total)) => bound(limit.raise_at()).min(total as f64),
            (Some(limit), None) => bound(limit.raise_at()),
            (None, Some(total)) => total as f64,
            (None, None) => f64::INFINITY,
        };
        let budget = self.policy.memory.map_or(f64::INFINITY, bound);
        Room { free: budget.min(ceiling - others) - held, there_is: budget.min(ceiling), held, largest }
    }

    /// CPUs. A frozen run does not hold any.
    fn cpu(&self, request: StepRequest<'_>) -> Option<Wait> {
        let there_is = self.policy.cpus.unwrap_or(self.n_cpus as f64);
        let (held, largest) = self.held(request, |_, claim, step| {
            let is_frozen = claim.is_some_and(|claim| claim.frozen_since.is_some());
            if is_frozen { 0.0 } else { step.need.cpus }
        });
        let needs = request.need.cpus;
        if needs > there_is {
            return Some(too_much("CPUs", needs.to_string(), there_is.to_string()));
        }
        let free = there_is - held;
        // Sums of tenths are not exact.
        if needs <= free + 1e-9 {
            return None;
        }
        Some(Wait::Cpu { needs, free: free.max(0.0), holder: largest.map(|held| held.holder(None)) })
    }

    fn disk(&self, request: StepRequest<'_>) -> Option<Wait> {
        let Room { free, there_is, largest, .. } = self.disk_room(request, |_| true)?;
        let needs = request.need.disk_bytes;
        if needs as f64 > there_is {
            let there_is = size_in_words(there_is.max(0.0) as u64);
            return Some(too_much("disk space", size_in_words(needs), there_is));
        }
        if needs as f64 <= free {
            return None;
        }
        let holder = largest.map(|held| held.holder(Some(held.amount as u64)));
        Some(Wait::Disk { needs, free: free.max(0.0) as u64, holder })
    }

    /// The space that the file system of the step's folder has left above the limit. What a step has already written is
    /// not counted again. None when the file system is not watched: then no step waits for it.
    fn disk_room<'a>(
        &'a self,
        request: StepRequest<'a>,
        counts: impl Fn(&RunClaim) -> bool,
    ) -> Option<Room<'a>> {
        let volumes = self.machine.iter().flat_map(|sample| sample.machine.volumes.iter());
        let volume_of = |folder: &Path| {
            let holds = volumes.clone().filter(|volume| folder.starts_with(&volume.path));
            holds.max_by_key(|volume| volume.path.components().count())
        };
        let volume = volume_of(request.folder)?;
        let floor = self.policy.limits.of(Resource::Disk);
        let floor = floor.map_or(0.0, |limit| limit.raise_at().of(volume.total_bytes as f64));
        let written = self.measured(|step| step.written_bytes);
        let (held, largest) = self.held(request, |run_id, claim, step| {
            let is_there = volume_of(&step.folder).is_some_and(|other| other.path == volume.path);
            let written = written.get(&(run_id, &step.step_id)).copied().unwrap_or(0);
            let is_left = step.need.disk_bytes.saturating_sub(written) as f64;
            if is_there && claim.is_none_or(&counts) { is_left } else { 0.0 }
        });
        let there_is = volume.total_bytes as f64 - floor;
        Some(Room { free: volume.free_bytes as f64 - floor - held, there_is, held, largest })
    }

    /// Whether the ends of runs that are not frozen can free what a step needs.
    pub(super) fn can_be_freed(&self, run_id: &RunId, step: &StepClaim) -> bool {
        let request = StepRequest { run_id, need: step.need, folder: &step.folder, own: &[] };
        let is_frozen = |claim: &RunClaim| claim.frozen_since.is_some();
        let memory = self.memory_room(request, is_frozen).free;
        let disk = self.disk_room(request, is_frozen).map_or(f64::INFINITY, |room| room.free);
        step.need.memory_bytes as f64 <= memory && step.need.disk_bytes as f64 <= disk
    }
}

impl Place {
    fn is_taken_by(&self, claim: &RunClaim) -> bool {
        match self {
            Self::All => true,
            Self::Pipeline(pipeline_id) => claim.pipeline_id == *pipeline_id,
            Self::Group(group) => claim.group.as_ref() == Some(group),
        }
    }
}

impl Held<'_> {
    fn holder(&self, bytes: Option<u64>) -> Holder {
        Holder { run_id: self.run_id.clone(), bytes, frozen_since: self.frozen_since }
    }
}

fn too_much(what: &str, needs: String, there_is: String) -> Wait {
    Wait::TooMuch { what: what.to_owned(), needs, there_is }
}
