//! From a caller's template to an object's attributes, by the rows of [`crate::attr`]: what may be
//! given, what must be, defaults, and the attributes that the HSM computes (PKCS#11 3.2, "Objects").

use hsm_api::{Attr, Class, Error, KeyType, MechId, ObjectId, Result, Rv, Template, Value};
use hsm_crypto::{AesKey, DesKey, Hash, PublicKey, hotp, modular};
use subtle::ConstantTimeEq;

use crate::attr::{self, AttrRow, Rule, When};
use crate::cert;
use crate::code::{UNAVAILABLE, class, key_type as kt};
use crate::material::Material;
use crate::object::Attrs;

/// How an object comes to be.
pub struct Birth {
    /// By which operation.
    pub when: When,
    /// What the operation makes; the template may say the same or nothing.
    pub class: Option<Class>,
    /// The same for the key type.
    pub key_type: Option<KeyType>,
    /// The caller is the security officer.
    pub officer: bool,
}

fn refuse(rv: Rv, row: &AttrRow, why: &str) -> Error {
    Error::new(rv, format!("CKA_{} {why}", row.name))
}

fn row(attr: &Attr) -> Result<&'static AttrRow> {
    let row = attr::row(attr.ty).ok_or_else(|| {
        Error::new(
            Rv::ATTRIBUTE_TYPE_INVALID,
            format!("unknown attribute {:#x}", attr.ty.0),
        )
    })?;
    if row.kind.fits(&attr.value) {
        return Ok(row);
    }
    Err(refuse(
        Rv::ATTRIBUTE_VALUE_INVALID,
        row,
        "has a value of another form",
    ))
}

/// What the operation makes, unless the template says otherwise in vain.
fn settle(attrs: &mut Attrs, ty: hsm_api::AttrType, made: Option<u64>) -> Result<()> {
    match (attrs.ulong(ty), made) {
        (Some(said), Some(made)) if said != made => Err(Error::new(
            Rv::TEMPLATE_INCONSISTENT,
            "the template's class or key type is not what the mechanism makes",
        )),
        (None, Some(made)) => {
            attrs.set(ty, Value::Ulong(made));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Validates a template and adds the defaults. Values that the operation makes come later, then
/// [`complete`].
///
/// # Errors
/// ATTRIBUTE_TYPE_INVALID, ATTRIBUTE_VALUE_INVALID, ATTRIBUTE_READ_ONLY, TEMPLATE_INCOMPLETE,
/// TEMPLATE_INCONSISTENT.
pub fn begin(template: &Template, birth: &Birth) -> Result<Attrs> {
    for attr in template {
        row(attr)?;
    }
    let mut attrs = Attrs::from_template(template)?;
    settle(&mut attrs, attr::CLASS, birth.class.map(|c| c.0))?;
    let class = attrs.class();
    if attrs.get(attr::CLASS).is_none() {
        return Err(Error::new(Rv::TEMPLATE_INCOMPLETE, "CKA_CLASS is missing"));
    }
    if !attr::On::ALL.has(class) {
        return Err(Error::new(
            Rv::ATTRIBUTE_VALUE_INVALID,
            format!("objects of class {:#x} cannot be made", class.0),
        ));
    }
    if attr::On::TYPED.has(class) {
        settle(&mut attrs, attr::KEY_TYPE, birth.key_type.map(|t| t.0))?;
        if attrs.get(attr::KEY_TYPE).is_none() {
            return Err(Error::new(
                Rv::TEMPLATE_INCOMPLETE,
                "CKA_KEY_TYPE is missing",
            ));
        }
        check_key_type(class, attrs.key_type())?;
    }
    if class == class::CERTIFICATE {
        cert::known_type(&attrs)?;
    }
    let kind = attrs.kind();
    for given in template {
        let row = row(given)?;
        let rule = ruled(row, class, kind)?;
        if !rule.may.at(birth.when) {
            let rv = if rule.may == When::NEVER {
                Rv::ATTRIBUTE_READ_ONLY
            } else {
                Rv::TEMPLATE_INCONSISTENT
            };
            return Err(refuse(rv, row, "cannot be given in this operation"));
        }
        if row.officer && !birth.officer && given.value == Value::Bool(true) {
            return Err(refuse(
                Rv::ATTRIBUTE_READ_ONLY,
                row,
                "is for the security officer to set",
            ));
        }
        if let Value::Template(inner) = &given.value {
            for attr in inner {
                self::row(attr)?;
            }
        }
    }
    let mut unsaid = Vec::with_capacity(attr::ALL.len());
    for row in attr::ALL {
        let Some(rule) = row.rule(class, kind) else {
            continue;
        };
        if attrs.get(row.ty).is_some() {
            continue;
        }
        if rule.must.at(birth.when) {
            return Err(refuse(Rv::TEMPLATE_INCOMPLETE, row, "is missing"));
        }
        if let Some(value) = rule.unsaid.value(birth.when) {
            unsaid.push(Attr { ty: row.ty, value });
        }
    }
    attrs.fill(unsaid.into_iter());
    Ok(attrs)
}

/// The rule of an attribute that a template gives. One that PKCS#11 has for other objects is no invalid
/// type, but makes the template inconsistent (4.1.1).
fn ruled(row: &'static AttrRow, class: Class, kind: KeyType) -> Result<&'static Rule> {
    row.rule(class, kind).ok_or_else(|| {
        refuse(
            Rv::TEMPLATE_INCONSISTENT,
            row,
            "does not belong to such an object",
        )
    })
}

/// What must hold between attributes, whenever an object is made or changed.
fn agree(attrs: &Attrs) -> Result<()> {
    let day = |ty| attrs.bytes(ty).filter(|date| !date.is_empty());
    if let (Some(start), Some(end)) = (day(attr::START_DATE), day(attr::END_DATE))
        && end < start
    {
        return Err(Error::new(
            Rv::TEMPLATE_INCONSISTENT,
            "CKA_END_DATE is before CKA_START_DATE",
        ));
    }
    if attrs.is(attr::ALWAYS_AUTHENTICATE) && !attrs.is(attr::PRIVATE) {
        return Err(Error::new(
            Rv::TEMPLATE_INCONSISTENT,
            "CKA_ALWAYS_AUTHENTICATE is for keys that are CKA_PRIVATE",
        ));
    }
    Ok(())
}

fn check_key_type(of: Class, key_type: KeyType) -> Result<()> {
    let known = if of == class::SECRET {
        kt::SECRETS.contains(&key_type)
    } else if of == class::OTP {
        key_type == kt::HOTP
    } else if of == class::DOMAIN {
        matches!(key_type, kt::DSA | kt::DH)
    } else {
        matches!(
            key_type,
            kt::RSA
                | kt::DSA
                | kt::DH
                | kt::EC
                | kt::EC_EDWARDS
                | kt::EC_MONTGOMERY
                | kt::ML_DSA
                | kt::ML_KEM
                | kt::SLH_DSA
        )
    };
    if known {
        return Ok(());
    }
    Err(Error::new(
        Rv::ATTRIBUTE_VALUE_INVALID,
        format!("no keys of type {:#x} in this class", key_type.0),
    ))
}

/// Where a new key's secrecy comes from.
pub enum Past<'a> {
    /// Made here, out of nothing.
    Fresh(MechId),
    /// It was outside once.
    Foreign,
    /// Derived from these.
    From(&'a [&'a Attrs]),
}

/// Adds what the HSM computes, and refuses values that are no key.
///
/// # Errors
/// ATTRIBUTE_VALUE_INVALID, CURVE_NOT_SUPPORTED, DOMAIN_PARAMS_INVALID.
pub fn complete(id: ObjectId, attrs: &mut Attrs, past: &Past<'_>) -> Result<()> {
    attrs.set(
        attr::UNIQUE_ID,
        Value::Bytes(format!("{:032x}", id.0).into_bytes()),
    );
    agree(attrs)?;
    let class = attrs.class();
    match class {
        class::CERTIFICATE => return cert::complete(attrs),
        class::TRUST => return cert::check(attrs),
        _ => {}
    }
    if !attr::On::TYPED.has(class) {
        return Ok(());
    }
    let fresh = matches!(past, Past::Fresh(_));
    attrs.set(attr::LOCAL, Value::Bool(fresh));
    if class == class::DOMAIN {
        return crate::mech::field::complete_domain(attrs, fresh);
    }
    let made_by = match past {
        Past::Fresh(mech) => mech.0,
        _ => UNAVAILABLE,
    };
    attrs.set(attr::KEY_GEN_MECHANISM, Value::Ulong(made_by));
    if attr::hides(class) {
        let (sensitive, guarded) = match past {
            Past::Fresh(_) => (true, true),
            Past::Foreign => (false, false),
            Past::From(bases) => (
                bases.iter().all(|b| b.is(attr::ALWAYS_SENSITIVE)),
                bases.iter().all(|b| b.is(attr::NEVER_EXTRACTABLE)),
            ),
        };
        let always = sensitive && attrs.is(attr::SENSITIVE);
        let never = guarded && !attrs.is(attr::EXTRACTABLE);
        attrs.set(attr::ALWAYS_SENSITIVE, Value::Bool(always));
        attrs.set(attr::NEVER_EXTRACTABLE, Value::Bool(never));
    }
    if class == class::OTP {
        complete_otp(attrs)?;
    }
    if class::is_secret(class) {
        complete_secret(attrs)
    } else {
        complete_pair(attrs, fresh)
    }
}

/// Secrets of fewer bytes can be found by trying all of them.
pub(crate) const GUESSABLE: usize = 10;

/// Whether a secret key can be found by trying all of its values. Types of one length are known to be as
/// long as they are.
pub(crate) fn guessable(attrs: &Attrs) -> bool {
    class::is_secret(attrs.class())
        && kt::fixed_len(attrs.key_type()).is_none()
        && attrs.bytes(attr::VALUE).map_or(0, <[u8]>::len) < GUESSABLE
}

/// Whether a key hides a value that anything computed from it would tell.
pub(crate) fn hides_short(attrs: &Attrs) -> bool {
    attrs.hides_value() && guessable(attrs)
}

fn complete_secret(attrs: &mut Attrs) -> Result<()> {
    let value = attrs.bytes(attr::VALUE).unwrap_or_default();
    let len = value.len();
    if !kt::takes_len(attrs.key_type(), len) {
        return Err(Error::new(
            Rv::ATTRIBUTE_VALUE_INVALID,
            format!("no key of type {:#x} has {len} bytes", attrs.key_type().0),
        ));
    }
    // "CKA_CHECK_VALUE should not be usable to obtain any part of the key value": three bytes tell all of a short one.
    let kcv = if hides_short(attrs) {
        Vec::new()
    } else {
        check_value(attrs.key_type(), value)
    };
    attrs.set(attr::VALUE_LEN, Value::Ulong(len as u64));
    match attrs.bytes(attr::CHECK_VALUE) {
        // An empty one says: no check value, please.
        Some([]) => {}
        Some(given) if given != kcv => {
            return Err(Error::new(
                Rv::ATTRIBUTE_VALUE_INVALID,
                "CKA_CHECK_VALUE does not belong to the key",
            ));
        }
        _ => attrs.set(attr::CHECK_VALUE, Value::Bytes(kcv)),
    }
    Ok(())
}

/// HOTP makes decimal passwords of a counter, and nothing else goes into them (PKCS#11 3.2, "HOTP secret key objects").
fn complete_otp(attrs: &mut Attrs) -> Result<()> {
    let number = |ty| attrs.ulong(ty).unwrap_or(0);
    let length = usize::try_from(number(attr::OTP_LENGTH)).unwrap_or(0);
    let other_inputs = [
        attr::OTP_CHALLENGE_REQUIREMENT,
        attr::OTP_TIME_REQUIREMENT,
        attr::OTP_PIN_REQUIREMENT,
    ];
    let why = if number(attr::OTP_FORMAT) != 0 {
        "HOTP passwords are CK_OTP_FORMAT_DECIMAL"
    } else if !hotp::DIGITS.contains(&length) {
        "HOTP passwords have 6, 7 or 8 digits"
    } else if other_inputs.iter().any(|ty| number(*ty) != 0) {
        "HOTP heeds neither challenge nor time nor PIN: their requirement is CK_OTP_PARAM_IGNORED"
    } else if number(attr::OTP_COUNTER_REQUIREMENT) > 2 {
        "CKA_OTP_COUNTER_REQUIREMENT is none of CK_OTP_PARAM_*"
    } else if attrs.bytes(attr::OTP_TIME).is_some_and(|t| !t.is_empty()) {
        "HOTP knows no time: CKA_OTP_TIME is empty"
    } else if attrs.is(attr::COPYABLE) {
        "CKA_COPYABLE is CK_FALSE where there is a counter: two keys would give the same passwords"
    } else if attrs.bytes(attr::OTP_COUNTER).is_some_and(|c| c.len() != 8) {
        "CKA_OTP_COUNTER has 8 bytes"
    } else {
        if attrs.get(attr::OTP_COUNTER).is_none() {
            attrs.set(attr::OTP_COUNTER, Value::Bytes(vec![0; 8]));
        }
        if attrs.get(attr::ALLOWED_MECHANISMS).is_none() {
            attrs.set(attr::ALLOWED_MECHANISMS, Value::Mechs(vec![HOTP]));
        }
        return Ok(());
    };
    Err(Error::new(Rv::ATTRIBUTE_VALUE_INVALID, why))
}

/// CKM_HOTP.
const HOTP: u64 = 0x291;

fn check_value(key_type: KeyType, value: &[u8]) -> Vec<u8> {
    if key_type == kt::AES
        && let Ok(key) = AesKey::new(value)
    {
        let mut block = [0; 16];
        key.encrypt_block(&mut block);
        return block[..3].to_vec();
    }
    if matches!(key_type, kt::DES | kt::DES2 | kt::DES3)
        && let Ok(key) = DesKey::new(value)
    {
        let mut block = [0; 8];
        if key.encrypt(None, &[0; 8], &mut block).is_ok() {
            return block[..3].to_vec();
        }
    }
    Hash::Sha1.digest(value)[..3].to_vec()
}

fn complete_pair(attrs: &mut Attrs, fresh: bool) -> Result<()> {
    let empty = |ty| attrs.bytes(ty).is_none_or(<[u8]>::is_empty);
    let lattice = matches!(attrs.key_type(), kt::ML_DSA | kt::ML_KEM | kt::SLH_DSA);
    if lattice && empty(attr::VALUE) && empty(attr::SEED) {
        return Err(Error::new(
            Rv::TEMPLATE_INCOMPLETE,
            "the key needs CKA_VALUE or CKA_SEED",
        ));
    }
    let material = Material::parse(attrs.class(), attrs.key_type(), attrs)?;
    let public = attrs.class() == class::PUBLIC;
    if !fresh {
        crate::mech::field::validate(&material)?;
    }
    if let (Material::Dh(key), false) = (&material, public) {
        let bits = modular::bits(key.x().map_err(crate::mech::fault::template)?);
        attrs.set(attr::VALUE_BITS, Value::Ulong(bits as u64));
    }
    if let Material::Rsa(key) = &material {
        if public {
            let bits = key.bits().map_err(crate::mech::fault::template)?;
            attrs.set(attr::MODULUS_BITS, Value::Ulong(bits as u64));
        } else if attrs.bytes(attr::COEFFICIENT).is_none_or(<[u8]>::is_empty) {
            // An import may leave out what the primes determine; keep all that is known.
            crate::mech::rsa::fill_private(key, attrs)?;
        }
    }
    let lattice = match &material {
        Material::MlDsa(key) if !public => Some(key.expanded()),
        Material::MlKem(key) if !public => Some(key.expanded()),
        _ => None,
    };
    if let Some(value) = lattice {
        // Of seed and expanded key an import may leave one out, but both must not contradict.
        let value = value.map_err(crate::mech::fault::template)?;
        match attrs.bytes(attr::VALUE) {
            Some(given) if !given.is_empty() && !bool::from(given.ct_eq(&value)) => {
                return Err(Error::new(
                    Rv::ATTRIBUTE_VALUE_INVALID,
                    "CKA_VALUE does not follow from CKA_SEED",
                ));
            }
            _ => attrs.set(attr::VALUE, Value::Bytes(value.to_vec())),
        }
    }
    public_key_info(attrs, material)
}

/// CKA_PUBLIC_KEY_INFO follows from the key. What is given must be of the same key.
fn public_key_info(attrs: &mut Attrs, material: Material) -> Result<()> {
    let own = crate::encode::public_key_info(material, attrs);
    let given = attrs.bytes(attr::PUBLIC_KEY_INFO).unwrap_or_default();
    let same = given.is_empty()
        || given == own
        || PublicKey::from_spki(given)
            .and_then(|key| key.to_spki())
            .is_ok_and(|given| given == own);
    if !same {
        return Err(Error::new(
            Rv::ATTRIBUTE_VALUE_INVALID,
            "CKA_PUBLIC_KEY_INFO is not of this key",
        ));
    }
    attrs.set(attr::PUBLIC_KEY_INFO, Value::Bytes(own));
    Ok(())
}

/// Applies a template to an object that exists, for C_SetAttributeValue and C_CopyObject.
///
/// # Errors
/// ATTRIBUTE_READ_ONLY, ATTRIBUTE_TYPE_INVALID, ATTRIBUTE_VALUE_INVALID, TEMPLATE_INCONSISTENT.
pub fn change(old: &Attrs, template: &Template, when: When, officer: bool) -> Result<Attrs> {
    let (class, kind) = (old.class(), old.kind());
    Attrs::from_template(template)?;
    let mut new = old.clone();
    for given in template {
        let row = row(given)?;
        // To write what is there changes nothing, but what the HSM alone determines is never the caller's to write.
        let computed =
            when == When::LATER && row.rule(class, kind).is_some_and(|r| r.may == When::NEVER);
        // (Secret values are not even compared: the time that takes would tell them.)
        if !row.secret && !computed && old.get(given.ty) == Some(&given.value) {
            continue;
        }
        let rule = ruled(row, class, kind)?;
        if !rule.may.at(when) {
            return Err(refuse(Rv::ATTRIBUTE_READ_ONLY, row, "cannot be changed"));
        }
        if let (Some(way), Value::Bool(to)) = (row.one_way, &given.value)
            && *to != way
        {
            return Err(refuse(
                Rv::ATTRIBUTE_READ_ONLY,
                row,
                "cannot be changed back",
            ));
        }
        if row.officer && !officer && given.value == Value::Bool(true) {
            return Err(refuse(
                Rv::ATTRIBUTE_READ_ONLY,
                row,
                "is for the security officer to set",
            ));
        }
        if given.ty == attr::PRIVATE && attr::hides(class) && given.value == Value::Bool(false) {
            return Err(refuse(
                Rv::TEMPLATE_INCONSISTENT,
                row,
                "of a private key stays",
            ));
        }
        if given.ty == attr::CHECK_VALUE && given.value != Value::Bytes(Vec::new()) {
            return Err(refuse(
                Rv::ATTRIBUTE_VALUE_INVALID,
                row,
                "does not belong to the key; an empty one takes it away",
            ));
        }
        if old.is(attr::TRUSTED) && !officer {
            trusted_stays(old, given, row)?;
        }
        new.set(given.ty, given.value.clone());
    }
    // One that was kept before there were these rules can still be given another label.
    if agree(old).is_ok() {
        agree(&new)?;
    }
    let vouches = class == class::CERTIFICATE || class == class::TRUST;
    if vouches && cert::check(old).is_ok() {
        cert::check(&new)?;
    }
    let info = attr::PUBLIC_KEY_INFO;
    if class == class::PRIVATE && new.get(info) != old.get(info) {
        let material = Material::parse(class, new.key_type(), &new)?;
        public_key_info(&mut new, material)?;
    }
    Ok(new)
}

/// What the security officer marked as trusted he judged by its attributes: "trusted certificates cannot
/// be modified", and a wrapping key that its user may make a decrypting one guards nothing. A copy is judged
/// alike, since it has the same value.
fn trusted_stays(old: &Attrs, given: &Attr, row: &AttrRow) -> Result<()> {
    const PLACE: [hsm_api::AttrType; 6] = [
        attr::TOKEN,
        attr::PRIVATE,
        attr::MODIFIABLE,
        attr::COPYABLE,
        attr::DESTROYABLE,
        attr::LABEL,
    ];
    let key = old.class() != class::CERTIFICATE;
    let gains = given.value == Value::Bool(true) && row.one_way != Some(true);
    let harmless = PLACE.contains(&given.ty) || key && !gains;
    if harmless {
        return Ok(());
    }
    Err(refuse(
        Rv::ATTRIBUTE_READ_ONLY,
        row,
        "of what the security officer trusts stays",
    ))
}

/// Merges a key's CKA_UNWRAP_TEMPLATE or CKA_DERIVE_TEMPLATE into what a caller asks for.
///
/// # Errors
/// TEMPLATE_INCONSISTENT where the two disagree.
pub fn impose(template: &Template, rule: Option<&Value>) -> Result<Template> {
    let mut merged = template.clone();
    if let Some(Value::Template(rule)) = rule {
        for must in rule {
            match template.iter().find(|a| a.ty == must.ty) {
                Some(given) if given.value != must.value => {
                    return Err(Error::new(
                        Rv::TEMPLATE_INCONSISTENT,
                        format!(
                            "the key's own template demands another value of {:#x}",
                            must.ty.0
                        ),
                    ));
                }
                Some(_) => {}
                None => merged.push(must.clone()),
            }
        }
    }
    Ok(merged)
}
