//! Is this the certificate that InitializeCluster wants? RFC 5280 as far as the user guide asks for
//! it: the signed certificate is over the CSR's key, its issuer is the trust anchor, the anchor is
//! self-signed with RSA of 2048 or 4096 bits, both are valid today, and a version 3 anchor says that
//! it is a CA.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};
use x509_parser::public_key::PublicKey;

/// The first certificate of a PEM text, DER.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn leaf(pem: &str) -> Result<Vec<u8>, String> {
    let der = contents(pem, "CERTIFICATE")?;
    parse(&der)?;
    Ok(der)
}

/// Whether the certificate (DER) names `ca` (DER) as its issuer and carries its signature.
pub fn signed_by(certificate: &[u8], ca: &[u8]) -> bool {
    let (Ok(certificate), Ok(ca)) = (parse(certificate), parse(ca)) else {
        return false;
    };
    certificate.issuer() == ca.subject()
        && certificate.verify_signature(Some(ca.public_key())).is_ok()
}

/// Checks what a customer brings to InitializeCluster against the CSR of the cluster's first HSM.
///
/// # Errors
/// A sentence for the caller.
pub fn check(csr: &str, certificate: &str, anchor: &str) -> Result<(), String> {
    let certificate = leaf(certificate).map_err(|e| format!("SignedCert {e}"))?;
    let anchor = leaf(anchor).map_err(|e| format!("TrustAnchor {e}"))?;
    let (cert, ca) = (parse(&certificate)?, parse(&anchor)?);

    let csr = contents(csr, "CERTIFICATE REQUEST").map_err(|e| format!("ClusterCsr {e}"))?;
    let (_, csr) =
        X509CertificationRequest::from_der(&csr).map_err(|e| format!("ClusterCsr: {e}"))?;
    if csr.certification_request_info.subject_pki.raw != cert.public_key().raw {
        return Err("SignedCert is not over the public key of the cluster's CSR.".into());
    }
    if ca.subject() != ca.issuer() || ca.verify_signature(None).is_err() {
        return Err("TrustAnchor is not self-signed.".into());
    }
    match ca.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if matches!(key.key_size(), 2048 | 4096) => {}
        _ => return Err("TrustAnchor must have an RSA key of 2048 or 4096 bits.".into()),
    }
    if ca.version() == X509Version::V3 && !ca.extensions().is_empty() && !is_ca(&ca) {
        return Err(
            "TrustAnchor has extensions, but no Basic Constraints that make it a CA.".into(),
        );
    }
    if !signed_by(&certificate, &anchor) {
        return Err("SignedCert is not signed by TrustAnchor.".into());
    }
    for (name, x) in [("SignedCert", &cert), ("TrustAnchor", &ca)] {
        if !x.validity().is_valid() {
            return Err(format!("{name} is expired or not valid yet."));
        }
    }
    Ok(())
}

fn is_ca(certificate: &X509Certificate<'_>) -> bool {
    certificate
        .basic_constraints()
        .ok()
        .flatten()
        .is_some_and(|b| b.value.ca)
}

fn contents(pem: &str, label: &str) -> Result<Vec<u8>, String> {
    for block in Pem::iter_from_buffer(pem.as_bytes()) {
        let block = block.map_err(|e| format!("is no valid PEM: {e}."))?;
        if block.label.ends_with(label) {
            return Ok(block.contents);
        }
    }
    Err(format!("holds no PEM block of type {label}."))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|e| format!("is no X.509 certificate: {e}."))?;
    match rest.is_empty() {
        true => Ok(certificate),
        false => Err("has bytes after its end.".into()),
    }
}
