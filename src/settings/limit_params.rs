//! Limits as requests and answers carry them: in the words of `settings.toml`, checked by the reader of the settings.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::model::Settings;
use crate::base::units::format_duration;
use crate::resources::{Limit, Limits, Resource};

/// A limit to be set or removed, in the words of its table in the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitParams {
    /// Of what.
    pub resource: Resource,
    /// Where it is raised: `90%`, `28GiB`. Not for disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<String>,
    /// Where it is raised, for disks: what is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<String>,
    /// Where it is cleared; none: far enough from where it is raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<String>,
    /// How long it must be exceeded, such as `30s`; none: that.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub sustain: Option<String>,
    /// `alert` (the default), `hold` or `freeze`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// It is removed; then no other key is given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
}

/// A problem of a requested limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitProblem {
    /// At which of its keys; none: with all of it.
    pub key: Option<&'static str>,
    /// What, as the reader of the settings says it.
    pub text: String,
}

/// A limit that is in force: an entry of what `limits.get` and `limits.set` answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// Of what, and when.
    #[serde(flatten)]
    pub limit: LimitWords,
    /// Whether it is exceeded now.
    pub raised: bool,
}

/// A limit in the words of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitWords {
    /// Of what.
    pub resource: Resource,
    /// Where it is raised; not for disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<String>,
    /// Where it is raised, for disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<String>,
    /// Where it is cleared.
    pub clear: String,
    /// How long it must be exceeded.
    #[serde(rename = "for")]
    pub sustain: String,
    /// What is done then.
    pub action: String,
}

impl LimitWords {
    /// The words of a limit.
    pub fn of(limit: &Limit) -> Self {
        let raise_at = Some(limit.raise_at().in_words());
        let (above, below) = match limit.resource() {
            Resource::Cpu | Resource::Memory | Resource::Swap => (raise_at, None),
            Resource::Disk => (None, raise_at),
        };
        Self {
            resource: limit.resource(),
            above,
            below,
            clear: limit.clear_at().in_words(),
            sustain: format_duration(std::time::Duration::from_millis(limit.sustain_ms())),
            action: limit.action().name().to_owned(),
        }
    }
}

impl LimitParams {
    /// No limit of this any more.
    pub fn off(resource: Resource) -> Self {
        Self { off: true, above: None, below: None, clear: None, sustain: None, action: None, resource }
    }

    /// A limit that says everything.
    pub fn of(limit: &Limit) -> Self {
        let LimitWords { resource, above, below, clear, sustain, action } = LimitWords::of(limit);
        let [clear, sustain, action] = [clear, sustain, action].map(Some);
        Self { resource, above, below, clear, sustain, action, off: false }
    }

    /// Each key of its table, with its value if it has one.
    pub(crate) fn said(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("above", &self.above),
            ("below", &self.below),
            ("clear", &self.clear),
            ("for", &self.sustain),
            ("action", &self.action),
        ]
        .map(|(key, value)| (key, value.as_deref()))
    }

    /// The limits that are in force once it is applied to these; `limit` is its checked value.
    pub(crate) fn applied(&self, before: &Limits, limit: Option<Limit>) -> Limits {
        match limit {
            Some(limit) => before.clone().with(limit),
            None => before.clone().without(self.resource),
        }
    }

    /// What it means: a limit, or that there is to be none.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with the key at which it is.
    pub fn check(&self) -> Result<Option<Limit>, Vec<LimitProblem>> {
        let whole = |text: String| vec![LimitProblem { key: None, text }];
        let said: Vec<_> = self.said().into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        if self.off {
            let text = "say `off` alone, or what the limit is".to_owned();
            return if said.is_empty() { Ok(None) } else { Err(whole(text)) };
        }
        // The table as it would stand in the file: line 1 is its head, and each key has the lines up to `end`.
        let mut table = format!("[limits.{}]\n", self.resource.name());
        let mut lines = Vec::new();
        for (key, value) in said {
            table += &format!("{key} = {}\n", toml_edit::Value::from(value));
            lines.push((key, table.lines().count()));
        }
        match Settings::parse(&table, Path::new("settings.toml"), |_| None) {
            Ok(settings) => Ok(settings.limits.of(self.resource).copied()),
            Err(problems) => Err(problems
                .into_iter()
                .map(|problem| LimitProblem {
                    key: lines
                        .iter()
                        .find(|(_, end)| problem.line > 1 && problem.line <= *end)
                        .map(|(key, _)| *key),
                    text: problem.message,
                })
                .collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{LimitAction, Threshold};

    fn memory(above: &str) -> LimitParams {
        LimitParams { above: Some(above.to_owned()), off: false, ..LimitParams::off(Resource::Memory) }
    }

    #[test]
    fn what_is_asked_for_is_read_as_the_file_would_be() {
        let params = LimitParams { action: Some("hold".to_owned()), ..memory("90%") };
        let limit = params.check().unwrap().unwrap();
        assert_eq!((limit.raise_at(), limit.action()), (Threshold::Fraction(0.9), LimitAction::Hold));
        assert_eq!(limit.sustain_ms(), 30_000);
        assert_eq!(LimitParams::of(&limit).check(), Ok(Some(limit)));
        assert_eq!(LimitParams::off(Resource::Disk).check(), Ok(None));
    }

    #[test]
    fn each_problem_is_told_at_its_key() {
        #[track_caller]
        fn check(params: &LimitParams, expected: &[(Option<&str>, &str)]) {
            let problems = params.check().unwrap_err();
            assert_eq!(problems.len(), expected.len(), "{problems:?}");
            for (problem, (key, text)) in problems.iter().zip(expected) {
                assert_eq!(problem.key, *key, "{problem:?}");
                assert!(problem.text.contains(text), "{problem:?}");
            }
        }
        check(&memory("much"), &[(Some("above"), "\"much\" is not a limit")]);
        check(&memory("a\nb\n\"c\""), &[(Some("above"), "is not a limit")]);
        let two = LimitParams { clear: Some("1".into()), sustain: Some("1".into()), ..memory("a\nb") };
        check(
            &two,
            &[(Some("above"), "is not a limit"), (Some("clear"), "is not a limit"), (Some("for"), "no unit")],
        );
        let never = LimitParams { clear: Some("95%".to_owned()), ..memory("90%") };
        check(&never, &[(None, "it must be cleared below where it is raised")]);
        let action = LimitParams { action: Some("stop".to_owned()), ..memory("90%") };
        check(&action, &[(Some("action"), "must be \"alert\", \"hold\" or \"freeze\"")]);
        check(
            &LimitParams { off: false, ..LimitParams::off(Resource::Memory) },
            &[(None, "`above` is missing")],
        );
        let of_disk = LimitParams { resource: Resource::Disk, ..memory("90%") };
        check(&of_disk, &[(None, "`below` is missing"), (Some("above"), "did you mean `below`?")]);
        check(&LimitParams { off: true, ..memory("90%") }, &[(None, "say `off` alone")]);
    }
}
