//! Lines as steps write them, good and bad.

use super::*;
use crate::base::id::{RunId, StepId};

fn faults(line: &str) -> Vec<String> {
    parse_report_line(line.as_bytes()).1.into_iter().map(|fault| fault.why).collect()
}

fn batch() -> ReportBatch {
    let key = AttemptKey { run_id: RunId::new("r").unwrap(), step_id: StepId::new("s").unwrap(), attempt: 1 };
    ReportBatch::new(key, 0)
}

#[test]
fn several_keys_may_stand_in_one_line() {
    let text = r#"{"progress": 0.42, "message": "page 12", "checkpoint": {"page": 12}, "output": {"rows": 3}, "metric": {"r": 1.5}}"#;
    let (line, faults) = parse_report_line(text.as_bytes());
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(line.progress, Some(0.42));
    assert_eq!(line.message.as_deref(), Some("page 12"));
    assert_eq!(line.checkpoint.unwrap().get(), r#"{"page": 12}"#);
    assert_eq!(line.outputs["rows"], 3);
    assert_eq!(line.metrics["r"], 1.5);
}

#[test]
fn a_checkpoint_may_be_any_json_also_null() {
    for text in ["null", "3", "\"x\"", "[1, 2]", "{}"] {
        let (line, faults) = parse_report_line(format!("{{\"checkpoint\":{text}}}\r").as_bytes());
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(line.checkpoint.unwrap().get(), text);
    }
}

#[test]
fn a_checkpoint_that_nobody_could_read_back_is_left_out() {
    let deep = format!("{{\"checkpoint\": {}{}}}", "[".repeat(5000), "]".repeat(5000));
    for text in [&deep, r#"{"checkpoint": "\ud800"}"#] {
        let (line, faults) = parse_report_line(text.as_bytes());
        assert!(line.checkpoint.is_none());
        assert_eq!(faults[0].kind, ReportFaultKind::BadValue);
    }
}

#[test]
fn what_is_no_object_is_named_and_passed_over() {
    for (bytes, kind) in [
        (&b"[1]"[..], ReportFaultKind::NotAnObject),
        (b"hello", ReportFaultKind::NotAnObject),
        (b"{\"progress\": 0.4", ReportFaultKind::NotAnObject),
        (b"\0\0\0", ReportFaultKind::NotAnObject),
        (b"\xff\xfe", ReportFaultKind::NotUtf8),
        (&vec![b' '; MAX_REPORT_LINE + 1], ReportFaultKind::TooLong),
    ] {
        let (_, faults) = parse_report_line(bytes);
        assert_eq!(faults.iter().map(|f| f.kind).collect::<Vec<_>>(), [kind]);
    }
    assert!(faults("").is_empty() && faults("  \r").is_empty());
}

#[test]
fn a_bad_value_costs_its_key_only() {
    let (line, faults) = parse_report_line(br#"{"progress": 42, "metric": {"a": "x"}, "message": "m"}"#);
    assert_eq!((line.progress, line.message.as_deref()), (None, Some("m")));
    assert_eq!(faults.len(), 2);
    assert!(faults[1].why.contains("\"progress\": 42, but progress must be a number from 0 to 1"));
    assert_eq!(parse_report_line(b"{\"progress\": 1.0000001}").0.progress, Some(1.0));
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_one() {
    assert_eq!(faults(r#"{"outputs": {}}"#), [r#"has the unknown key "outputs"; did you mean "output"?"#]);
    assert_eq!(faults(r#"{"Progres": 1}"#), [r#"has the unknown key "Progres"; did you mean "progress"?"#]);
    assert!(
        faults(r#"{"temperature": 1}"#)[0]
            .ends_with("the keys of a report are progress, message, checkpoint, output, metric")
    );
}

#[test]
fn later_lines_win_and_outputs_merge() {
    let mut batch = batch();
    for text in [
        r#"{"progress": 0.1, "output": {"a": 1, "b": 1}, "checkpoint": 1}"#,
        r#"{"message": "m", "output": {"b": 2}, "checkpoint": 2}"#,
    ] {
        assert!(batch.take(parse_report_line(text.as_bytes()).0, text.len()).is_none());
    }
    assert_eq!(batch.progress, Some(0.1));
    assert_eq!(batch.checkpoint.as_deref(), Some("2"));
    assert_eq!(Value::Object(batch.outputs), serde_json::json!({"a": 1, "b": 2}));
}

#[test]
fn a_batch_stays_small_whatever_a_step_says() {
    let mut batch = batch();
    let mut n_faults = 0;
    for i in 0..20 {
        let text = format!("{{\"output\": {{\"k{i}\": \"{}\"}}}}", "x".repeat(MAX_REPORT_LINE - 100));
        n_faults += usize::from(batch.take(parse_report_line(text.as_bytes()).0, text.len()).is_some());
    }
    assert_eq!((batch.outputs.len(), n_faults), (4, 16));
    for i in 0..1000 {
        let text = format!("{{\"metric\": {{\"m{i}\": 1}}}}");
        batch.take(parse_report_line(text.as_bytes()).0, text.len());
    }
    assert_eq!(batch.metrics.len(), MAX_BATCH_METRICS);
    assert_eq!(cut(&"ä".repeat(5000)).chars().count(), MAX_MESSAGE_CHARS + 1);
}

#[test]
fn what_is_written_is_read_back() {
    let (line, _) = parse_report_line(br#"{"progress":0.5,"checkpoint":null,"output":{"a":[1]}}"#);
    assert_eq!(
        serde_json::to_string(&line).unwrap(),
        r#"{"progress":0.5,"checkpoint":null,"output":{"a":[1]}}"#
    );
}
