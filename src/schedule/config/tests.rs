//! What the columns may hold, and what the command line may say.

use chrono::{TimeZone, Utc};

use super::*;
use crate::base::tz::Tz;
use crate::schedule::{Zone, parse_every, parse_once, parse_time_of_day, parse_weekly};

/// Madrid's clock.
fn madrid() -> Tz {
    "Europe/Madrid".parse().unwrap()
}

#[track_caller]
fn read(kind: &str, config: &str) -> ScheduleConfig {
    ScheduleConfig::from_parts(kind, config).unwrap()
}

#[track_caller]
fn refused(kind: &str, config: &str, with: &str) {
    let error = ScheduleConfig::from_parts(kind, config).unwrap_err().to_string();
    assert!(error.contains(with), "{kind} {config}: {error}");
}

#[test]
fn the_columns_are_read_as_the_contract_says() {
    let at = Utc.with_ymd_and_hms(2026, 11, 23, 2, 0, 0).unwrap();
    for key in ["at", "run_at"] {
        assert_eq!(
            read("once", &format!(r#"{{"{key}": "2026-11-23T03:00:00+01:00"}}"#)),
            ScheduleConfig::Once { at }
        );
    }
    let every = TimeDelta::hours(6);
    assert_eq!(read("interval", r#"{"hours": 6}"#), ScheduleConfig::Interval { every, anchor: None });
    assert_eq!(
        read("interval", r#"{"hours": "5", "minutes": 60, "anchor": "2026-11-23T02:00:00Z"}"#),
        ScheduleConfig::Interval { every, anchor: Some(at) }
    );
    assert_eq!(
        read("interval", r#"{"weeks": 1, "days": 0.5, "seconds": 1}"#),
        ScheduleConfig::Interval { every: TimeDelta::seconds(648_001), anchor: None }
    );
    let nine = TimeOfDay::new(9, 30).unwrap();
    assert_eq!(read("daily", r#"{"hour": 9, "minute": 30}"#), ScheduleConfig::Daily { at: nine });
    assert_eq!(read("daily", r#"{"hour": "9", "minute": "30"}"#), ScheduleConfig::Daily { at: nine });
    assert_eq!(read("daily", r#"{"hour": 9}"#), ScheduleConfig::Daily { at: TimeOfDay::new(9, 0).unwrap() });
    for day in ["0", "\"0\"", "\"mon\"", "\"Monday\""] {
        assert_eq!(
            read("weekly", &format!(r#"{{"day_of_week": {day}, "hour": 9, "minute": 30}}"#)),
            ScheduleConfig::Weekly { day_of_week: Weekday::Mon, at: nine }
        );
    }
    let fetch = JobId::new("fetch").unwrap();
    assert_eq!(
        read("after", r#"{"jobs": ["fetch", "fetch"], "on": "failed"}"#),
        ScheduleConfig::After { jobs: vec![fetch.clone()], on: AfterOn::Failed }
    );
    assert_eq!(
        read("after", r#"{"jobs": "fetch"}"#),
        ScheduleConfig::After { jobs: vec![fetch], on: AfterOn::Completed }
    );
    assert_eq!(read("manual", ""), ScheduleConfig::Manual);
    assert_eq!(read("manual", "{}"), ScheduleConfig::Manual);
    assert_eq!(read("cron", r#"{"expression": "30 9 * * 1-5"}"#).kind(), "cron");
}

#[test]
fn what_is_wrong_is_said_with_what_is_right() {
    refused("crno", "{}", "did you mean cron?");
    refused("monthly", "{}", "the types are once, interval, daily");
    refused("once", "{}", r#"{"at": "2026-11-23T02:00:00Z"}"#);
    refused("once", r#"{"at": "tomorrow"}"#, "tomorrow");
    refused("once", r#"{"at": 5}"#, "not 5");
    refused("interval", r#"{"hour": 6}"#, "\"hours\" is missing");
    refused("interval", r#"{"hours": 6, "minuts": 1}"#, "did you mean \"minutes\"?");
    refused("interval", r#"{"hours": 0}"#, "at least one");
    refused("interval", r#"{"seconds": 0.5}"#, "whole number of seconds");
    refused("interval", r#"{"weeks": 1e300}"#, "weeks");
    refused("interval", r#"{"weeks": 99999}"#, "at most ten years");
    refused("daily", r#"{"hour": 24, "minute": 0}"#, "from 0 to 23, not 24");
    refused("daily", r#"{"hour": 9.5}"#, "whole number");
    refused("weekly", r#"{"day_of_week": 7, "hour": 9}"#, "(0 is Monday)");
    refused("weekly", r#"{"hour": 9}"#, "\"day_of_week\" is missing");
    refused("cron", r#"{"expression": "61 * * * *"}"#, "minute 61");
    refused("cron", r#"{"expression": 5}"#, "must be a text");
    refused("after", r#"{"jobs": []}"#, "at least one job");
    refused("after", r#"{"jobs": ["a b"]}"#, "malformed");
    refused("after", r#"{"jobs": ["a"], "on": "done"}"#, "finished");
    refused("manual", r#"{"at": 1}"#, "it takes none");
    refused("daily", "[1]", "not a JSON object");
    refused("daily", "{", "is not JSON");
}

#[test]
fn what_is_written_is_read_back() {
    let at = Utc.with_ymd_and_hms(2026, 11, 23, 2, 0, 0).unwrap();
    let time = TimeOfDay::new(23, 5).unwrap();
    let configs = [
        ScheduleConfig::Once { at },
        ScheduleConfig::Interval { every: TimeDelta::minutes(90), anchor: Some(at) },
        ScheduleConfig::Interval { every: TimeDelta::seconds(61), anchor: None },
        ScheduleConfig::Daily { at: time },
        ScheduleConfig::Weekly { day_of_week: Weekday::Sun, at: time },
        ScheduleConfig::Cron("*/5 9-17 * * mon-fri".parse().unwrap()),
        ScheduleConfig::After { jobs: vec![JobId::new("a").unwrap()], on: AfterOn::Finished },
        ScheduleConfig::Manual,
    ];
    for config in configs {
        let text = config.to_json().to_string();
        assert_eq!(ScheduleConfig::from_parts(config.kind(), &text).as_ref(), Ok(&config), "{text}");
        let message = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ScheduleConfig>(&message).unwrap(), config, "{message}");
    }
    assert_eq!(
        ScheduleConfig::Interval { every: TimeDelta::hours(6), anchor: None }.to_json().to_string(),
        r#"{"hours":6}"#
    );
}

#[test]
fn the_command_line_says_when() {
    let seconds = |text: &str| parse_every(text).map(|every| every.num_seconds());
    assert_eq!(seconds("6h"), Ok(21_600));
    assert_eq!(seconds("1w2d3h4m5s"), Ok(788_645));
    for wrong in
        ["", "6", "h", "6H", "1m1h", "1.5h", "0s", "99999999999999999999s", "600w", "1h ", "-1h", "6µ"]
    {
        assert!(parse_every(wrong).is_err(), "{wrong}");
    }
    assert_eq!(parse_time_of_day("09:30"), Ok(TimeOfDay::new(9, 30).unwrap()));
    assert_eq!(parse_time_of_day("9:30"), Ok(TimeOfDay::new(9, 30).unwrap()));
    for wrong in ["24:00", "9:60", "930", "9:3", "09:30:00", "+9:30", "９:30", ""] {
        assert!(parse_time_of_day(wrong).is_err(), "{wrong}");
    }
    let monday = (Weekday::Mon, TimeOfDay::new(9, 0).unwrap());
    assert_eq!(parse_weekly("mon 09:00"), Ok(monday));
    assert_eq!(parse_weekly("Monday  9:00"), Ok(monday));
    for wrong in ["mon", "09:00", "m 09:00", "moon 09:00", "mon 09:00 x"] {
        assert!(parse_weekly(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_instant_is_the_zones_own_time_or_rfc_3339() {
    #[track_caller]
    fn check(text: &str, utc: &str) {
        let at = parse_once(text, madrid()).unwrap();
        assert_eq!(format_instant(at), utc, "{text}");
    }
    check("2026-11-23T02:00:00Z", "2026-11-23T02:00:00.000Z");
    check("2026-11-23 02:00", "2026-11-23T01:00:00.000Z");
    check("2026-07-23T02:00:30", "2026-07-23T00:00:30.000Z");
    // In the gap: the first instant after it. In the overlap: the first pass.
    check("2027-03-28 02:30", "2027-03-28T01:00:00.000Z");
    check("2027-10-31 02:30", "2027-10-31T00:30:00.000Z");
    assert!(parse_once("23.11.2026", madrid()).is_err());
}

#[test]
fn a_once_that_is_past_is_refused_when_it_is_added() {
    let now = Utc.with_ymd_and_hms(2026, 11, 23, 2, 0, 0).unwrap();
    let once = |seconds| ScheduleConfig::Once { at: now + TimeDelta::seconds(seconds) };
    assert!(once(1).check_new(now).is_ok());
    let error = once(0).check_new(now).unwrap_err().to_string();
    assert!(error.contains("2026-11-23T02:00:00.000Z is in the past"), "{error}");
}

#[test]
fn a_zone_is_known_by_its_name_and_a_wrong_one_gets_the_nearest() {
    let zone = |text: &str| text.parse::<Zone>();
    assert_eq!(zone("Europe/Madrid"), Ok(Zone::Named(madrid())));
    assert_eq!(zone("europe/madrid"), Ok(Zone::Named(madrid())));
    assert_eq!(zone("utc").map(|zone| zone.as_str()), Ok("UTC"));
    assert_eq!(zone("local"), Ok(Zone::Local));
    assert_eq!(Zone::Local.resolve("Europe/Madrid"), Ok(madrid()));
    assert!(Zone::Local.resolve("Nowhere").is_err());
    for (wrong, hint) in [
        ("Europe/Madrit", "did you mean Europe/Madrid?"),
        ("Madrid", "did you mean Europe/Madrid?"),
        ("Spain/Madrid", "did you mean Europe/Madrid?"),
        ("Lord Howe", "did you mean Australia/Lord_Howe?"),
        ("+02:00", "an offset does not follow summer time"),
        ("", "write an IANA name"),
        ("Middle-earth", "write an IANA name"),
    ] {
        let error = zone(wrong).unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn a_cycle_of_jobs_is_listed_from_first_to_last() {
    let id = |text: &str| JobId::new(text).unwrap();
    let above = BTreeMap::from([
        (id("b"), vec![id("x"), id("c")]),
        (id("c"), vec![id("d"), id("a")]),
        (id("d"), vec![id("e")]),
        (id("e"), vec![id("d")]),
    ]);
    let cycle = |job: &str, jobs: &[&str]| {
        let jobs: Vec<_> = jobs.iter().map(|job| id(job)).collect();
        cycle_through(&id(job), &jobs, &above)
            .map(|cycle| cycle.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(cycle("a", &["b"]).as_deref(), Some("a b c a"));
    assert_eq!(cycle("a", &["a"]).as_deref(), Some("a a"));
    assert_eq!(cycle("z", &["b"]), None);
    assert_eq!(cycle("a", &["x", "d"]), None);
}
