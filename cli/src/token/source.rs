//! What another module's token gives away: attributes as they are read, and the value of a sensitive but extractable key by
//! wrapping it under a key that we know.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{
    Attribute, AttributeInfo, AttributeType, KeyType, ObjectClass, ObjectHandle,
};
use cryptoki::session::Session;
use hsm_crypto::{AesKey, PrivateKey, keywrap};
use zeroize::Zeroizing;

use super::carry::{self, Haul, Left};
use super::kind::Kind;
use super::object::{Object, attributes, objects};
use super::reach::words;
use super::template::{self, SUBPRIME, Secrecy, Template, unnamed};
use super::{Failure, Result};

const READ: [AttributeType; 55] = {
    use AttributeType as A;
    [
        A::Class,
        A::Token,
        A::Private,
        A::Label,
        A::Modifiable,
        A::Copyable,
        A::Destroyable,
        A::Application,
        A::ObjectId,
        A::Value,
        A::CertificateType,
        A::Issuer,
        A::SerialNumber,
        A::Trusted,
        A::Url,
        A::HashOfSubjectPublicKey,
        A::HashOfIssuerPublicKey,
        A::Subject,
        A::Id,
        A::Sensitive,
        A::Extractable,
        A::Encrypt,
        A::Decrypt,
        A::Sign,
        A::SignRecover,
        A::Verify,
        A::VerifyRecover,
        A::Wrap,
        A::Unwrap,
        A::Derive,
        A::Encapsulate,
        A::Decapsulate,
        A::StartDate,
        A::EndDate,
        A::Modulus,
        A::PublicExponent,
        A::PrivateExponent,
        A::Prime1,
        A::Prime2,
        A::Exponent1,
        A::Exponent2,
        A::Coefficient,
        A::EcParams,
        A::EcPoint,
        A::Prime,
        A::Base,
        A::ParameterSet,
        A::Seed,
        A::AlwaysAuthenticate,
        A::WrapWithTrusted,
        A::AllowedMechanisms,
        A::Local,
        A::AlwaysSensitive,
        A::NeverExtractable,
        A::CheckValue,
    ]
};

/// CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE and CKA_DERIVE_TEMPLATE.
const TEMPLATES: [u64; 3] = [0x4000_0211, 0x4000_0212, 0x4000_0213];

/// Everything that a session sees.
pub fn haul(session: &Session) -> Result<Haul> {
    let mut haul = Haul::default();
    let kek = Kek::new(session);
    for object in objects(session, &[Attribute::Token(true)])? {
        match read(session, &object, &kek) {
            Ok(carried) => haul.objects.push(carried),
            Err(Failure::Failed(why) | Failure::Usage(why)) => {
                haul.left.push(Left::new(
                    object.name(),
                    &object.label,
                    &place(&object),
                    why,
                ));
            }
        }
    }
    if let Ok(kek) = kek {
        // A session object: it would go with the session anyway.
        let _ = session.destroy_object(kek.handle);
    }
    Ok(haul)
}

fn read(
    session: &Session,
    object: &Object,
    kek: &std::result::Result<Kek, String>,
) -> Result<carry::Carried> {
    let fail = |why: &str| Err(Failure::Failed(why.to_owned()));
    let key = matches!(
        object.class,
        Some(ObjectClass::PRIVATE_KEY | ObjectClass::SECRET_KEY | ObjectClass::PUBLIC_KEY)
    );
    match object.class {
        Some(ObjectClass::DATA | ObjectClass::CERTIFICATE | ObjectClass::DOMAIN_PARAMETERS) => {}
        Some(_) if key && object.kind.is_some() => {}
        Some(_) if key => return fail("its key type is one that is not known here"),
        _ => return fail("objects of this class are not carried"),
    }
    let mut all = Template(attributes(session, object.handle, &READ)?);
    all.0.extend(object.kind.map(Kind::attribute));
    if key {
        unread(session, object.handle, &all.0)?;
    }
    let hidden = matches!(
        object.class,
        Some(ObjectClass::PRIVATE_KEY | ObjectClass::SECRET_KEY)
    );
    if hidden && !has_value(&all.0, object) {
        if object.flag(AttributeType::Extractable) != Some(true) {
            return fail("it is not extractable");
        }
        let kek = kek.as_ref().map_err(|why| {
            Failure::Failed(format!(
                "it is sensitive, and wrapping it is not possible: {why}"
            ))
        })?;
        let mut value = kek.unwrapped(session, object)?;
        all.0.append(&mut value.0);
    }
    if object.key_type() == Some(KeyType::DSA) {
        subprime(session, object, &mut all)?;
    }
    let all = std::mem::take(&mut all.0);
    Ok(carry::carried(all, Vec::new(), place(object)))
}

fn place(object: &Object) -> String {
    format!("handle {}", object.handle)
}

/// CKA_SUBPRIME, which the client library does not read, from where else it stands.
fn subprime(session: &Session, object: &Object, all: &mut Template) -> Result<()> {
    let there = |a: &Attribute| a.attribute_type() == SUBPRIME;
    if all.0.iter().any(there) {
        return Ok(());
    }
    let info = attributes(session, object.handle, &[AttributeType::PublicKeyInfo])?;
    let domain = match &info[..] {
        [Attribute::PublicKeyInfo(info)] => super::export::domain(info).ok(),
        _ => None,
    };
    let domain = domain.ok_or_else(|| {
        Failure::Failed(
            "the module does not tell the DSA key's CKA_PUBLIC_KEY_INFO; of SoftHSM2 it comes along with --from DIR"
                .into(),
        )
    })?;
    all.0.push(unnamed(SUBPRIME, domain.q()));
    Ok(())
}

/// Rules that are there and could not be read must not be lost on the way: the key would be freer than it was.
fn unread(session: &Session, handle: ObjectHandle, read: &[Attribute]) -> Result<()> {
    let filled = |ty| match session.get_attribute_info(handle, &[ty]) {
        Ok(info) => matches!(info[..], [AttributeInfo::Available(length)] if length > 0),
        Err(_) => false,
    };
    let listed = read
        .iter()
        .any(|attribute| matches!(attribute, Attribute::AllowedMechanisms(_)));
    if !listed && filled(AttributeType::AllowedMechanisms) {
        return Err(Failure::Failed(
            "it is limited to mechanisms (CKA_ALLOWED_MECHANISMS) that are not all known here"
                .into(),
        ));
    }
    if TEMPLATES
        .iter()
        .any(|code| filled(AttributeType::VendorDefined(*code)))
    {
        return Err(Failure::Failed(
            "it has a CKA_WRAP_TEMPLATE, UNWRAP_TEMPLATE or DERIVE_TEMPLATE, which is not carried"
                .into(),
        ));
    }
    Ok(())
}

fn has_value(all: &[Attribute], object: &Object) -> bool {
    all.iter().any(|attribute| match attribute {
        Attribute::PrivateExponent(bytes) => {
            object.key_type() == Some(KeyType::RSA) && !bytes.is_empty()
        }
        Attribute::Value(bytes) => !bytes.is_empty(),
        _ => false,
    })
}

/// A wrapping key whose value we know.
struct Kek {
    handle: ObjectHandle,
    value: AesKey,
}

const CBC_IV: [u8; 16] = [0; 16];
/// RFC 5649's alternative initial value.
const PAD_IV: [u8; 4] = [0xA6, 0x59, 0x59, 0xA6];

impl Kek {
    fn new(session: &Session) -> std::result::Result<Kek, String> {
        let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
        let template = Template(vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Token(false),
            Attribute::Wrap(true),
            Attribute::Encrypt(true),
            Attribute::Value(bytes.to_vec()),
        ]);
        let handle = session
            .create_object(&template.0)
            .map_err(|error| words(&error))?;
        let value = AesKey::new(&bytes[..]).map_err(|error| error.to_string())?;
        Ok(Kek { handle, value })
    }

    fn unwrapped(&self, session: &Session, object: &Object) -> Result<Template> {
        let padded = session.wrap_key(&Mechanism::AesKeyWrapPad, self.handle, object.handle);
        let plain = match padded {
            Ok(wrapped) => self.open_padded(&wrapped),
            Err(_) => None,
        };
        let plain = match plain {
            Some(plain) => plain,
            None => {
                let wrapped =
                    session.wrap_key(&Mechanism::AesCbcPad(CBC_IV), self.handle, object.handle);
                let wrapped = wrapped.map_err(|error| {
                    Failure::Failed(format!(
                        "it is sensitive, and the token does not wrap it: {}",
                        words(&error)
                    ))
                })?;
                self.open_cbc(&wrapped).ok_or_else(|| {
                    Failure::Failed("what the token wraps is nothing that is known here".into())
                })?
            }
        };
        value(object, &plain)
    }

    fn open_padded(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut plain = Zeroizing::new(vec![0; wrapped.len()]);
        let length = keywrap::unwrap_pad(&self.value, &PAD_IV, wrapped, &mut plain).ok()?;
        plain.truncate(length);
        Some(plain)
    }

    fn open_cbc(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut plain = Zeroizing::new(vec![0; wrapped.len()]);
        let length = self
            .value
            .cbc_pad_decrypt(&CBC_IV, wrapped, &mut plain)
            .ok()?;
        plain.truncate(length);
        Some(plain)
    }
}

/// The attributes that a wrapped value stands for.
fn value(object: &Object, plain: &[u8]) -> Result<Template> {
    if object.class == Some(ObjectClass::SECRET_KEY) {
        return Ok(Template(vec![Attribute::Value(plain.to_vec())]));
    }
    let key = PrivateKey::from_pkcs8(plain).map_err(|error| {
        Failure::Failed(format!(
            "the private key that the token wrapped cannot be read: {error}"
        ))
    })?;
    let secrecy = Secrecy {
        sensitive: true,
        extractable: true,
    };
    let mut whole = template::private(&key, "", &[], secrecy)?;
    let value = |attribute: &Attribute| {
        matches!(
            attribute,
            Attribute::Value(_)
                | Attribute::Seed(_)
                | Attribute::PrivateExponent(_)
                | Attribute::Prime1(_)
                | Attribute::Prime2(_)
                | Attribute::Exponent1(_)
                | Attribute::Exponent2(_)
                | Attribute::Coefficient(_)
        ) || attribute.attribute_type() == SUBPRIME
    };
    whole.0.retain(value);
    Ok(whole)
}
