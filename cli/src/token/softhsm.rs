//! SoftHSM2's own store, read without SoftHSM2, so that keys come along which it would never let out: it keeps even those under
//! a key that the user's PIN opens.
//!
//! A token is a directory. Each file `*.object` is a generation number and then attributes: type, kind and value, numbers as
//! eight bytes in network order. In `token.object` the attributes are the token's label, and two copies of its AES-256 key, one
//! for each PIN: salt (8 bytes), IV (16), AES-256-CBC of "RJR" and the key. The AES key for that comes from the PIN by SHA-256,
//! repeated as often as the salt's last byte says beyond 1500. Of a private object every byte string is IV and AES-256-CBC.
//! The store in a database (`objectstore.backend = db`) is not read here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, CertificateType, ObjectClass};
use cryptoki::types::Date;
use hsm_crypto::{AesKey, Hash};
use zeroize::{Zeroize, Zeroizing};

use super::carry::{self, Carried, Haul, Left};
use super::kind::Kind;
use super::secret::Secret;
use super::template;
use super::{Failure, Result, failed, usage};

const LABEL: u64 = 0x8000_5349;
const SO_PIN: u64 = 0x8000_534C;
const USER_PIN: u64 = 0x8000_534D;
const ROUNDS: u32 = 1500;
const MAGIC: &[u8] = b"RJR";

enum Value {
    Bool(bool),
    Ulong(u64),
    Bytes(Zeroizing<Vec<u8>>),
    /// An array of attributes; how many bytes of them.
    Map(u64),
    Mechs(Vec<u64>),
}

type Attributes = BTreeMap<u64, Value>;

/// A token's directory.
pub struct Token {
    dir: PathBuf,
    /// Its label.
    pub label: String,
    so_pin: Vec<u8>,
    user_pin: Vec<u8>,
}

/// The tokens in a directory, or in the one that a softhsm2.conf names; the directory may also be a token's own.
pub fn tokens(from: &Path) -> Result<Vec<Token>> {
    let dir = if from.is_file() {
        configured(from)?
    } else {
        from.to_owned()
    };
    if dir.join("token.object").is_file() {
        return Ok(vec![Token::open(&dir)?]);
    }
    let entries = std::fs::read_dir(&dir)
        .map_err(|error| Failure::Usage(format!("{}: {error}", dir.display())))?;
    let mut found = Vec::new();
    let mut database = false;
    for entry in entries.flatten() {
        database |= entry.path().join("sqlite3.db").exists();
        if entry.path().join("token.object").is_file() {
            found.push(Token::open(&entry.path())?);
        }
    }
    match (found.is_empty(), database) {
        (true, true) => usage(format!(
            "{} is SoftHSM2's store in a database, which only SoftHSM2 reads: say --from-module libsofthsm2.so instead of --from",
            dir.display()
        )),
        (true, false) => usage(format!("{} holds no SoftHSM2 token", dir.display())),
        _ => Ok(found),
    }
}

fn configured(file: &Path) -> Result<PathBuf> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    let setting = |line: &str| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "directories.tokendir").then(|| PathBuf::from(value.trim()))
    };
    match text.lines().find_map(setting) {
        Some(dir) => Ok(dir),
        None => usage(format!(
            "{}: there is no line `directories.tokendir = DIR`",
            file.display()
        )),
    }
}

impl Token {
    fn open(dir: &Path) -> Result<Token> {
        let file = dir.join("token.object");
        let attributes = read(&file)?;
        let bytes = |code| match attributes.get(&code) {
            Some(Value::Bytes(bytes)) => bytes.to_vec(),
            _ => Vec::new(),
        };
        let label = String::from_utf8_lossy(&bytes(LABEL)).trim_end().to_owned();
        Ok(Token {
            dir: dir.to_owned(),
            label,
            so_pin: bytes(SO_PIN),
            user_pin: bytes(USER_PIN),
        })
    }

    /// Whether this is the security officer's PIN.
    pub fn is_so_pin(&self, pin: &Secret) -> bool {
        open_key(&self.so_pin, pin).is_some()
    }

    /// Everything in it.
    pub fn haul(&self, pin: &Secret) -> Result<Haul> {
        if self.user_pin.is_empty() {
            return failed(format!(
                "the SoftHSM2 token {} has no user's PIN, and so no keys",
                self.label
            ));
        }
        let Some(key) = open_key(&self.user_pin, pin) else {
            return failed(format!(
                "the user's PIN does not open the SoftHSM2 token {}; --from-pin or KEYSTEAD_FROM_PIN gives it where it is not the target's",
                self.label
            ));
        };
        let mut files: Vec<PathBuf> = std::fs::read_dir(&self.dir)
            .map_err(|error| Failure::Failed(format!("{}: {error}", self.dir.display())))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                path.extension().is_some_and(|x| x == "object") && !path.ends_with("token.object")
            })
            .collect();
        files.sort();
        let mut haul = Haul::default();
        for file in files {
            match object(&file, &key) {
                Ok(Some(carried)) => haul.objects.push(carried),
                // What a process left that died while it made the object; SoftHSM2 does not show it either.
                Ok(None) => {}
                Err(left) => haul.left.push(left),
            }
        }
        Ok(haul)
    }
}

/// The token's key, if the PIN is right.
fn open_key(blob: &[u8], pin: &Secret) -> Option<AesKey> {
    let (salt, sealed) = blob.split_at_checked(8)?;
    let (iv, sealed) = sealed.split_first_chunk::<16>()?;
    let first = Zeroizing::new([salt, pin.text().as_bytes()].concat());
    let mut hash = Hash::Sha256.digest(&first);
    for _ in 1..ROUNDS + u32::from(salt[7]) {
        hash = Hash::Sha256.digest(&hash);
    }
    let mut plain = Zeroizing::new(vec![0; sealed.len()]);
    let length = AesKey::new(&hash)
        .ok()?
        .cbc_pad_decrypt(iv, sealed, &mut plain)
        .ok()?;
    hash.zeroize();
    AesKey::new(plain[..length].strip_prefix(MAGIC)?).ok()
}

fn unsealed(key: &AesKey, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if sealed.is_empty() {
        return Some(Zeroizing::new(Vec::new()));
    }
    let (iv, sealed) = sealed.split_first_chunk::<16>()?;
    let mut plain = Zeroizing::new(vec![0; sealed.len()]);
    let length = key.cbc_pad_decrypt(iv, sealed, &mut plain).ok()?;
    plain.truncate(length);
    Some(plain)
}

/// An object's file.
fn object(file: &Path, key: &AesKey) -> std::result::Result<Option<Carried>, Left> {
    let unread = |why| Left {
        name: file.display().to_string(),
        why,
    };
    let text = |failure| match failure {
        Failure::Failed(why) | Failure::Usage(why) => unread(why),
    };
    if std::fs::metadata(file).is_ok_and(|meta| meta.len() == 0) {
        return Ok(None);
    }
    let mut values = read(file).map_err(text)?;
    let code = |ty: AttributeType| u64::from(ty);
    if matches!(
        values.get(&code(AttributeType::Private)),
        Some(Value::Bool(true))
    ) {
        for value in values.values_mut() {
            if let Value::Bytes(bytes) = value {
                *bytes = unsealed(key, bytes).ok_or_else(|| {
                    unread(
                        "a value does not open under the token's key: the file is damaged".into(),
                    )
                })?;
            }
        }
    }
    let mut all = Vec::new();
    let mut notes = Vec::new();
    let mut rule = None;
    for (code, value) in &values {
        match attribute(*code, value) {
            Some(attribute) => all.push(attribute),
            None => match value {
                Value::Map(0) => {}
                Value::Map(_) => {
                    rule = Some(
                        "it has a CKA_WRAP_TEMPLATE or CKA_UNWRAP_TEMPLATE, which is not carried",
                    )
                }
                Value::Mechs(_) => {
                    rule = Some(
                        "it is limited to mechanisms (CKA_ALLOWED_MECHANISMS) that are not all known here",
                    )
                }
                Value::Bytes(bytes) if bytes.is_empty() => {}
                Value::Bool(false) | Value::Ulong(0) => {}
                _ if harmless(*code, value) => {}
                _ => notes.push(format!("the attribute {code:#x} is not carried")),
            },
        }
    }
    let carried = carry::carried(all, notes, file.display().to_string());
    match rule {
        Some(why) => Err(carried.left(why.into())),
        None => Ok(Some(carried)),
    }
}

/// What says nothing that the target would not say itself: SoftHSM2's own notes about the object, the mechanism that made it,
/// how long the numbers of a domain and of a Diffie-Hellman key are,
/// and SHA-1 as the hash of names in a certificate, which is what it is when nobody says.
fn harmless(code: u64, value: &Value) -> bool {
    const NAME_HASH_ALGORITHM: u64 = 0x8C;
    const SHA_1: u64 = 0x220;
    /// CKA_PRIME_BITS, CKA_SUBPRIME_BITS, CKA_VALUE_BITS.
    const LENGTHS: [u64; 3] = [0x133, 0x134, 0x160];
    code == u64::from(AttributeType::KeyGenMechanism)
        || code >= 0x8000_0000
        || LENGTHS.contains(&code)
        || (code == NAME_HASH_ALGORITHM && matches!(value, Value::Ulong(SHA_1)))
}

fn attribute(code: u64, value: &Value) -> Option<Attribute> {
    use AttributeType as A;
    if let (true, Value::Bytes(bytes)) = (
        template::SUBPRIME == AttributeType::VendorDefined(code),
        value,
    ) {
        return Some(template::unnamed(template::SUBPRIME, bytes));
    }
    let ty = AttributeType::try_from(code).ok()?;
    macro_rules! one_of {
        ($value:expr; $($name:ident)*) => {
            match ty { $(A::$name => Some(Attribute::$name($value)),)* _ => None }
        };
    }
    match value {
        Value::Bool(yes) => one_of!(*yes;
            Token Private Modifiable Copyable Destroyable Trusted Sensitive Extractable Encrypt Decrypt Sign SignRecover
            Verify VerifyRecover Wrap Unwrap Derive AlwaysAuthenticate WrapWithTrusted Local AlwaysSensitive NeverExtractable),
        Value::Bytes(bytes) => match ty {
            A::StartDate => date(bytes).map(Attribute::StartDate),
            A::EndDate => date(bytes).map(Attribute::EndDate),
            _ => one_of!(bytes.to_vec();
                Label Application ObjectId Value Issuer SerialNumber Url HashOfSubjectPublicKey HashOfIssuerPublicKey
                Subject Id Modulus PublicExponent PrivateExponent Prime1 Prime2 Exponent1 Exponent2 Coefficient
                EcParams EcPoint Prime Base CheckValue PublicKeyInfo UniqueId),
        },
        Value::Ulong(number) => match ty {
            A::Class => ObjectClass::try_from(*number).ok().map(Attribute::Class),
            A::KeyType => Some(Kind(*number).attribute()),
            A::CertificateType => CertificateType::try_from(*number)
                .ok()
                .map(Attribute::CertificateType),
            A::KeyGenMechanism => MechanismType::try_from(*number)
                .ok()
                .map(Attribute::KeyGenMechanism),
            _ => one_of!((*number).into(); ModulusBits ValueLen),
        },
        Value::Mechs(codes) if ty == A::AllowedMechanisms => {
            let all = codes.iter().map(|code| MechanismType::try_from(*code).ok());
            all.collect::<Option<Vec<_>>>()
                .map(Attribute::AllowedMechanisms)
        }
        _ => None,
    }
}

fn date(bytes: &[u8]) -> Option<Date> {
    match bytes {
        [] => Some(Date::new_empty()),
        _ => {
            let digits = <&[u8; 8]>::try_from(bytes).ok()?;
            let (year, rest) = digits.split_first_chunk::<4>()?;
            let (month, day) = rest.split_first_chunk::<2>()?;
            Some(Date::new(*year, *month, day.try_into().ok()?))
        }
    }
}

fn read(file: &Path) -> Result<Attributes> {
    let bytes = std::fs::read(file).map(Zeroizing::new);
    let bytes = bytes.map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
    parse(&bytes).ok_or_else(|| {
        Failure::Failed(format!(
            "{} is damaged, or of another version of SoftHSM2",
            file.display()
        ))
    })
}

fn parse(mut rest: &[u8]) -> Option<Attributes> {
    let _generation = number(&mut rest)?;
    let mut all = Attributes::new();
    while !rest.is_empty() {
        let code = number(&mut rest)?;
        let value = match number(&mut rest)? {
            1 => Value::Bool(take(&mut rest, 1)?[0] != 0),
            2 => Value::Ulong(number(&mut rest)?),
            3 => {
                let length = number(&mut rest)?;
                Value::Bytes(Zeroizing::new(take(&mut rest, length)?.to_vec()))
            }
            4 => {
                let length = number(&mut rest)?;
                take(&mut rest, length)?;
                Value::Map(length)
            }
            5 => {
                let count = number(&mut rest)?;
                // Not collected from a range of `count`, which a damaged file may say is huge.
                let mut codes = Vec::new();
                for _ in 0..count {
                    codes.push(number(&mut rest)?);
                }
                Value::Mechs(codes)
            }
            _ => return None,
        };
        all.insert(code, value);
    }
    Some(all)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_be_bytes(*bytes))
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (bytes, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(entries: &[(u64, u64, &[u8])]) -> Vec<u8> {
        let mut bytes = 7u64.to_be_bytes().to_vec();
        for (code, kind, value) in entries {
            bytes.extend(code.to_be_bytes());
            bytes.extend(kind.to_be_bytes());
            bytes.extend(*value);
        }
        bytes
    }

    #[test]
    fn attributes_of_every_kind() {
        let mechs = [2u64, 0x1081, 0x1087].map(u64::to_be_bytes).concat();
        let label = [&3u64.to_be_bytes()[..], b"abc"].concat();
        let bytes = file(&[
            (0x00, 2, &4u64.to_be_bytes()),
            (0x01, 1, &[0xFF]),
            (0x03, 3, &label),
            (0x4000_0211, 4, &0u64.to_be_bytes()),
            (0x4000_0600, 5, &mechs),
        ]);
        let all = parse(&bytes).unwrap();
        let carried: Vec<Attribute> = all
            .iter()
            .filter_map(|(code, value)| attribute(*code, value))
            .collect();
        assert!(carried.contains(&Attribute::Class(ObjectClass::SECRET_KEY)));
        assert!(carried.contains(&Attribute::Token(true)));
        // SHA-384's HMAC key is not taken for SHA-256's.
        assert_eq!(
            attribute(0x100, &Value::Ulong(0x2C)).and_then(|a| Kind::of(&a)),
            Some(Kind(0x2C))
        );
        assert!(carried.contains(&Attribute::Label(b"abc".to_vec())));
        assert!(carried.contains(&Attribute::AllowedMechanisms(vec![
            MechanismType::AES_ECB,
            MechanismType::AES_GCM
        ])));
        assert_eq!(carried.len(), 4);
        // Cut anywhere but between two attributes, it is damaged.
        let whole = (0..bytes.len())
            .filter(|length| parse(&bytes[..*length]).is_some())
            .count();
        assert_eq!(whole, 5);
    }

    #[test]
    fn a_lie_about_a_length_is_damage() {
        assert!(parse(&file(&[(3, 3, &u64::MAX.to_be_bytes())])).is_none());
        assert!(parse(&file(&[(3, 5, &u64::MAX.to_be_bytes())])).is_none());
        assert!(parse(&file(&[(3, 9, &[])])).is_none());
    }
}
