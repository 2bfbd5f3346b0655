//! How often is measured, and what counts as short: `[monitor]` and `[limits.…]` of the settings.

use std::time::Duration;

use toml::de::DeValue;

use super::{Reader, Value, kind};
use crate::base::units::{parse_duration, parse_size};
use crate::monitor::{MAX_INTERVAL, MIN_INTERVAL};
use crate::resources::{Limit, LimitAction, Resource, Threshold};

const MONITOR: &[&str] = &["interval"];
/// Where a limit does not say how long it must be exceeded.
const SUSTAIN: Duration = Duration::from_secs(30);

/// What a limit says.
#[derive(Default)]
struct Said {
    raise_at: Option<Threshold>,
    clear_at: Option<Threshold>,
    sustain: Option<Duration>,
    action: LimitAction,
    has_problem: bool,
}

impl Reader<'_> {
    pub(crate) fn monitor(&mut self, name: &str, value: Value<'_, '_>) {
        if name != "interval" {
            return self.unknown(name, value, "in [monitor]", MONITOR);
        }
        match self.measured(value, parse_duration) {
            Some(interval) if (MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) => {
                self.settings.monitor_interval = interval;
            }
            Some(_) => self.wrong(value, "`interval` must be from 200ms to 60s".to_owned()),
            None => {}
        }
    }

    /// One table in `[limits]`.
    pub(crate) fn limit(&mut self, name: &str, value: Value<'_, '_>) {
        let Some(resource) = Resource::ALL.into_iter().find(|resource| resource.name() == name) else {
            return self.unknown(name, value, "in [limits]", &Resource::ALL.map(Resource::name));
        };
        let raise = if resource == Resource::Disk { "below" } else { "above" };
        let mut said = Said::default();
        self.table(value, |reader, key, value| match key {
            "clear" => said.clear_at = reader.threshold(value, &mut said.has_problem),
            "for" => match reader.measured(value, parse_duration) {
                Some(sustain) => said.sustain = Some(sustain),
                None => said.has_problem = true,
            },
            "action" => match reader.action(value) {
                Some(action) => said.action = action,
                None => said.has_problem = true,
            },
            key if key == raise => said.raise_at = reader.threshold(value, &mut said.has_problem),
            key => {
                said.has_problem = true;
                reader.unknown(
                    key,
                    value,
                    &format!("in [limits.{name}]"),
                    &[raise, "clear", "for", "action"],
                );
            }
        });
        if said.has_problem || !matches!(value.get_ref(), DeValue::Table(_)) {
            return;
        }
        let Some(raise_at) = said.raise_at else {
            return self.wrong(value, format!("[limits.{name}] needs `{raise}`, such as {raise} = \"90%\""));
        };
        let clear_at = said.clear_at.unwrap_or_else(|| usual_clearing(resource, raise_at));
        match Limit::new(resource, raise_at, clear_at, said.sustain.unwrap_or(SUSTAIN)) {
            Ok(limit) => {
                let limits = std::mem::take(&mut self.settings.limits);
                self.settings.limits = limits.with(limit.with_action(said.action));
            }
            Err(error) => self.wrong(value, error.to_string()),
        }
    }

    fn action(&mut self, value: Value<'_, '_>) -> Option<LimitAction> {
        let names = LimitAction::ALL.map(LimitAction::name);
        let text = if let DeValue::String(text) = value.get_ref() { Some(text) } else { None };
        let said = text.and_then(|text| names.iter().position(|name| name == text));
        if said.is_none() {
            self.wrong(value, format!("`action` must be one of \"{}\"", names.join("\", \"")));
        }
        said.map(|at| LimitAction::ALL[at])
    }

    pub(crate) fn threshold(&mut self, value: Value<'_, '_>, has_problem: &mut bool) -> Option<Threshold> {
        let wanted = "a share such as \"90%\" or an amount such as \"2GiB\"";
        let DeValue::String(text) = value.get_ref() else {
            *has_problem = true;
            self.wrong(value, format!("this must be {wanted}, not {}", kind(value.get_ref())));
            return None;
        };
        let threshold = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse().ok().map(|n: f64| Threshold::Fraction(n / 100.0)),
            None => parse_size(text).ok().map(Threshold::Bytes),
        };
        if threshold.is_none() {
            *has_problem = true;
            self.wrong(value, format!("{text:?} is no bound; give {wanted}"));
        }
        threshold
    }
}

/// Where a limit is cleared that does not say: far enough from where it is raised that it does not flap.
fn usual_clearing(resource: Resource, raise_at: Threshold) -> Threshold {
    match (resource, raise_at) {
        (Resource::Disk, Threshold::Fraction(share)) => Threshold::Fraction((share * 1.25).min(1.0)),
        (Resource::Disk, Threshold::Bytes(bytes)) => Threshold::Bytes(bytes.saturating_add(bytes / 4)),
        (Resource::Cpu | Resource::Memory | Resource::Swap, Threshold::Fraction(share)) => {
            Threshold::Fraction(share * 0.9)
        }
        (Resource::Cpu | Resource::Memory | Resource::Swap, Threshold::Bytes(bytes)) => {
            Threshold::Bytes(bytes / 10 * 9)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::Settings;

    fn parse(text: &str) -> Result<Settings, Vec<String>> {
        Settings::parse(text, Path::new("/data/settings.toml"), |_| None)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn limits_are_read_with_what_is_usual_where_nothing_is_said() {
        let settings = parse(
            "[monitor]\ninterval = \"2s\"\n[limits.memory]\nabove = \"90%\"\nclear = \"75%\"\nfor = \"1m\"\n\
             [limits.disk]\nbelow = \"2GiB\"\naction = \"freeze\"\n",
        )
        .unwrap();
        assert_eq!(settings.monitor_interval, Duration::from_secs(2));
        let memory = settings.limits.of(Resource::Memory).unwrap();
        assert_eq!(
            (memory.raise_at(), memory.clear_at()),
            (Threshold::Fraction(0.9), Threshold::Fraction(0.75))
        );
        assert_eq!(memory.sustain_ms(), 60_000);
        let disk = settings.limits.of(Resource::Disk).unwrap();
        assert_eq!(
            (disk.raise_at(), disk.clear_at()),
            (Threshold::Bytes(2 << 30), Threshold::Bytes(5 << 29))
        );
        assert_eq!((disk.sustain_ms(), disk.action()), (30_000, LimitAction::Freeze));
        assert_eq!(memory.action(), LimitAction::Alert);
        assert_eq!(settings.limits.of(Resource::Cpu), None);
    }

    #[test]
    fn what_can_not_be_meant_is_said_with_its_place() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let problems = parse(text).expect_err(text);
            assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
        }
        check("[monitor]\ninterval = \"0s\"", ":2:12: `interval` must be from 200ms to 60s");
        check("[monitor]\ninterval = \"2h\"", "from 200ms to 60s");
        check("[monitor]\npace = \"1s\"", "there is no key `pace` in [monitor]");
        check(
            "[limits.memory]\nabove = \"80%\"\nclear = \"90%\"",
            "it must be cleared below where it is raised",
        );
        check("[limits.memory]\nfor = \"1s\"", "[limits.memory] needs `above`");
        check("[limits.disk]\nabove = \"1GiB\"", "there is no key `above` in [limits.disk]");
        check("[limits.cpu]\nabove = \"1GiB\"", "give a share");
        check("[limits.cpu]\nabove = 90", ":2:9: this must be a share such as");
        check(
            "[limits.cpu]\nabove = \"9%\"\naction = \"stop\"",
            "must be one of \"alert\", \"hold\", \"freeze\"",
        );
        check("[limits.cpu]\nabove = \"much\"", "\"much\" is no bound");
        check("[limits]\nmemroy = {}", "did you mean `memory`?");
        check("[limits]\nmemory = 1", "must be a table");
        check("[limits.cpu]\nabove = \"190%\"", "a share lies between 0% and 100%");
    }
}
