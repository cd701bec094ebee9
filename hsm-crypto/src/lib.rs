//! The algorithms, on AWS-LC (feature `aws-lc`, the default) or on RustCrypto, behind the same functions.
//!
//! Knows nothing of PKCS#11, objects or policy: keys are bytes or numbers that come in, are expanded once, and are shared
//! between threads afterwards. Secrets are wiped when dropped and never printed.
//!
//! | file | duty |
//! |---|---|
//! | `error` | what can go wrong |
//! | `rng` | random bytes |
//! | `hash`, `mac` | hashes, HMAC |
//! | `aes`, `gcm` | AES in its block modes, AES-GCM |
//! | `rsa`, `rsa_padding` | RSA; the paddings that AWS-LC lacks |
//! | `curve`, `ec` | named curves; ECDSA and ECDH |
//! | `aws_lc/`, `rustcrypto/` | the two backends: one file a family, the same names in both |
#![deny(unsafe_code)]

pub mod aes;
pub mod cmac;
pub mod curve;
pub mod ec;
pub mod ed;
pub mod error;
pub mod gcm;
pub mod hash;
pub mod keywrap;
pub mod mac;
pub mod pkcs8;
pub mod rng;
pub mod rsa;
mod rsa_padding;

#[cfg(feature = "aws-lc")]
#[allow(unsafe_code)]
mod aws_lc;

#[cfg(feature = "aws-lc")]
use aws_lc as backend;

pub use aes::{AesKey, AesStream, Mode};
pub use cmac::Cmac;
pub use curve::Curve;
pub use ec::EcKey;
pub use ed::{EdKey, EdMode, XKey};
pub use error::{Error, Result};
pub use gcm::{GcmDecryptor, GcmEncryptor, GcmKey};
pub use hash::{Digest, Hash, HashValue};
pub use mac::{Hmac, HmacKey};
pub use pkcs8::{PrivateKey, PublicKey};
pub use rsa::{Oaep, Pss, RsaKey};
