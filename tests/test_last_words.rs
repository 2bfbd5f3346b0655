//! What a step reports right before it ends is taken in, also when an earlier report of its has not been recorded yet.

use leverframe::run::RunState;

use crate::support::{open_engine, start, wait_for_end};

#[test]
fn the_last_reports_of_many_steps_that_end_at_once_are_all_taken_in() {
    const N_STEPS: usize = 150;
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    let mut text = "id = \"p\"\nmax_parallel = 4\n".to_owned();
    for i in 0..N_STEPS {
        // One report that wakes the engine, then at once the one that counts, as the very last thing.
        text += &format!(
            "[[step]]\nid = \"s{i}\"\nneeds = []\n\
             run = 'echo \"{{\\\"progress\\\": 0.5}}\" >> $LEVERFRAME_REPORT; echo \"{{\\\"output\\\": {{\\\"n\\\": {i}}}}}\" >> $LEVERFRAME_REPORT'\n"
        );
    }
    let run = start(&engine, "r1", &text);
    let ended = wait_for_end(&events, &run);
    assert_eq!(ended.kind.run().map(|run| run.state), Some(RunState::Completed));
    let attempts = engine.store().attempts(&run).expect("it can be read");
    let silent: Vec<_> = attempts
        .iter()
        .filter(|attempt| attempt.step.outputs.is_none())
        .map(|attempt| attempt.step.id.to_string())
        .collect();
    assert_eq!((attempts.len(), silent), (N_STEPS, Vec::new()));
}
