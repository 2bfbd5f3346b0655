//! All tests that need the real binary, real processes, a real database or a real window: one linked program.

mod support;

mod house_rules;
mod test_admission;
mod test_awake;
mod test_command_line;
mod test_contract;
mod test_control_socket;
mod test_crash_recovery;
mod test_desktop_scheduler;
mod test_examples;
mod test_execution_engine;
mod test_freeze_and_stop;
mod test_hand_over;
mod test_last_words;
mod test_pipeline_runs;
mod test_process_zoo;
mod test_random_runs;
mod test_read_model;
mod test_readme;
mod test_recorded_first;
mod test_resource_monitor;
mod test_run_rules;
mod test_schedule_rules;
mod test_supervisor;
mod test_trouble;
mod test_window;
