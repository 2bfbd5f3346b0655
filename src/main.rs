//! Parse, choose a face, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    leverframe::supervisor_entry();
    leverframe::cli::main()
}
