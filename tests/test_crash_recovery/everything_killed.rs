//! Engine, supervisor, its parent and the step are all killed: `resume` runs the step again, and nobody calls the dead
//! alive.

use rustix::process::Signal;

use crate::support::process::{kill, look_until, parent_of_supervisor, processes_of, signal, state_of};
use crate::test_command_line::Home;

/// Its first attempt waits for ever; a second one ends at once.
const PIPELINE: &str = r#"
[[step]]
id = "work"
run = '''
echo "$LEVERFRAME_RUN_ID $LEVERFRAME_ATTEMPT" >> "$LEVERFRAME_DATA_DIR/ledger"
[ "$LEVERFRAME_ATTEMPT" = 1 ] || exit 0
echo $$ > "$LEVERFRAME_DATA_DIR/$LEVERFRAME_RUN_ID.pid"
exec sleep 1000
'''
"#;

/// Whatever a failed test leaves is ended.
struct Leftovers<'a>(&'a Home);

impl Drop for Leftovers<'_> {
    fn drop(&mut self) {
        processes_of(&self.0.data()).into_iter().for_each(kill);
    }
}

#[test]
fn after_everything_was_killed_resume_runs_the_step_again() {
    let home = Home::new();
    let _leftovers = Leftovers(&home);
    home.pipeline("p.toml", PIPELINE);
    for round in 0..10 {
        let id = format!("r{round}");
        let run = home.start(&["run", "p", "--run-id", &id]);
        let step: u32 = look_until("the step", || {
            let pid = std::fs::read_to_string(home.data().join(format!("{id}.pid"))).ok()?;
            pid.strip_suffix('\n')?.parse().ok()
        });
        let supervisor = look_until("a supervisor", || leverframe::supervisor::probe(home.data())).pid;
        let parent = parent_of_supervisor(supervisor).expect("a parent");
        let engine = run.pid().as_raw_nonzero().get().cast_unsigned();
        // The parent first, for it would start another supervisor; of the rest each comes first now and then.
        let mut others = [engine, supervisor, step];
        others.rotate_left(round % 3);
        for pid in [parent].into_iter().chain(others) {
            signal(pid, Signal::KILL);
        }
        run.end();
        look_until("the end of all", || {
            [parent, supervisor, step].iter().all(|pid| state_of(*pid).is_none()).then_some(())
        });
        let said = home.say(&["resume", &id]);
        said.check(0, &[]);
        let show = home.json(&["show", &id]);
        assert_eq!(show["state"], "completed", "round {round}: {said:?}");
        let all = format!("{said:?}{}", home.say(&["show", &id]).out);
        assert!(!all.contains("is alive as process"), "round {round}: the dead were called alive: {all}");
        let ledger = std::fs::read_to_string(home.data().join("ledger")).expect("it ran");
        let begun: Vec<_> = ledger.lines().filter(|line| line.starts_with(&format!("{id} "))).collect();
        assert_eq!(begun, [format!("{id} 1"), format!("{id} 2")], "round {round}: {said:?}");
    }
}
