//! What users can see of Keystead, seen through the programs that they use. One binary: the parts share their harness,
//! and every test has its own directory, its own service on a free port and its own tokens, so they run in parallel.

mod aws_cli;
mod bad_input;
mod clients;
mod cloudhsm_cli;
mod cluster_module;
mod configuration;
mod connect;
mod demo;
mod key_store;
mod mechanisms;
mod refusals;
mod restart;
mod soak;
mod suites;
mod symbols;
mod token;
mod token_faults;
mod token_fields;
mod token_kinds;
mod token_migrate;
mod token_tool;
mod vectors;
