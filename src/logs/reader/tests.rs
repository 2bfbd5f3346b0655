//! Logs as steps write them and as the supervisor leaves them.

use super::super::holes::tests::{file_with, punch};
use super::*;

fn log(bytes: impl AsRef<[u8]>) -> LogReader {
    LogReader { file: file_with(bytes.as_ref()) }
}

fn window(log: &LogReader, start: u64, max_bytes: usize) -> LogWindow {
    log.window(start, log.log_len().unwrap(), max_bytes.min(MAX_WINDOW_BYTES)).unwrap()
}

fn texts(window: &LogWindow) -> Vec<String> {
    let text = |line: &LogLine| match line {
        LogLine::Text { text, .. } => text.clone(),
        LogLine::Dropped { n_bytes, .. } => format!("<{n_bytes} bytes dropped>"),
    };
    window.lines.iter().map(text).collect()
}

fn tail(log: &LogReader, n_lines: usize, max_bytes: usize) -> Vec<String> {
    texts(&log.tail(n_lines, max_bytes).unwrap())
}

#[test]
fn the_tail_is_the_last_lines() {
    let log = log("one\ntwo\nthree\n");
    assert_eq!(tail(&log, 2, 1000), ["two", "three"]);
    assert_eq!(tail(&log, 9, 1000), ["one", "two", "three"]);
    assert_eq!(tail(&log, 9, 8), ["o", "three"]);
    assert!(tail(&log, 0, 1000).is_empty());
    assert_eq!(log.tail(2, 1000).unwrap().start, 4);
}

#[test]
fn a_last_line_without_newline_is_a_line() {
    assert_eq!(tail(&log("one\ntwo\nthr"), 2, 1000), ["two", "thr"]);
    assert_eq!(tail(&log("\n\n"), 5, 1000), ["", ""]);
    assert!(tail(&log(""), 5, 1000).is_empty());
}

#[test]
fn the_tail_of_a_long_log_is_found_from_its_end() {
    let lines: String = (0..100_000).map(|i| format!("line {i}\n")).collect();
    let log = log(&lines);
    let found = tail(&log, 20_000, 1 << 20);
    assert_eq!((found.len(), found[0].as_str()), (20_000, "line 80000"));
    assert!(tail(&log, 100_000, 1000).len() < 120);
}

#[test]
fn a_flooded_log_says_how_much_was_dropped() {
    let lines: String = (0..40_000).map(|i| format!("line {i:05}\n")).collect();
    let log = log(&lines);
    punch(&log.file, 100_006..399_999);
    assert_eq!(log.log_len().unwrap(), 440_000);
    let found = tail(&log, 10_000, 1 << 20);
    let gap = found.iter().position(|text| text == "<299993 bytes dropped>").unwrap();
    assert_eq!(found[gap - 1], "line ", "the head, up to the gap");
    assert_eq!(found[gap + 1], "6363", "the rest of a line");
    assert_eq!(found.last().unwrap(), "line 39999");

    let window = window(&log, 100_006, 30);
    assert_eq!(texts(&window)[0], "<299993 bytes dropped>");
    assert_eq!(texts(&window)[2..], ["line 36364", "line 36365"]);
    let dropped = log.dropped().unwrap();
    assert_eq!(dropped.len(), 1);
    assert!(
        dropped[0].start >= 100_006
            && dropped[0].end <= 399_999
            && dropped[0].end - dropped[0].start > 280_000
    );
}

#[test]
fn the_tail_of_a_flooded_log_stays_behind_the_gap_if_that_is_enough() {
    let lines: String = (0..40_000).map(|i| format!("line {i:05}\n")).collect();
    let log = log(&lines);
    punch(&log.file, 65_536..262_144);
    assert_eq!(tail(&log, 2, 1 << 20), ["line 39998", "line 39999"]);
}

#[test]
fn windows_follow_each_other_at_starts_of_lines_and_lose_nothing() {
    let text: String = (0..3000).map(|i| format!("{}\n", "ä".repeat(i % 50))).collect();
    let log = log(&text);
    let (mut at, mut all) = (0, String::new());
    while at < text.len() as u64 {
        let window = window(&log, at, 1000);
        assert_eq!(window.start, at);
        assert!(window.end > at);
        texts(&window).iter().for_each(|line| all.extend([line, "\n"]));
        at = window.end;
    }
    assert_eq!(all, text);
}

#[test]
fn one_endless_line_is_read_in_parts() {
    let log = log("x".repeat(10 << 20));
    let window = window(&log, 5, usize::MAX);
    assert_eq!((window.lines.len(), window.end), (1, 5 + MAX_WINDOW_BYTES as u64));
    assert_eq!(tail(&log, 10, 100), ["x".repeat(100)]);
}

#[test]
fn a_window_of_nothing_but_newlines_stays_small_and_goes_on() {
    let log = log("\n".repeat(1 << 20));
    let window = window(&log, 0, usize::MAX);
    assert_eq!((window.lines.len(), window.end), (MAX_WINDOW_LINES, MAX_WINDOW_LINES as u64));
    assert_eq!(tail(&log, usize::MAX, usize::MAX).len(), MAX_WINDOW_LINES / 2);
}

#[test]
fn whatever_bytes_a_step_writes_its_lines_are_text() {
    let log = log(b"a\0b\n\xff\xfe\n10%\r20%\r\n\x1b[31mred\x1b[0m\n\xe4");
    let plain = window(&log, 0, 1000);
    assert_eq!(texts(&plain), ["ab", "\u{fffd}\u{fffd}", "20%", "red", "\u{fffd}"]);
    let offsets: Vec<_> =
        plain.lines.iter().map(|line| matches!(line, LogLine::Text { offset: 4, .. })).collect();
    assert_eq!(offsets, [false, true, false, false, false], "offsets are those of the file");
}

#[test]
fn a_window_that_begins_within_a_character_begins_after_it() {
    let window = window(&log("→x\ny\n"), 1, 1000);
    assert_eq!(texts(&window), ["x", "y"]);
    assert_eq!(window.lines[0], LogLine::Text { offset: 3, text: "x".into() });
}

#[test]
fn beyond_the_end_there_is_nothing() {
    let window = window(&log("one\n"), 100, 10);
    assert_eq!((window.start, window.end, window.log_len, window.lines.len()), (100, 100, 4, 0));
}
