//! Message-based encryption, decryption, signing and verification.

use std::sync::Arc;

use hsm_api::{Op, Result};

use crate::ck::{self, In, Out, message};
use crate::module::Module;
use crate::op;
use crate::personality::Difference;
use crate::session::Session;

fn session(m: &Module, h: u64) -> Result<Arc<Session>> {
    let session = m.session(h)?;
    session.slot.allows(Difference::Messages)?;
    Ok(session)
}

/// C_MessageEncryptInit, C_MessageDecryptInit. The mechanism's own parameter, if there is one, says nothing: each
/// message comes with its own.
pub fn init_cipher(
    m: &Module,
    h: u64,
    op: Op,
    mech: Option<ck::Given<'_>>,
    key: u64,
) -> Result<()> {
    let session = session(m, h)?;
    let mut state = session.enter()?;
    if let Some(given) = &mech {
        session.has(given.id())?;
        given.message().is_a_shape_of(given.id())?;
    }
    let mech = mech.map(|given| given.id());
    op::message::init_cipher(&session, &mut state, op, mech, key)
}

/// C_MessageSignInit, C_MessageVerifyInit.
pub fn init_sign(m: &Module, h: u64, op: Op, mech: Option<ck::Given<'_>>, key: u64) -> Result<()> {
    let session = session(m, h)?;
    let mut state = session.enter()?;
    let mech = mech
        .map(|given| super::read(&session, given, false))
        .transpose()?;
    op::message::init(&session, &mut state, op, mech, key)
}

/// C_EncryptMessage, C_DecryptMessage.
pub fn whole(
    m: &Module,
    h: u64,
    op: Op,
    (given, aad): (message::Given<'_>, Vec<u8>),
    data: In<'_>,
    mut out: Out<'_>,
) -> Result<()> {
    let session = session(m, h)?;
    let mut state = session.enter()?;
    op::message::whole(&session, &mut state, op, (given, &aad), &data, &mut out)
}

/// C_EncryptMessageBegin, C_DecryptMessageBegin.
pub fn begin(m: &Module, h: u64, op: Op, given: message::Given<'_>, aad: Vec<u8>) -> Result<()> {
    let session = session(m, h)?;
    let mut state = session.enter()?;
    op::message::begin(&session, &mut state, op, given, &aad)
}

/// C_EncryptMessageNext, C_DecryptMessageNext.
pub fn next(
    m: &Module,
    h: u64,
    op: Op,
    given: message::Given<'_>,
    (data, last): (In<'_>, bool),
    mut out: Out<'_>,
) -> Result<()> {
    let session = session(m, h)?;
    let mut state = session.enter()?;
    op::message::next(&session, &mut state, op, given, &data, last, &mut out)
}

/// C_MessageEncryptFinal and its sisters.
pub fn end(m: &Module, h: u64, op: Op) -> Result<()> {
    let session = session(m, h)?;
    let mut state = session.enter()?;
    op::message::end(&mut state, op)
}

/// C_SignMessage.
pub fn sign(
    m: &Module,
    h: u64,
    given: message::Given<'_>,
    data: In<'_>,
    mut out: Out<'_>,
) -> Result<()> {
    let session = session(m, h)?;
    let mut state = session.enter()?;
    op::message::sign(&session, &mut state, given, &data, &mut out)
}

/// C_VerifyMessage.
pub fn verify(
    m: &Module,
    h: u64,
    given: message::Given<'_>,
    data: In<'_>,
    signature: In<'_>,
) -> Result<()> {
    let session = session(m, h)?;
    let mut state = session.enter()?;
    op::message::verify(&session, &mut state, given, &data, &signature)
}

/// C_SignMessageBegin, C_VerifyMessageBegin.
pub fn begin_sign(m: &Module, h: u64, op: Op, given: message::Given<'_>) -> Result<()> {
    let session = session(m, h)?;
    let mut state = session.enter()?;
    op::message::begin_sign(&session, &mut state, op, given)
}

/// C_SignMessageNext.
pub fn sign_next(
    m: &Module,
    h: u64,
    given: message::Given<'_>,
    data: In<'_>,
    mut out: Option<Out<'_>>,
) -> Result<()> {
    let session = session(m, h)?;
    let mut state = session.enter()?;
    op::message::sign_next(&session, &mut state, given, &data, out.as_mut())
}

/// C_VerifyMessageNext.
pub fn verify_next(
    m: &Module,
    h: u64,
    given: message::Given<'_>,
    data: In<'_>,
    signature: Option<In<'_>>,
) -> Result<()> {
    let session = session(m, h)?;
    let mut state = session.enter()?;
    op::message::verify_next(&session, &mut state, given, &data, signature.as_deref())
}
