//! Hashes.

use crate::Hash;
use hmac::digest::{Digest, FixedOutput, Update};

/// Runs the given expression with the hash's type under a name.
macro_rules! with_hash {
    ($hash:expr, $ty:ident => $do:expr) => {
        match $hash {
            $crate::Hash::Md5 => {
                type $ty = md5::Md5;
                $do
            }
            $crate::Hash::Sha1 => {
                type $ty = sha1::Sha1;
                $do
            }
            $crate::Hash::Sha224 => {
                type $ty = sha2::Sha224;
                $do
            }
            $crate::Hash::Sha256 => {
                type $ty = sha2::Sha256;
                $do
            }
            $crate::Hash::Sha384 => {
                type $ty = sha2::Sha384;
                $do
            }
            $crate::Hash::Sha512 => {
                type $ty = sha2::Sha512;
                $do
            }
            $crate::Hash::Sha512_224 => {
                type $ty = sha2::Sha512_224;
                $do
            }
            $crate::Hash::Sha512_256 => {
                type $ty = sha2::Sha512_256;
                $do
            }
            $crate::Hash::Sha3_224 => {
                type $ty = sha3::Sha3_224;
                $do
            }
            $crate::Hash::Sha3_256 => {
                type $ty = sha3::Sha3_256;
                $do
            }
            $crate::Hash::Sha3_384 => {
                type $ty = sha3::Sha3_384;
                $do
            }
            $crate::Hash::Sha3_512 => {
                type $ty = sha3::Sha3_512;
                $do
            }
        }
    };
}
pub(crate) use with_hash;

pub fn digest(hash: Hash, data: &[u8], out: &mut [u8; 64]) {
    with_hash!(hash, H => out[..hash.len()].copy_from_slice(&H::digest(data)));
}

/// What a running hash or MAC does, whichever it is.
pub trait Running: Send + Sync {
    fn add(&mut self, data: &[u8]);
    fn end(self: Box<Self>, out: &mut [u8; 64]);
    fn copy(&self) -> Box<dyn Running>;
}

impl<T: Update + FixedOutput + Clone + Send + Sync + 'static> Running for T {
    fn add(&mut self, data: &[u8]) {
        self.update(data);
    }

    fn end(self: Box<Self>, out: &mut [u8; 64]) {
        let value = (*self).finalize_fixed();
        out[..value.len()].copy_from_slice(&value);
    }

    fn copy(&self) -> Box<dyn Running> {
        Box::new(self.clone())
    }
}

pub struct State(Box<dyn Running>);

impl State {
    pub fn new(hash: Hash) -> Self {
        with_hash!(hash, H => State(Box::new(H::default())))
    }

    pub fn update(&mut self, data: &[u8]) {
        self.0.add(data);
    }

    pub fn finish(self, out: &mut [u8; 64]) {
        self.0.end(out);
    }
}

impl Clone for State {
    fn clone(&self) -> Self {
        State(self.0.copy())
    }
}
