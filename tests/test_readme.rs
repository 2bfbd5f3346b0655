//! What the README says of the file format is what the program reads.

use std::path::Path;

use leverframe::pipeline::Pipeline;
use leverframe::settings::Settings;
use leverframe::{pipeline, settings};

const README: &str = include_str!("../README.md");

#[test]
fn the_readmes_tables_of_keys_are_the_programs() {
    for (name, keys) in [("keys", pipeline::key_table()), ("settings", settings::key_table())] {
        let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
        let table = README.split(&begin).nth(1).and_then(|rest| rest.split(&end).next());
        let table = table.expect("the README has a place for each table of keys").trim();
        assert_eq!(table, keys.trim(), "put this between the two comments in README.md:\n{keys}");
    }
}

#[test]
fn the_readmes_settings_are_valid() {
    let text = README.split("```toml").find(|text| text.contains("[limits.memory]")).expect("settings");
    let text = text.split("```").next().expect("they end");
    Settings::parse(text, Path::new("/data/settings.toml"), |_| Some("/home/somebody".to_owned()))
        .expect("valid");
}

#[test]
fn the_readmes_first_pipeline_is_valid() {
    let text = README.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("a pipeline");
    let pipeline = Pipeline::parse(text, Path::new("/home/somebody/hello.toml"), None).expect("it is valid");
    assert_eq!(pipeline.steps.len(), 2);
}
