//! Keystead: tests.
#![forbid(unsafe_code)]
