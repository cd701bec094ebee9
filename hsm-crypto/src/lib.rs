//! The algorithms, on AWS-LC (feature `aws-lc`, the default) or on RustCrypto, behind the same functions.
//!
//! Knows nothing of PKCS#11, objects or policy: keys are bytes or numbers that come in, are expanded once, and are shared
//! between threads afterwards. Secrets are wiped when dropped and never printed.
//!
//! | file | duty |
//! |---|---|
//! | `error` | what can go wrong |
//! | `rng` | random bytes |
//! | `hash`, `mac`, `hotp` | hashes, HMAC, one-time passwords of it |
//! | `aes`, `feedback`, `gcm` | AES in its block modes, in its feedback modes, AES-GCM |
//! | `rsa`, `rsa_padding` | RSA; the paddings that AWS-LC lacks |
//! | `curve`, `ec` | named curves; ECDSA and ECDH |
//! | `ed`, `ed448` | Ed25519, X25519; Ed448, X448 |
//! | `modular` | arithmetic modulo an odd number; primes |
//! | `dsa`, `dh` | DSA; Diffie and Hellman's key agreement in the integers modulo a prime |
//! | `ccm`, `chacha` | AES-CCM, ChaCha20 and ChaCha20-Poly1305 |
//! | `cts`, `xts`, `des` | AES-CBC with ciphertext stealing, AES-XTS, triple DES |
//! | `keywrap`, `cmac`, `kdf` | AES key wrap, AES-CMAC and CBC-MAC, key derivation |
//! | `xof`, `prehash` | SHAKE; what ML-DSA and SLH-DSA sign |
//! | `pq`, `slh` | ML-DSA, ML-KEM; SLH-DSA |
//! | `pkcs8` | keys in DER |
//! | `oracle` | tests: one backend against the other |
//! | `vaes/` | AES-GCM of our own for processors that the libraries have no good code for |
//! | `aws_lc/`, `rustcrypto/` | the two backends: one file a family, the same names in both |
#![deny(unsafe_code)]

pub mod aes;
pub mod ccm;
pub mod chacha;
pub mod cmac;
pub mod cts;
pub mod curve;
pub mod des;
pub mod dh;
pub mod dsa;
pub mod ec;
pub mod ed;
pub mod ed448;
pub mod error;
pub mod feedback;
pub mod gcm;
pub mod hash;
pub mod hotp;
pub mod kdf;
pub mod keywrap;
pub mod mac;
pub mod modular;
pub mod pkcs8;
#[cfg(feature = "aws-lc")]
pub mod pq;
pub mod prehash;
pub mod rng;
pub mod rsa;
#[cfg_attr(feature = "aws-lc", allow(dead_code))]
mod rsa_padding;
pub mod slh;
pub mod xof;
pub mod xts;

#[cfg(feature = "aws-lc")]
#[allow(unsafe_code)]
mod aws_lc;

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod vaes;

#[cfg(all(test, feature = "aws-lc"))]
mod oracle;

// With AWS-LC in front much of it serves the tests alone.
#[cfg_attr(feature = "aws-lc", allow(dead_code))]
mod rustcrypto;

#[cfg(feature = "aws-lc")]
use aws_lc as backend;
#[cfg(not(feature = "aws-lc"))]
use rustcrypto as backend;

pub use aes::{AesKey, AesStream, Mode};
pub use chacha::{ChaCha20, ChaChaPolyKey};
pub use cmac::{CbcMac, Cmac};
pub use curve::Curve;
pub use des::{DesCmac, DesKey};
pub use dh::{DhGroup, DhKey};
pub use dsa::{DsaDomain, DsaKey};
pub use ec::EcKey;
pub use ed::{EdKey, EdMode, XKey};
pub use ed448::{Ed448Key, X448Key};
pub use error::{Error, Result};
pub use feedback::{Feedback, FeedbackMode};
pub use gcm::{GcmDecryptor, GcmEncryptor, GcmKey};
pub use hash::{Digest, Hash, HashValue};
pub use mac::{Hmac, HmacKey};
pub use pkcs8::{PrivateKey, PublicKey};
pub use prehash::{Message, PreHash};
pub use rsa::{Oaep, Pss, RsaKey};
pub use slh::{SlhKey, SlhSet};
pub use xof::Xof;
pub use xts::XtsKey;
