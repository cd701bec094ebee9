//! Keystead: hsm-crypto.
#![deny(unsafe_code)]
