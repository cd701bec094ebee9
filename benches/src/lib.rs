//! Side-by-side measurement of PKCS#11 modules through their C API, as an application drives them.
//!
//! | file | holds |
//! |---|---|
//! | [`peer`] | a module under test: its token, made in a temporary directory, and its keys |
//! | [`window`] | the interleaved windows and their medians |
//!
//! Absolute figures drift with the machine, so the modules take turns within one run and only ratios count.
#![forbid(unsafe_code)]

pub mod peer;
pub mod window;
