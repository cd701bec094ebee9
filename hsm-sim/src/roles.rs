//! The setting that parts keys for data from keys for keys (docs/adr/0007-conflicting-roles.md). Without it
//! a key may do both, as PKCS#11 and its clients have it: then who may use a wrapping key to decrypt
//! reads what it wrapped, and who may encrypt with an unwrapping key brings in values that he knows.
//!
//! With it a key for keys is made in the token, stays in it, and does nothing else; what it unwraps is hidden and for
//! data: the "secure templates" of Bortolozzo, Centenaro, Focardi and Steel. And it wraps by mechanisms only that take
//! no IV from the caller and tell nothing of padding.

use hsm_api::{AttrType, Error, MechId, Mechanism, Params, Result, Rv, Template, Value};
use hsm_crypto::keywrap;

use crate::attr::{self, When};
use crate::object::Attrs;

const KEYS: [AttrType; 2] = [attr::WRAP, attr::UNWRAP];

/// What a key for keys does not do. Signing is among it: RSA's raw signature is a decryption, and a MAC or a derivation of
/// one block is the key stream of a counter mode.
const DATA: [AttrType; 9] = [
    attr::ENCRYPT,
    attr::DECRYPT,
    attr::SIGN,
    attr::SIGN_RECOVER,
    attr::VERIFY,
    attr::VERIFY_RECOVER,
    attr::DERIVE,
    attr::ENCAPSULATE,
    attr::DECAPSULATE,
];

/// RFC 3394 and RFC 5649, CloudHSM's numbers too, and RSA-OAEP. Left out are those of which a second use with the same IV gives
/// the exclusive-or of two keys (CTR, GCM, CCM, ChaCha20), those that cut into blocks (ECB, CBC), those whose padding each
/// attempt asks about (CBC_PAD, PKCS#1 v1.5, key wrap with PKCS#7), and CKM_RSA_AES_KEY_WRAP, whose first part unwrapped by OAEP
/// is the key that decrypts its second.
const WRAPS: [u64; 6] = [0x2109, 0x210A, 0x210B, 0x8000_2109, 0x8000_216F, 0x9];

/// Whether keys are wrapped and unwrapped by it.
pub(crate) fn wraps(mech: MechId) -> bool {
    WRAPS.contains(&mech.0)
}

/// Refuses to wrap or unwrap by other mechanisms, and by an IV of the caller's: what one of them wraps another might unwrap,
/// and its padding answer.
///
/// # Errors
/// MECHANISM_INVALID, MECHANISM_PARAM_INVALID.
pub(crate) fn may_wrap(mechanism: &Mechanism<'_>) -> Result<()> {
    if !wraps(mechanism.id) {
        return Err(Error::new(
            Rv::MECHANISM_INVALID,
            "conflicting-roles = \"refuse\": keys are wrapped by AES key wrap (CKM_AES_KEY_WRAP_KWP and its like) or RSA-OAEP",
        ));
    }
    match &mechanism.params {
        Params::Iv(iv) if iv[..] != keywrap::KW_IV && iv[..] != keywrap::KWP_IV => Err(Error::new(
            Rv::MECHANISM_PARAM_INVALID,
            "conflicting-roles = \"refuse\": the IV of key wrap is the standard's",
        )),
        _ => Ok(()),
    }
}

fn says(templates: &[&Template], any_of: &[AttrType]) -> bool {
    templates.iter().any(|template| {
        template
            .iter()
            .any(|a| any_of.contains(&a.ty) && a.value == Value::Bool(true))
    })
}

fn refuse<T>(why: &'static str) -> Result<T> {
    Err(Error::new(Rv::TEMPLATE_INCONSISTENT, why))
}

/// Gives a new key one role: that which the templates ask for, else data. Both halves of a pair have the
/// same, since what one wraps the other would decrypt.
///
/// # Errors
/// TEMPLATE_INCONSISTENT where they ask for both, for a key for keys that somebody may know or that may leave, or for an
/// unwrapped key that shows its value.
pub(crate) fn part(templates: &[&Template], attrs: &mut Attrs, when: When) -> Result<()> {
    let keys = says(templates, &KEYS);
    if keys && says(templates, &DATA) {
        return refuse(
            "conflicting-roles = \"refuse\": a key that wraps or unwraps keys does nothing else; make two keys",
        );
    }
    if keys && !when.at(When::GENERATE) {
        return refuse(
            "conflicting-roles = \"refuse\": a key that wraps or unwraps keys is generated in the token, for who knows it \
             reads what it wraps",
        );
    }
    if keys && attrs.is(attr::EXTRACTABLE) {
        return refuse(
            "conflicting-roles = \"refuse\": a key that wraps or unwraps keys is not CKA_EXTRACTABLE, for it could come back \
             as one that decrypts",
        );
    }
    let shows = attrs.get(attr::SENSITIVE) == Some(&Value::Bool(false));
    if when.at(When::UNWRAP) && shows {
        return refuse(
            "conflicting-roles = \"refuse\": an unwrapped key is CKA_SENSITIVE, for it may have been before",
        );
    }
    let other: &[AttrType] = if keys { &DATA } else { &KEYS };
    for ty in other {
        if attrs.get(*ty).is_some() {
            attrs.set(*ty, Value::Bool(false));
        }
    }
    Ok(())
}

/// Neither a change nor a copy gives a key a role that it was not born with: it could have one role after
/// the other, or one as itself and one as its copy.
///
/// # Errors
/// ATTRIBUTE_READ_ONLY.
pub(crate) fn stay(old: &Attrs, new: &Attrs) -> Result<()> {
    let gained = |ty: &&AttrType| new.is(**ty) && !old.is(**ty);
    if DATA.iter().chain(&KEYS).find(gained).is_none() {
        return Ok(());
    }
    Err(Error::new(
        Rv::ATTRIBUTE_READ_ONLY,
        "conflicting-roles = \"refuse\": what a key may be used for can be taken from it, not given to it",
    ))
}
