//! Who is believed. A leaf is good when one of the anchors signed it and both are valid today; there
//! is no host name in it to look at, since an HSM is known by its cluster and not by its address.
//!
//! Own verifiers, because webpki refuses the very certificates that users make: `openssl x509 -req`
//! of OpenSSL 3.0 leaves a version 1 certificate without extensions. The handshake signature is checked
//! by rustls against the leaf's public key.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureScheme,
};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::Anchors;

/// Believes whom the anchors signed: nodes on the client's side, service and nodes on the server's.
#[derive(Debug)]
pub struct ByAnchor {
    anchors: Anchors,
    provider: Arc<CryptoProvider>,
}

impl ByAnchor {
    pub fn new(anchors: Anchors, provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(ByAnchor { anchors, provider })
    }

    fn check(&self, leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        let leaf = parse(leaf)?;
        let now = i64::try_from(now.as_secs())
            .ok()
            .and_then(|secs| ASN1Time::from_timestamp(secs).ok())
            .ok_or(Error::FailedToGetCurrentTime)?;
        let mut refusal = CertificateError::UnknownIssuer;
        for anchor in &self.anchors.0 {
            let anchor = parse(anchor)?;
            match signed_by(&leaf, &anchor, now) {
                Ok(()) => return Ok(()),
                // Another anchor of the same name may still do; the most telling refusal is kept.
                Err(CertificateError::UnknownIssuer) => {}
                Err(other) => refusal = other,
            }
        }
        Err(refusal.into())
    }

    fn check_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let leaf = parse(leaf)?;
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(leaf.public_key().raw),
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn signed_by(
    leaf: &X509Certificate<'_>,
    anchor: &X509Certificate<'_>,
    now: ASN1Time,
) -> Result<(), CertificateError> {
    if leaf.issuer().as_raw() != anchor.subject().as_raw() {
        return Err(CertificateError::UnknownIssuer);
    }
    // A version 1 anchor has no constraints; one that says it is no CA means it.
    if let Ok(Some(constraints)) = anchor.basic_constraints()
        && !constraints.value.ca
    {
        return Err(CertificateError::InvalidPurpose);
    }
    leaf.verify_signature(Some(anchor.public_key()))
        .map_err(|_| CertificateError::BadSignature)?;
    for valid in [leaf.validity(), anchor.validity()] {
        if now < valid.not_before {
            return Err(CertificateError::NotValidYet);
        }
        if now > valid.not_after {
            return Err(CertificateError::Expired);
        }
    }
    Ok(())
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::BadEncoding.into()),
    }
}

/// The organizational units of a certificate: by them a service certificate is told from a node's.
pub fn units(der: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = parse(der) else {
        return Vec::new();
    };
    let units = certificate.subject().iter_organizational_unit();
    units
        .filter_map(|unit| unit.as_str().ok().map(str::to_owned))
        .collect()
}

/// A refusal in words that say what to do; `None` if the error is not about a certificate.
pub fn explain(error: &Error) -> Option<&'static str> {
    let Error::InvalidCertificate(cause) = error else {
        return None;
    };
    Some(match cause {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is not signed by the configured trust anchor: use the one that the cluster was \
             initialized with (customerCA.crt)"
        }
        CertificateError::Expired => "its certificate, or the trust anchor, has expired",
        CertificateError::NotValidYet => {
            "its certificate, or the trust anchor, is not valid yet: check the clocks"
        }
        CertificateError::InvalidPurpose => {
            "the configured trust anchor says of itself that it is no CA"
        }
        _ => "its certificate is malformed",
    })
}

impl ServerCertVerifier for ByAnchor {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, now)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for ByAnchor {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, now)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
