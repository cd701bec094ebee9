//! CBC encryption: block after block, since each needs the one before.

use crate::aes::xor;
use crate::{Error, Result};
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256, Block};

pub enum CbcKey {
    K128(Box<Aes128>),
    K192(Box<Aes192>),
    K256(Box<Aes256>),
}

impl CbcKey {
    pub fn new(key: &[u8]) -> Result<Self> {
        let bad = |_| Error::BadKey;
        Ok(match key.len() {
            16 => CbcKey::K128(Box::new(Aes128::new_from_slice(key).map_err(bad)?)),
            24 => CbcKey::K192(Box::new(Aes192::new_from_slice(key).map_err(bad)?)),
            32 => CbcKey::K256(Box::new(Aes256::new_from_slice(key).map_err(bad)?)),
            _ => return Err(Error::BadKey),
        })
    }

    pub fn encrypt(&self, iv: &mut [u8; 16], data: &[u8], out: &mut [u8]) {
        match self {
            CbcKey::K128(key) => chain(&**key, iv, data, out),
            CbcKey::K192(key) => chain(&**key, iv, data, out),
            CbcKey::K256(key) => chain(&**key, iv, data, out),
        }
    }
}

fn chain<C>(cipher: &C, iv: &mut [u8; 16], data: &[u8], out: &mut [u8])
where
    C: BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
{
    for (data, out) in data.chunks_exact(16).zip(out.chunks_exact_mut(16)) {
        xor(iv, data);
        let mut block = Block::from(*iv);
        cipher.encrypt_block(&mut block);
        iv.copy_from_slice(&block);
        out.copy_from_slice(&block);
    }
}
