//! Parse, choose a face, exit code.

fn main() {
    leverframe::supervisor_entry();
}
