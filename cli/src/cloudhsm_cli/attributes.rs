//! The tool's names of attributes and how it writes their values.

use hsm_api::{Attr, AttrType, Template, Value};
use hsm_sim::attr;
use serde_json::{Value as Json, json};

use super::grammar::Curve;

/// How the tool writes a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `true` or `false`.
    Yes,
    /// Text.
    Text,
    /// `0x` and hexadecimal digits.
    Hex,
    Number,
    /// `secret-key`, `public-key`, `private-key`.
    Class,
    /// `aes`, `rsa`, `ec`, `generic-secret`.
    Type,
    /// A curve's name.
    Curve,
}

/// Name, PKCS#11's attribute, form; in the order of AWS's documentation.
const ROWS: &[(&str, AttrType, Form)] = &[
    ("key-type", attr::KEY_TYPE, Form::Type),
    ("label", attr::LABEL, Form::Text),
    ("id", attr::ID, Form::Hex),
    ("check-value", attr::CHECK_VALUE, Form::Hex),
    ("class", attr::CLASS, Form::Class),
    ("encrypt", attr::ENCRYPT, Form::Yes),
    ("decrypt", attr::DECRYPT, Form::Yes),
    ("token", attr::TOKEN, Form::Yes),
    ("always-sensitive", attr::ALWAYS_SENSITIVE, Form::Yes),
    ("derive", attr::DERIVE, Form::Yes),
    ("destroyable", attr::DESTROYABLE, Form::Yes),
    ("extractable", attr::EXTRACTABLE, Form::Yes),
    ("local", attr::LOCAL, Form::Yes),
    ("modifiable", attr::MODIFIABLE, Form::Yes),
    ("never-extractable", attr::NEVER_EXTRACTABLE, Form::Yes),
    ("private", attr::PRIVATE, Form::Yes),
    ("sensitive", attr::SENSITIVE, Form::Yes),
    ("sign", attr::SIGN, Form::Yes),
    ("trusted", attr::TRUSTED, Form::Yes),
    ("unwrap", attr::UNWRAP, Form::Yes),
    ("verify", attr::VERIFY, Form::Yes),
    ("wrap", attr::WRAP, Form::Yes),
    ("wrap-with-trusted", attr::WRAP_WITH_TRUSTED, Form::Yes),
    ("key-length-bytes", attr::VALUE_LEN, Form::Number),
    ("public-exponent", attr::PUBLIC_EXPONENT, Form::Hex),
    ("modulus", attr::MODULUS, Form::Hex),
    ("modulus-size-bits", attr::MODULUS_BITS, Form::Number),
    ("ec-point", attr::EC_POINT, Form::Hex),
    ("curve", attr::EC_PARAMS, Form::Curve),
];

const CLASSES: [(u64, &str); 3] = [(2, "public-key"), (3, "private-key"), (4, "secret-key")];
const TYPES: [(u64, &str); 5] = [
    (0, "rsa"),
    (3, "ec"),
    (0x10, "generic-secret"),
    (0x15, "3des"),
    (0x1F, "aes"),
];
/// Names and object identifiers.
const CURVES: [(Curve, &str, &[u8]); 5] = [
    (Curve::P224, "secp224r1", &[6, 5, 0x2B, 0x81, 4, 0, 0x21]),
    (
        Curve::P256,
        "prime256v1",
        &[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7],
    ),
    (Curve::P384, "secp384r1", &[6, 5, 0x2B, 0x81, 4, 0, 0x22]),
    (Curve::P521, "secp521r1", &[6, 5, 0x2B, 0x81, 4, 0, 0x23]),
    (Curve::K256, "secp256k1", &[6, 5, 0x2B, 0x81, 4, 0, 0x0A]),
];

/// CKA_EC_PARAMS.
pub fn curve(curve: Curve) -> Attr {
    let found = CURVES.iter().find(|(c, ..)| *c == curve);
    let oid = found.map_or_else(Vec::new, |(.., oid)| oid.to_vec());
    Attr {
        ty: attr::EC_PARAMS,
        value: Value::Bytes(oid),
    }
}

/// All that a key is shown with.
pub fn all() -> Vec<AttrType> {
    ROWS.iter().map(|(_, ty, _)| *ty).collect()
}

/// A name's attribute.
///
/// # Errors
/// A sentence that names those that there are.
fn row(name: &str) -> Result<(AttrType, Form), String> {
    let found = ROWS.iter().find(|(n, ..)| *n == name);
    found.map(|(_, ty, form)| (*ty, *form)).ok_or_else(|| {
        let names: Vec<&str> = ROWS.iter().map(|(name, ..)| *name).collect();
        format!("there is no attribute {name}: {}", names.join(", "))
    })
}

/// A value that was typed.
///
/// # Errors
/// A sentence about what it should be.
pub fn parse(name: &str, text: &str) -> Result<Attr, String> {
    let (ty, form) = row(name)?;
    let coded = |codes: &[(u64, &str)]| {
        let found = codes.iter().find(|(_, known)| *known == text);
        found.map(|(code, _)| Value::Ulong(*code))
    };
    let value = match form {
        Form::Yes => text.parse().ok().map(Value::Bool),
        Form::Text => Some(Value::Bytes(text.as_bytes().to_vec())),
        Form::Hex => hex::decode(text.strip_prefix("0x").unwrap_or(text))
            .ok()
            .map(Value::Bytes),
        Form::Number => text.parse().ok().map(Value::Ulong),
        Form::Class => coded(&CLASSES),
        Form::Type => coded(&TYPES),
        Form::Curve => CURVES
            .iter()
            .find(|(_, known, _)| *known == text)
            .map(|(.., oid)| Value::Bytes(oid.to_vec())),
    };
    let wanted = match form {
        Form::Yes => "true or false",
        Form::Hex => "hexadecimal digits",
        Form::Number => "a number",
        Form::Class => "secret-key, public-key or private-key",
        Form::Type => "aes, generic-secret, 3des, rsa or ec",
        _ => "the name of a curve",
    };
    let value = value.ok_or_else(|| format!("{name} is {wanted}, not {text}"))?;
    Ok(Attr { ty, value })
}

/// `NAME=VALUE`, each of which takes the place of a default.
///
/// # Errors
/// As [`parse`].
pub fn override_with(template: &mut Template, typed: &[String]) -> Result<(), String> {
    for pair in typed {
        let (name, text) = pair
            .split_once('=')
            .ok_or_else(|| format!("{pair}: attributes are given as NAME=VALUE"))?;
        let new = parse(name, text)?;
        template.retain(|old| old.ty != new.ty);
        template.push(new);
    }
    Ok(())
}

/// How a value is shown.
pub fn shown(value: &Attr) -> Option<(&'static str, Json)> {
    let (name, _, form) = ROWS.iter().find(|(_, ty, _)| *ty == value.ty)?;
    let coded = |codes: &[(u64, &'static str)], code: u64| {
        let found = codes.iter().find(|(known, _)| *known == code);
        found.map_or_else(|| json!(format!("{code:#x}")), |(_, name)| json!(name))
    };
    let json = match (form, &value.value) {
        (Form::Class, Value::Ulong(code)) => coded(&CLASSES, *code),
        (Form::Type, Value::Ulong(code)) => coded(&TYPES, *code),
        (Form::Curve, Value::Bytes(oid)) => {
            let found = CURVES.iter().find(|(.., known)| known == oid);
            found.map_or_else(
                || json!(format!("0x{}", hex::encode(oid))),
                |(_, name, _)| json!(name),
            )
        }
        (_, Value::Bool(yes)) => json!(yes),
        (_, Value::Ulong(number)) => json!(number),
        (Form::Text, Value::Bytes(text)) => json!(String::from_utf8_lossy(text)),
        (_, Value::Bytes(bytes)) if bytes.is_empty() => json!(""),
        (_, Value::Bytes(bytes)) => json!(format!("0x{}", hex::encode(bytes))),
        (_, Value::Template(_) | Value::Mechs(_)) => return None,
    };
    Some((name, json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_typed() {
        for (name, text) in [
            ("label", "a key"),
            ("id", "0x0a0b"),
            ("encrypt", "true"),
            ("class", "private-key"),
            ("key-type", "ec"),
            ("curve", "secp384r1"),
            ("modulus-size-bits", "2048"),
        ] {
            let (again, json) = shown(&parse(name, text).unwrap()).unwrap();
            assert_eq!(again, name);
            assert_eq!(json.to_string().trim_matches('"'), text);
        }
        for (name, text) in [
            ("encrypt", "yes"),
            ("id", "xyz"),
            ("class", "key"),
            ("color", "red"),
        ] {
            assert!(parse(name, text).is_err(), "{name}={text}");
        }
    }
}
