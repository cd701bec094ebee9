//! The customer's own certificate authority, as the guide makes it with openssl.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair,
    PKCS_RSA_SHA256,
};

/// Makes a self-signed authority and signs the request: customerCA.crt and the cluster certificate, PEM.
pub fn sign(csr: &str) -> Result<(String, String), String> {
    let wrong = |error: rcgen::Error| format!("certificate authority: {error}");
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).map_err(wrong)?;
    let mut params = CertificateParams::new(vec![]).map_err(wrong)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::OrganizationName, "Keystead demo");
    params.distinguished_name.push(DnType::CommonName, "customerCA");
    let anchor = params.self_signed(&key).map_err(wrong)?;
    let request = CertificateSigningRequestParams::from_pem(csr).map_err(wrong)?;
    let signed = request.signed_by(&Issuer::new(params, key)).map_err(wrong)?;
    Ok((anchor.pem(), signed.pem()))
}
