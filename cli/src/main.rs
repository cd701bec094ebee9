//! Keystead: cli.
#![forbid(unsafe_code)]
fn main() {}
