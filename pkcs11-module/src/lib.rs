//! `libkeystead_pkcs11.so`: PKCS#11's C ABI over `hsm-api`'s link, whether the HSM is in this process
//! or a cluster.
//!
//! | file | duty |
//! |---|---|
//! | [`export`] | the C ABI: one list gives symbols, function tables, panic guard, log line, CK_RV; the one static |
//! | [`ck`] | raw pointers to safe values, and back |
//! | [`call`] | what each function does, by chapter of the specification |
//! | [`module`] | everything between C_Initialize and C_Finalize, as a value |
//! | [`token`], [`session`], [`op`] | slots with login and handles, sessions, operation slots |
//! | [`config`] | the configuration file; the one place where embedded or cluster is chosen |
//! | [`personality`] | what CloudHSM's library refuses, in one table |
//! | [`selection`] | the setting `mechanisms` |
//! | [`log`], `stderr` | the call log; writing to a host's standard error |
//!
//! Lock order: module, session table, session, token.
#![deny(unsafe_code)]

pub mod call;
#[allow(unsafe_code)]
pub mod ck;
pub mod config;
#[allow(unsafe_code)]
pub mod export;
#[cfg(test)]
mod fake;
pub mod log;
pub mod module;
pub mod op;
pub mod personality;
pub mod selection;
pub mod session;
#[allow(unsafe_code)]
mod stderr;
pub mod token;
