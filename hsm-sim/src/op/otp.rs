//! One-time passwords (PKCS#11 3.2, "OTP"): the counter is an attribute of the key, and its use moves it on. It is written
//! before the password leaves, so that no crash gives one out twice. In a cluster the change goes the way of all changes:
//! two applications that use the key at two HSMs at the same moment may get the same password, and after that the
//! higher counter is everybody's (`change.rs`). An answer that is lost on its way costs the password in it.

use hsm_api::{Error, Op, Params, Reply, Result, Rv, Value};

use crate::attr;
use crate::link::SimLink;
use crate::mech::{Call, otp};
use crate::object::{Attrs, Object};

/// How far behind its owner's device a key may be when a password is verified (RFC 4226, 7.4): this one and so many more.
const LOOK_AHEAD: u64 = 4;

const MANDATORY: u64 = 2;
const IGNORED: u64 = 0;

fn bad(why: &'static str) -> Error {
    Error::new(Rv::MECHANISM_PARAM_INVALID, why)
}

/// The key's own counter.
fn kept(key: &Attrs) -> Result<u64> {
    let bytes = key.bytes(attr::OTP_COUNTER).unwrap_or_default();
    let bytes = bytes.try_into().map(u64::from_be_bytes);
    bytes.map_err(|_| Error::new(Rv::KEY_FUNCTION_NOT_PERMITTED, "the key has no counter"))
}

/// The counter and the number of digits that the parameters and the key's rules about them make: no counter where the key's
/// own is to be used.
fn settle(key: &Attrs, params: &Params<'_>) -> Result<(Option<u64>, u32)> {
    let (counter, digits, friendly) = match params {
        Params::Otp {
            counter,
            digits,
            friendly,
        } => (*counter, *digits, *friendly),
        _ => (None, None, false),
    };
    if friendly && !key.is(attr::OTP_USER_FRIENDLY_MODE) {
        return Err(bad(
            "CKF_USER_FRIENDLY_OTP, but the key is not CKA_OTP_USER_FRIENDLY_MODE",
        ));
    }
    let counter = match (key.ulong(attr::OTP_COUNTER_REQUIREMENT), counter) {
        (Some(MANDATORY), None) => {
            return Err(bad("the key wants a CK_OTP_COUNTER with each use"));
        }
        (Some(IGNORED), _) => None,
        (_, counter) => counter,
    };
    let own = key
        .ulong(attr::OTP_LENGTH)
        .and_then(|n| u32::try_from(n).ok());
    let digits = digits.or(own).ok_or(Rv::KEY_FUNCTION_NOT_PERMITTED)?;
    Ok((counter, digits))
}

fn with(counter: u64, digits: u32) -> Params<'static> {
    Params::Otp {
        counter: Some(counter),
        digits: Some(digits),
        friendly: false,
    }
}

impl SimLink {
    /// C_Sign and C_Verify with a one-time password.
    pub(super) fn one_time(
        &self,
        op: Op,
        key: &Object,
        call: &Call<'_>,
        data: &[u8],
        (signature, out): (&[u8], &mut [u8]),
    ) -> Result<Reply> {
        let (counter, digits) = settle(&key.attrs, call.params)?;
        if let Some(counter) = counter {
            return run(op, call, (counter, digits), data, (signature, out)).map(|n| match op {
                Op::Verify => Reply::Done,
                _ => Reply::Written(n),
            });
        }
        let mut written = 0;
        let reply = self.replace(key, &mut |old: &Object| {
            let first = kept(&old.attrs)?;
            let tries = if op == Op::Verify { LOOK_AHEAD } else { 0 };
            let mut used = Err(Rv::FUNCTION_FAILED.into());
            for counter in first..=first.saturating_add(tries) {
                used = run(op, call, (counter, digits), data, (signature, &mut *out))
                    .map(|n| (counter, n));
                // What is wrong otherwise is wrong with every counter.
                if used
                    .as_ref()
                    .err()
                    .is_none_or(|e: &Error| e.rv != Rv::SIGNATURE_INVALID)
                {
                    break;
                }
            }
            let (counter, n) = used?;
            written = n;
            let next = counter
                .checked_add(1)
                .ok_or_else(|| Error::new(Rv::FUNCTION_FAILED, "the key's counter is used up"))?;
            let mut attrs = (*old.attrs).clone();
            attrs.set(attr::OTP_COUNTER, Value::Bytes(next.to_be_bytes().to_vec()));
            Ok((old.origin.clone(), attrs))
        });
        match reply {
            Ok(Reply::Made { changes, .. }) => Ok(Reply::Made { changes, written }),
            other => {
                // A password whose counter could not be kept is not given out.
                out.fill(0);
                other
            }
        }
    }
}

/// One counter's password made or verified.
fn run(
    op: Op,
    call: &Call<'_>,
    (counter, digits): (u64, u32),
    data: &[u8],
    (signature, out): (&[u8], &mut [u8]),
) -> Result<usize> {
    let params = with(counter, digits);
    let call = Call {
        params: &params,
        ..*call
    };
    if op == Op::Verify {
        let verify = call.mech.verify.ok_or(Rv::MECHANISM_INVALID)?;
        return verify(&call, data, signature).map(|()| 0);
    }
    let out = out
        .get_mut(..otp::MOST)
        .ok_or_else(|| super::crypt::too_small(otp::MOST))?;
    let sign = call.mech.sign.ok_or(Rv::MECHANISM_INVALID)?;
    sign(&call, data, out)
}
