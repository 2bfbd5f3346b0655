//! Limits that change while an engine lives, and a window before somebody else's engine: over real engines and samples.

use std::fs;
use std::path::Path;

use leverframe::api::{GetLimits, Handles, SetLimit};
use leverframe::control::{ControlClient, OWN_NAME};
use leverframe::engine::{EventBus, HostStart, ShutdownKind};
use leverframe::resources::{Resource, Threshold};
use leverframe::run::EventKind;
use leverframe::settings::{LimitParams, LimitView, SettingEdit, SettingKey, Settings};
use leverframe::store::DataDir;
use leverframe::window::{Action, AppUpdate, ExecutionIntegration, HistorySpan, WindowPort, window_port};
use serde_json::json;

use super::{Home, waiting};
use crate::support::options;
use crate::support::process::look_until;

const OTHERS: &str = "# mine\n[monitor]\ninterval = \"200ms\" # often\n";
/// Exceeded on any machine.
const SHORT: &str = "[limits.memory]\nabove = \"1MiB\"\nclear = \"1KiB\"\nfor = \"0s\"\n";

fn own_window(home: &Home) -> (WindowPort, ExecutionIntegration) {
    let (window, world) = window_port();
    let mut integration = ExecutionIntegration::for_window(world, EventBus::new());
    let settings = Settings::load(&home.data()).expect("they are valid");
    let options = leverframe::engine::EngineOptions { host_start: HostStart::AtOnce, ..options() };
    integration.start_with(&home.data(), settings, options).expect("it starts");
    (window, integration)
}

fn wait_for<T>(window: &WindowPort, what: &str, is_it: impl Fn(AppUpdate) -> Option<T>) -> T {
    look_until(what, || window.try_recv().and_then(&is_it))
}

/// The alert of that kind.
fn wait_for_alert(window: &WindowPort, wants_end: bool) {
    wait_for(window, "the alert", |update| {
        let AppUpdate::Event(event) = update else { return None };
        let EventKind::ResourceAlert { text, cleared } = &event.kind else { return None };
        assert!(text.starts_with("memory "), "{text}");
        (*cleared == wants_end).then_some(())
    });
}

/// Where the window has the limit of memory raised from now on.
fn wait_for_limit(window: &WindowPort) -> Option<Threshold> {
    wait_for(window, "the limits", |update| {
        let AppUpdate::Limits(limits) = update else { return None };
        Some(limits.of(Resource::Memory).map(|limit| limit.raise_at()))
    })
}

fn limits_of(integration: &ExecutionIntegration) -> Vec<LimitView> {
    integration.handler().expect("it is there").handle(GetLimits {}).expect("an answer")
}

#[test]
fn a_limit_that_is_set_is_raised_and_cleared_while_the_engine_lives_and_stands_in_the_settings() {
    let home = Home::new();
    let file = home.file("data/settings.toml", OTHERS);
    let (window, mut integration) = own_window(&home);
    assert_eq!(wait_for_limit(&window), None);
    let desk = integration.handler().expect("it is there").clone();
    let params =
        |text: &str| serde_json::from_value::<LimitParams>(serde_json::from_str(text).unwrap()).unwrap();
    let short = r#"{"resource": "memory", "above": "1MiB", "clear": "1KiB", "for": "0s", "action": "alert"}"#;
    desk.handle(SetLimit { params: params(short) }).expect("it is set");
    assert_eq!(wait_for_limit(&window), Some(Threshold::Bytes(1 << 20)));
    wait_for_alert(&window, false);
    look_until("that it is raised", || limits_of(&integration)[0].raised.then_some(()));
    let expected = format!("{OTHERS}\n{SHORT}action = \"alert\"\n");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), expected);

    // What can't be meant is refused, and nothing changes.
    let never = r#"{"resource": "memory", "above": "10%", "clear": "20%"}"#;
    let refusal = desk.handle(SetLimit { params: params(never) }).unwrap_err().to_string();
    assert!(refusal.contains("it must be cleared below where it is raised"), "{refusal}");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), expected);

    desk.handle(SetLimit { params: LimitParams::off(Resource::Memory) }).expect("it is set");
    wait_for_alert(&window, true);
    assert_eq!(limits_of(&integration), []);
    assert_eq!(fs::read_to_string(&file).expect("it is there"), OTHERS);

    // A file that is not understood is left as it is.
    fs::write(&file, "limits = 7").expect("a file");
    let refusal = desk.handle(SetLimit { params: params(short) }).unwrap_err().to_string();
    assert!(refusal.contains("settings.toml:1:10"), "{refusal}");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "limits = 7");
    drop(window);
    integration.shutdown(ShutdownKind::LeaveSteps);
}

/// Waits until the window lists exactly the pipelines of these ids from a folder.
fn wait_for_pipelines(window: &WindowPort, folder: &Path, ids: &[&str]) {
    wait_for(window, "the pipelines", |update| {
        let AppUpdate::Pipelines(listed) = update else { return None };
        let of_folder = listed.iter().filter(|entry| entry.path.starts_with(folder));
        let mut listed: Vec<_> = of_folder.map(|entry| entry.id.as_str()).collect();
        listed.sort_unstable();
        (listed == ids).then_some(())
    });
}

#[test]
fn a_folder_of_pipelines_is_looked_into_from_the_save_on_and_no_longer_once_it_is_removed() {
    let home = Home::new();
    let file = home.file("data/settings.toml", OTHERS);
    let scheduled = |id: &str| {
        format!("id = \"{id}\"\n[[schedule]]\ndaily = \"02:30\"\n[[step]]\nid = \"a\"\nrun = \"true\"\n")
    };
    home.file("jobs/alpha.toml", &scheduled("alpha"));
    let folder = home.data().with_file_name("jobs");
    let (window, mut integration) = own_window(&home);
    wait_for_pipelines(&window, &folder, &[]);
    let said = Some(folder.display().to_string());
    let edit = SettingEdit { key: SettingKey::PipelineDirs, said };
    window.send(Action::SaveSettings(vec![edit])).expect("it is sent");
    wait_for_pipelines(&window, &folder, &["alpha"]);
    look_until("its job", || home.say(&["schedule", "list"]).out.contains("alpha").then_some(()));
    home.file("jobs/beta.toml", &scheduled("beta"));
    wait_for_pipelines(&window, &folder, &["alpha", "beta"]);
    look_until("the other job", || home.say(&["schedule", "list"]).out.contains("beta").then_some(()));
    // As in an editor.
    fs::write(&file, OTHERS).expect("a file");
    wait_for_pipelines(&window, &folder, &[]);
    drop(window);
    integration.shutdown(ShutdownKind::LeaveSteps);
}

#[test]
fn a_limit_that_is_edited_in_the_file_takes_effect_and_a_broken_file_is_said_once() {
    let home = Home::new();
    let file = home.file("data/settings.toml", OTHERS);
    let (window, mut integration) = own_window(&home);
    let write = |text: &str| {
        let draft = format!("{file}.draft");
        fs::write(&draft, text).expect("a file");
        // As editors do it.
        fs::rename(&draft, &file).expect("it is replaced");
    };
    write(&format!("{OTHERS}{SHORT}"));
    wait_for_alert(&window, false);
    let complaint = |window: &WindowPort| {
        wait_for(window, "a complaint", |update| {
            let AppUpdate::Failure { message, .. } = update else { return None };
            Some(message)
        })
    };
    write("[limits.memory]\nabove = \"much\"\n");
    let said = complaint(&window);
    assert!(said.contains("stay as they were") && said.contains("\"much\" is not a limit"), "{said}");
    assert!(limits_of(&integration)[0].raised, "what was in force stay as they were");
    // The same again is said no more, but something else is.
    write("[limits.memory]\nabove = \"much\"\n\n");
    write("[limits.memory]\nabove = \"more\"\n");
    let said = complaint(&window);
    assert!(said.contains("\"more\" is not a limit"), "{said}");
    write(OTHERS);
    wait_for_alert(&window, true);
    assert_eq!(limits_of(&integration), []);
    // What happened can be read as history.
    drop(window);
    integration.shutdown(ShutdownKind::LeaveSteps);
    let history = leverframe::store::SampleHistory::of(home.data().join("samples.db"));
    let now = leverframe::engine::now().wall;
    let changes = history.limit_changes(now - HistorySpan::Hour.length(), now, 9).expect("they are read");
    let told: Vec<_> = changes.iter().map(|change| (change.resource.as_str(), change.is_raised)).collect();
    assert_eq!(told, [("memory", true), ("memory", false)]);
}

#[test]
fn an_attached_window_shows_what_each_run_costs_also_after_a_hand_over_and_the_limits_of_the_settings() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(home.data().parent().expect("a folder"), ""));
    let file = home.file("data/settings.toml", OTHERS);
    let mut run = home.start(&["run", "waiting", "--run-id", "r"]);
    run.hear("step wait 10 %");
    let client = ControlClient::connect(&home.data(), OWN_NAME).expect("a socket").expect("an engine");
    let before = client.welcome().engine.pid;
    let (window, world) = window_port();
    let mut integration = ExecutionIntegration::for_window(world, EventBus::new());
    let dir = DataDir::open(home.data()).expect("a directory");
    integration.attach(client, dir, Settings::load(&home.data()).expect("settings")).expect("it is attached");
    let cost = |window: &WindowPort| {
        wait_for(window, "what it costs", |update| {
            let AppUpdate::Usage(usages) = update else { return None };
            usages.into_iter().find(|usage| usage.run_id.as_str() == "r" && usage.memory_bytes > 0)
        })
    };
    let first = cost(&window);

    let mut serving = home.start(&["serve"]);
    serving.hear("serving");
    let after = look_until("the next engine", || {
        let client = ControlClient::connect(&home.data(), OWN_NAME).ok()??;
        (client.welcome().engine.pid != before).then_some(client)
    });
    // What was shown of the engine before has been taken by then.
    while window.try_recv().is_some() {}
    let second = cost(&window);
    assert!(second.at > first.at, "{first:?}, then {second:?}");

    // Its limits are those of the file, which it watches.
    fs::write(&file, format!("{OTHERS}{SHORT}")).expect("a file");
    assert_eq!(wait_for_limit(&window), Some(Threshold::Bytes(1 << 20)));
    wait_for(&window, "that it is short of memory", |update| {
        matches!(update, AppUpdate::ShortOf(short_of) if short_of == [Resource::Memory]).then_some(())
    });
    after
        .call::<serde_json::Value>(
            &json!({"method": "limits.set", "params": {"resource": "memory", "off": true}}),
        )
        .expect("it is set");
    wait_for(&window, "that it is not any more", |update| {
        matches!(update, AppUpdate::ShortOf(short_of) if short_of.is_empty()).then_some(())
    });
    drop(window);
    integration.shutdown(ShutdownKind::LeaveSteps);
    home.say(&["stop", "r"]).check(0, &[]);
    run.end();
    serving.signal(rustix::process::Signal::TERM);
    serving.end().check(0, &[]);
}
