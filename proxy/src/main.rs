//! The `predictsql` binary.
fn main() {}
