//! Report files as steps really leave them: half lines, floods, garbage, truncation, pipes and links.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::base::id::{RunId, StepId};

struct Bench {
    dir: TempDir,
    cursor: Cursor,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), cursor: Cursor::at(0) }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("s.1.jsonl")
    }

    fn append(&self, bytes: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path()).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    fn read(&mut self, last_line: LastLine) -> ReportBatch {
        let key =
            AttemptKey { run_id: RunId::new("r").unwrap(), step_id: StepId::new("s").unwrap(), attempt: 1 };
        read_reports(&self.path(), &key, &mut self.cursor, last_line, u64::MAX).batch
    }

    fn warnings(&mut self) -> Vec<String> {
        self.read(LastLine::Waits).warnings.into_iter().map(|warning| warning.text).collect()
    }
}

#[test]
fn a_step_that_reported_nothing_says_nothing() {
    assert!(Bench::new().read(LastLine::IsTaken).is_empty());
}

#[test]
fn half_a_line_waits_for_its_newline() {
    let mut bench = Bench::new();
    bench.append("{\"progress\": 0.25}\n{\"progr");
    let first = bench.read(LastLine::Waits);
    assert_eq!((first.progress, first.from_offset, first.new_offset), (Some(0.25), 0, 19));
    assert!(bench.read(LastLine::Waits).is_empty());
    bench.append("ess\": 0.5}\n");
    let second = bench.read(LastLine::Waits);
    assert_eq!((second.progress, second.from_offset), (Some(0.5), 19));
    assert!(second.warnings.is_empty());
}

#[test]
fn half_a_line_is_taken_at_the_end_if_it_is_whole() {
    let mut bench = Bench::new();
    bench.append("{\"output\": {\"a\": 1}}");
    let batch = bench.read(LastLine::IsTaken);
    assert_eq!(batch.outputs["a"], 1);
    assert_eq!(batch.new_offset, 20);

    let mut bench = Bench::new();
    bench.append("{\"progress\": 0.5}\n{\"output\": {\"a\"");
    let batch = bench.read(LastLine::IsTaken);
    assert_eq!((batch.progress, batch.warnings.len()), (Some(0.5), 1));
    assert!(batch.warnings[0].text.contains("line 2 of its report is not a JSON object"));
}

#[test]
fn garbage_is_one_warning_a_kind_with_its_line_and_reading_goes_on() {
    let mut bench = Bench::new();
    bench.append(b"{}\nhello\nagain\n\xff\xff\n\n{\"progres\": 1}\n{\"progress\": 0.5}\n");
    let batch = bench.read(LastLine::Waits);
    let texts: Vec<_> = batch.warnings.iter().map(|warning| warning.text.as_str()).collect();
    assert_eq!(batch.progress, Some(0.5));
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].starts_with("step s: line 2 of its report is not a JSON object"), "{texts:?}");
    assert!(texts[1].starts_with("step s: line 4 of its report is not UTF-8"), "{texts:?}");
    assert!(texts[2].starts_with("step s: line 6 of its report has the unknown key"), "{texts:?}");
    bench.append("more\n");
    assert!(bench.warnings().is_empty(), "a kind is told once an attempt");
}

#[test]
fn a_line_over_1_mib_is_passed_over_wherever_reading_stops_in_it() {
    let mut bench = Bench::new();
    bench.append(format!("{{\"message\": \"{}", "x".repeat(3 << 20)));
    let batch = bench.read(LastLine::Waits);
    assert_eq!(batch.warnings[0].kind, ReportFaultKind::TooLong);
    assert_eq!(batch.new_offset, (3 << 20) + 13, "nothing of it is read again");
    bench.append("yyy");
    // A new engine knows only the offset.
    bench.cursor = Cursor::at(batch.new_offset);
    bench.append("y\"}\n{\"progress\": 0.5}\n");
    let batch = bench.read(LastLine::Waits);
    assert_eq!((batch.progress, batch.warnings.len()), (Some(0.5), 0));
}

#[test]
fn a_line_of_just_1_mib_is_taken() {
    let mut bench = Bench::new();
    let frame = "{\"checkpoint\": \"\"}".len();
    bench.append(format!("{{\"checkpoint\": \"{}\"}}\n", "x".repeat(MAX_REPORT_LINE - frame)));
    let batch = bench.read(LastLine::Waits);
    assert!(batch.checkpoint.is_some() && batch.warnings.is_empty());
}

#[test]
fn after_a_crash_reading_goes_on_from_the_recorded_offset() {
    let mut bench = Bench::new();
    bench.append("{\"progress\": 0.1, \"output\": {\"a\": 1}}\n");
    let offset = bench.read(LastLine::Waits).new_offset;
    bench.append("{\"progress\": 0.2}\nhm\n");
    bench.cursor = Cursor::at(offset);
    let batch = bench.read(LastLine::Waits);
    assert_eq!((batch.progress, batch.outputs.len(), batch.from_offset), (Some(0.2), 0, offset));
    assert!(batch.warnings[0].text.contains(&format!("the line at byte {} ", offset + 18)), "{batch:?}");
}

#[test]
fn a_truncated_report_is_read_again_from_the_start() {
    let mut bench = Bench::new();
    bench.append("{\"progress\": 0.25}\n");
    bench.read(LastLine::Waits);
    File::create(bench.path()).unwrap();
    bench.append("{\"message\":1}\n");
    let batch = bench.read(LastLine::Waits);
    assert_eq!((batch.from_offset, batch.new_offset), (19, 14));
    assert!(batch.warnings[0].text.contains("became shorter"));
    assert!(batch.warnings[1].text.contains("line 1 "));
}

#[test]
fn a_replaced_report_is_read_again_from_the_start() {
    let mut bench = Bench::new();
    bench.append("{}\n");
    bench.read(LastLine::Waits);
    let other = bench.dir.path().join("other");
    std::fs::write(&other, "{\"progress\": 0.75}\n").unwrap();
    std::fs::rename(other, bench.path()).unwrap();
    let batch = bench.read(LastLine::Waits);
    assert_eq!(batch.progress, Some(0.75));
    assert!(batch.warnings[0].text.contains("was replaced"));
}

#[test]
fn neither_a_pipe_nor_a_link_nor_a_folder_blocks_or_leads_astray() {
    for make in [
        (|path| {
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap()
        }) as fn(PathBuf),
        |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        |path| std::fs::create_dir(path).unwrap(),
    ] {
        let mut bench = Bench::new();
        make(bench.path());
        let warnings = bench.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("can't be read"), "{warnings:?}");
        assert!(bench.warnings().is_empty());
    }
}

#[test]
fn one_go_takes_no_more_than_it_may() {
    let mut bench = Bench::new();
    for i in 0..100 {
        bench.append(format!("{{\"output\": {{\"k{i}\": \"{}\"}}}}\n", "x".repeat(99_000)));
    }
    let key = bench.read(LastLine::Waits).key;
    let (mut cursor, mut n_goes, mut n_outputs) = (Cursor::at(0), 0, 0);
    loop {
        let reading = read_reports(&bench.path(), &key, &mut cursor, LastLine::Waits, 2 << 20);
        assert!(reading.batch.outputs.len() <= 22);
        (n_goes, n_outputs) = (n_goes + 1, n_outputs + reading.batch.outputs.len());
        if !reading.more {
            break;
        }
    }
    assert_eq!((n_goes, n_outputs), (5, 100));
}

#[test]
fn an_appended_line_is_one_line_that_reads_back() {
    let mut bench = Bench::new();
    let (mut line, _) = parse_report_line(b"{\"progress\": 0.5, \"message\": \"a\\nb\"}");
    line.checkpoint = Some(serde_json::from_str("{\n \"page\":\r\n 12}").unwrap());
    append_report(&bench.path(), &line).unwrap();
    append_report(&bench.path(), &line).unwrap();
    assert_eq!(std::fs::read(bench.path()).unwrap().iter().filter(|byte| **byte == b'\n').count(), 2);
    let batch = bench.read(LastLine::Waits);
    assert_eq!((batch.message.as_deref(), batch.warnings.len()), (Some("a\nb"), 0));
    assert_eq!(batch.checkpoint.as_deref(), Some("{  \"page\":   12}"));
}

#[test]
fn a_line_that_would_not_be_taken_is_not_written() {
    let bench = Bench::new();
    let line = ReportLine { progress: Some(42.0), ..ReportLine::default() };
    let error = append_report(&bench.path(), &line).unwrap_err();
    assert!(error.to_string().contains("must be a number from 0 to 1"), "{error}");
    assert!(!bench.path().exists());
}
