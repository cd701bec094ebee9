//! Session management functions.

use hsm_api::{Error, Hidden, MechId, Mechanism, Op, Params, Reply, Request, Result, Rv};
use pkcs11_sys as ck;

use crate::ck::v3_2::CKF_ASYNC_SESSION;
use crate::ck::{Out, Place};
use crate::module::Module;
use crate::op;
use crate::personality::Difference;
use crate::token::{Login, unexpected};

/// C_OpenSession.
pub fn open(m: &Module, slot: u64, flags: u64, to: Place<'_, u64>) -> Result<()> {
    let slot = m.slot(slot)?;
    if flags & ck::CKF_SERIAL_SESSION == 0 {
        let why = "CKF_SERIAL_SESSION must be set";
        return Err(Error::new(Rv::SESSION_PARALLEL_NOT_SUPPORTED, why));
    }
    if flags & CKF_ASYNC_SESSION != 0 {
        let why = "sessions are synchronous: leave CKF_ASYNC_SESSION out";
        return Err(Error::new(Rv::SESSION_ASYNC_NOT_SUPPORTED, why));
    }
    to.set(m.sessions.open(&slot, flags & ck::CKF_RW_SESSION != 0)?);
    Ok(())
}

/// C_CloseSession.
pub fn close(m: &Module, h: u64) -> Result<()> {
    m.sessions.close(h)
}

/// C_CloseAllSessions.
pub fn close_all(m: &Module, slot: u64) -> Result<()> {
    let slot = m.slot(slot)?;
    m.sessions.close_all(Some(slot.id));
    Ok(())
}

/// C_GetSessionInfo.
pub fn info(m: &Module, h: u64, to: Place<'_, ck::CK_SESSION_INFO>) -> Result<()> {
    let session = m.session(h)?;
    let write = if session.read_write {
        ck::CKF_RW_SESSION
    } else {
        0
    };
    to.set(ck::CK_SESSION_INFO {
        slotID: session.slot.id,
        state: session.ck_state(),
        flags: ck::CKF_SERIAL_SESSION | write,
        ulDeviceError: 0,
    });
    Ok(())
}

/// C_SessionCancel: ends the operations whose CKF_ bits are set.
pub fn cancel(m: &Module, h: u64, flags: u64) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    let kinds = [
        (ck::CKF_ENCRYPT, Op::Encrypt),
        (ck::CKF_DECRYPT, Op::Decrypt),
        (ck::CKF_DIGEST, Op::Digest),
        (ck::CKF_SIGN, Op::Sign),
        (ck::CKF_SIGN_RECOVER, Op::SignRecover),
        (ck::CKF_VERIFY, Op::Verify),
        (ck::CKF_VERIFY_RECOVER, Op::VerifyRecover),
    ];
    for (_, kind) in kinds.into_iter().filter(|(flag, _)| flags & flag != 0) {
        op::cancel(&session, &mut state, kind);
    }
    let messages = [
        (ck::CKF_MESSAGE_ENCRYPT, Op::Encrypt),
        (ck::CKF_MESSAGE_DECRYPT, Op::Decrypt),
        (ck::CKF_MESSAGE_SIGN, Op::Sign),
        (ck::CKF_MESSAGE_VERIFY, Op::Verify),
    ];
    for (_, kind) in messages.into_iter().filter(|(flag, _)| flags & flag != 0) {
        op::message::cancel(&session, &mut state, kind);
    }
    if flags & ck::CKF_FIND_OBJECTS != 0 {
        state.find = None;
    }
    Ok(())
}

/// C_Login, and C_LoginUser with a name.
pub fn login(m: &Module, h: u64, user: u64, name: Option<&[u8]>, pin: &[u8]) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    if name.is_some() {
        session.slot.allows(Difference::LoginUser)?;
    }
    let name = name.map(std::str::from_utf8).transpose();
    let name = name.map_err(|_| Error::new(Rv::ARGUMENTS_BAD, "the user's name is not UTF-8"))?;
    let name = name.filter(|n| !n.is_empty());
    match user {
        ck::CKU_SO => session.slot.login(Login::So, name, pin),
        ck::CKU_USER => session.slot.login(Login::User, name, pin),
        ck::CKU_CONTEXT_SPECIFIC => {
            if session.slot.login_state().is_none() {
                return Err(Rv::USER_NOT_LOGGED_IN.into());
            }
            if !state.ops.any_key() {
                let why = "a context-specific login needs an operation that waits for it";
                return Err(Error::new(Rv::OPERATION_NOT_INITIALIZED, why));
            }
            state.touch();
            let pin = Hidden(session.slot.own_pin(pin));
            session.done(&Request::LoginContext { pin })
        }
        _ => Err(Rv::USER_TYPE_INVALID.into()),
    }
}

/// C_Logout.
pub fn logout(m: &Module, h: u64) -> Result<()> {
    let session = m.session(h)?;
    let _state = session.enter()?;
    session.slot.logout()
}

/// Marks our saved states, and their form.
const STATE_MAGIC: &[u8; 4] = b"KSS1";
/// That, the mechanism, and the name by which the HSM knows the state.
const STATE_LEN: usize = 4 + 8 + 16;

/// C_GetOperationState: a digest's. The state itself stays in the HSM, for keys may be in it.
pub fn save(m: &Module, h: u64, mut out: Out<'_>) -> Result<()> {
    let session = m.session(h)?;
    session.slot.allows(Difference::OperationState)?;
    let mut state = session.enter()?;
    if !state.ops.is_active(Op::Digest) {
        return Err(match state.ops.any_key() {
            true => Error::new(
                Rv::STATE_UNSAVEABLE,
                "the state of a key in use stays in the HSM",
            ),
            false => Rv::OPERATION_NOT_INITIALIZED.into(),
        });
    }
    if state.ops.any_key() {
        let why = "an operation with a key is active too, and its state stays in the HSM";
        return Err(Error::new(Rv::STATE_UNSAVEABLE, why));
    }
    let mech = state.ops.mechanism(Op::Digest)?;
    // Asking for the length must not make the HSM keep a state.
    out.fill(STATE_LEN, |buf| {
        let stream = op::stream_of(&session, &mut state, Op::Digest)?;
        match session.call(&Request::SaveState { stream }, &mut [])? {
            Reply::Bytes(name) if name.len() == STATE_LEN - 12 => {
                buf[..4].copy_from_slice(STATE_MAGIC);
                buf[4..12].copy_from_slice(&mech.0.to_be_bytes());
                buf[12..].copy_from_slice(&name);
                Ok(STATE_LEN)
            }
            other => Err(unexpected(&other)),
        }
    })
    .map(drop)
}

/// C_SetOperationState.
pub fn restore(m: &Module, h: u64, saved: &[u8], keys: [u64; 2]) -> Result<()> {
    let session = m.session(h)?;
    session.slot.allows(Difference::OperationState)?;
    let mut state = session.enter()?;
    let body = saved
        .strip_prefix(STATE_MAGIC)
        .filter(|_| saved.len() == STATE_LEN)
        .and_then(|b| b.split_first_chunk());
    let (mech, name) = body.ok_or(Rv::SAVED_STATE_INVALID)?;
    if keys != [0, 0] {
        return Err(Error::new(
            Rv::KEY_NOT_NEEDED,
            "a digest's state needs no key",
        ));
    }
    let mech = Mechanism {
        id: MechId(u64::from_be_bytes(*mech)),
        params: Params::None,
    };
    op::restore(&session, &mut state, mech, name)
}

/// C_GetFunctionStatus, C_CancelFunction: what is left of functions in parallel.
pub fn not_parallel(m: &Module, h: u64) -> Result<()> {
    m.session(h)?;
    Err(Rv::FUNCTION_NOT_PARALLEL.into())
}

/// C_GetSessionValidationFlags: no mechanism of ours is part of a validated module, so no flag of any
/// kind is set. A kind that is not known has none either: the spec names no error for it.
pub fn validation_flags(m: &Module, h: u64, to: Place<'_, ck::CK_FLAGS>) -> Result<()> {
    m.session(h)?;
    to.set(0);
    Ok(())
}

/// C_AsyncComplete, C_AsyncGetID, C_AsyncJoin: sessions are synchronous (C_OpenSession refuses
/// CKF_ASYNC_SESSION), so nothing is ever pending in them.
pub fn no_async(m: &Module, h: u64) -> Result<()> {
    m.session(h)?;
    let why = "no session of this token is asynchronous";
    Err(Error::new(Rv::SESSION_ASYNC_NOT_SUPPORTED, why))
}
