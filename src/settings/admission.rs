//! What may run at once: `[admission]` and `[groups]` of the settings.

use toml::de::DeValue;

use super::{Reader, Value};
use crate::base::id::is_valid_id;
use crate::base::units::parse_duration;

const ADMISSION: &[&str] = &["max_concurrent_runs", "memory", "cpus", "learn", "ageing"];

impl Reader<'_> {
    pub(crate) fn admission(&mut self, name: &str, value: Value<'_, '_>) {
        match name {
            "max_concurrent_runs" => {
                if let Some(count) = self.count(name, value) {
                    self.settings.admission.max_concurrent_runs = Some(count);
                }
            }
            "memory" => {
                let mut has_problem = false;
                if let Some(budget) = self.threshold(value, &mut has_problem) {
                    self.settings.admission.memory = Some(budget);
                }
            }
            "cpus" => match number(value.get_ref()).filter(|cpus| *cpus > 0.0) {
                Some(cpus) => self.settings.admission.cpus = Some(cpus),
                None => self.wrong(value, "`cpus` must be a number above 0, such as 3.5".to_owned()),
            },
            "learn" => {
                if let DeValue::Boolean(learns) = value.get_ref() {
                    self.settings.admission.learns = *learns;
                } else {
                    self.wrong(value, "`learn` must be true or false".to_owned());
                }
            }
            "ageing" => match self.measured(value, parse_duration) {
                Some(ageing) if !ageing.is_zero() => self.settings.admission.ageing = ageing,
                Some(_) => self.wrong(value, "`ageing` must be longer than nothing".to_owned()),
                None => {}
            },
            _ => self.unknown(name, value, "in [admission]", ADMISSION),
        }
    }

    pub(crate) fn group(&mut self, name: &str, value: Value<'_, '_>) {
        if !is_valid_id(name) {
            let rule = "use letters, digits, '.', '_' and '-', and a letter or digit first";
            self.wrong(value, format!("{name:?} is no name of a group: {rule}"));
        } else if let Some(count) = self.count(name, value) {
            self.settings.admission.groups.insert(name.to_owned(), count);
        }
    }

    /// A whole number above 0.
    pub(crate) fn count(&mut self, name: &str, value: Value<'_, '_>) -> Option<usize> {
        let count = if let DeValue::Integer(number) = value.get_ref() {
            usize::from_str_radix(number.as_str(), number.radix()).ok()
        } else {
            None
        };
        let count = count.filter(|count| *count > 0);
        if count.is_none() {
            self.wrong(value, format!("`{name}` must be a whole number above 0"));
        }
        count
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n as f64)
        }
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use crate::admission::AdmissionPolicy;
    use crate::resources::Threshold;
    use crate::settings::Settings;

    fn parse(text: &str) -> Result<AdmissionPolicy, Vec<String>> {
        Settings::parse(text, Path::new("/data/settings.toml"), |_| None)
            .map(|settings| settings.admission)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_may_run_at_once_is_read() {
        let text = "[admission]\nmax_concurrent_runs = 4\nmemory = \"60%\"\ncpus = 3\nlearn = false\n\
                    ageing = \"1m\"\n[groups]\nscrapers = 2\n";
        let expected = AdmissionPolicy {
            max_concurrent_runs: Some(4),
            memory: Some(Threshold::Fraction(0.6)),
            cpus: Some(3.0),
            learns: false,
            ageing: Duration::from_secs(60),
            groups: [("scrapers".to_owned(), 2)].into(),
            ..AdmissionPolicy::default()
        };
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn what_can_not_be_meant_is_said_with_its_place() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let problems = parse(text).expect_err(text);
            assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
        }
        check("[admission]\nmax_concurrent_runs = 0", ":2:23: `max_concurrent_runs` must be a whole number");
        check("[admission]\nmax_concurent_runs = 1", "did you mean `max_concurrent_runs`?");
        check("[admission]\nmemory = \"much\"", "\"much\" is no bound");
        check("[admission]\ncpus = \"two\"", "`cpus` must be a number above 0");
        check("[admission]\nlearn = 1", "`learn` must be true or false");
        check("[admission]\nageing = \"0s\"", "longer than nothing");
        check("[groups]\n\"a b\" = 1", "is no name of a group");
        check("[groups]\nscrapers = -1", "`scrapers` must be a whole number above 0");
    }
}
