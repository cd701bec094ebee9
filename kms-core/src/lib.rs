//! Keystead: kms-core.
#![forbid(unsafe_code)]
