//! Limits over sequences of samples.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::super::{Threshold, VolumeSpace};
use super::*;

fn at(awake_ms: u64) -> Now {
    let start: DateTime<Utc> = "2026-11-23T02:00:00Z".parse().unwrap();
    Now { wall: start + TimeDelta::milliseconds(awake_ms as i64), awake_ms }
}

fn limits() -> Limits {
    let limit = |resource, raise_at, clear_at| {
        Limit::new(resource, raise_at, clear_at, Duration::from_secs(10)).unwrap()
    };
    Limits::none()
        .with(limit(Resource::Memory, Threshold::Fraction(0.9), Threshold::Fraction(0.8)))
        .with(limit(Resource::Disk, Threshold::Bytes(100), Threshold::Bytes(200)))
}

/// A machine with this much of its 100 bytes of memory in use, and disks with this much free.
fn machine(memory: u64, disks: &[(&str, u64)]) -> MachineSample {
    let volume = |(path, free_bytes): &(&str, u64)| VolumeSpace {
        path: Path::new(path).into(),
        free_bytes: *free_bytes,
        total_bytes: 1000,
    };
    MachineSample {
        memory_used_bytes: memory,
        memory_total_bytes: 100,
        volumes: disks.iter().map(volume).collect(),
        ..MachineSample::default()
    }
}

/// The changes in short form: `+memory`, `-disk /a`.
fn said(changes: &[LimitChange]) -> Vec<String> {
    let text = |sign: &str, raised: &RaisedLimit| {
        let place = raised.volume.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default();
        format!("{sign}{}{place}", raised.limit.resource().name())
    };
    let one = |change: &LimitChange| match change {
        LimitChange::Raised(raised) => text("+", raised),
        LimitChange::Cleared(raised) => text("-", raised),
    };
    changes.iter().map(one).collect()
}

#[track_caller]
fn check(samples: &[(u64, u64, &[&str])]) {
    let mut watch = LimitWatch::new(limits());
    for (second, memory, expected) in samples {
        let changes = watch.observe(at(second * 1000), &machine(*memory, &[]));
        assert_eq!(said(&changes), *expected, "after {second} s");
    }
}

#[test]
fn a_limit_is_raised_after_its_time_and_not_before_and_cleared_at_the_lower_bound() {
    check(&[
        (0, 95, &[]),
        (9, 95, &[]),
        (10, 95, &["+memory"]),
        (11, 99, &[]),
        (12, 85, &[]),
        (13, 80, &["-memory"]),
    ]);
}

#[test]
fn a_break_begins_the_time_anew() {
    check(&[(0, 95, &[]), (9, 90, &[]), (10, 95, &[]), (19, 95, &[]), (20, 95, &["+memory"])]);
}

#[test]
fn between_the_bounds_nothing_flaps() {
    check(&[
        (0, 95, &[]),
        (10, 95, &["+memory"]),
        (11, 81, &[]),
        (12, 95, &[]),
        (30, 89, &[]),
        (31, 99, &[]),
    ]);
}

#[test]
fn a_time_without_samples_does_not_count_as_exceeded() {
    check(&[(0, 95, &[]), (100, 95, &[]), (109, 95, &[]), (110, 95, &["+memory"])]);
}

#[test]
fn sleep_raises_nothing() {
    let mut watch = LimitWatch::new(limits());
    let slept = |awake_ms: u64| Now { wall: at(awake_ms).wall + TimeDelta::hours(8), awake_ms };
    assert_eq!(said(&watch.observe(at(0), &machine(95, &[]))), [""; 0]);
    assert_eq!(said(&watch.observe(at(9_000), &machine(95, &[]))), [""; 0]);
    // The lid was closed and opened; ten seconds of awake time have passed in all.
    assert_eq!(said(&watch.observe(slept(10_000), &machine(95, &[]))), [""; 0]);
    assert_eq!(said(&watch.observe(slept(19_000), &machine(95, &[]))), [""; 0]);
    assert_eq!(said(&watch.observe(slept(20_000), &machine(95, &[]))), ["+memory"]);
}

#[test]
fn each_file_system_is_short_by_itself_and_one_that_is_taken_away_is_not() {
    let mut watch = LimitWatch::new(limits());
    let mut see =
        |second: u64, disks: &[(&str, u64)]| said(&watch.observe(at(second * 1000), &machine(1, disks)));
    assert_eq!(see(0, &[("/a", 99), ("/b", 500)]), [""; 0]);
    assert_eq!(see(10, &[("/a", 99), ("/b", 99)]), ["+disk /a"]);
    assert_eq!(see(20, &[("/a", 199), ("/b", 99)]), ["+disk /b"]);
    assert_eq!(see(21, &[("/a", 200)]), ["-disk /a", "-disk /b"]);
    assert_eq!(see(22, &[("/a", 200), ("/b", 99)]), [""; 0]);
}

#[test]
fn a_limit_that_is_lifted_is_cleared_and_one_that_stays_is_not() {
    let mut watch = LimitWatch::new(limits());
    let full = machine(95, &[("/a", 1)]);
    watch.observe(at(0), &full);
    assert_eq!(said(&watch.observe(at(10_000), &full)), ["+memory", "+disk /a"]);
    let disk = *limits().of(Resource::Disk).unwrap();
    assert_eq!(said(&watch.set_limits(Limits::none().with(disk))), ["-memory"]);
    assert_eq!(watch.raised().count(), 1);
    assert_eq!(said(&watch.observe(at(20_000), &full)), [""; 0]);
    assert_eq!(said(&watch.set_limits(Limits::none())), ["-disk /a"]);
}

/// One input of a watch.
#[derive(Debug, Clone)]
enum Seen {
    Sample { back_ms: u64, on_ms: u64, slept_ms: i64, memory: u64, disks: Vec<u64> },
    Limits(Limits),
}

fn seen() -> impl Strategy<Value = Seen> {
    let disks = prop::collection::vec(0..300_u64, 0..3);
    let sample = (
        0..3_000_u64,
        0..20_000_u64,
        prop_oneof![4 => Just(0), 1 => -5_000..50_000_i64],
        70..=100_u64,
        disks,
    );
    prop_oneof![
        12 => sample.prop_map(|(back_ms, on_ms, slept_ms, memory, disks)| Seen::Sample { back_ms, on_ms, slept_ms, memory, disks }),
        1 => Just(Seen::Limits(limits())),
        1 => Just(Seen::Limits(Limits::none())),
    ]
}

proptest! {
    #[test]
    fn whatever_the_order_of_samples_what_is_raised_is_cleared_exactly_once(seen in prop::collection::vec(seen(), 0..80)) {
        let mut watch = LimitWatch::new(limits());
        let mut now = at(1_000_000);
        let mut raised: HashMap<String, bool> = HashMap::new();
        let end = Seen::Limits(Limits::none());
        for one in seen.into_iter().chain([end]) {
            let changes = match one {
                Seen::Limits(limits) => watch.set_limits(limits),
                Seen::Sample { back_ms, on_ms, slept_ms, memory, disks } => {
                    now.awake_ms = (now.awake_ms + on_ms).saturating_sub(back_ms);
                    now.wall += TimeDelta::milliseconds(on_ms as i64 - back_ms as i64 + slept_ms);
                    let disks: Vec<_> = ["/a", "/b"].into_iter().zip(disks).collect();
                    watch.observe(now, &machine(memory, &disks))
                }
            };
            for change in said(&changes) {
                let (is_raised, name) = (change.starts_with('+'), change[1..].to_owned());
                let before = raised.insert(name.clone(), is_raised).unwrap_or(false);
                prop_assert_ne!(before, is_raised, "{} twice", name);
            }
            let n_raised = raised.values().filter(|is_raised| **is_raised).count();
            prop_assert_eq!(watch.raised().count(), n_raised);
        }
        prop_assert!(raised.values().all(|is_raised| !is_raised));
    }
}
