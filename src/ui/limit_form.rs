//! The form of the limits: what was entered, what is wrong with it, and what it will do. It paints nothing.

use crate::api::SetLimit;
use crate::resources::{Limit, LimitAction, Limits, Resource, Threshold};
use crate::settings::{LimitParams, LimitProblem, LimitWords};
use crate::window::{Action, HistorySpan};

/// The contents of the form for one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LimitFields {
    pub(super) is_on: bool,
    /// Where it is raised.
    pub(super) raise: String,
    pub(super) clear: String,
    /// For how long.
    pub(super) sustain: String,
    pub(super) action: LimitAction,
}

impl LimitFields {
    /// The limit in force of a resource, else usual values.
    fn of(resource: Resource, limits: &Limits) -> Self {
        let Some(limit) = limits.of(resource) else {
            let (raise, clear, sustain) = match resource {
                Resource::Cpu => ("95%", "85%", "5m"),
                Resource::Memory => ("90%", "80%", "30s"),
                Resource::Swap => ("50%", "40%", "30s"),
                Resource::Disk => ("5GiB", "8GiB", "30s"),
            };
            let [raise, clear, sustain] = [raise, clear, sustain].map(str::to_owned);
            return Self { is_on: false, raise, clear, sustain, action: LimitAction::Alert };
        };
        let LimitWords { above, below, clear, sustain, .. } = LimitWords::of(limit);
        Self {
            is_on: true,
            raise: above.or(below).unwrap_or_default(),
            clear,
            sustain,
            action: limit.action(),
        }
    }
}

/// One limit.
#[derive(Debug, Clone)]
pub(super) struct LimitRow {
    pub(super) resource: Resource,
    pub(super) fields: LimitFields,
    /// The values in force.
    saved: LimitFields,
    saved_limit: Option<Limit>,
}

impl LimitRow {
    fn of(resource: Resource, limits: &Limits) -> Self {
        let fields = LimitFields::of(resource, limits);
        Self { resource, saved: fields.clone(), fields, saved_limit: limits.of(resource).copied() }
    }

    /// Takes over the limit in force, unless there are unsaved changes.
    fn follow(&mut self, limits: &Limits) {
        let in_force = limits.of(self.resource).copied();
        if in_force != self.saved_limit {
            let fresh = Self::of(self.resource, limits);
            let is_it = self.fields == self.saved || self.check() == Ok(in_force);
            let fields = if is_it { fresh.fields.clone() } else { self.fields.clone() };
            *self = Self { fields, ..fresh };
        }
    }

    /// The parameters that set this limit.
    fn params(&self) -> LimitParams {
        let fields = &self.fields;
        if !fields.is_on {
            return LimitParams::off(self.resource);
        }
        let non_empty = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let raise = Some(fields.raise.trim().to_owned());
        let (above, below) = match self.resource {
            Resource::Cpu | Resource::Memory | Resource::Swap => (raise, None),
            Resource::Disk => (None, raise),
        };
        LimitParams {
            above,
            below,
            clear: non_empty(&fields.clear),
            sustain: non_empty(&fields.sustain),
            action: Some(fields.action.name().to_owned()),
            ..LimitParams { off: false, ..LimitParams::off(self.resource) }
        }
    }

    /// The limit that the fields mean, or what is wrong with them.
    pub(super) fn check(&self) -> Result<Option<Limit>, Vec<LimitProblem>> {
        self.params().check()
    }

    /// Raises it at `amount` from now on, of `total`; what clears it stays as far away as it was.
    fn move_to(&mut self, amount: f64, total: f64) {
        let Ok(Some(limit)) = self.check() else { return };
        let is_share = matches!(limit.raise_at(), Threshold::Fraction(_));
        let total = total.max(1.0);
        let round = |amount: f64| {
            if is_share {
                let percent = (amount / total * 100.0).round().clamp(1.0, 99.0);
                Threshold::Fraction(percent / 100.0)
            } else {
                let step = f64::from(16 << 20);
                Threshold::Bytes(((amount / step).round().max(1.0) * step) as u64)
            }
        };
        let gap = limit.clear_at().of(total) - limit.raise_at().of(total);
        let raise = round(amount.clamp(0.0, total));
        let mut clear = round((raise.of(total) + gap).clamp(0.0, total));
        if clear == raise {
            // At the edge there is no room for all of the distance.
            clear = round(raise.of(total) * if gap < 0.0 { 0.9 } else { 1.1 });
        }
        (self.fields.raise, self.fields.clear) = (raise.in_words(), clear.in_words());
    }

    /// Whether it differs from the limit in force.
    pub(super) fn is_changed(&self) -> bool {
        self.fields != self.saved && self.check() != Ok(self.saved_limit)
    }

    /// What it will do, in one sentence.
    pub(super) fn words(&self) -> String {
        match self.check() {
            Ok(Some(limit)) => in_words(&limit),
            Ok(None) => format!(
                "Nothing is done, {}.",
                match self.resource {
                    Resource::Cpu | Resource::Memory | Resource::Swap => "however much of it is used",
                    Resource::Disk => "however little of it is free",
                }
            ),
            Err(_) => String::new(),
        }
    }
}

/// What a limit does, in one sentence.
fn in_words(limit: &Limit) -> String {
    let LimitWords { above, below, clear, sustain, .. } = LimitWords::of(limit);
    let raise = above.or(below).unwrap_or_default();
    let (when, end) = match limit.resource() {
        resource @ (Resource::Cpu | Resource::Memory | Resource::Swap) => {
            (format!("When {} is above {raise}", name(resource)), format!("it is down to {clear}"))
        }
        Resource::Disk => (format!("When less than {raise} is free"), format!("{clear} is free again")),
    };
    let long = if limit.sustain_ms() == 0 { String::new() } else { format!(" for {sustain}") };
    let done = match limit.action() {
        LimitAction::Alert => return format!("{when}{long}, an alert is shown; it is over when {end}."),
        LimitAction::Hold => "no step starts",
        LimitAction::Freeze if limit.resource() == Resource::Disk => {
            "no step starts and the runs that write are frozen"
        }
        LimitAction::Freeze => "no step starts and the heaviest run is frozen",
    };
    format!("{when}{long}, {done}, until {end}.")
}

/// The name of a resource within a sentence.
pub(super) const fn name(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "CPU",
        Resource::Memory => "memory",
        Resource::Swap => "swap",
        Resource::Disk => "disk",
    }
}

/// The window's state of the page of the machine.
#[derive(Debug)]
pub(super) struct MachinePage {
    /// How far the plots reach back.
    pub(super) span: HistorySpan,
    pub(super) limits: Vec<LimitRow>,
}

impl Default for MachinePage {
    fn default() -> Self {
        let none = Limits::none();
        let limits = Resource::ALL.iter().map(|resource| LimitRow::of(*resource, &none)).collect();
        Self { span: HistorySpan::default(), limits }
    }
}

impl MachinePage {
    /// Makes the form show the limits in force.
    pub(super) fn follow(&mut self, limits: &Limits) {
        self.limits.iter_mut().for_each(|row| row.follow(limits));
    }

    /// The limits as the form has them; where a field has an error, the one in force.
    pub(super) fn shown(&self) -> Limits {
        let limits = self.limits.iter().filter_map(|row| row.check().unwrap_or(row.saved_limit));
        limits.fold(Limits::none(), Limits::with)
    }

    /// Moves where the limit of a resource is raised; see [`LimitRow::move_to`].
    pub(super) fn move_limit(&mut self, resource: Resource, amount: f64, total: f64) {
        let rows = self.limits.iter_mut().filter(|row| row.resource == resource);
        rows.for_each(|row| row.move_to(amount, total));
    }

    pub(super) fn is_changed(&self) -> bool {
        self.limits.iter().any(LimitRow::is_changed)
    }

    /// Undoes the changes.
    pub(super) fn revert(&mut self) {
        for row in &mut self.limits {
            row.fields = row.saved.clone();
        }
    }

    /// The actions that save the form; empty while a field has an error.
    pub(super) fn requests(&self) -> Vec<Action> {
        if self.limits.iter().any(|row| row.check().is_err()) {
            return Vec::new();
        }
        let changed = self.limits.iter().filter(|row| row.is_changed());
        changed.map(|row| Action::Do(SetLimit { params: row.params() }.into())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn page(resource: Resource, raise: Threshold, clear: Threshold) -> MachinePage {
        let limit = Limit::new(resource, raise, clear, Duration::from_secs(30)).unwrap();
        let mut page = MachinePage::default();
        page.follow(&Limits::none().with(limit));
        page
    }

    fn moved(mut page: MachinePage, resource: Resource, amount: f64, total: f64) -> (String, String) {
        page.move_limit(resource, amount, total);
        let row = page.limits.iter().find(|row| row.resource == resource).unwrap();
        assert!(row.check().is_ok(), "{:?}", row.fields);
        (row.fields.raise.clone(), row.fields.clear.clone())
    }

    #[test]
    fn a_limit_that_is_moved_keeps_the_distance_to_where_it_is_cleared_and_stays_valid() {
        use Resource::{Disk, Memory};
        use Threshold::{Bytes, Fraction};
        let shares = || page(Memory, Fraction(0.9), Fraction(0.8));
        let text = |(raise, clear): (&str, &str)| (raise.to_owned(), clear.to_owned());
        assert_eq!(moved(shares(), Memory, 0.754, 1.0), text(("75%", "65%")));
        assert_eq!(moved(shares(), Memory, 1.4, 1.0), text(("99%", "89%")));
        assert_eq!(moved(shares(), Memory, 0.1, 1.0).0, "10%");
        let gib = f64::from(1 << 30);
        let free = page(Disk, Bytes(5 << 30), Bytes(8 << 30));
        assert_eq!(moved(free, Disk, 10.0 * gib, 100.0 * gib), text(("10GiB", "13GiB")));
        let mut off = MachinePage::default();
        off.move_limit(Memory, 0.5, 1.0);
        assert!(!off.is_changed(), "what is off stays off");
    }
}
