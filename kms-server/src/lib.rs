//! Keystead: kms-server.
#![forbid(unsafe_code)]
