//! The recorded text of a change of a limit: the sentence of its alert, or that it was cleared.

use super::enforcer::{culprit, sentence};
use super::limit_watch::LimitChange;
use super::limits::{Resource, Threshold};
use super::sample::ResourceSnapshot;

impl LimitChange {
    /// One sentence with the figures of that moment. For a raised limit it is the sentence of the alert. `sample` is
    /// the sample that came with the change.
    pub fn text(&self, sample: &ResourceSnapshot) -> String {
        let cleared = match self {
            Self::Raised(raised) => return sentence(raised, culprit(raised.limit.resource(), sample)),
            Self::Cleared(cleared) => cleared,
        };
        let limit = &cleared.limit;
        let amount = match limit.raise_at() {
            Threshold::Fraction(_) => {
                Threshold::Fraction(cleared.amount / cleared.total.max(f64::MIN_POSITIVE))
            }
            Threshold::Bytes(_) => Threshold::Bytes(cleared.amount as u64),
        };
        let what = match (limit.resource(), &cleared.volume) {
            (Resource::Disk, Some(path)) => format!("disk of {} {amount} free", path.display()),
            (Resource::Disk, None) => format!("disk {amount} free"),
            (resource @ (Resource::Cpu | Resource::Memory | Resource::Swap), _) => {
                format!("{} {amount}", resource.name())
            }
        };
        format!("{what}: the limit of {} is cleared", limit.raise_at())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::resources::{Limit, RaisedLimit};

    #[test]
    fn both_ends_of_an_alert_have_a_sentence() {
        let limit =
            Limit::new(Resource::Memory, Threshold::Fraction(0.9), Threshold::Fraction(0.8), Duration::ZERO);
        let at = |amount| RaisedLimit { limit: limit.clone().unwrap(), volume: None, amount, total: 100.0 };
        let sample = ResourceSnapshot::default();
        let raised = LimitChange::Raised(at(93.0)).text(&sample);
        assert_eq!(raised, "memory 93% (limit 90%); no step is known to be the cause");
        assert_eq!(LimitChange::Cleared(at(79.0)).text(&sample), "memory 79%: the limit of 90% is cleared");
    }
}
