//! Keystead: cloudhsm-core.
#![forbid(unsafe_code)]
