//! What the README says of the file format is what the program reads.

use std::path::Path;

use leverframe::pipeline::{Pipeline, key_table};

const README: &str = include_str!("../README.md");

#[test]
fn the_readmes_table_of_keys_is_the_programs() {
    let table =
        README.split("<!-- keys: begin -->").nth(1).and_then(|rest| rest.split("<!-- keys: end -->").next());
    let table = table.expect("the README has a place for the table of keys").trim();
    assert_eq!(table, key_table().trim(), "put this between the two comments in README.md:\n{}", key_table());
}

#[test]
fn the_readmes_first_pipeline_is_valid() {
    let text = README.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("a pipeline");
    let pipeline = Pipeline::parse(text, Path::new("/home/somebody/hello.toml"), None).expect("it is valid");
    assert_eq!(pipeline.steps.len(), 2);
}
