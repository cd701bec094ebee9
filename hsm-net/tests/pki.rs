//! Certificates made for one test.

use hsm_net::{Anchors, Credentials};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData,
    SigningKey,
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A self-signed CA.
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub fn new(name: &str) -> Ca {
        Ca::with_key(name, KeyPair::generate().unwrap())
    }

    pub fn with_key(name: &str, key: KeyPair) -> Ca {
        let mut params = named(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ca(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn anchors(&self) -> Anchors {
        Anchors::from_pem(&self.pem()).unwrap()
    }

    /// A version 3 leaf.
    pub fn leaf(&self, name: &str, unit: Option<&str>) -> Credentials {
        self.sign(&named(name, unit))
    }

    /// A version 3 leaf whose key nobody has.
    pub fn certificate(&self, name: &str) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        named(name, None)
            .signed_by(&key, &self.0)
            .unwrap()
            .der()
            .to_vec()
    }

    pub fn sign(&self, params: &CertificateParams) -> Credentials {
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        Credentials::from_pem(&leaf.pem(), &key.serialize_pem()).unwrap()
    }

    /// A leaf as `openssl x509 -req` of OpenSSL 3.0 makes it: version 1, no extensions.
    pub fn leaf_v1(&self, name: &str) -> Credentials {
        let key = KeyPair::generate().unwrap();
        let v3 = named(name, None).signed_by(&key, &self.0).unwrap();
        let (_, parsed) = X509Certificate::from_der(v3.der()).unwrap();
        let tbs = parsed.tbs_certificate.as_ref();
        // From behind the version, [0] { INTEGER 2 }, to the end of the public key.
        let version = [0xA0, 3, 2, 1, 2];
        let from = tbs.windows(5).position(|five| five == version).unwrap() + 5;
        let key_info = parsed.public_key().raw;
        let to = tbs
            .windows(key_info.len())
            .position(|at| at == key_info)
            .unwrap();
        let tbs = der(0x30, &tbs[from..to + key_info.len()]);
        let mut bits = vec![0];
        bits.extend(self.0.key().sign(&tbs).unwrap());
        let algorithm = parsed.signature_algorithm.algorithm.as_bytes().to_vec();
        let algorithm = der(0x30, &der(6, &algorithm));
        let v1 = der(0x30, &[tbs, algorithm, der(3, &bits)].concat());
        let (_, check) = X509Certificate::from_der(&v1).unwrap();
        assert_eq!(
            (check.version().0, check.extensions().len()),
            (0, 0),
            "a version 1 leaf"
        );
        assert_eq!(
            key.der_bytes().len(),
            65,
            "P-256: the algorithm has no parameters"
        );
        Credentials::from_der(vec![v1], key.serialize_der()).unwrap()
    }
}

pub fn named(name: &str, unit: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(unit) = unit {
        params
            .distinguished_name
            .push(DnType::OrganizationalUnitName, unit);
    }
    params
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u16::try_from(content.len()).unwrap() {
        len @ 0..128 => bytes.push(len as u8),
        len => {
            bytes.push(0x82);
            bytes.extend(len.to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}
