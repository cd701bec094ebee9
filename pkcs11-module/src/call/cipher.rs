//! Encryption, decryption, message digesting, and the dual functions that run two of them at once.

use hsm_api::{Op, Result, Rv};

use crate::ck::{In, Out, Told};
use crate::module::Module;
use crate::op;
use crate::personality::Difference;

/// C_Encrypt, C_Decrypt, C_Digest, C_Sign.
pub fn whole(m: &Module, h: u64, op: Op, data: In<'_>, mut out: Out<'_>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    op::whole(&session, &mut state, op, &data, &mut out).map(drop)
}

/// C_EncryptUpdate, C_DecryptUpdate.
pub fn update(m: &Module, h: u64, op: Op, data: In<'_>, mut out: Out<'_>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    op::update(&session, &mut state, op, &data, &mut out).map(drop)
}

/// C_DigestUpdate, C_SignUpdate, C_VerifyUpdate.
pub fn feed(m: &Module, h: u64, op: Op, data: In<'_>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    op::feed(&session, &mut state, op, &data)
}

/// C_EncryptFinal, C_DecryptFinal, C_DigestFinal, C_SignFinal.
pub fn finish(m: &Module, h: u64, op: Op, mut out: Out<'_>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    op::finish(&session, &mut state, op, &mut out).map(drop)
}

/// C_DigestKey.
pub fn digest_key(m: &Module, h: u64, key: u64) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    session.slot.allows(Difference::DigestKey)?;
    op::digest_key(&session, &mut state, key)
}

/// C_DigestEncryptUpdate, C_SignEncryptUpdate: `also` takes the plaintext that is encrypted.
pub fn encrypt_and(m: &Module, h: u64, also: Op, data: In<'_>, mut out: Out<'_>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    session.slot.allows(Difference::Dual)?;
    if !state.ops.is_active(also) {
        return Err(Rv::OPERATION_NOT_INITIALIZED.into());
    }
    // Encryption first: if the buffer is too short, nothing has been taken in twice.
    match op::update(&session, &mut state, Op::Encrypt, &data, &mut out)? {
        Told::Length => Ok(()),
        Told::Bytes(_) => op::feed(&session, &mut state, also, &data),
    }
}

/// C_DecryptDigestUpdate, C_DecryptVerifyUpdate: `also` takes the plaintext that comes out.
pub fn decrypt_and(m: &Module, h: u64, also: Op, data: In<'_>, mut out: Out<'_>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    session.slot.allows(Difference::Dual)?;
    if !state.ops.is_active(also) {
        return Err(Rv::OPERATION_NOT_INITIALIZED.into());
    }
    match op::update(&session, &mut state, Op::Decrypt, &data, &mut out)? {
        Told::Length => Ok(()),
        Told::Bytes(n) => op::feed(&session, &mut state, also, out.written(n)),
    }
}
