//! The attributes of CloudHSM's library: which ones a template may have, and what they are when it
//! does not say.

use hsm_api::{Attr, AttrType, Error, Result, Rv, Template, Value};
use pkcs11_sys as ck;

use super::mechanisms::{known_curve, rsa_bits, secret_bytes};
use super::{Personality, refuse};

/// How a key comes to be, and which of a pair it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Making {
    Generate,
    PublicHalf,
    PrivateHalf,
    Create,
    Unwrap,
    Derive,
}

/// What the library makes of an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Not in a template of this class of key.
    Never,
    /// As given; left to the HSM where it is not.
    Given,
    /// A value, which only C_CreateObject may give.
    Material,
    /// False unless given.
    No,
    /// True unless given.
    Yes,
    /// True, and nothing else may be given.
    OnlyYes,
    /// True unless given for a key that is generated, else false unless given.
    Generated,
    /// False, and not to be given.
    Off,
}

use Rule::{Generated, Given, Material, Never, No, Off, OnlyYes, Yes};

/// Attribute; rules for secret, public and private keys.
const CLOUDHSM: &[(u64, [Rule; 3])] = &[
    (ck::CKA_CLASS, [Given, Given, Given]),
    (ck::CKA_KEY_TYPE, [Given, Given, Given]),
    (ck::CKA_LABEL, [Given, Given, Given]),
    (ck::CKA_ID, [Given, Given, Given]),
    (ck::CKA_VALUE_LEN, [Given, Never, Never]),
    (ck::CKA_TOKEN, [No, No, No]),
    (ck::CKA_PRIVATE, [OnlyYes, OnlyYes, OnlyYes]),
    (ck::CKA_MODIFIABLE, [OnlyYes, OnlyYes, OnlyYes]),
    (ck::CKA_DESTROYABLE, [Yes, Yes, Yes]),
    (ck::CKA_ENCRYPT, [No, No, Never]),
    (ck::CKA_DECRYPT, [No, Never, No]),
    (ck::CKA_SIGN, [Generated, Never, No]),
    (ck::CKA_VERIFY, [Generated, No, Never]),
    (ck::CKA_SIGN_RECOVER, [Never, Never, Off]),
    (ck::CKA_VERIFY_RECOVER, [Never, Off, Never]),
    (ck::CKA_WRAP, [No, No, Never]),
    (ck::CKA_UNWRAP, [No, Never, No]),
    (ck::CKA_DERIVE, [No, No, No]),
    (ck::CKA_TRUSTED, [No, No, Never]),
    (ck::CKA_WRAP_WITH_TRUSTED, [No, Never, No]),
    (ck::CKA_WRAP_TEMPLATE, [Given, Given, Never]),
    (ck::CKA_UNWRAP_TEMPLATE, [Given, Never, Given]),
    (ck::CKA_SENSITIVE, [Yes, Never, Yes]),
    (ck::CKA_EXTRACTABLE, [Yes, Never, Yes]),
    (ck::CKA_MODULUS_BITS, [Never, Given, Never]),
    (ck::CKA_PUBLIC_EXPONENT, [Never, Given, Material]),
    (ck::CKA_EC_PARAMS, [Never, Given, Material]),
    (ck::CKA_VALUE, [Material, Never, Material]),
    (ck::CKA_MODULUS, [Never, Material, Material]),
    (ck::CKA_EC_POINT, [Never, Material, Material]),
    (ck::CKA_PRIVATE_EXPONENT, [Never, Never, Material]),
    (ck::CKA_PRIME_1, [Never, Never, Material]),
    (ck::CKA_PRIME_2, [Never, Never, Material]),
    (ck::CKA_EXPONENT_1, [Never, Never, Material]),
    (ck::CKA_EXPONENT_2, [Never, Never, Material]),
    (ck::CKA_COEFFICIENT, [Never, Never, Material]),
];

/// What the HSM makes by itself: readable, never set.
const READ_ONLY: [u64; 5] = [
    ck::CKA_LOCAL,
    ck::CKA_NEVER_EXTRACTABLE,
    ck::CKA_ALWAYS_SENSITIVE,
    ck::CKA_CHECK_VALUE,
    ck::CKA_KEY_GEN_MECHANISM,
];

impl Personality {
    /// Checks a template for a key by the library's rules, and adds its defaults.
    ///
    /// # Errors
    /// TEMPLATE_INCOMPLETE, TEMPLATE_INCONSISTENT, ATTRIBUTE_READ_ONLY.
    pub fn dress(self, making: Making, template: &mut Template) -> Result<()> {
        if self == Personality::Standard {
            return Ok(());
        }
        known(template)?;
        let Some(kind) = kind(making, template)? else {
            return Ok(());
        };
        for given in template.iter() {
            check(making, kind, given)?;
        }
        mandatory(making, template)?;
        for (ty, rules) in CLOUDHSM {
            let said = match rules[kind] {
                No | Off => false,
                Yes | OnlyYes => true,
                Generated => making == Making::Generate,
                Never | Given | Material => continue,
            };
            let (ty, value) = (AttrType(*ty), Value::Bool(said));
            if !template.iter().any(|a| a.ty == ty) {
                template.push(Attr { ty, value });
            }
        }
        Ok(())
    }

    /// Whether the attribute can be read at all.
    pub fn shows(self, ty: AttrType) -> bool {
        let settable = |(known, rules): &(u64, [Rule; 3])| {
            *known == ty.0 && rules.iter().any(|r| !matches!(r, Never | Off))
        };
        self == Personality::Standard || READ_ONLY.contains(&ty.0) || CLOUDHSM.iter().any(settable)
    }
}

/// The kinds of keys that the library knows, and their sizes as far as the template tells them: what is unwrapped shows
/// its own in the HSM only.
fn known(template: &Template) -> Result<()> {
    let said = |ty| find(template, ty).and_then(Value::as_ulong);
    let len = |ty| Some(find(template, ty)?.as_bytes()?.len() as u64);
    if let Some(ck::CKO_DOMAIN_PARAMETERS | ck::CKO_OTP_KEY) = said(ck::CKA_CLASS) {
        let rule = "the library has no domain parameters and no one-time password keys";
        return Err(refuse(Rv::ATTRIBUTE_VALUE_INVALID, rule));
    }
    match said(ck::CKA_KEY_TYPE) {
        None | Some(ck::CKK_AES | ck::CKK_DES3) => Ok(()),
        Some(ck::CKK_GENERIC_SECRET) => {
            let len = len(ck::CKA_VALUE).or(said(ck::CKA_VALUE_LEN));
            len.map_or(Ok(()), secret_bytes)
        }
        Some(ck::CKK_RSA) => {
            let modulus = find(template, ck::CKA_MODULUS).and_then(Value::as_bytes);
            modulus.map_or(Ok(()), |modulus| rsa_bits(bits(modulus)))
        }
        Some(ck::CKK_EC) => {
            let curve = find(template, ck::CKA_EC_PARAMS).and_then(Value::as_bytes);
            curve.map_or(Ok(()), known_curve)
        }
        Some(_) => {
            let rule = "the library's keys are RSA, EC, AES, triple DES and generic secrets";
            Err(refuse(Rv::ATTRIBUTE_VALUE_INVALID, rule))
        }
    }
}

/// Of a number in big-endian bytes.
fn bits(number: &[u8]) -> u64 {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let rest = &number[zeros..];
    rest.first().map_or(0, |top| {
        rest.len() as u64 * 8 - u64::from(top.leading_zeros())
    })
}

/// Which of the three columns: secret, public, private. None for an object that is no key.
fn kind(making: Making, template: &Template) -> Result<Option<usize>> {
    match making {
        Making::Generate | Making::Derive => return Ok(Some(0)),
        Making::PublicHalf => return Ok(Some(1)),
        Making::PrivateHalf => return Ok(Some(2)),
        Making::Create | Making::Unwrap => {}
    }
    let class = find(template, ck::CKA_CLASS).ok_or_else(|| missing("CKA_CLASS"))?;
    Ok(match class.as_ulong() {
        Some(ck::CKO_SECRET_KEY) => Some(0),
        Some(ck::CKO_PUBLIC_KEY) => Some(1),
        Some(ck::CKO_PRIVATE_KEY) => Some(2),
        _ => None,
    })
}

fn find(template: &Template, ty: u64) -> Option<&Value> {
    let found = template.iter().find(|a| a.ty == AttrType(ty));
    found.map(|a| &a.value)
}

/// The name of the specification, or the number of what it has not.
fn name(ty: AttrType) -> String {
    match hsm_sim::attr::row(ty) {
        Some(row) => format!("CKA_{}", row.name),
        None => format!("attribute {:#x}", ty.0),
    }
}

fn missing(name: &str) -> Error {
    let rule = format!("{name} is mandatory here");
    refuse(Rv::TEMPLATE_INCOMPLETE, &rule)
}

fn check(making: Making, kind: usize, given: &Attr) -> Result<()> {
    let ty = given.ty.0;
    let read_only = || {
        let rule = format!("{} is read-only", name(given.ty));
        Err(refuse(Rv::ATTRIBUTE_READ_ONLY, &rule))
    };
    if READ_ONLY.contains(&ty) {
        return read_only();
    }
    let found = CLOUDHSM.iter().find(|(known, _)| *known == ty);
    match found.map(|(_, rules)| rules[kind]) {
        Some(Material) if making != Making::Create => read_only(),
        Some(OnlyYes) if given.value != Value::Bool(true) => {
            let rule = format!("{} may be true only", name(given.ty));
            Err(refuse(Rv::TEMPLATE_INCONSISTENT, &rule))
        }
        // What PKCS#11 does not know either is the HSM's to refuse.
        None if hsm_sim::attr::row(given.ty).is_none() => Ok(()),
        None | Some(Never | Off) => {
            let rule = format!("{} is not supported in this template", name(given.ty));
            Err(refuse(Rv::TEMPLATE_INCONSISTENT, &rule))
        }
        Some(_) => Ok(()),
    }
}

/// What must be there beside the class. The HSM refuses other gaps by itself.
fn mandatory(making: Making, template: &Template) -> Result<()> {
    match making {
        Making::Create | Making::Unwrap if find(template, ck::CKA_KEY_TYPE).is_none() => {
            Err(missing("CKA_KEY_TYPE"))
        }
        _ => Ok(()),
    }
}

/// What a pair's public template must have beside that: RSA's exponent, which PKCS#11 lets go.
pub fn pair_is_complete(personality: Personality, id: u64, public: &Template) -> Result<()> {
    let rsa = [
        ck::CKM_RSA_PKCS_KEY_PAIR_GEN,
        ck::CKM_RSA_X9_31_KEY_PAIR_GEN,
    ];
    if personality == Personality::CloudHsm
        && rsa.contains(&id)
        && find(public, ck::CKA_PUBLIC_EXPONENT).is_none()
    {
        return Err(missing("CKA_PUBLIC_EXPONENT"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bool(ty: u64, value: bool) -> Attr {
        let (ty, value) = (AttrType(ty), Value::Bool(value));
        Attr { ty, value }
    }

    fn number(ty: u64, value: u64) -> Attr {
        let (ty, value) = (AttrType(ty), Value::Ulong(value));
        Attr { ty, value }
    }

    fn dressed(making: Making, mut template: Template) -> Result<Template> {
        let plain = template.clone();
        Personality::Standard.dress(making, &mut template)?;
        assert_eq!(template, plain, "the standard adds nothing");
        Personality::CloudHsm.dress(making, &mut template)?;
        Ok(template)
    }

    #[test]
    fn defaults_are_the_librarys() {
        let t = dressed(Making::Generate, vec![bool(ck::CKA_ENCRYPT, true)]).unwrap();
        let is = |t: &Template, ty| find(t, ty).and_then(Value::as_bool);
        for (ty, wanted) in [
            (ck::CKA_TOKEN, false),
            (ck::CKA_PRIVATE, true),
            (ck::CKA_ENCRYPT, true),
            (ck::CKA_DECRYPT, false),
            (ck::CKA_SIGN, true),
            (ck::CKA_VERIFY, true),
            (ck::CKA_WRAP, false),
            (ck::CKA_SENSITIVE, true),
            (ck::CKA_EXTRACTABLE, true),
            (ck::CKA_DESTROYABLE, true),
        ] {
            assert_eq!(is(&t, ty), Some(wanted), "{ty:#x}");
        }
        let class = number(ck::CKA_CLASS, ck::CKO_SECRET_KEY);
        let t = vec![class, number(ck::CKA_KEY_TYPE, ck::CKK_AES)];
        let t = dressed(Making::Unwrap, t).unwrap();
        assert_eq!(is(&t, ck::CKA_SIGN), Some(false));
        let t = dressed(Making::PrivateHalf, Vec::new()).unwrap();
        assert_eq!(is(&t, ck::CKA_SIGN), Some(false));
        assert_eq!(is(&t, ck::CKA_SIGN_RECOVER), Some(false));
        assert_eq!(is(&t, ck::CKA_ENCRYPT), None);
    }

    #[test]
    fn refusals_name_the_rule() {
        let secret = || number(ck::CKA_CLASS, ck::CKO_SECRET_KEY);
        let cases = [
            (
                Making::Generate,
                vec![bool(ck::CKA_COPYABLE, true)],
                Rv::TEMPLATE_INCONSISTENT,
            ),
            (
                Making::Generate,
                vec![bool(ck::CKA_PRIVATE, false)],
                Rv::TEMPLATE_INCONSISTENT,
            ),
            (
                Making::Generate,
                vec![bool(ck::CKA_LOCAL, true)],
                Rv::ATTRIBUTE_READ_ONLY,
            ),
            (
                Making::Generate,
                vec![bool(ck::CKA_VALUE, true)],
                Rv::ATTRIBUTE_READ_ONLY,
            ),
            (
                Making::PublicHalf,
                vec![bool(ck::CKA_DECRYPT, true)],
                Rv::TEMPLATE_INCONSISTENT,
            ),
            (
                Making::PrivateHalf,
                vec![number(ck::CKA_MODULUS_BITS, 2048)],
                Rv::TEMPLATE_INCONSISTENT,
            ),
            (Making::Unwrap, vec![], Rv::TEMPLATE_INCOMPLETE),
            (Making::Create, vec![secret()], Rv::TEMPLATE_INCOMPLETE),
            (
                Making::Create,
                vec![number(ck::CKA_CLASS, ck::CKO_DOMAIN_PARAMETERS)],
                Rv::ATTRIBUTE_VALUE_INVALID,
            ),
            (
                Making::Unwrap,
                vec![
                    number(ck::CKA_CLASS, ck::CKO_PRIVATE_KEY),
                    number(ck::CKA_KEY_TYPE, ck::CKK_DSA),
                ],
                Rv::ATTRIBUTE_VALUE_INVALID,
            ),
            (
                Making::PrivateHalf,
                vec![number(ck::CKA_KEY_TYPE, ck::CKK_DH)],
                Rv::ATTRIBUTE_VALUE_INVALID,
            ),
        ];
        for (making, template, rv) in cases {
            let refused = dressed(making, template.clone()).unwrap_err();
            assert_eq!(refused.rv, rv, "{making:?} {template:?}");
            assert!(refused.why.starts_with("personality cloudhsm: "));
        }
        let refused = dressed(Making::Generate, vec![bool(ck::CKA_PRIVATE, false)]).unwrap_err();
        assert_eq!(
            refused.why,
            "personality cloudhsm: CKA_PRIVATE may be true only"
        );
        let data = vec![
            number(ck::CKA_CLASS, ck::CKO_DATA),
            bool(ck::CKA_PRIVATE, false),
        ];
        assert_eq!(
            dressed(Making::Create, data.clone()),
            Ok(data),
            "no key, no rule"
        );
        let rsa = ck::CKM_RSA_PKCS_KEY_PAIR_GEN;
        let public = vec![number(ck::CKA_MODULUS_BITS, 2048)];
        assert!(pair_is_complete(Personality::Standard, rsa, &public).is_ok());
        let refused = pair_is_complete(Personality::CloudHsm, rsa, &public).unwrap_err();
        assert_eq!(refused.rv, Rv::TEMPLATE_INCOMPLETE);
        assert!(Personality::CloudHsm.shows(AttrType(ck::CKA_CHECK_VALUE)));
        assert!(!Personality::CloudHsm.shows(AttrType(ck::CKA_COPYABLE)));
        assert!(Personality::Standard.shows(AttrType(ck::CKA_COPYABLE)));
    }
}
