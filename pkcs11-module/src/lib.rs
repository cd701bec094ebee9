//! Keystead: pkcs11-module.
#![deny(unsafe_code)]
