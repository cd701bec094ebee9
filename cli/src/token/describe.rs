//! Objects in words: one phrase for people, JSON for scripts.

use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use serde_json::{Value, json};

use super::kind::Kind;
use super::object::Object;

impl Object {
    /// In one phrase.
    pub fn name(&self) -> String {
        name(self.class, self.kind, &self.label, &self.id)
    }

    /// For JSON, and for the columns of a list.
    pub fn json(&self) -> Value {
        let mut json = json!({
            "class": class_name(self.class),
            "type": self.kind.map(|kind| kind.to_string()),
            "label": self.label,
            "id": hex::encode(&self.id),
        });
        let mut can = Vec::new();
        for attribute in &self.shown {
            let ty = attribute.attribute_type();
            match (attribute, bool_of(attribute)) {
                (_, Some(true)) if USES.contains(&ty) => {
                    can.push(format!("{ty:?}").to_lowercase());
                }
                (_, Some(false)) if USES.contains(&ty) => {}
                (_, Some(yes)) => json[snake(ty)] = json!(yes),
                (Attribute::ValueLen(bytes), _) => json["bits"] = json!(**bytes * 8),
                (Attribute::ModulusBits(bits), _) => json["bits"] = json!(**bits),
                (Attribute::UniqueId(id), _) => {
                    json["unique_id"] = json!(String::from_utf8_lossy(id))
                }
                (Attribute::Subject(name), _) if !name.is_empty() => {
                    json["subject"] = json!(subject(name))
                }
                (Attribute::EcParams(params), _) => json["curve"] = json!(curve(params)),
                _ => {}
            }
        }
        if self.kind.is_some() {
            json["can"] = json!(can.join(","));
        }
        json
    }
}

const USES: [AttributeType; 9] = [
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Sign,
    AttributeType::Verify,
    AttributeType::Wrap,
    AttributeType::Unwrap,
    AttributeType::Derive,
    AttributeType::Encapsulate,
    AttributeType::Decapsulate,
];

/// An object in one phrase.
pub fn name(class: Option<ObjectClass>, kind: Option<Kind>, label: &str, id: &[u8]) -> String {
    let mut words: Vec<String> = kind.map(|kind| kind.to_string()).into_iter().collect();
    words.push(class_name(class).to_owned());
    words.push(if label.is_empty() {
        "without a label".into()
    } else {
        format!("{label:?}")
    });
    if !id.is_empty() {
        words.push(format!("(id {})", hex::encode(id)));
    }
    words.join(" ")
}

fn class_name(class: Option<ObjectClass>) -> &'static str {
    match class {
        Some(ObjectClass::PRIVATE_KEY) => "private key",
        Some(ObjectClass::PUBLIC_KEY) => "public key",
        Some(ObjectClass::SECRET_KEY) => "secret key",
        Some(ObjectClass::CERTIFICATE) => "certificate",
        Some(ObjectClass::DATA) => "data",
        Some(ObjectClass::OTP_KEY) => "one-time password key",
        _ => "object of another class",
    }
}

/// A flag's value.
pub fn bool_of(attribute: &Attribute) -> Option<bool> {
    Some(match attribute {
        Attribute::Token(b)
        | Attribute::Private(b)
        | Attribute::Modifiable(b)
        | Attribute::Sensitive(b)
        | Attribute::Extractable(b)
        | Attribute::AlwaysSensitive(b)
        | Attribute::NeverExtractable(b)
        | Attribute::Local(b)
        | Attribute::Encrypt(b)
        | Attribute::Decrypt(b)
        | Attribute::Sign(b)
        | Attribute::Verify(b)
        | Attribute::Wrap(b)
        | Attribute::Unwrap(b)
        | Attribute::Trusted(b)
        | Attribute::AlwaysAuthenticate(b)
        | Attribute::Derive(b)
        | Attribute::Encapsulate(b)
        | Attribute::Decapsulate(b) => *b,
        _ => return None,
    })
}

/// `NeverExtractable` as a JSON member.
fn snake(ty: AttributeType) -> String {
    let mut name = String::new();
    for letter in format!("{ty:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// A distinguished name in words, else in hexadecimal.
fn subject(der: &[u8]) -> String {
    use x509_parser::prelude::FromDer;
    match x509_parser::x509::X509Name::from_der(der) {
        Ok((_, name)) => name.to_string(),
        Err(_) => hex::encode(der),
    }
}

fn curve(params: &[u8]) -> String {
    match hsm_crypto::Curve::from_ec_params(params) {
        Ok(curve) => format!("{curve:?}"),
        Err(_) if hsm_crypto::EdKey::is_params(params) => "Ed25519".into(),
        Err(_) if hsm_crypto::XKey::is_params(params) => "X25519".into(),
        Err(_) if hsm_crypto::Ed448Key::is_params(params) => "Ed448".into(),
        Err(_) if hsm_crypto::X448Key::is_params(params) => "X448".into(),
        Err(_) => hex::encode(params),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_in_one_phrase() {
        let named = name(Some(ObjectClass::PRIVATE_KEY), Some(Kind(3)), "a\nb", &[1]);
        assert_eq!(named, "EC private key \"a\\nb\" (id 01)");
        assert_eq!(snake(AttributeType::NeverExtractable), "never_extractable");
    }
}
