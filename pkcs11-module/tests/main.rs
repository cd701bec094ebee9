//! The built library, loaded as its users load it: `abi` calls its symbols as a C program would,
//! `work` does what applications do, through `cryptoki`. Each test loads a copy of its own, with
//! its own configuration and token directory.

mod abi;
mod attacks;
mod audit;
mod certificate;
mod certs;
mod classic;
mod cloudhsm;
mod cluster;
mod copy;
mod fields;
mod host;
mod lies;
mod messages;
mod objects;
mod parts;
mod pins;
mod raw;
mod rig;
mod selection;
mod sessions;
mod tokens;
mod work;
mod wrapping;
