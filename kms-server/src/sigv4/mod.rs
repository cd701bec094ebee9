//! Signature Version 4 of header-signed requests, both ways: the server verifies, the demo and
//! the tests sign. Algorithm: AWS General Reference, "Signing AWS API requests".
//!
//! - `canonical`: what is signed
//! - `sign`, `verify`: the two ends
//!
//! Query-signed (presigned) requests are not here: no SDK makes them for KMS or CloudHSM.

mod canonical;
mod sign;
mod verify;

pub use canonical::Message;
pub use sign::{Key, sign};
pub use verify::{Authorization, verify};
