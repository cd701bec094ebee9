//! HTTP for the AWS services: JSON 1.1 over `POST /`, signatures, health, metrics.
//!
//! - `sigv4`: signatures, verified and made
#![forbid(unsafe_code)]

pub mod sigv4;
