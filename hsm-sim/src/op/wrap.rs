//! Keys leave, encrypted, if all their attributes allow it.

use hsm_api::{Attr, Error, KeyRef, Mechanism, ObjectId, Op, Reply, Result, Rv, SessionId, Value};
use zeroize::Zeroizing;

use super::crypt::too_small;
use crate::attr;
use crate::code::class;
use crate::link::SimLink;
use crate::mech::{self, Call, Func, Mech, Output, Step};
use crate::object::Object;
use crate::policy;

/// C_WrapKeyAuthenticated's additional data belongs to mechanisms that are not here yet.
pub(super) fn no_aad(aad: &[u8]) -> Result<()> {
    if aad.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Rv::MECHANISM_INVALID,
        "the mechanism takes no additional data",
    ))
}

/// To the length of what a mechanism that does not pad fills keys up.
pub(super) fn block(mech: &Mech) -> usize {
    match mech.output {
        Output::Block => 16,
        Output::Block8 => 8,
        _ => 1,
    }
}

fn check(with: &Object, key: &Object) -> Result<()> {
    if !attr::hides(key.facts.class) {
        return Err(Error::new(
            Rv::KEY_NOT_WRAPPABLE,
            "only secret and private keys are wrapped",
        ));
    }
    if !key.attrs.is(attr::EXTRACTABLE) {
        return Err(Error::new(
            Rv::KEY_UNEXTRACTABLE,
            "the key is not CKA_EXTRACTABLE",
        ));
    }
    if key.attrs.is(attr::WRAP_WITH_TRUSTED) && !with.attrs.is(attr::TRUSTED) {
        return Err(Error::new(
            Rv::KEY_NOT_WRAPPABLE,
            "the key is wrapped by CKA_TRUSTED keys only, and this one is not",
        ));
    }
    // A rule about a secret attribute no key fulfils: whoever may write rules could ask for values with them.
    let fits = |want: &Attr| {
        let secret = attr::row(want.ty).is_some_and(|row| row.secret);
        !secret && key.attrs.get(want.ty) == Some(&want.value)
    };
    if let Some(Value::Template(rule)) = with.attrs.get(attr::WRAP_TEMPLATE)
        && !rule.iter().all(fits)
    {
        // The code that 5.18.3 demands.
        return Err(Error::new(
            Rv::KEY_HANDLE_INVALID,
            "the key is not as the wrapping key's CKA_WRAP_TEMPLATE demands",
        ));
    }
    Ok(())
}

impl SimLink {
    pub(crate) fn wrap(
        &self,
        session: SessionId,
        mechanism: &Mechanism<'_>,
        with: &KeyRef,
        key: ObjectId,
        aad: &[u8],
        out: &mut [u8],
    ) -> Result<Reply> {
        no_aad(aad)?;
        let with = self
            .key(with)
            .map_err(|e| Error::new(Rv::WRAPPING_KEY_HANDLE_INVALID, e.why))?;
        let mech =
            mech::check(Func::Wrap, mechanism, Some(&with.facts)).map_err(|e| match e.rv {
                Rv::KEY_TYPE_INCONSISTENT => Error::new(Rv::WRAPPING_KEY_TYPE_INCONSISTENT, e.why),
                Rv::KEY_SIZE_RANGE => Error::new(Rv::WRAPPING_KEY_SIZE_RANGE, e.why),
                Rv::KEY_HANDLE_INVALID => Error::new(Rv::WRAPPING_KEY_HANDLE_INVALID, e.why),
                _ => e,
            })?;
        self.offers(mech)?;
        self.may_hide(mech)?;
        if self.inner.separate_roles {
            crate::roles::may_wrap(mechanism)?;
        }
        let key = self
            .object(key)
            .map_err(|e| Error::new(Rv::KEY_HANDLE_INVALID, e.why))?;
        policy::may_dispose(self.who(), &key)?;
        check(&with, &key)?;
        let mut plain = crate::encode::encode(&key.attrs)?;
        let block = block(mech);
        if class::is_secret(key.facts.class) {
            // The block modes fill a key up with zeros; C_UnwrapKey cuts it by CKA_VALUE_LEN.
            let mut whole = Zeroizing::new(vec![0; plain.len().next_multiple_of(block)]);
            whole[..plain.len()].copy_from_slice(&plain);
            let zeros = whole.len() - plain.len();
            if zeros != 0 && !crate::encode::fills(zeros, block) {
                let why = format!(
                    "{} would fill a key of {} bytes up with {zeros} zeros, which C_UnwrapKey does not take off: wrap it by a mechanism that pads",
                    mech.name,
                    plain.len()
                );
                return Err(Error::new(Rv::KEY_SIZE_RANGE, why));
            }
            plain = whole;
        }
        let facts = Some(&with.facts);
        let room = mech::max_output(Op::Encrypt, mechanism, facts, plain.len(), Step::Whole);
        if out.len() < room {
            return Err(too_small(room));
        }
        self.authenticate(session, &with)?;
        let call = Call {
            mech,
            key: with.material()?,
            params: &mechanism.params,
        };
        let wrap = mech.wrap.ok_or(Rv::MECHANISM_INVALID)?;
        let written = wrap(&call, &plain, out).map_err(|e| match e.rv {
            Rv::DATA_LEN_RANGE => Error::new(Rv::KEY_SIZE_RANGE, e.why),
            _ => e,
        })?;
        Ok(Reply::Made {
            changes: Vec::new(),
            written,
        })
    }
}
