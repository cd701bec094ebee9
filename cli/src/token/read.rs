//! Files of keys and certificates: PEM, DER, PKCS#8 plain and encrypted, PKCS#1, SEC 1, OpenSSL's for DSA, PKCS#12, raw secret keys. What a file is
//! is read off its content; only a raw key looks like anything, so it is what remains, or what the caller says.

use hsm_crypto::{Curve, EcKey, PrivateKey, PublicKey};
use p12_keystore::Pkcs12Archive;
use pkcs8::der::{Decode, Encode};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::secret::Secret;
use super::{Failure, Result, usage};

/// A secret key's kind, which its bytes do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Raw {
    /// An AES key: 16, 24 or 32 bytes
    Aes,
    /// A generic secret, such as an HMAC key
    Generic,
}

/// One thing out of a file.
#[derive(Debug)]
pub struct Item {
    /// What it is.
    pub what: What,
    /// The name that it has in the file.
    pub name: Option<String>,
}

/// A key or a certificate.
#[derive(Debug)]
pub enum What {
    /// A private key.
    Private(PrivateKey),
    /// A public key.
    Public(PublicKey),
    /// A certificate's DER.
    Certificate(Vec<u8>),
    /// A secret key.
    Secret(Raw, Zeroizing<Vec<u8>>),
}

impl From<What> for Item {
    fn from(what: What) -> Item {
        Item { what, name: None }
    }
}

/// Where a passphrase comes from, if one is needed.
pub type Ask<'a> = &'a mut dyn FnMut() -> Result<Secret>;

/// Everything that is in a file.
pub fn file(bytes: &[u8], raw: Option<Raw>, ask: Ask<'_>) -> Result<Vec<Item>> {
    if let Some(raw) = raw {
        return secret(raw, bytes).map(|item| vec![item]);
    }
    if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        return armoured(bytes, ask);
    }
    if bytes.first() == Some(&0x30) {
        return der(bytes, ask);
    }
    bare(bytes)
}

/// What has no form. One key in 256 begins as DER does.
fn bare(bytes: &[u8]) -> Result<Vec<Item>> {
    match bytes.len() {
        16 | 24 | 32 => secret(Raw::Aes, bytes).map(|item| vec![item]),
        _ => unknown(),
    }
}

fn unknown<T>() -> Result<T> {
    usage(
        "the file holds nothing that is known here: PEM, DER, PKCS#8, PKCS#1, SEC 1, PKCS#12, X.509, or the 16, 24 or 32 \
         bytes of an AES key; say --raw generic for another secret",
    )
}

fn secret(raw: Raw, bytes: &[u8]) -> Result<Item> {
    match (raw, bytes.len()) {
        (Raw::Aes, 16 | 24 | 32) | (Raw::Generic, 1..) => {
            Ok(What::Secret(raw, Zeroizing::new(bytes.to_vec())).into())
        }
        (Raw::Aes, length) => usage(format!(
            "an AES key has 16, 24 or 32 bytes; the file has {length}"
        )),
        (Raw::Generic, _) => usage("the file is empty"),
    }
}

fn armoured(bytes: &[u8], ask: Ask<'_>) -> Result<Vec<Item>> {
    let blocks = pem::parse_many(bytes)
        .map_err(|error| Failure::Usage(format!("the file's PEM is malformed: {error}")))?;
    let mut items = Vec::new();
    for block in blocks {
        let der = Zeroizing::new(block.contents().to_vec());
        if block
            .headers()
            .get("Proc-Type")
            .is_some_and(|value| value.contains("ENCRYPTED"))
        {
            return usage(
                "the key is encrypted in OpenSSL's old form; `openssl pkcs8 -topk8 -in OLD -out NEW` writes it as PKCS#8",
            );
        }
        let item: Item = match block.tag() {
            "PRIVATE KEY" => What::Private(pkcs8_key(&der)?).into(),
            "ENCRYPTED PRIVATE KEY" => What::Private(encrypted(&der, ask)?).into(),
            "RSA PRIVATE KEY" => What::Private(pkcs1_key(&der)?).into(),
            "EC PRIVATE KEY" => What::Private(sec1_key(&der)?).into(),
            "DSA PRIVATE KEY" => What::Private(dsa_key(&der)?).into(),
            "PUBLIC KEY" => What::Public(public(&der)?).into(),
            "RSA PUBLIC KEY" => What::Public(pkcs1_public(&der)?).into(),
            "CERTIFICATE" | "X509 CERTIFICATE" => What::Certificate(certificate(&der)?).into(),
            // What `openssl ecparam -genkey` and its like put in front of the key, which says the same.
            "EC PARAMETERS" | "DSA PARAMETERS" | "DH PARAMETERS" => continue,
            "OPENSSH PRIVATE KEY" => {
                return usage(
                    "the key has OpenSSH's own form; `ssh-keygen -p -m PKCS8 -f FILE` rewrites it as PKCS#8",
                );
            }
            other => {
                return usage(format!(
                    "the file holds a PEM block of type {other}, which is no key and no certificate"
                ));
            }
        };
        items.push(item);
    }
    match items.is_empty() {
        true => unknown(),
        false => Ok(items),
    }
}

fn der(bytes: &[u8], ask: Ask<'_>) -> Result<Vec<Item>> {
    let one = |what: What| Ok(vec![Item::from(what)]);
    if PrivateKeyInfoRef::from_der(bytes).is_ok() {
        return one(What::Private(pkcs8_key(bytes)?));
    }
    if EncryptedPrivateKeyInfoRef::from_der(bytes).is_ok() {
        return one(What::Private(encrypted(bytes, ask)?));
    }
    if let Ok(key) = hsm_crypto::pkcs8::rsa_from_pkcs1(bytes) {
        return one(What::Private(PrivateKey::Rsa(key)));
    }
    if sec1::EcPrivateKey::from_der(bytes).is_ok() {
        return one(What::Private(sec1_key(bytes)?));
    }
    if let Ok(key) = dsa_key(bytes) {
        return one(What::Private(key));
    }
    if let Ok(der) = certificate(bytes) {
        return one(What::Certificate(der));
    }
    if pkcs8::spki::SubjectPublicKeyInfoRef::from_der(bytes).is_ok() {
        return one(What::Public(public(bytes)?));
    }
    if let Ok(key) = pkcs1_public(bytes) {
        return one(What::Public(key));
    }
    // A PFX begins with its version, 3.
    match bytes.windows(3).take(8).any(|window| window == [2, 1, 3]) {
        true => pkcs12(bytes, ask),
        false => bare(bytes),
    }
}

fn no_key(error: hsm_crypto::Error) -> Failure {
    Failure::Usage(match error {
        hsm_crypto::Error::Unsupported => {
            "the file's key is of a kind or on a curve that is not known here: RSA, the NIST and Brainpool curves, secp256k1, \
             Ed25519, Ed448, X25519, X448, DSA, Diffie-Hellman, ML-DSA, ML-KEM and SLH-DSA are"
                .into()
        }
        other => format!("the file's key is malformed: {other}"),
    })
}

fn pkcs8_key(der: &[u8]) -> Result<PrivateKey> {
    PrivateKey::from_pkcs8(der).map_err(no_key)
}

fn pkcs1_key(der: &[u8]) -> Result<PrivateKey> {
    hsm_crypto::pkcs8::rsa_from_pkcs1(der)
        .map(PrivateKey::Rsa)
        .map_err(no_key)
}

/// OpenSSL's traditional form.
fn dsa_key(der: &[u8]) -> Result<PrivateKey> {
    hsm_crypto::pkcs8::dsa_from_traditional(der)
        .map(PrivateKey::Dsa)
        .map_err(no_key)
}

fn public(der: &[u8]) -> Result<PublicKey> {
    PublicKey::from_spki(der).map_err(no_key)
}

fn pkcs1_public(der: &[u8]) -> Result<PublicKey> {
    let malformed = |_| no_key(hsm_crypto::Error::BadKey);
    let key = pkcs1::RsaPublicKey::<pkcs1::UintRef<'_>>::from_der(der).map_err(malformed)?;
    let key =
        hsm_crypto::RsaKey::from_public(key.modulus.as_bytes(), key.public_exponent.as_bytes());
    key.map(PublicKey::Rsa).map_err(no_key)
}

/// SEC 1's form names the curve itself.
fn sec1_key(der: &[u8]) -> Result<PrivateKey> {
    let malformed = |_| no_key(hsm_crypto::Error::BadKey);
    let key = sec1::EcPrivateKey::from_der(der).map_err(malformed)?;
    let Some(sec1::EcParameters::NamedCurve(curve)) = key.parameters else {
        return usage(
            "the file's EC key does not name its curve; `openssl pkcs8 -topk8 -nocrypt` writes it with its name",
        );
    };
    let curve = Curve::from_ec_params(&curve.to_der().map_err(malformed)?).map_err(no_key)?;
    EcKey::from_scalar(curve, key.private_key)
        .map(PrivateKey::Ec)
        .map_err(no_key)
}

fn encrypted(der: &[u8], ask: Ask<'_>) -> Result<PrivateKey> {
    let info = EncryptedPrivateKeyInfoRef::from_der(der)
        .map_err(|error| Failure::Usage(format!(
            "the encrypted key is malformed, or encrypted in an old way that is not known here ({error}); \
             `openssl pkcs8 -in OLD | openssl pkcs8 -topk8 -out NEW` encrypts it in today's"
        )))?;
    let plain = info.decrypt(ask()?.text()).map_err(|_| {
        Failure::Failed("the file's key does not open: the passphrase is wrong, or its encryption is not known here".into())
    })?;
    pkcs8_key(plain.as_bytes())
}

fn certificate(der: &[u8]) -> Result<Vec<u8>> {
    match x509_parser::parse_x509_certificate(der) {
        Ok(([], _)) => Ok(der.to_vec()),
        _ => usage("the file's certificate is malformed"),
    }
}

fn pkcs12(bytes: &[u8], ask: Ask<'_>) -> Result<Vec<Item>> {
    let archive = Pkcs12Archive::from_pkcs12(bytes, ask()?.text()).map_err(|error| {
        Failure::Failed(format!("the PKCS#12 file does not open: the passphrase is wrong, or its encryption is not known here ({error})"))
    })?;
    let mut items = Vec::new();
    for bag in &archive.keys {
        items.push(Item {
            what: What::Private(pkcs8_key(bag.key.as_der())?),
            name: bag.friendly_name.clone(),
        });
    }
    for bag in &archive.certs {
        items.push(Item {
            what: What::Certificate(certificate(bag.cert.as_der())?),
            name: bag.friendly_name.clone(),
        });
    }
    for bag in &archive.secrets {
        let key = bag.key.key();
        let raw = if matches!(key.len(), 16 | 24 | 32) {
            Raw::Aes
        } else {
            Raw::Generic
        };
        items.push(Item {
            what: What::Secret(raw, Zeroizing::new(key.to_vec())),
            name: bag.friendly_name.clone(),
        });
    }
    match items.is_empty() {
        true => usage("the PKCS#12 file holds no key and no certificate"),
        false => Ok(items),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> impl FnMut() -> Result<Secret> {
        || panic!("nothing is encrypted")
    }

    #[test]
    fn bare_bytes_are_an_aes_key_only_of_its_lengths() {
        let items = file(&[7; 24], None, &mut nobody()).unwrap_or_default();
        assert!(matches!(&items[0].what, What::Secret(Raw::Aes, key) if ***key == [7; 24]));
        assert!(file(&[0x30; 32], None, &mut nobody()).is_ok());
        assert!(file(&[7; 25], None, &mut nobody()).is_err());
        assert!(file(&[7; 25], Some(Raw::Generic), &mut nobody()).is_ok());
        assert!(file(&[7; 25], Some(Raw::Aes), &mut nobody()).is_err());
    }

    #[test]
    fn every_form_of_one_key_is_the_same_key() {
        let key = EcKey::generate(Curve::P256).unwrap();
        let point = key.point().unwrap();
        let pkcs8 = PrivateKey::Ec(key).to_pkcs8().unwrap();
        let inner = PrivateKeyInfoRef::from_der(&pkcs8)
            .unwrap()
            .private_key
            .as_bytes();
        let mut sec1 = sec1::EcPrivateKey::from_der(inner).unwrap();
        let curve = pkcs8::ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
        sec1.parameters = Some(sec1::EcParameters::NamedCurve(curve));
        let sec1 = sec1.to_der().unwrap();
        let forms = [
            pkcs8.to_vec(),
            sec1.clone(),
            pem::encode(&pem::Pem::new("PRIVATE KEY", pkcs8.to_vec())).into_bytes(),
            pem::encode(&pem::Pem::new("EC PRIVATE KEY", sec1)).into_bytes(),
        ];
        for (number, form) in forms.iter().enumerate() {
            let items = file(form, None, &mut nobody()).unwrap_or_else(|_| panic!("form {number}"));
            assert!(
                matches!(&items[..], [Item { what: What::Private(PrivateKey::Ec(key)), .. }] if key.point().unwrap() == point)
            );
        }
    }
}
