//! What each function does, by chapter of PKCS#11 3.1, section 5, in safe code.
//!
//! | file | chapter |
//! |---|---|
//! | [`general`] | general-purpose and slot events |
//! | [`slot`] | slot and token management |
//! | [`session`] | sessions, login, operation state |
//! | [`object`] | objects and searches |
//! | [`cipher`] | encryption, decryption, digests, dual-function operations |
//! | [`sign`] | signatures, MACs, verification, recovery |
//! | [`key`] | keys made, wrapped, unwrapped, derived |
//! | [`random`] | random numbers |
//! | [`message`] | message-based operations |

pub mod cipher;
pub mod general;
pub mod key;
pub mod message;
pub mod object;
pub mod random;
pub mod session;
pub mod sign;
pub mod slot;

use hsm_api::{Mechanism, Op, Result};

use pkcs11_sys::{
    CKF_DECRYPT, CKF_DIGEST, CKF_ENCRYPT, CKF_SIGN, CKF_SIGN_RECOVER, CKF_VERIFY,
    CKF_VERIFY_RECOVER,
};

use crate::ck::{Given, Spare};
use crate::module::Module;
use crate::op;

/// C_XInit of every kind: reads the mechanism, finds the key, fills the operation slot.
pub fn init(m: &Module, h: u64, op: Op, mech: Option<Given<'_>>, key: Option<u64>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    let spare = &mut state.spare;
    let mech = mech
        .map(|given| read_in(&session, given, op == Op::Encrypt, spare))
        .transpose()?;
    if let Some(mech) = &mech {
        session.offers(mech, function(op))?;
    }
    op::init(&session, &mut state, op, mech, key)
}

/// What the caller lends to an active operation. If it is unusable, that ends the operation, as each error does but a
/// buffer that is too small (PKCS#11 3.1, section 5.2).
pub fn lent<T>(m: &Module, h: u64, op: Op, lent: Result<T>) -> Result<T> {
    if lent.is_err() {
        let session = m.session(h)?;
        op::cancel(&session, &mut *session.enter()?, op);
    }
    lent
}

/// The bit in CK_MECHANISM_INFO.
fn function(op: Op) -> u64 {
    match op {
        Op::Encrypt => CKF_ENCRYPT,
        Op::Decrypt => CKF_DECRYPT,
        Op::Sign => CKF_SIGN,
        Op::SignRecover => CKF_SIGN_RECOVER,
        Op::Verify => CKF_VERIFY,
        Op::VerifyRecover => CKF_VERIFY_RECOVER,
        Op::Digest => CKF_DIGEST,
    }
}

/// Reads a mechanism for a session. Where the personality has the HSM make GCM's IV, it is made
/// here, when encryption begins, and written into the caller's parameters.
pub fn read(
    session: &crate::session::Session,
    given: Given<'_>,
    encrypts: bool,
) -> Result<Mechanism<'static>> {
    read_in(session, given, encrypts, &mut Spare::default())
}

fn read_in(
    session: &crate::session::Session,
    given: Given<'_>,
    encrypts: bool,
    spare: &mut Spare,
) -> Result<Mechanism<'static>> {
    // First: what is not there is refused for that, and nothing is written into the caller's parameters.
    session.has(given.id())?;
    if encrypts && session.slot.spec.personality.makes_iv() {
        given.make_iv(|iv| {
            if iv.len() != 12 || iv.iter().any(|b| *b != 0) {
                session
                    .slot
                    .allows(crate::personality::Difference::CallerIv)?;
            }
            session.written(&hsm_api::Request::Random, iv).map(drop)
        })?;
    }
    given.read(&|handle| session.slot.object(handle), spare)
}
