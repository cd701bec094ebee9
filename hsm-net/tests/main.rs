//! hsm-net over real loopback TLS, against an HSM in memory that speaks the trait and nothing more.

mod cluster;
mod fake;
mod homes;
mod node;
mod pki;
mod raw;
mod rig;
mod sync;
mod trust;
