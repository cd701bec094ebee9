//! The answers, one file a chapter.

pub(crate) mod cluster;
mod crypt;
mod encapsulate;
mod make;
mod objects;
mod otp;
mod public;
pub(crate) mod random;
pub(crate) mod state;
pub(crate) mod stream;
mod token;
mod users;
mod wrap;
