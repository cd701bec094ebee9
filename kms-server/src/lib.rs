//! HTTP for the AWS services: JSON 1.1 over `POST /`, signatures, health, metrics.
//!
//! What the services do is not here: they come as `aws_json::Service`.
//!
//! - `http`: the socket, and the only asynchronous code
//! - `front`: from a whole request to its answer; routes of our own besides AWS's
//! - `sigv4`, `credentials`: who sent it, proven if asked for
//! - `log`, `metrics`: what is told of it
//! - `client`: the other end, for the demo and tests
#![forbid(unsafe_code)]

pub mod client;
mod credentials;
mod front;
mod http;
mod log;
mod metrics;
pub mod sigv4;

pub use credentials::{CredentialsError, Keyring};
pub use front::{Handler, Route};
pub use http::{Config, Server};
pub use log::{Level, Log};
