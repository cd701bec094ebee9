//! HTTP for the AWS services: JSON 1.1 over `POST /`, signatures, health, metrics.
//!
//! What the services do is not here: they come as `aws_json::Service`.
//!
//! - `http`: the socket, and the only asynchronous code
//! - `front`: from a whole request to its answer; routes of our own besides AWS's
//! - `sigv4`, `credentials`: who sent it, proven if asked for
//! - `log`, `metrics`: what is told of it
//! - `glue`, `foreign`: what stands behind `kms-core`'s `Clusters`: our clusters, or a named module
//! - `client`: the other end, for the demo and tests
#![forbid(unsafe_code)]

pub mod client;
mod credentials;
pub mod foreign;
mod front;
pub mod glue;
mod http;
mod log;
mod metrics;
pub mod sigv4;

pub use credentials::{CredentialsError, Keyring};
pub use front::{Handler, Route};
pub use http::{Config, Server, Signals};
pub use log::{Level, Log};
