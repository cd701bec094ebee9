//! The setting that parts keys for data from keys for keys (docs/adr/0007-conflicting-roles.md). Without it
//! a key may do both, as PKCS#11 and its clients have it: then who may use a wrapping key to decrypt
//! reads what it wrapped, and who may encrypt with an unwrapping key brings in values that he knows.

use hsm_api::{AttrType, Error, Result, Rv, Template, Value};

use crate::attr;
use crate::object::Attrs;

const DATA: [AttrType; 2] = [attr::ENCRYPT, attr::DECRYPT];
const KEYS: [AttrType; 2] = [attr::WRAP, attr::UNWRAP];

fn says(templates: &[&Template], any_of: &[AttrType]) -> bool {
    templates.iter().any(|template| {
        template
            .iter()
            .any(|a| any_of.contains(&a.ty) && a.value == Value::Bool(true))
    })
}

/// Gives a new key one role: that which the templates ask for, else data. Both halves of a pair have the
/// same, since what one wraps the other would decrypt.
///
/// # Errors
/// TEMPLATE_INCONSISTENT where they ask for both.
pub(crate) fn part(templates: &[&Template], attrs: &mut Attrs) -> Result<()> {
    let other = match (says(templates, &DATA), says(templates, &KEYS)) {
        (true, true) => {
            return Err(Error::new(
                Rv::TEMPLATE_INCONSISTENT,
                "conflicting-roles = \"refuse\": a key encrypts and decrypts data, or wraps and unwraps keys; make two keys",
            ));
        }
        (_, true) => DATA,
        _ => KEYS,
    };
    for ty in other {
        if attrs.get(ty).is_some() {
            attrs.set(ty, Value::Bool(false));
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
        "conflicting-roles = \"refuse\": CKA_ENCRYPT, DECRYPT, WRAP and UNWRAP can be taken from a key, not given to it",
    ))
}
