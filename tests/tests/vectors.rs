//! Known answers through the C API of the module, loaded by dlopen: Wycheproof's vectors and NIST's.
//!
//! - `raw`: the C functions as methods of a token and its keys, the only unsafe code
//! - `mech`, `hashes`: mechanisms, templates, what PKCS#11 calls a hash
//! - `verdict`: a refusal must say what is wrong with the input
//! - `tally`: counts, with a reason for every vector that is left out (printed: `--nocapture`, and by `./check` into `.cache/check/vectors.md`)
//! - `wycheproof`, `nist`: the families; `files`: that they leave no file out in silence
#![deny(unsafe_code)]

#[path = "../../hsm-crypto/tests/wycheproof/der.rs"]
mod der;
mod files;
mod hashes;
mod mech;
mod nist;
pub mod raw;
mod tally;
mod verdict;
mod wycheproof;
