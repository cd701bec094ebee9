//! `keystead token export`: what may leave a token, in the forms that others read.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::Session;
use hsm_crypto::pq::{KemSet, MlDsaKey, MlDsaSet, MlKemKey};
use hsm_crypto::rsa::{Crt, Parts};
use hsm_crypto::{
    Curve, DhGroup, DhKey, DsaDomain, DsaKey, EcKey, Ed448Key, EdKey, Error, PrivateKey, PublicKey,
    RsaKey, SlhKey, SlhSet, X448Key, XKey,
};
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::Decode;
use pkcs8::der::asn1::OctetStringRef;
use serde_json::json;
use zeroize::Zeroizing;

use super::object::{Choice, Object, attributes};
use super::reach::{Module, Which};
use super::secret::{PASSPHRASE, PIN, Secret, present};
use super::template::Template;
use super::{Answer, Failure, Place, Result, failed, usage};

/// The options.
#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    choice: Choice,
    /// The file to write; it must not exist [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The form; a secret key is always written raw
    #[arg(long, value_enum, default_value = "pem")]
    format: Format,
    /// Encrypt a private key under the passphrase
    #[arg(long)]
    encrypt: bool,
    /// The passphrase for --encrypt
    #[arg(
        long,
        value_name = "TEXT",
        env = "KEYSTEAD_PASSPHRASE",
        hide_env_values = true
    )]
    passphrase: Option<Secret>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text
    Pem,
    /// Bytes
    Der,
}

/// What is to be written.
struct Content {
    tag: Option<&'static str>,
    bytes: Zeroizing<Vec<u8>>,
    hidden: bool,
}

pub(super) fn run(place: &Place, args: &Export) -> Result<Answer> {
    let module = Module::load(place)?;
    let token = module.token(&args.which)?;
    let session = match (
        present(args.which.pin.as_ref()),
        std::io::stdin().is_terminal(),
    ) {
        // Certificates and public keys are there for everybody.
        (None, false) => module.open(&token)?,
        _ => module.user(&token, &PIN.given_or_asked(args.which.pin.as_ref())?)?,
    };
    let object = args.choice.one(&session)?;
    let content = content(args, &session, &object)?;
    let text = match (content.tag, args.format) {
        (Some(tag), Format::Pem) => Some(Zeroizing::new(pem::encode_config(
            &pem::Pem::new(tag, content.bytes.to_vec()),
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        ))),
        _ => None,
    };
    let bytes = text
        .as_ref()
        .map_or(&content.bytes[..], |text| text.as_bytes());
    match &args.out {
        Some(file) => {
            write(file, bytes, content.hidden)?;
            let json = json!({ "exported": object.json(), "file": file.display().to_string() });
            Ok(Answer::new(
                format!("wrote the {} to {}", object.name(), file.display()),
                json,
            ))
        }
        None => match &text {
            Some(text) => Ok(Answer::new(
                text.as_str(),
                json!({ "exported": object.json(), "pem": text.as_str() }),
            )),
            None => usage("bytes are not written to the standard output: name a file with --out"),
        },
    }
}

fn content(args: &Export, session: &Session, object: &Object) -> Result<Content> {
    if args.encrypt && object.class != Some(ObjectClass::PRIVATE_KEY) {
        return usage("--encrypt is for private keys");
    }
    let open = |tag, bytes| {
        Ok(Content {
            tag: Some(tag),
            bytes: Zeroizing::new(bytes),
            hidden: false,
        })
    };
    match object.class {
        Some(ObjectClass::CERTIFICATE) => open(
            "CERTIFICATE",
            bytes_of(session, object, AttributeType::Value)?,
        ),
        Some(ObjectClass::PUBLIC_KEY) => open(
            "PUBLIC KEY",
            public(session, object)?
                .and_then(|key| key.to_spki())
                .map_err(|error| broken(object, error))?,
        ),
        Some(ObjectClass::PRIVATE_KEY) => {
            may_leave(object)?;
            let plain = private(session, object)?
                .and_then(|key| key.to_pkcs8())
                .map_err(|error| broken(object, error))?;
            if !args.encrypt {
                return Ok(Content {
                    tag: Some("PRIVATE KEY"),
                    bytes: plain,
                    hidden: true,
                });
            }
            let passphrase = PASSPHRASE.given_or_chosen(args.passphrase.as_ref())?;
            let info =
                PrivateKeyInfoRef::from_der(&plain).map_err(|_| broken(object, Error::Internal))?;
            let sealed = info.encrypt(passphrase.text());
            let sealed = sealed.map_err(|error| {
                Failure::Failed(format!("the key cannot be encrypted: {error}"))
            })?;
            Ok(Content {
                tag: Some("ENCRYPTED PRIVATE KEY"),
                bytes: sealed.to_bytes(),
                hidden: true,
            })
        }
        Some(ObjectClass::SECRET_KEY) => {
            may_leave(object)?;
            let bytes = Zeroizing::new(bytes_of(session, object, AttributeType::Value)?);
            Ok(Content {
                tag: None,
                bytes,
                hidden: true,
            })
        }
        Some(ObjectClass::DATA) => {
            let bytes = Zeroizing::new(bytes_of(session, object, AttributeType::Value)?);
            Ok(Content {
                tag: None,
                bytes,
                hidden: object.flag(AttributeType::Private) == Some(true),
            })
        }
        _ => failed(format!(
            "a {} has no form outside of a token",
            object.name()
        )),
    }
}

/// The refusal that a token gives too, in words.
fn may_leave(object: &Object) -> Result<()> {
    if object.flag(AttributeType::Extractable) == Some(false) {
        return failed(format!(
            "the {} is not extractable: it never leaves its token; only a key made with CKA_EXTRACTABLE can",
            object.name()
        ));
    }
    if object.flag(AttributeType::Sensitive) == Some(true) {
        return failed(format!(
            "the {} is sensitive: it leaves its token only wrapped under another key (C_WrapKey), never in the clear",
            object.name()
        ));
    }
    Ok(())
}

/// Bytes that only their owner may read, if they are secret. What is there is never overwritten.
fn write(file: &Path, bytes: &[u8], hidden: bool) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if hidden { 0o600 } else { 0o644 });
    let written = options
        .open(file)
        .and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| {
        Failure::Failed(match error.kind() {
            std::io::ErrorKind::AlreadyExists => format!(
                "{}: the file exists already, and is not written over; remove it, or name another with --out",
                file.display()
            ),
            _ => format!("{}: {error}", file.display()),
        })
    })
}

/// Why a key's values make no file.
pub fn broken(object: &Object, error: Error) -> Failure {
    Failure::Failed(match (error, object.key_type()) {
        (Error::Unsupported, Some(KeyType::RSA)) => {
            "an RSA key without its primes has no file form here".into()
        }
        (Error::Unsupported, _) => format!(
            "the {} is of a kind or on a curve that has no file form here",
            object.name()
        ),
        (error, _) => format!("the token's values are no key: {error}"),
    })
}

/// The values of some attributes by their type.
struct Values(Template);

impl Values {
    fn read(session: &Session, object: &Object, wanted: &[AttributeType]) -> Result<Values> {
        Ok(Values(Template(attributes(
            session,
            object.handle,
            wanted,
        )?)))
    }

    fn bytes(&self, ty: AttributeType) -> &[u8] {
        let found = self
            .0
            .0
            .iter()
            .find(|attribute| attribute.attribute_type() == ty);
        match found {
            Some(
                Attribute::Value(bytes)
                | Attribute::Seed(bytes)
                | Attribute::Modulus(bytes)
                | Attribute::PublicExponent(bytes)
                | Attribute::PrivateExponent(bytes)
                | Attribute::Prime1(bytes)
                | Attribute::Prime2(bytes)
                | Attribute::Exponent1(bytes)
                | Attribute::Exponent2(bytes)
                | Attribute::Coefficient(bytes)
                | Attribute::EcParams(bytes)
                | Attribute::EcPoint(bytes)
                | Attribute::Prime(bytes)
                | Attribute::Base(bytes)
                | Attribute::PublicKeyInfo(bytes),
            ) => bytes,
            _ => &[],
        }
    }

    /// Out of the public key, since the client library does not read CKA_SUBPRIME.
    fn domain(&self) -> hsm_crypto::Result<DsaDomain> {
        domain(self.bytes(AttributeType::PublicKeyInfo))
    }

    fn group(&self) -> hsm_crypto::Result<DhGroup> {
        let base = self.bytes(AttributeType::Base);
        DhGroup::new(self.bytes(AttributeType::Prime), base)
    }

    /// CKA_PARAMETER_SET, which counts a kind's sets from 1.
    fn set<T: Copy>(&self, sets: &[T]) -> hsm_crypto::Result<T> {
        let number = self.0.0.iter().find_map(|attribute| match attribute {
            Attribute::ParameterSet(set) => usize::try_from(***set).ok(),
            _ => None,
        });
        let number = number.ok_or(Error::BadKey)?;
        let set = number.checked_sub(1).and_then(|at| sets.get(at));
        set.copied().ok_or(Error::Unsupported)
    }

    fn secret(&self, ty: AttributeType) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.bytes(ty).to_vec())
    }

    /// The seed, from which everything else follows, where there is one.
    fn seed_or_value(&self) -> &[u8] {
        match self.bytes(AttributeType::Seed) {
            [] => self.bytes(AttributeType::Value),
            seed => seed,
        }
    }
}

/// The domain of a DSA key by its CKA_PUBLIC_KEY_INFO.
pub fn domain(info: &[u8]) -> hsm_crypto::Result<DsaDomain> {
    match PublicKey::from_spki(info)? {
        PublicKey::Dsa(key) => Ok(key.domain().clone()),
        _ => Err(Error::BadKey),
    }
}

fn bytes_of(session: &Session, object: &Object, ty: AttributeType) -> Result<Vec<u8>> {
    let values = Values::read(session, object, &[ty])?;
    match values.bytes(ty) {
        [] => failed(format!(
            "the token does not show the value of the {}",
            object.name()
        )),
        bytes => Ok(bytes.to_vec()),
    }
}

/// The key of a public key object; the inner error says whether it is damaged or of a kind that has no file form.
pub fn public(session: &Session, object: &Object) -> Result<hsm_crypto::Result<PublicKey>> {
    use AttributeType as A;
    let values = Values::read(
        session,
        object,
        &[
            A::Modulus,
            A::PublicExponent,
            A::EcParams,
            A::EcPoint,
            A::Prime,
            A::Base,
            A::PublicKeyInfo,
            A::ParameterSet,
            A::Value,
        ],
    )?;
    let value = values.bytes(A::Value);
    let params = values.bytes(A::EcParams);
    let wrapped = values.bytes(A::EcPoint);
    // The specification wraps a point in an octet string; some modules do not.
    let point = <&OctetStringRef>::from_der(wrapped).map_or(wrapped, OctetStringRef::as_bytes);
    Ok(match object.key_type() {
        Some(KeyType::RSA) => {
            RsaKey::from_public(values.bytes(A::Modulus), values.bytes(A::PublicExponent))
                .map(PublicKey::Rsa)
        }
        Some(KeyType::DSA) => values
            .domain()
            .and_then(|domain| DsaKey::from_public(domain, value))
            .map(PublicKey::Dsa),
        Some(KeyType::DH) => values
            .group()
            .and_then(|group| DhKey::from_public(group, value))
            .map(PublicKey::Dh),
        Some(KeyType::EC) => Curve::from_ec_params(params).and_then(|curve| {
            EcKey::from_point(curve, point)
                .or_else(|_| EcKey::from_point(curve, wrapped))
                .map(PublicKey::Ec)
        }),
        Some(KeyType::EC_EDWARDS) if EdKey::is_params(params) => {
            EdKey::from_public(point).map(PublicKey::Ed)
        }
        Some(KeyType::EC_EDWARDS) if Ed448Key::is_params(params) => {
            Ed448Key::from_public(point).map(PublicKey::Ed448)
        }
        Some(KeyType::EC_MONTGOMERY) if XKey::is_params(params) => point
            .try_into()
            .map(PublicKey::X)
            .map_err(|_| Error::BadKey),
        Some(KeyType::EC_MONTGOMERY) if X448Key::is_params(params) => point
            .try_into()
            .map(PublicKey::X448)
            .map_err(|_| Error::BadKey),
        Some(KeyType::ML_DSA) => values
            .set(&MlDsaSet::ALL)
            .and_then(|set| MlDsaKey::from_public(set, value))
            .map(PublicKey::MlDsa),
        Some(KeyType::ML_KEM) => values
            .set(&KemSet::ALL)
            .and_then(|set| MlKemKey::from_public(set, value))
            .map(PublicKey::MlKem),
        Some(KeyType::SLH_DSA) => values
            .set(&SlhSet::ALL)
            .and_then(|set| SlhKey::from_public(set, value))
            .map(PublicKey::Slh),
        _ => Err(Error::Unsupported),
    })
}

fn private(session: &Session, object: &Object) -> Result<hsm_crypto::Result<PrivateKey>> {
    use AttributeType as A;
    let wanted = [
        A::Modulus,
        A::PublicExponent,
        A::PrivateExponent,
        A::Prime1,
        A::Prime2,
        A::Exponent1,
        A::Exponent2,
        A::Coefficient,
        A::EcParams,
        A::Prime,
        A::Base,
        A::PublicKeyInfo,
        A::ParameterSet,
        A::Seed,
        A::Value,
    ];
    let values = Values::read(session, object, &wanted)?;
    let value = values.seed_or_value();
    let params = values.bytes(A::EcParams);
    let secret = match object.key_type() {
        Some(KeyType::RSA) => values.bytes(A::PrivateExponent),
        _ => value,
    };
    if secret.is_empty() {
        return failed(format!(
            "the token does not show the value of the {}",
            object.name()
        ));
    }
    Ok(match object.key_type() {
        Some(KeyType::RSA) => RsaKey::from_parts(&Parts {
            n: values.bytes(A::Modulus).to_vec(),
            e: values.bytes(A::PublicExponent).to_vec(),
            d: values.secret(A::PrivateExponent),
            crt: (!values.bytes(A::Coefficient).is_empty()).then(|| Crt {
                p: values.secret(A::Prime1),
                q: values.secret(A::Prime2),
                dp: values.secret(A::Exponent1),
                dq: values.secret(A::Exponent2),
                qinv: values.secret(A::Coefficient),
            }),
        })
        .map(PrivateKey::Rsa),
        Some(KeyType::DSA) => values
            .domain()
            .and_then(|domain| DsaKey::from_private(domain, value))
            .map(PrivateKey::Dsa),
        Some(KeyType::DH) => values
            .group()
            .and_then(|group| DhKey::from_private(group, value))
            .map(PrivateKey::Dh),
        Some(KeyType::EC) => Curve::from_ec_params(params)
            .and_then(|curve| EcKey::from_scalar(curve, value))
            .map(PrivateKey::Ec),
        Some(KeyType::EC_EDWARDS) if EdKey::is_params(params) => {
            EdKey::from_seed(value).map(PrivateKey::Ed)
        }
        Some(KeyType::EC_EDWARDS) if Ed448Key::is_params(params) => {
            Ed448Key::from_seed(value).map(PrivateKey::Ed448)
        }
        Some(KeyType::EC_MONTGOMERY) if XKey::is_params(params) => {
            XKey::from_private(value).map(PrivateKey::X)
        }
        Some(KeyType::EC_MONTGOMERY) if X448Key::is_params(params) => {
            X448Key::from_private(value).map(PrivateKey::X448)
        }
        Some(KeyType::ML_DSA) => values
            .set(&MlDsaSet::ALL)
            .and_then(|set| MlDsaKey::from_private(set, value))
            .map(PrivateKey::MlDsa),
        Some(KeyType::ML_KEM) => values
            .set(&KemSet::ALL)
            .and_then(|set| MlKemKey::from_private(set, value))
            .map(PrivateKey::MlKem),
        Some(KeyType::SLH_DSA) => values
            .set(&SlhSet::ALL)
            .and_then(|set| SlhKey::from_private(set, value))
            .map(PrivateKey::Slh),
        _ => Err(Error::Unsupported),
    })
}
