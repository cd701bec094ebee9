//! From a caller's template to an object's attributes, by the rows of [`crate::attr`]: what may be
//! given, what must be, defaults, and the attributes that the HSM computes (PKCS#11 3.2, "Objects").

use hsm_api::{Attr, Class, Error, KeyType, MechId, ObjectId, Result, Rv, Template, Value};
use hsm_crypto::{AesKey, DesKey, Hash};

use crate::attr::{self, AttrRow, Unsaid, When};
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
    if attr::On::KEYS.has(class) {
        settle(&mut attrs, attr::KEY_TYPE, birth.key_type.map(|t| t.0))?;
        if attrs.get(attr::KEY_TYPE).is_none() {
            return Err(Error::new(
                Rv::TEMPLATE_INCOMPLETE,
                "CKA_KEY_TYPE is missing",
            ));
        }
        check_key_type(class, attrs.key_type())?;
    }
    let key_type = attrs.key_type();
    for given in template {
        let row = row(given)?;
        let Some(rule) = row.rule(class, key_type) else {
            return Err(refuse(
                Rv::ATTRIBUTE_TYPE_INVALID,
                row,
                "does not belong to such an object",
            ));
        };
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
        let Some(rule) = row.rule(class, key_type) else {
            continue;
        };
        if attrs.get(row.ty).is_some() {
            continue;
        }
        if rule.must.at(birth.when) {
            return Err(refuse(Rv::TEMPLATE_INCOMPLETE, row, "is missing"));
        }
        let value = match rule.unsaid {
            Unsaid::Bool(b) => Value::Bool(b),
            Unsaid::Ulong(n) => Value::Ulong(n),
            Unsaid::Empty => Value::Bytes(Vec::new()),
            Unsaid::Absent | Unsaid::Computed => continue,
        };
        unsaid.push(Attr { ty: row.ty, value });
    }
    attrs.fill(unsaid.into_iter());
    Ok(attrs)
}

fn check_key_type(of: Class, key_type: KeyType) -> Result<()> {
    let known = if of == class::SECRET {
        kt::SECRETS.contains(&key_type)
    } else {
        matches!(
            key_type,
            kt::RSA
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
/// ATTRIBUTE_VALUE_INVALID, CURVE_NOT_SUPPORTED.
pub fn complete(id: ObjectId, attrs: &mut Attrs, past: &Past<'_>) -> Result<()> {
    attrs.set(
        attr::UNIQUE_ID,
        Value::Bytes(format!("{:032x}", id.0).into_bytes()),
    );
    let class = attrs.class();
    if class == class::CERTIFICATE {
        return complete_certificate(attrs);
    }
    if !attr::On::KEYS.has(class) {
        return Ok(());
    }
    attrs.set(attr::LOCAL, Value::Bool(matches!(past, Past::Fresh(_))));
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
    if class == class::SECRET {
        complete_secret(attrs)
    } else {
        complete_pair(attrs)
    }
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
    let kcv = check_value(attrs.key_type(), value);
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

fn complete_pair(attrs: &mut Attrs) -> Result<()> {
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
            Some(given) if !given.is_empty() && *given != value[..] => {
                return Err(Error::new(
                    Rv::ATTRIBUTE_VALUE_INVALID,
                    "CKA_VALUE does not follow from CKA_SEED",
                ));
            }
            _ => attrs.set(attr::VALUE, Value::Bytes(value.to_vec())),
        }
    }
    if public {
        let info = crate::encode::public_key_info(material, attrs);
        attrs.set(attr::PUBLIC_KEY_INFO, Value::Bytes(info));
    } else if attrs.get(attr::PUBLIC_KEY_INFO).is_none() {
        attrs.set(attr::PUBLIC_KEY_INFO, Value::Bytes(Vec::new()));
    }
    Ok(())
}

fn complete_certificate(attrs: &mut Attrs) -> Result<()> {
    if attrs.ulong(attr::CERTIFICATE_TYPE) != Some(crate::code::cert_type::X_509) {
        return Err(Error::new(
            Rv::ATTRIBUTE_VALUE_INVALID,
            "only X.509 certificates are kept",
        ));
    }
    let value = attrs.bytes(attr::VALUE).unwrap_or_default();
    if value.is_empty() && attrs.bytes(attr::URL).is_none_or(<[u8]>::is_empty) {
        return Err(Error::new(
            Rv::TEMPLATE_INCOMPLETE,
            "a certificate has a value or a URL",
        ));
    }
    if attrs.get(attr::CHECK_VALUE).is_none() && !value.is_empty() {
        let kcv = Hash::Sha1.digest(value)[..3].to_vec();
        attrs.set(attr::CHECK_VALUE, Value::Bytes(kcv));
    }
    Ok(())
}

/// Applies a template to an object that exists, for C_SetAttributeValue and C_CopyObject.
///
/// # Errors
/// ATTRIBUTE_READ_ONLY, ATTRIBUTE_TYPE_INVALID, ATTRIBUTE_VALUE_INVALID, TEMPLATE_INCONSISTENT.
pub fn change(old: &Attrs, template: &Template, when: When, officer: bool) -> Result<Attrs> {
    let (class, key_type) = (old.class(), old.key_type());
    Attrs::from_template(template)?;
    let mut new = old.clone();
    for given in template {
        let row = row(given)?;
        // To write what is there changes nothing, but what the HSM alone determines is never the caller's to write.
        let computed = when == When::LATER
            && row
                .rule(class, key_type)
                .is_some_and(|r| r.may == When::NEVER);
        if old.get(given.ty) == Some(&given.value) && !row.secret && !computed {
            continue;
        }
        let Some(rule) = row.rule(class, key_type) else {
            return Err(refuse(
                Rv::ATTRIBUTE_TYPE_INVALID,
                row,
                "does not belong to such an object",
            ));
        };
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
        new.set(given.ty, given.value.clone());
    }
    Ok(new)
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
