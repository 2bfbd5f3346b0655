//! `leverframe report`: reports of a step about itself, for scripts that do not write JSON.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use clap::Args;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::exit::{Failure, Outcome};
use super::key_value;
use crate::api::exit_code::{DONE, FAILED};
use crate::logs::append_report;
use crate::run::ReportLine;

/// The variable with the path of a step's report file.
const REPORT: &str = "LEVERFRAME_REPORT";

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct ReportArgs {
    /// How far the step is, from 0 to 1.
    #[arg(long, value_name = "FRACTION", allow_negative_numbers = true)]
    progress: Option<f64>,
    /// What the step is doing, for people.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<String>,
    /// What it needs to go on from here: any JSON. Replaces the last.
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    checkpoint: Option<String>,
    /// A value for later steps: JSON, or else a text.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    output: Vec<(String, String)>,
    /// A number at this moment, plotted with the run.
    #[arg(long, value_name = "KEY=NUMBER", value_parser = key_number)]
    metric: Vec<(String, f64)>,
}

fn key_number(text: &str) -> Result<(String, f64), String> {
    let (key, value) = key_value(text).map_err(|_| "write KEY=NUMBER")?;
    let number = value.parse().ok().filter(|number: &f64| number.is_finite());
    Ok((key, number.ok_or_else(|| format!("{value:?} is not a number"))?))
}

pub(super) fn report(args: ReportArgs) -> Outcome {
    let path =
        std::env::var_os(REPORT).filter(|path| !path.is_empty()).map(PathBuf::from).ok_or_else(|| {
            Failure::usage(format!(
                "`report` works only inside a step: {REPORT} is not set; call it from a step's command"
            ))
        })?;
    let line = line(args)?;
    append_report(&path, &line).map_err(|error| {
        if error.kind() == io::ErrorKind::InvalidInput {
            return Failure::usage(error.to_string());
        }
        let shown = path.display();
        Failure::new(FAILED, format!("the report {shown} can't be written: {error}"))
    })?;
    Ok(DONE)
}

fn line(args: ReportArgs) -> Result<ReportLine, Failure> {
    let checkpoint = args.checkpoint.map(|text| {
        RawValue::from_string(text).map_err(|error| {
            Failure::usage(format!(
                "the checkpoint is not JSON: {error}; quote texts, such as --checkpoint '\"page 3\"'"
            ))
        })
    });
    let output = |(key, value): (String, String)| {
        let value = serde_json::from_str(&value).unwrap_or(Value::String(value));
        (key, value)
    };
    Ok(ReportLine {
        progress: args.progress,
        message: args.message,
        checkpoint: checkpoint.transpose()?,
        outputs: args.output.into_iter().map(output).collect::<Map<_, _>>(),
        metrics: args.metric.into_iter().collect::<BTreeMap<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_where_they_can_be_and_texts_else() {
        let args = ReportArgs {
            progress: Some(0.5),
            message: None,
            checkpoint: Some("{\"page\": 3}".into()),
            output: vec![("rows".into(), "12".into()), ("name".into(), "a b".into())],
            metric: vec![("rate".into(), 1.5)],
        };
        let text = serde_json::to_string(&line(args).unwrap()).unwrap();
        let expected = r#"{"progress":0.5,"checkpoint":{"page": 3},"output":{"name":"a b","rows":12},"metric":{"rate":1.5}}"#;
        assert_eq!(text, expected);
        assert!(key_number("a=x").is_err() && key_number("a=inf").is_err() && key_number("a=-1e3").is_ok());
    }
}
