//! The house's own rules, as tests: what a tool can hold, a tool holds. A failure names the file and line, what
//! was found, why it is not wanted, and what to do instead.
//!
//! The rules stand in four files: `floors` (who may import whom), `circles` (and that within a module), `bans` (what is not called, and where), `papers`
//! (what is written above and about the code). Each lists its exceptions with their reasons; an exception that
//! is needed no more is a failure too.

#[path = "house_rules/bans.rs"]
mod bans;
#[path = "house_rules/circles.rs"]
mod circles;
#[path = "house_rules/floors.rs"]
mod floors;
#[path = "house_rules/papers.rs"]
mod papers;
#[path = "house_rules/source.rs"]
mod source;

use source::{Breach, House};

fn hold(rule: impl Fn(&House) -> Vec<Breach>) {
    let house = House::open();
    let breaches: Vec<String> = rule(&house).iter().map(ToString::to_string).collect();
    assert!(
        breaches.is_empty(),
        "{} breach(es) of the house's rules\n{}\n",
        breaches.len(),
        breaches.join("\n")
    );
}

#[test]
fn imports_point_down_only() {
    hold(floors::imports_point_down);
}

#[test]
fn the_files_of_a_module_know_one_another_in_no_circle() {
    hold(circles::files_know_one_another_in_no_circle);
}

#[test]
fn each_outside_thing_is_known_in_one_folder() {
    hold(floors::outside_things_stay_in_their_folder);
}

#[test]
fn the_ground_floor_is_pure() {
    hold(floors::ground_floor_is_pure);
}

#[test]
fn nobody_polls_and_nobody_sleeps() {
    hold(bans::no_sleeping);
}

#[test]
fn a_thread_that_lasts_takes_its_process_with_it() {
    hold(bans::threads_that_last_end_their_process);
}

#[test]
fn every_thread_has_a_name() {
    hold(bans::threads_are_named);
}

#[test]
fn clocks_are_read_in_a_few_named_files() {
    hold(bans::clocks_are_arguments);
}

#[test]
fn states_change_by_the_table_alone() {
    hold(bans::states_change_by_the_table);
}

#[test]
fn the_window_shows_text_through_its_widgets() {
    hold(bans::text_is_shown_through_widgets);
}

#[test]
fn the_window_writes_times_as_the_system_does() {
    hold(bans::the_window_writes_times_in_one_place);
}

#[test]
fn every_channel_states_its_capacity_in_a_comment() {
    hold(bans::channels_are_explained);
}

#[test]
fn nothing_is_left_undone() {
    hold(bans::nothing_undone);
}

#[test]
fn lints_are_expected_with_a_reason_never_allowed() {
    hold(bans::lints_are_expected);
}

#[test]
fn every_file_says_first_what_it_is_for() {
    hold(papers::files_begin_with_a_purpose);
}

#[test]
fn a_file_is_read_at_one_sitting() {
    hold(papers::files_are_short);
}

#[test]
fn the_root_of_the_library_holds_what_programs_need() {
    hold(papers::the_root_holds_so_many_names);
}

#[test]
fn every_dependency_earns_its_place_in_a_comment() {
    hold(papers::dependencies_are_explained);
}

#[test]
fn the_plan_of_the_house_names_every_module() {
    hold(papers::plan_names_every_module);
}

#[test]
fn names_that_were_given_up_come_back_nowhere() {
    hold(bans::retired_names_stay_away);
}
