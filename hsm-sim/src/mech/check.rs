//! May this mechanism, with these parameters, be asked to do this with this key: the row answers.

use hsm_api::{Error, KeyFacts, Mechanism, Op, Params, Result, Rv, Uses};

use hsm_crypto::hotp;

use super::{Func, Mech, Output, Shape, find, hash_of, mgf_hash, prehash_of};
use crate::code::key_type;

/// What C_SignInit and its sisters check; see [`check`].
///
/// # Errors
/// As [`check`].
pub fn check_init(
    op: Op,
    mechanism: &Mechanism<'_>,
    key: Option<&KeyFacts>,
) -> Result<&'static Mech> {
    check(Func::Crypt(op), mechanism, key)
}

/// Whether this mechanism, with these parameters, may be asked to do this with this key. The answer
/// is the row.
///
/// # Errors
/// MECHANISM_INVALID, KEY_HANDLE_INVALID (no key), KEY_TYPE_INCONSISTENT,
/// KEY_FUNCTION_NOT_PERMITTED, KEY_SIZE_RANGE, MECHANISM_PARAM_INVALID.
pub fn check(
    func: Func,
    mechanism: &Mechanism<'_>,
    key: Option<&KeyFacts>,
) -> Result<&'static Mech> {
    let mech = offered(func, mechanism)?;
    if let Some(facts) = key {
        check_key(func, mech, facts)?;
    }
    check_params(mech, func, &mechanism.params, key)?;
    Ok(mech)
}

/// Whether there is such a mechanism for this function at all: what to ask before any key is looked at.
///
/// # Errors
/// MECHANISM_INVALID.
pub fn offered(func: Func, mechanism: &Mechanism<'_>) -> Result<&'static Mech> {
    find(mechanism.id).filter(|m| m.can(func)).ok_or_else(|| {
        Error::new(
            Rv::MECHANISM_INVALID,
            format!("mechanism {:#x} cannot {func:?} here", mechanism.id.0),
        )
    })
}

fn check_key(func: Func, mech: &Mech, facts: &KeyFacts) -> Result<()> {
    if facts.key_type == key_type::NONE {
        return Err(Error::new(
            Rv::KEY_HANDLE_INVALID,
            "the object is not a key",
        ));
    }
    if !mech.keys.contains(&facts.key_type) {
        return Err(Error::new(
            Rv::KEY_TYPE_INCONSISTENT,
            format!(
                "{} does not take a key of type {:#x}",
                mech.name, facts.key_type.0
            ),
        ));
    }
    let needs = match func {
        Func::Crypt(op) => op.uses(),
        Func::Wrap => Uses::WRAP,
        Func::Unwrap => Uses::UNWRAP,
        // The public half is no secret, and every private key has one.
        Func::Derive if mech.publish.is_some() => Uses(0),
        Func::Derive => Uses::DERIVE,
        Func::Encapsulate => Uses::ENCAPSULATE,
        Func::Decapsulate => Uses::DECAPSULATE,
        Func::Generate | Func::GeneratePair => Uses(0),
    };
    if !facts.uses.allows(needs) {
        return Err(Error::new(
            Rv::KEY_FUNCTION_NOT_PERMITTED,
            format!("the key's attributes do not allow it to {func:?}"),
        ));
    }
    if facts
        .allowed
        .as_ref()
        .is_some_and(|a| !a.contains(&mech.id.0))
    {
        return Err(Error::new(
            Rv::MECHANISM_INVALID,
            format!(
                "{} is not among the key's CKA_ALLOWED_MECHANISMS",
                mech.name
            ),
        ));
    }
    if !mech.takes_size(facts.bits) {
        return Err(Error::new(
            Rv::KEY_SIZE_RANGE,
            format!("{} does not take a key of {} bits", mech.name, facts.bits),
        ));
    }
    Ok(())
}

fn check_params(
    mech: &Mech,
    func: Func,
    params: &Params<'_>,
    key: Option<&KeyFacts>,
) -> Result<()> {
    if let (Shape::MaybeEdDsa, Params::None) = (mech.params, params)
        && key.is_some_and(|k| k.bits == 448 && k.named_curve)
    {
        return Err(Error::new(
            Rv::MECHANISM_PARAM_INVALID,
            format!(
                "{} on edwards448 needs CK_EDDSA_PARAMS; phFlag CK_FALSE without a context is Ed448",
                mech.name
            ),
        ));
    }
    let good = match (mech.params, params) {
        (
            Shape::Nothing
            | Shape::MaybeIv(_)
            | Shape::MaybeEdDsa
            | Shape::MaybeSignContext
            | Shape::MaybeOtp,
            Params::None,
        ) => true,
        (Shape::MaybeOtp, Params::Otp { digits, .. }) => {
            digits.is_none_or(|n| hotp::DIGITS.contains(&(n as usize)))
        }
        (Shape::Iv(n) | Shape::MaybeIv(n), Params::Iv(iv)) => iv.len() == n,
        (Shape::Ctr, Params::Ctr { bits, .. }) => (1..=128).contains(bits),
        (Shape::Gcm, Params::Gcm { iv, tag_bits, .. }) => {
            // Nobody could tell the signer's IV to the verifier.
            let has_iv = !iv.is_empty() || mech.output != Output::Tag;
            has_iv && matches!(tag_bits, 32 | 64 | 96 | 104 | 112 | 120 | 128)
        }
        (Shape::GcmOwnIv, Params::Gcm { iv, tag_bits, .. }) => {
            iv.is_empty() && matches!(tag_bits, 32 | 64 | 96 | 104 | 112 | 120 | 128)
        }
        (Shape::Ccm, Params::Ccm { nonce, mac_len, .. }) => {
            (7..=13).contains(&nonce.len()) && matches!(mac_len, 4 | 6 | 8 | 10 | 12 | 14 | 16)
        }
        (Shape::ChaCha20, Params::ChaCha20 { counter, nonce }) => match nonce.len() {
            8 => true,
            12 => u32::try_from(*counter).is_ok(),
            _ => false,
        },
        (Shape::ChaCha20Poly1305, Params::ChaCha20Poly1305 { nonce, .. }) => nonce.len() == 12,
        (Shape::Pss, Params::Pss { hash, mgf, .. }) => {
            mgf_hash(*mgf).is_some()
                && hash_of(*hash).is_some_and(|h| mech.hash.is_none_or(|own| own == h))
        }
        (Shape::Oaep, Params::Oaep { hash, mgf, .. }) => {
            hash_of(*hash).is_some() && mgf_hash(*mgf).is_some()
        }
        (
            Shape::RsaAesKeyWrap,
            Params::RsaAesKeyWrap {
                aes_bits,
                hash,
                mgf,
                ..
            },
        ) => {
            matches!(aes_bits, 128 | 192 | 256)
                && hash_of(*hash).is_some()
                && mgf_hash(*mgf).is_some()
        }
        (Shape::Ecdh, Params::Ecdh { public, .. }) => !public.is_empty(),
        (Shape::MaybeEdDsa, Params::EdDsa { context, .. }) => context.len() <= 255,
        (
            Shape::MaybeSignContext,
            Params::SignContext {
                hedge,
                context,
                hash,
            },
        ) => *hedge <= 2 && context.len() <= 255 && hash.is_none(),
        (
            Shape::HashSignContext,
            Params::SignContext {
                hedge,
                context,
                hash,
            },
        ) => *hedge <= 2 && context.len() <= 255 && hash.is_some_and(|h| prehash_of(h).is_some()),
        (Shape::MacLen, Params::MacLen(n)) => {
            let block = if mech.keys.contains(&key_type::DES3) {
                8
            } else {
                16
            };
            let most = mech.hash.map_or(block, |h| h.len() as u64);
            (1..=most).contains(n)
        }
        (
            Shape::Hkdf,
            Params::Hkdf {
                extract,
                expand,
                prf,
                ..
            },
        ) => (*extract || *expand) && hash_of(*prf).is_some(),
        (Shape::Kbkdf | Shape::KbkdfFeedback, Params::Kbkdf(_))
        | (Shape::Pbkdf2, Params::Pbkdf2 { .. })
        | (Shape::Data, Params::Data(_))
        | (Shape::Bit, Params::Bit(_))
        | (Shape::Key, Params::Key(_)) => true,
        (Shape::Peer, Params::Data(peer)) => func == Func::Derive && !peer.is_empty(),
        (Shape::Peer, Params::None) => func != Func::Derive,
        (Shape::CbcEncryptData(n), Params::CbcEncryptData { iv, .. }) => iv.len() == n,
        _ => false,
    };
    if good {
        return Ok(());
    }
    Err(Error::new(
        Rv::MECHANISM_PARAM_INVALID,
        format!("{} does not take these parameters to {func:?}", mech.name),
    ))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::tests::gcm;
    use super::*;

    #[test]
    fn gcm_tag_lengths_and_ivs() {
        assert!(check_init(Op::Encrypt, &gcm(&[]), None).is_ok());
        let mut odd = gcm(&[1; 12]);
        odd.params = Params::Gcm {
            iv: Cow::Borrowed(&[1; 12]),
            aad: Cow::Borrowed(&[]),
            tag_bits: 12,
        };
        let refused = check_init(Op::Encrypt, &odd, None).err().map(|e| e.rv);
        assert_eq!(refused, Some(Rv::MECHANISM_PARAM_INVALID));
        let refused = check_init(Op::Sign, &gcm(&[1; 12]), None)
            .err()
            .map(|e| e.rv);
        assert_eq!(refused, Some(Rv::MECHANISM_INVALID));
    }
}
