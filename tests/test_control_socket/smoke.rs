//! One client asks for everything once.

use leverframe::api::{Command, GetSnapshot, GetStatus, ListRuns, ProcessKind, ShowRun};
use leverframe::control::ControlError;
use leverframe::control::wire::EventFilter;
use leverframe::run::{RunState, RunSummary, StopKind};
use leverframe::store::RunFilter;

use super::hall::Hall;
use crate::support::run_id;

#[test]
fn a_client_starts_pauses_resumes_and_stops_a_run_and_hears_of_it() {
    let hall = Hall::open();
    hall.write_pipeline("p", "sleep 60");
    let client = hall.client();
    assert_eq!(client.welcome().engine.pid, std::process::id());
    assert_eq!(client.welcome().engine.face, ProcessKind::Library);
    assert!(client.welcome().engine.epoch > 0);
    let events = client.subscribe(EventFilter::default()).expect("it subscribes");

    let start = Command::start("p");
    let run: RunSummary = client.call(&start).expect("it starts");
    let heard = |name: &str| hall.hear(&events, name);
    heard("step_started");
    let paused: RunSummary = client.call(&Command::pause(&run.run_id)).expect("it pauses");
    assert_eq!(paused.state, RunState::Paused);
    heard("execution_paused");
    let _: RunSummary = client.call(&Command::resume(&run.run_id)).expect("it resumes");
    heard("execution_resumed");

    let living = client.ask(&GetSnapshot {}).expect("it is told");
    assert_eq!(living.runs.len(), 1);
    assert_eq!(living.runs[0].steps.len(), 1);
    let status = client.ask(&GetStatus {}).expect("it is told");
    assert_eq!((status.n_living, status.engine.clone()), (1, client.welcome().engine.clone()));

    let _: RunSummary = client.call(&Command::stop(&run.run_id, StopKind::Graceful)).expect("it stops");
    let event = heard("execution_stopped");
    assert_eq!(event.run_id.as_ref(), Some(&run.run_id));

    let runs = client.ask(&ListRuns { filter: RunFilter::default() }).expect("it is told");
    assert_eq!((runs.len(), runs[0].state), (1, RunState::Stopped));
    let document = client.ask(&ShowRun { run_id: run.run_id }).expect("it is told");
    assert!(document.steps[0].log.as_ref().is_some_and(|log| log.starts_with('/')));

    let error = client.call::<RunSummary>(&Command::pause(&run_id("nothing"))).expect_err("there is none");
    assert!(matches!(&error, ControlError::Refused(error) if error.code == 3), "{error:?}");
    hall.close("the test is over");
    assert!(events.recv().is_none());
    assert_eq!(client.closing().expect("a notice").reason, "the test is over");
}
