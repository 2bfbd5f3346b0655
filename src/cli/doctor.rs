//! `leverframe doctor`.

use clap::Args;
use serde_json::{Value, json};

use super::exit::Outcome;
use super::output::Colour;
use super::{Place, Print};
use crate::api::exit_code::{DONE, FAILED, UNUSABLE, USAGE};
use crate::offline::{Finding, Severity, check_up};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    print: Print,
}

pub(super) fn doctor(args: &DoctorArgs, place: &Place) -> Outcome {
    let findings = check_up(&place.path()?);
    args.print.form().print(&findings.iter().map(document).collect::<Vec<_>>(), |page| {
        for finding in &findings {
            let (colour, glyph) = match finding.severity {
                Severity::Fine => (Colour::Good, "✔"),
                Severity::Odd => (Colour::Held, "!"),
                Severity::Broken => (Colour::Bad, "✖"),
            };
            let glyph = page.colours().paint(colour, glyph);
            let text = finding.text.replace('\n', "\n               ");
            page.line(format_args!("{glyph} {:<12} {text}", finding.about))?;
            if let Some(advice) = &finding.advice {
                page.line(format_args!("               → {advice}"))?;
            }
        }
        Ok(())
    })?;
    let broken = findings.iter().filter(|finding| finding.severity == Severity::Broken);
    Ok(broken.map(|finding| code_of(finding.about)).max().unwrap_or(DONE))
}

/// The exit code that other verbs have for the same problem.
fn code_of(about: &str) -> u8 {
    match about {
        "directory" | "database" => UNUSABLE,
        "settings" | "pipelines" => USAGE,
        _ => FAILED,
    }
}

fn document(finding: &Finding) -> Value {
    json!({
        "about": finding.about, "severity": finding.severity.word(),
        "text": finding.text, "advice": finding.advice,
    })
}
