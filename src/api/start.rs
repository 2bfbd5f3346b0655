//! Which run to start, and with what.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::request::StartRun;
use crate::pipeline::ParamError;
use crate::run::{Definition, Plan};
use crate::store::StoredRun;

impl StartRun {
    /// Fills absent fields from an earlier run: its parameters, run type and environment. Parameters that `definition`
    /// does not have are left out.
    #[must_use]
    pub fn filled_from(mut self, earlier: &StoredRun, definition: &Definition) -> Self {
        let known = &definition.pipeline.params;
        let mut params: BTreeMap<_, _> = earlier
            .params
            .iter()
            .filter(|(name, _)| known.contains_key(*name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for (name, own, earlier) in [
            ("run_type", &mut self.run_type, &earlier.summary.run_type),
            ("environment", &mut self.environment, &earlier.summary.environment),
        ] {
            if own.is_some() {
                // The new value counts, not the earlier parameter of that name.
                params.remove(name);
            } else if !known.contains_key(name) {
                *own = Some(earlier.to_string());
            }
        }
        params.append(&mut self.params);
        self.params = params;
        self
    }

    /// The plan of a run of `definition`.
    ///
    /// # Errors
    /// [`ParamError`] when a parameter is unknown, missing, a secret, or not of its type.
    pub fn plan(&self, definition: Arc<Definition>) -> Result<Plan, ParamError> {
        let home = std::env::home_dir();
        let (run_type, environment) = (self.run_type.as_deref(), self.environment.as_deref());
        let plan = Plan::resolve(definition, &self.params, run_type, environment, home.as_deref())?;
        Ok(Plan { run_id: self.run_id.clone(), priority: self.priority, ..plan })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Pipeline;
    use std::path::Path;

    const TEXT: &str = "id = \"p\"\n[params.run_type]\ndefault = \"FULL\"\nchoices = [\"FULL\", \"DELTA\"]\n\
                        [params.n]\ntype = \"int\"\ndefault = 1\n[[step]]\nid = \"a\"\nrun = \"true\"\n";

    fn definition() -> Arc<Definition> {
        let pipeline = Pipeline::parse(TEXT, Path::new("/p.toml"), None).unwrap();
        Arc::new(Definition { path: "/p.toml".into(), text: TEXT.into(), pipeline })
    }

    fn plan(params: &[(&str, &str)], run_type: Option<&str>) -> Result<Plan, ParamError> {
        let start = StartRun {
            params: params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            run_type: run_type.map(str::to_owned),
            ..StartRun::default()
        };
        start.plan(definition())
    }

    #[test]
    fn the_run_type_and_the_parameter_of_that_name_agree() {
        let made = plan(&[], Some("DELTA")).unwrap();
        assert_eq!((made.run_type.as_str(), made.params["run_type"].as_str()), ("DELTA", "DELTA"));
        let made = plan(&[("run_type", "DELTA"), ("n", "3")], None).unwrap();
        assert_eq!((made.run_type.as_str(), made.params["n"].as_str()), ("DELTA", "3"));
        assert_eq!(made.environment, "dev");
        plan(&[("run_type", "FULL")], Some("DELTA")).expect_err("they contradict");
        plan(&[("m", "3")], None).expect_err("there is no m");
    }
}
