//! Objects of a token: which one a command means, and what is read of one. How one is described is in `describe.rs`.

use clap::{Args, ValueEnum};
use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::describe::bool_of;
use super::kind::Kind;
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
    #[value(alias = "certificate")]
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
    pub kind: Option<Kind>,
    /// CKA_LABEL.
    pub label: String,
    /// CKA_ID.
    pub id: Vec<u8>,
    pub(super) shown: Vec<Attribute>,
}

const SHOWN: [AttributeType; 26] = [
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
    AttributeType::Encapsulate,
    AttributeType::Decapsulate,
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
            // Moved, not copied: some are to be wiped.
            let values = wanted.iter().map(one).collect::<Result<Vec<_>>>()?;
            Ok(values.into_iter().flatten().collect())
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
            kind: None,
            label: String::new(),
            id: Vec::new(),
            shown,
        };
        for attribute in &object.shown {
            match attribute {
                Attribute::Class(class) => object.class = Some(*class),
                Attribute::KeyType(_) => object.kind = Kind::of(attribute),
                Attribute::Label(label) => {
                    object.label = String::from_utf8_lossy(label).into_owned()
                }
                Attribute::Id(id) => object.id.clone_from(id),
                _ => {}
            }
        }
        if object.class == Some(ObjectClass::SECRET_KEY) {
            object.kind = unnamed(session, &object)?.or(object.kind);
        }
        Ok(object)
    }

    /// CKA_KEY_TYPE where the client library knows it.
    pub fn key_type(&self) -> Option<KeyType> {
        self.kind.and_then(Kind::known)
    }

    /// Whether a flag is set; none where the object does not have it.
    pub fn flag(&self, ty: AttributeType) -> Option<bool> {
        self.shown
            .iter()
            .find(|a| a.attribute_type() == ty)
            .and_then(bool_of)
    }
}

/// The kind of a key whose kind the client library does not read: the token is asked for keys of each such kind.
fn unnamed(session: &Session, object: &Object) -> Result<Option<Kind>> {
    // What the library takes for this one may be another.
    if !matches!(object.key_type(), None | Some(KeyType::SHA256_HMAC)) {
        return Ok(None);
    }
    let own = |a: &&Attribute| {
        matches!(
            a,
            Attribute::Class(_) | Attribute::Label(_) | Attribute::Id(_) | Attribute::UniqueId(_)
        )
    };
    for kind in Kind::unnamed() {
        let mut template: Vec<_> = object.shown.iter().filter(own).cloned().collect();
        template.push(kind.attribute());
        match session.find_objects(&template) {
            Ok(found) if found.contains(&object.handle) => return Ok(Some(kind)),
            Err(Error::Pkcs11(code, function)) if fatal(code) => {
                return Err(said(Error::Pkcs11(code, function)));
            }
            // A module that does not know the kind may refuse to look for it.
            _ => {}
        }
    }
    Ok(None)
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
}
