//! Objects of a token: which one a command means, and how one is described.

use clap::{Args, ValueEnum};
use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use serde_json::{Value, json};

use super::reach::said;
use super::{Failure, Result, failed, usage};

/// A class of objects, as people call it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Class {
    /// A private key
    Private,
    /// A public key
    Public,
    /// A secret key
    Secret,
    /// A certificate
    Cert,
    /// A data object
    Data,
}

impl Class {
    fn code(self) -> ObjectClass {
        match self {
            Class::Private => ObjectClass::PRIVATE_KEY,
            Class::Public => ObjectClass::PUBLIC_KEY,
            Class::Secret => ObjectClass::SECRET_KEY,
            Class::Cert => ObjectClass::CERTIFICATE,
            Class::Data => ObjectClass::DATA,
        }
    }
}

/// Which object.
#[derive(Args)]
pub struct Choice {
    /// Its label
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
    /// Its id, in hexadecimal
    #[arg(long, value_name = "HEX", value_parser = id)]
    pub id: Option<Id>,
    /// Its class
    #[arg(long, value_enum)]
    pub class: Option<Class>,
}

/// CKA_ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(pub Vec<u8>);

/// Reads an id; colons between the bytes are as welcome as `0x` in front.
pub fn id(text: &str) -> std::result::Result<Id, String> {
    let digits: String = text
        .strip_prefix("0x")
        .unwrap_or(text)
        .chars()
        .filter(|c| *c != ':')
        .collect();
    hex::decode(&digits)
        .map(Id)
        .map_err(|_| "an id is an even number of hexadecimal digits, such as 01 or 0a:ff".into())
}

impl Choice {
    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.label.is_none() && self.id.is_none() && self.class.is_none()
    }

    /// The objects that fit.
    pub fn all(&self, session: &Session) -> Result<Vec<Object>> {
        let mut template = vec![Attribute::Token(true)];
        template.extend(
            self.label
                .as_ref()
                .map(|label| Attribute::Label(label.as_bytes().to_vec())),
        );
        template.extend(self.id.as_ref().map(|id| Attribute::Id(id.0.clone())));
        template.extend(self.class.map(|class| Attribute::Class(class.code())));
        objects(session, &template)
    }

    /// The one object that fits.
    pub fn one(&self, session: &Session) -> Result<Object> {
        if self.is_empty() {
            return usage(
                "which object? give --label, --id or --class; `keystead token list --token LABEL` shows them",
            );
        }
        let mut found = self.all(session)?;
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => failed(
                "the token has no such object; `keystead token list --token LABEL` shows what it has",
            ),
            _ => {
                let names = found
                    .iter()
                    .map(Object::name)
                    .collect::<Vec<_>>()
                    .join("; ");
                usage(format!(
                    "several objects fit: say more with --label, --id or --class; there are: {names}"
                ))
            }
        }
    }
}

/// An object and what a list shows of it.
pub struct Object {
    /// Its handle in this session.
    pub handle: ObjectHandle,
    /// CKA_CLASS; none where it is one that nobody here knows.
    pub class: Option<ObjectClass>,
    /// CKA_KEY_TYPE.
    pub key_type: Option<KeyType>,
    /// CKA_LABEL.
    pub label: String,
    /// CKA_ID.
    pub id: Vec<u8>,
    shown: Vec<Attribute>,
}

const SHOWN: [AttributeType; 24] = [
    AttributeType::Class,
    AttributeType::KeyType,
    AttributeType::Label,
    AttributeType::Id,
    AttributeType::Token,
    AttributeType::Private,
    AttributeType::Modifiable,
    AttributeType::Sensitive,
    AttributeType::Extractable,
    AttributeType::AlwaysSensitive,
    AttributeType::NeverExtractable,
    AttributeType::Local,
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Sign,
    AttributeType::Verify,
    AttributeType::Wrap,
    AttributeType::Unwrap,
    AttributeType::Derive,
    AttributeType::ValueLen,
    AttributeType::ModulusBits,
    AttributeType::EcParams,
    AttributeType::Subject,
    AttributeType::UniqueId,
];

/// The objects that a template finds, in the token's order.
pub fn objects(session: &Session, template: &[Attribute]) -> Result<Vec<Object>> {
    let handles = session.find_objects(template).map_err(said)?;
    handles
        .into_iter()
        .map(|handle| Object::read(session, handle))
        .collect()
}

/// Those of the wanted attributes that the object has and shows.
pub fn attributes(
    session: &Session,
    handle: ObjectHandle,
    wanted: &[AttributeType],
) -> Result<Vec<Attribute>> {
    match session.get_attributes(handle, wanted) {
        Ok(all) => Ok(all),
        Err(error @ Error::Pkcs11(..)) if wanted.len() == 1 => Err(said(error)),
        // One value that has no meaning here (a vendor's key type) must not hide the others, and modules differ in
        // what they answer for several at once.
        Err(_) => {
            let one = |ty: &AttributeType| match session.get_attributes(handle, &[*ty]) {
                Ok(values) => Ok(values),
                Err(Error::Pkcs11(code, function)) if fatal(code) => {
                    Err(said(Error::Pkcs11(code, function)))
                }
                Err(_) => Ok(Vec::new()),
            };
            Ok(wanted.iter().map(one).collect::<Result<Vec<_>>>()?.concat())
        }
    }
}

/// Whether an answer is about the object or the device, not about one attribute.
fn fatal(code: cryptoki::error::RvError) -> bool {
    use cryptoki::error::RvError as Rv;
    matches!(
        code,
        Rv::DeviceError
            | Rv::DeviceRemoved
            | Rv::GeneralError
            | Rv::FunctionFailed
            | Rv::ObjectHandleInvalid
            | Rv::SessionHandleInvalid
            | Rv::UserNotLoggedIn
    )
}

impl Object {
    /// Reads one.
    pub fn read(session: &Session, handle: ObjectHandle) -> Result<Object> {
        let shown = attributes(session, handle, &SHOWN)?;
        let mut object = Object {
            handle,
            class: None,
            key_type: None,
            label: String::new(),
            id: Vec::new(),
            shown,
        };
        for attribute in &object.shown {
            match attribute {
                Attribute::Class(class) => object.class = Some(*class),
                Attribute::KeyType(key_type) => object.key_type = Some(*key_type),
                Attribute::Label(label) => {
                    object.label = String::from_utf8_lossy(label).into_owned()
                }
                Attribute::Id(id) => object.id.clone_from(id),
                _ => {}
            }
        }
        Ok(object)
    }

    /// Whether a flag is set; none where the object does not have it.
    pub fn flag(&self, ty: AttributeType) -> Option<bool> {
        self.shown
            .iter()
            .find(|a| a.attribute_type() == ty)
            .and_then(bool_of)
    }

    /// In one phrase.
    pub fn name(&self) -> String {
        name(self.class, self.key_type, &self.label, &self.id)
    }

    /// For JSON, and for the columns of a list.
    pub fn json(&self) -> Value {
        let mut json = json!({
            "class": class_name(self.class),
            "type": self.key_type.map(key_type_name),
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
        if self.key_type.is_some() {
            json["can"] = json!(can.join(","));
        }
        json
    }
}

const USES: [AttributeType; 7] = [
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Sign,
    AttributeType::Verify,
    AttributeType::Wrap,
    AttributeType::Unwrap,
    AttributeType::Derive,
];

/// An object in one phrase.
pub fn name(
    class: Option<ObjectClass>,
    key_type: Option<KeyType>,
    label: &str,
    id: &[u8],
) -> String {
    let kind = key_type.map(key_type_name);
    let mut words: Vec<String> = kind.into_iter().collect();
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
        _ => "object of another class",
    }
}

fn key_type_name(key_type: KeyType) -> String {
    key_type.to_string().trim_start_matches("CKK_").to_owned()
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
        | Attribute::Derive(b) => *b,
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
        Err(_) => hex::encode(params),
    }
}

/// CKA_ID of a key whose caller chose none: what others choose too, a hash of the public half.
pub fn derived_id(public: &[u8]) -> Vec<u8> {
    hsm_crypto::Hash::Sha1.digest(public).to_vec()
}

/// Makes an object of a template.
pub fn create(
    session: &Session,
    template: &[Attribute],
) -> std::result::Result<ObjectHandle, Failure> {
    session.create_object(template).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hexadecimal() {
        assert_eq!(id("0a:FF").unwrap().0, [0x0A, 0xFF]);
        assert_eq!(id("0x01").unwrap().0, [1]);
        assert!(id("1").is_err() && id("xy").is_err());
    }

    #[test]
    fn an_object_in_one_phrase() {
        let named = name(
            Some(ObjectClass::PRIVATE_KEY),
            Some(KeyType::EC),
            "a\nb",
            &[1],
        );
        assert_eq!(named, "EC private key \"a\\nb\" (id 01)");
        assert_eq!(snake(AttributeType::NeverExtractable), "never_extractable");
    }
}
