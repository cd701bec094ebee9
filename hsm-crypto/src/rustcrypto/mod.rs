//! The backend on RustCrypto: everything where AWS-LC is not built, what AWS-LC lacks where it is, and its oracle in the tests.

pub mod bp512;
pub mod ec;
pub mod ed;
pub mod gcm;
pub mod hash;
pub mod mac;
pub mod modes;
pub mod modular;
pub mod rng;
pub mod rsa;
