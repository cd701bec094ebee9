//! Side-by-side measurement of PKCS#11 modules through their C API, as nginx or OpenSSL drive them.
//!
//! | file | holds |
//! |---|---|
//! | [`raw`] | a module's function list, called without allocations; the one file with `unsafe` |
//! | [`rig`] | the modules, their tokens in a temporary directory |
//! | [`rows`] | what is measured, and what must be true |
//! | [`limit`] | the same work by AWS-LC directly |
//! | [`window`] | interleaved windows, one thread and more |
//! | [`cluster`] | what a cluster adds |
//! | [`creators`] | keys made at the same time, by threads and processes |
//! | [`child`] | what this program does as a process of its own |
//! | [`growth`] | how cost grows with objects, sessions, sizes; [`plot`] draws it |
//! | [`special`] | starts, and what many objects cost |
//! | [`report`] | the table as text, JSON and SVG |
//!
//! Absolute figures drift with the machine, so the contenders take turns within one run and only ratios count.
#![deny(unsafe_code)]

pub mod child;
pub mod cluster;
pub mod creators;
pub mod growth;
pub mod limit;
pub mod plot;
pub mod raw;
pub mod report;
pub mod rig;
pub mod rows;
pub mod special;
pub mod window;
