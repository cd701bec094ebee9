//! Verification of signatures and MACs, and both with message recovery. Signing itself has the form
//! of every other output: see `cipher.rs`.

use hsm_api::{Op, Result};

use crate::ck::{Given, In, Out};
use crate::module::Module;
use crate::op;
use crate::personality::Difference;

/// C_Verify.
pub fn verify(m: &Module, h: u64, data: In<'_>, signature: In<'_>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    op::verify(&session, &mut state, &data, Some(&signature))
}

/// C_VerifyFinal.
pub fn verify_final(m: &Module, h: u64, signature: In<'_>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    op::finish_verify(&session, &mut state, Some(&signature))
}

/// C_VerifySignatureInit: the signature first, the data later.
pub fn early_init(
    m: &Module,
    h: u64,
    mech: Option<Given<'_>>,
    key: u64,
    signature: In<'_>,
) -> Result<()> {
    m.session(h)?.slot.allows(Difference::VerifySignature)?;
    let cancels = mech.is_none();
    super::init(m, h, Op::Verify, mech, Some(key))?;
    if cancels {
        return Ok(());
    }
    let session = m.session(h)?;
    let mut state = session.enter()?;
    op::keep_signature(&mut state, &signature)
}

/// C_VerifySignature.
pub fn early(m: &Module, h: u64, data: In<'_>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    op::verify(&session, &mut state, &data, None)
}

/// C_VerifyUpdate, and C_VerifySignatureUpdate for a signature that came `early`.
pub fn verify_update(m: &Module, h: u64, early: bool, data: In<'_>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    op::verifies(&mut state, early)?;
    op::feed(&session, &mut state, Op::Verify, &data)
}

/// C_VerifySignatureFinal.
pub fn early_final(m: &Module, h: u64) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    op::finish_verify(&session, &mut state, None)
}

/// C_SignRecoverInit, C_VerifyRecoverInit.
pub fn recover_init(m: &Module, h: u64, op: Op, mech: Option<Given<'_>>, key: u64) -> Result<()> {
    m.session(h)?.slot.allows(Difference::Recover)?;
    super::init(m, h, op, mech, Some(key))
}

/// C_SignRecover, C_VerifyRecover.
pub fn recover(m: &Module, h: u64, op: Op, data: In<'_>, out: Out<'_>) -> Result<()> {
    m.session(h)?.slot.allows(Difference::Recover)?;
    super::cipher::whole(m, h, op, data, out)
}
