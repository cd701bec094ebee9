//! The control plane over real loopback TLS: nodes of `hsm-net` that serve a small HSM, started by a
//! spawner of the tests instead of as processes.

mod certificates;
mod faults;
mod fixture;
mod kms;
mod life;
mod refusals;
