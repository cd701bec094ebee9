//! Whole operations: the hot path. No lock is held while the key works, and input and output are the
//! caller's own memory.

use hsm_api::reply::Offered;
use hsm_api::{Error, KeyRef, Mechanism, Op, Reply, Result, Rv, SessionId};
use zeroize::Zeroizing;

use crate::link::SimLink;
use crate::material::Material;
use crate::mech::{self, Call, Mech, Output, Step};
use crate::roles;

/// CKF_WRAP and CKF_UNWRAP.
const WRAP_FLAGS: u64 = 0x2_0000 | 0x4_0000;

impl SimLink {
    pub(crate) fn fips(&self) -> bool {
        self.inner.node.as_ref().is_some_and(|n| n.settings.fips)
    }

    /// Refuses legacy mechanisms on a token that was not told to have them, and in FIPS mode what it leaves out.
    pub(crate) fn offers(&self, mech: &Mech) -> Result<()> {
        if mech.never_fips && self.fips() {
            let why = format!("{} is not there in FIPS mode", mech.name);
            return Err(Error::new(Rv::MECHANISM_INVALID, why));
        }
        if !mech.legacy || self.inner.legacy {
            return Ok(());
        }
        Err(Error::new(
            Rv::MECHANISM_INVALID,
            format!("{} is offered with the setting `legacy` only", mech.name),
        ))
    }

    /// The mechanisms that this HSM has, with the functions that they have here.
    pub(crate) fn mechanisms(&self) -> Vec<Offered> {
        let fips = self.fips();
        mech::ALL
            .iter()
            .filter(|m| self.offers(m).is_ok())
            .map(|m| Offered {
                mech: m.id.0,
                flags: if fips { m.fips_flags() } else { self.flags(m) },
            })
            .collect()
    }

    /// Under the setting most mechanisms do not wrap.
    fn flags(&self, mech: &Mech) -> u64 {
        let wraps = !self.inner.separate_roles || roles::wraps(mech.id);
        mech.flags() & if wraps { u64::MAX } else { !WRAP_FLAGS }
    }

    /// Refuses what FIPS mode does not let a mechanism do that is there: to hide a key or a message.
    pub(crate) fn may_hide(&self, mech: &Mech) -> Result<()> {
        if !(self.fips() && mech.fips_signs_only) {
            return Ok(());
        }
        let why = format!(
            "{} neither encrypts nor wraps in FIPS mode: use CKM_RSA_PKCS_OAEP",
            mech.name
        );
        Err(Error::new(Rv::MECHANISM_INVALID, why))
    }

    #[allow(clippy::too_many_arguments)]
    pub(crate) fn crypt(
        &self,
        session: SessionId,
        op: Op,
        mechanism: &Mechanism<'_>,
        key: Option<&KeyRef>,
        data: &[u8],
        signature: &[u8],
        out: &mut [u8],
    ) -> Result<Reply> {
        let Some(key) = key else {
            if op != Op::Digest {
                return Err(Error::new(
                    Rv::KEY_HANDLE_INVALID,
                    "the operation needs a key",
                ));
            }
            let mech = mech::check_init(op, mechanism, None)?;
            self.offers(mech)?;
            let call = Call {
                mech,
                key: &Material::Nothing,
                params: &mechanism.params,
            };
            let room = mech.max_output(op, &mechanism.params, None, data.len(), Step::Whole);
            return run(op, &call, data, signature, out, room);
        };
        let object = self.key(key)?;
        let mech = mech::check_init(op, mechanism, Some(&object.facts))?;
        self.offers(mech)?;
        if matches!(op, Op::Encrypt | Op::Decrypt) {
            self.may_hide(mech)?;
        }
        self.authenticate(session, &object)?;
        let call = Call {
            mech,
            key: object.material()?,
            params: &mechanism.params,
        };
        if mech.output == Output::Otp {
            return self.one_time(op, &object, &call, data, (signature, out));
        }
        let room = mech.max_output(
            op,
            &mechanism.params,
            Some(&object.facts),
            data.len(),
            Step::Whole,
        );
        run(op, &call, data, signature, out, room)
    }
}

/// The row's function for an operation with output.
pub(super) fn transform(mech: &Mech, op: Op) -> Result<mech::Transform> {
    match op {
        Op::Encrypt => mech.encrypt,
        Op::Decrypt => mech.decrypt,
        Op::Sign => mech.sign,
        Op::SignRecover => mech.sign_recover,
        Op::VerifyRecover => mech.verify_recover,
        Op::Digest => mech.digest,
        Op::Verify => None,
    }
    .ok_or_else(|| Rv::MECHANISM_INVALID.into())
}

fn run(
    op: Op,
    call: &Call<'_>,
    data: &[u8],
    signature: &[u8],
    out: &mut [u8],
    room: usize,
) -> Result<Reply> {
    if op == Op::Verify {
        let verify = call.mech.verify.ok_or(Rv::MECHANISM_INVALID)?;
        verify(call, data, signature)?;
        return Ok(Reply::Done);
    }
    let transform = transform(call.mech, op)?;
    if out.len() >= room {
        return transform(call, data, out).map(Reply::Written);
    }
    // Where padding comes off, the result may fit although the bound does not: callers who know the
    // length of their plaintext bring no more room than that.
    if !matches!(op, Op::Decrypt | Op::VerifyRecover) {
        return Err(too_small(room));
    }
    let mut whole = Zeroizing::new(vec![0; room]);
    let len = transform(call, data, &mut whole)?;
    let out = out.get_mut(..len).ok_or_else(|| too_small(len))?;
    out.copy_from_slice(&whole[..len]);
    Ok(Reply::Written(len))
}

pub(super) fn too_small(room: usize) -> Error {
    Error::new(
        Rv::BUFFER_TOO_SMALL,
        format!("the result has up to {room} bytes"),
    )
}
