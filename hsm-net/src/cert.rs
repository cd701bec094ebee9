//! Certificates and keys as the rest of the project hands them over. What is believed about them is
//! decided in `verify`; here they are only read.

use std::fmt;
use std::sync::Arc;

use hsm_api::{Error, Result, Rv};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroize;

/// Organizational unit (OU) of a certificate by which the CloudHSM service proves itself to a node.
pub const SERVICE_UNIT: &str = "Keystead service";
/// Organizational unit (OU) of a certificate by which one HSM proves itself to another.
pub const NODE_UNIT: &str = "Keystead node";

/// A certificate chain, leaf first, with the leaf's private key. The key is wiped when dropped and
/// never shown.
pub struct Credentials {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// Reads PEM: one or more certificates, leaf first, and one private key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// ARGUMENTS_BAD if either holds none or is malformed.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self> {
        let chain = certificates(chain, "certificate chain")?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|e| bad(format!("private key: {e}")))?;
        Ok(Credentials { chain, key })
    }

    /// A chain in PEM, leaf first, with its key in DER: as an HSM keeps its cluster certificate.
    ///
    /// # Errors
    /// As `from_pem`.
    pub fn from_pem_and_der(chain: &str, key: Vec<u8>) -> Result<Self> {
        let chain = certificates(chain, "certificate chain")?;
        let key = PrivateKeyDer::try_from(key).map_err(|e| bad(format!("private key: {e}")))?;
        Ok(Credentials { chain, key })
    }

    /// Takes DER: certificates, leaf first, and a private key.
    ///
    /// # Errors
    /// ARGUMENTS_BAD if there is no certificate or the key is of no known form.
    pub fn from_der(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Result<Self> {
        if chain.is_empty() {
            return Err(bad("certificate chain: no certificate"));
        }
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::try_from(key).map_err(|e| bad(format!("private key: {e}")))?;
        Ok(Credentials { chain, key })
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} certificates)", self.chain.len())
    }
}

/// What a node presents now. It changes when the cluster certificate is installed, so it is asked for
/// at each connection; returning the same `Arc` as before says that nothing changed.
pub trait Identity: Send + std::marker::Sync {
    /// The certificate chain and key of this moment.
    fn current(&self) -> Arc<Credentials>;
}

/// An identity that never changes.
impl Identity for Arc<Credentials> {
    fn current(&self) -> Arc<Credentials> {
        Arc::clone(self)
    }
}

/// Certificates that a peer's leaf may be signed by. Before initialization that is the CA of the HSM's
/// maker, afterwards the customer's own CA (customerCA.crt).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchors(pub(crate) Vec<CertificateDer<'static>>);

impl Anchors {
    /// Reads one or more PEM certificates.
    ///
    /// # Errors
    /// ARGUMENTS_BAD if there is none or one is malformed.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let anchors = certificates(pem, "trust anchor")?;
        for anchor in &anchors {
            x509_parser::parse_x509_certificate(anchor)
                .map_err(|e| bad(format!("trust anchor: not an X.509 certificate: {e}")))?;
        }
        Ok(Anchors(anchors))
    }

    /// These and those of `other`.
    #[must_use]
    pub fn and(mut self, other: Anchors) -> Self {
        self.0.extend(other.0);
        self
    }
}

/// Whom a node believes on its service port: holders of certificates by this CA, whose OU is
/// [`SERVICE_UNIT`] or [`NODE_UNIT`].
#[derive(Clone, Debug)]
pub struct ServiceTrust {
    /// The service's own CA.
    pub ca: Anchors,
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|e| bad(format!("{what}: {e}")))?;
    if found.is_empty() {
        return Err(bad(format!("{what}: no PEM certificate in it")));
    }
    Ok(found)
}

fn bad(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Rv::ARGUMENTS_BAD, why)
}
