//! Keystead: hsm-net.
#![forbid(unsafe_code)]
