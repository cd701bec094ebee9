//! Keystead: aws-json.
#![forbid(unsafe_code)]
