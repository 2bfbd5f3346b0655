//! Parse, choose a face, exit code.

fn main() {}
