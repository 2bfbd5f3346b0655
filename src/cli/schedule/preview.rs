//! `leverframe schedule preview`: what a schedule would do. It needs no job and no data directory.

use clap::{Args, value_parser};

use super::super::Print;
use super::super::exit::Outcome;
use super::super::output::{Form, Page, note};
use super::super::runs::moment;
use super::timing::Timing;
use super::words::{countdown, on_wall, warn_ignored_tz, zone_named};
use crate::api::exit_code::DONE;
use crate::engine::now;
use crate::schedule::{MAX_PREVIEW, Zone, parse_once, preview as preview_of};

#[derive(Debug, Args)]
pub(in crate::cli) struct PreviewArgs {
    #[command(flatten)]
    timing: Timing,
    /// The zone that it follows, such as Europe/Madrid; default: the machine's.
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// Only instants after this one; default: now.
    #[arg(long, value_name = "T")]
    from: Option<String>,
    /// How many, at most 100000.
    #[arg(short, value_name = "N", default_value_t = 10, value_parser = value_parser!(u64).range(..=MAX_PREVIEW))]
    n: u64,
    #[command(flatten)]
    print: Print,
}

pub(super) fn preview(args: &PreviewArgs) -> Outcome {
    let now = now().wall;
    let zone = zone_named(args.tz.as_deref())?;
    warn_ignored_tz(args.tz.as_deref());
    let schedule = args.timing.required(zone)?;
    let from = match &args.from {
        // A time without an offset is in the zone of the preview.
        Some(text) => parse_once(text, zone).or_else(|_| moment(text, now))?,
        None => now,
    };
    let preview = preview_of(&schedule, zone, from, from, args.n as usize);
    let mut page = Page::new();
    match args.print.form() {
        Form::Json => page.document(&preview)?,
        Form::Text => {
            let named = args.tz.as_deref().map(str::parse::<Zone>).transpose()?;
            let named = named.unwrap_or(Zone::Named(zone));
            page.line(schedule.in_words(named, zone))?;
            for fire in &preview.fires {
                page.line(format_args!("{}  ({})", on_wall(fire.at, zone), countdown(fire.at, now)))?;
            }
            for change in &preview.clock_changes {
                page.line(&change.text)?;
            }
            page.flush()?;
            if preview.fires.is_empty() && args.n > 0 {
                note("it is due at no fixed time");
            }
        }
    }
    page.end(DONE)
}
