//! Keystead: hsm-sim.
#![deny(unsafe_code)]
