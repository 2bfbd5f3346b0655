//! The page of settings, with hand-made updates.

use std::path::PathBuf;
use std::sync::Arc;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;

use super::tests::{Scene, run, scene, snapshot};
use crate::run::RunState;
use crate::settings::{RefusedSetting, SettingEdit, SettingKey};
use crate::window::{Action, AppUpdate, Density, Folder, Formats, Place, SettingsView, ThemeChoice};

fn settings(values: &[(SettingKey, &str)]) -> AppUpdate {
    let values = values.iter().map(|(key, said)| (key.clone(), (*said).to_owned())).collect();
    let place = |what, path: &str, exists| Place { what, path: PathBuf::from(path), exists };
    let places = vec![place("Data", "/data", true), place("Settings", "/data/settings.toml", false)];
    AppUpdate::Settings(Arc::new(SettingsView { values, problem: None, places }))
}

pub(super) fn opened(values: &[(SettingKey, &str)]) -> Scene {
    let mut scene = scene([snapshot(&[])]);
    assert_eq!(scene.press(Modifiers::COMMAND, Key::Comma), [Action::LoadSettings]);
    assert!(scene.shows("Reading the settings"));
    scene.tell(settings(values));
    scene
}

fn kept(sent: &[Action]) -> crate::window::WindowLook {
    match sent {
        [Action::KeepLook(look)] => look.clone(),
        _ => panic!("{sent:?}"),
    }
}

fn type_into(scene: &mut Scene, name: &str, text: &str) {
    scene.harness.get_by_label(name).focus();
    scene.harness.run();
    scene.harness.get_by_label(name).type_text(text);
    scene.harness.run();
}

#[test]
fn the_look_is_chosen_with_effect_at_once_and_kept() {
    let mut scene = opened(&[]);
    assert_eq!(kept(&scene.pull("Theme: light")).theme, ThemeChoice::Light);
    assert!(!scene.harness.ctx.global_style().visuals.dark_mode);
    assert_eq!(kept(&scene.pull("Scale: 125 %")).scale, 125);
    assert_eq!(scene.harness.ctx.zoom_factor(), 1.25);
    assert_eq!(kept(&scene.pull("Times and numbers: without a language")).formats, Formats::Neutral);
}

#[test]
fn compact_rows_show_more_at_once_and_are_kept() {
    let mut scene = opened(&[]);
    scene.tell(snapshot(&[run("alfabeta", RunState::Running), run("books", RunState::Running)]));
    assert_eq!(kept(&scene.pull("Density: compact")).density, Density::Compact);
    let pitch = |scene: &mut Scene| {
        scene.press(Modifiers::COMMAND, Key::Num1);
        let top = |name: &str| scene.harness.get_by_label(name).rect().center().y;
        let pitch = top("Stop books-1") - top("Stop alfabeta-1");
        scene.press(Modifiers::COMMAND, Key::Comma);
        pitch
    };
    let compact = pitch(&mut scene);
    assert!((30.0..=36.0).contains(&compact), "{compact}");
    scene.pull("Density: comfortable");
    let comfortable = pitch(&mut scene);
    assert!((44.0..=52.0).contains(&comfortable), "{comfortable}");
}

#[test]
fn a_value_is_typed_and_saved_and_the_file_is_read_again() {
    let mut scene = opened(&[(SettingKey::Group("scrapers".to_owned()), "2")]);
    type_into(&mut scene, "Runs at once: further ones wait", "3");
    type_into(&mut scene, "Ended runs: how long they are kept", "30d");
    type_into(&mut scene, "Name of the new group", "nightly");
    type_into(&mut scene, "Runs of the new group at once", "1");
    let edit = |key, said: &str| SettingEdit { key, said: Some(said.to_owned()) };
    let edits = vec![
        edit(SettingKey::MaxRuns, "3"),
        edit(SettingKey::KeepRuns, "30d"),
        edit(SettingKey::Group("nightly".to_owned()), "1"),
    ];
    assert_eq!(scene.pull("Save settings"), [Action::SaveSettings(edits)]);
    assert_eq!(scene.press(Modifiers::COMMAND, Key::S), [], "it is on its way");
    scene.tell(AppUpdate::SettingsSaved(Vec::new()));
    assert_eq!(scene.sent(), [Action::LoadSettings]);
    scene.tell(settings(&[(SettingKey::MaxRuns, "3"), (SettingKey::Group("nightly".to_owned()), "1")]));
    assert!(!scene.shows("Save settings") && scene.shows("nightly: runs of this group at once"));
}

#[test]
fn folders_of_pipelines_are_added_and_removed_and_one_that_is_none_is_refused() {
    let mut scene = opened(&[(SettingKey::PipelineDirs, "/srv/jobs\n~/more")]);
    assert!(scene.shows("Folder of pipelines: /srv/jobs") && scene.shows("Folder of pipelines: ~/more"));
    scene.pull("Remove the folder /srv/jobs");
    assert!(!scene.shows("Folder of pipelines: /srv/jobs"));
    type_into(&mut scene, "Another folder of pipelines", "/srv/none");
    let edit = SettingEdit { key: SettingKey::PipelineDirs, said: Some("~/more\n/srv/none".to_owned()) };
    assert_eq!(scene.pull("Save settings"), [Action::SaveSettings(vec![edit])]);
    let why = "there is no folder /srv/none".to_owned();
    scene.tell(AppUpdate::SettingsSaved(vec![RefusedSetting { key: Some(SettingKey::PipelineDirs), why }]));
    assert!(scene.shows("there is no folder /srv/none"));
    let asked = scene.pull("Browse for Another folder of pipelines");
    assert_eq!(asked, [Action::LoadFolder("/srv/none".into())]);
    scene.press(Modifiers::NONE, Key::Escape);
    scene.pull("Revert settings");
    assert!(scene.shows("Folder of pipelines: /srv/jobs") && !scene.shows("Save settings"));
}

#[test]
fn what_is_refused_is_said_at_its_row_and_can_be_reverted() {
    let mut scene = opened(&[]);
    type_into(&mut scene, "Runs at once: further ones wait", "0");
    scene.press(Modifiers::COMMAND, Key::S);
    let why = "`max_concurrent_runs` must be a whole number of at least 1, not 0".to_owned();
    scene.tell(AppUpdate::SettingsSaved(vec![RefusedSetting { key: Some(SettingKey::MaxRuns), why }]));
    assert!(scene.shows("of at least 1, not 0"));
    scene.pull("Revert settings");
    assert!(!scene.shows("of at least 1, not 0") && !scene.shows("Save settings"));
}

#[test]
fn every_place_is_named_and_what_is_there_can_be_opened() {
    let mut scene = opened(&[]);
    assert!(scene.shows("Data: /data") && scene.shows("Settings: /data/settings.toml (not there yet)"));
    let opened = Action::OpenFolder(Folder::At(PathBuf::from("/data")));
    assert_eq!(scene.pull("Open /data"), [opened]);
}
