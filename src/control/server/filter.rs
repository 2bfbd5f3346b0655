//! Which events a subscription wants.

use std::collections::HashSet;

use super::journal::Entry;
use crate::base::id::RunId;
use crate::base::nearest::nearest;
use crate::control::wire::{ErrorObject, EventFilter, INVALID_PARAMS};
use crate::run::EventKind;

/// An [`EventFilter`], prepared for many look-ups.
#[derive(Debug)]
pub(crate) struct Filter {
    runs: Option<HashSet<RunId>>,
    types: Option<HashSet<&'static str>>,
}

impl Filter {
    /// Prepares a filter.
    ///
    /// # Errors
    /// A name is that of no event; the message suggests the nearest one.
    pub(crate) fn new(wanted: EventFilter) -> Result<Self, ErrorObject> {
        let name_of = |name: String| {
            let known = EventKind::NAMES.iter().copied();
            known.clone().find(|known| *known == name).ok_or_else(|| {
                let near = nearest(&name, known.clone());
                let hint = match near {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
                };
                ErrorObject::new(INVALID_PARAMS, format!("there is no event {name:?}; {hint}"))
            })
        };
        let types = wanted.types.map(|types| types.into_iter().map(name_of).collect()).transpose()?;
        Ok(Self { runs: wanted.runs.map(|runs| runs.into_iter().collect()), types })
    }

    /// Whether the subscription wants an event. Every subscription gets `resync`.
    pub(crate) fn lets_through(&self, entry: &Entry) -> bool {
        let is_of_run = match (&self.runs, &entry.run_id) {
            (None, _) => true,
            (Some(runs), Some(run_id)) => runs.contains(run_id),
            (Some(_), None) => false,
        };
        entry.is_resync() || (is_of_run && self.types.as_ref().is_none_or(|types| types.contains(entry.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_event_is_refused_with_the_nearest() {
        let wanted = EventFilter { types: Some(vec!["step_finishd".to_owned()]), ..EventFilter::default() };
        let error = Filter::new(wanted).expect_err("there is none");
        assert_eq!(error.message, "there is no event \"step_finishd\"; did you mean \"step_finished\"?");
    }
}
