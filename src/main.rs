//! Parse, choose a face, exit code.

fn main() {
    leverframe::supervisor_entry();
    let (window, world) = leverframe::app::window_port();
    let mut integration = leverframe::app::ExecutionIntegration::new(world, leverframe::EventBus::new());
    let dir = std::path::PathBuf::from(std::env::var("LEVERFRAME_DATA_DIR").unwrap());
    integration.start(&dir).unwrap();
    leverframe::ui::run(window).unwrap();
    integration.shutdown(leverframe::engine::ShutdownKind::LeaveSteps);
}
