//! What makes an HSM one of a cluster: its sealed keys, its certificates, its identity (CloudHSM's
//! life cycle: CSR from the HSM, certificate from the customer's CA).

use std::sync::Arc;

use hsm_api::reply::Certificates;
use hsm_api::{Error, Reply, Result, Role, Rv, Secret};
use parking_lot::RwLock;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, Issuer, KeyPair, PublicKeyData,
};
use serde::{Deserialize, Serialize};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::encode;
use crate::link::SimLink;
use crate::store::kind::{Kind, NODE_MARK};
use crate::store::seal::{Credential, PinCost, SealKey, random};
use crate::store::{Store, value};
use crate::users::{self, PinRules};

/// What an HSM of a cluster is told when it is put into its box.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// `hsm-...`
    pub hsm_id: String,
    /// Its serial number.
    pub serial: String,
    /// Which HSM this is in `Change::origin`; unique for all time.
    pub origin: u64,
    /// Whether the policy of FIPS mode holds.
    pub fips: bool,
    /// Password of PRECO `admin` while the HSM is fresh.
    pub preco_password: Secret,
    /// The hardware's key, PKCS#8 PEM. It signs the HSM's certificate.
    pub hardware_key: Secret,
    /// AWS's certificate over that key, PEM.
    pub aws_hardware: String,
    /// The manufacturer's, PEM.
    pub manufacturer_hardware: String,
    /// 32 bytes that all HSMs of the service share: backups are sealed under it.
    pub backup_key: Secret,
    /// Rules for passwords.
    pub pins: PinRules,
}

/// What a node presents to clients once it is installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterIdentity {
    /// The certificate that the customer signed, PEM.
    pub certificate: String,
    /// The customer's CA, PEM.
    pub anchor: String,
    /// The key of the certificate, PKCS#8 DER.
    pub key: Secret,
}

pub(crate) struct NodeState {
    pub(crate) settings: NodeSettings,
    masking: RwLock<Arc<SealKey>>,
    pub(crate) backup_key: SealKey,
    identity: RwLock<Option<Arc<ClusterIdentity>>>,
}

fn sealed(store: &Store, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let Some(sealed) = store.value(name)? else {
        return Ok(None);
    };
    let damaged = || Error::new(Rv::DEVICE_ERROR, format!("store: '{name}' is damaged"));
    store
        .device()
        .open(name.as_bytes(), &sealed)
        .ok_or_else(damaged)
        .map(Some)
}

/// Seals a value under the key in the HSM's own directory.
pub(crate) fn put_sealed(
    store: &Store,
    tx: &crate::store::Tx<'_>,
    name: &str,
    plain: &[u8],
) -> Result<()> {
    tx.put(name, &store.device().seal(name.as_bytes(), plain)?)
}

impl NodeState {
    /// A fresh HSM makes its keys and its first two users; another finds them.
    pub(crate) fn open(store: &Store, settings: NodeSettings) -> Result<(NodeState, SealKey)> {
        if store.value(NODE_MARK)?.is_none() {
            let token = SealKey::generate()?;
            let masking = SealKey::generate()?;
            let preco =
                Credential::make(settings.preco_password.expose(), &token, settings.pins.cost)?;
            // Nobody knows this password: the appliance's work is done by the HSM itself.
            let nobody = Credential::make(
                &Zeroizing::new(random::<32>()?)[..],
                &token,
                PinCost {
                    memory: 8,
                    passes: 1,
                },
            )?;
            store.write(|tx| {
                // Asked again: a token may have been first in a fresh directory.
                Kind::Node.admit(tx.sql(), store.dir())?;
                if value(tx.sql(), NODE_MARK)?.is_some() {
                    return Ok(());
                }
                put_sealed(store, tx, NODE_MARK, token.expose())?;
                put_sealed(store, tx, "masking key", masking.expose())?;
                users::add(tx, Role::PreCo, "admin", &preco)?;
                users::add(tx, Role::Au, "app_user", &nobody)
            })?;
        }
        let missing = || Error::new(Rv::DEVICE_ERROR, "store: a key of the HSM is missing");
        let token = SealKey::new(&sealed(store, NODE_MARK)?.ok_or_else(missing)?)?;
        let masking = SealKey::new(&sealed(store, "masking key")?.ok_or_else(missing)?)?;
        let backup_key = SealKey::new(settings.backup_key.expose())?;
        let identity = sealed(store, "identity")?
            .map(|bytes| postcard::from_bytes(&bytes).map(Arc::new))
            .transpose()
            .map_err(|_| Error::new(Rv::DEVICE_ERROR, "store: the identity is damaged"))?;
        let node = NodeState {
            settings,
            masking: RwLock::new(Arc::new(masking)),
            backup_key,
            identity: RwLock::new(identity),
        };
        Ok((node, token))
    }

    pub(crate) fn masking(&self) -> Arc<SealKey> {
        Arc::clone(&self.masking.read())
    }

    pub(crate) fn set_masking(&self, key: SealKey) {
        *self.masking.write() = Arc::new(key);
    }

    pub(crate) fn identity(&self) -> Option<Arc<ClusterIdentity>> {
        self.identity.read().clone()
    }

    pub(crate) fn set_identity(&self, identity: Option<ClusterIdentity>) {
        *self.identity.write() = identity.map(Arc::new);
    }
}

fn certificate_fault(e: rcgen::Error) -> Error {
    Error::new(Rv::DEVICE_ERROR, format!("certificate: {e}"))
}

fn refuse(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Rv::ARGUMENTS_BAD, why)
}

impl SimLink {
    /// The HSM's key pair for its cluster, made at the first request and kept.
    fn cluster_key(&self) -> Result<KeyPair> {
        let store = &self.inner.store;
        if sealed(store, "cluster key")?.is_none() {
            let key = hsm_crypto::RsaKey::generate(2048, &[1, 0, 1])
                .map_err(|e| Error::new(Rv::DEVICE_ERROR, format!("cluster key: {e}")))?;
            let der = hsm_crypto::PrivateKey::Rsa(key)
                .to_pkcs8()
                .map_err(|e| Error::new(Rv::DEVICE_ERROR, format!("cluster key: {e}")))?;
            store.write(|tx| {
                if value(tx.sql(), "cluster key")?.is_some() {
                    return Ok(());
                }
                put_sealed(store, tx, "cluster key", &der)
            })?;
        }
        let der = sealed(store, "cluster key")?.ok_or(Rv::DEVICE_ERROR)?;
        KeyPair::try_from(&der[..]).map_err(certificate_fault)
    }

    pub(crate) fn csr(&self) -> Result<Reply> {
        let node = self.node()?;
        let key = self.cluster_key()?;
        let params = subject(&node.settings);
        let csr = params.serialize_request(&key).map_err(certificate_fault)?;
        let csr = csr.pem().map_err(certificate_fault)?;
        let pem = String::from_utf8_lossy(node.settings.hardware_key.expose()).into_owned();
        let hardware = KeyPair::from_pem(&Zeroizing::new(pem)).map_err(certificate_fault)?;
        let issuer = Issuer::from_ca_cert_pem(&node.settings.aws_hardware, hardware)
            .map_err(certificate_fault)?;
        let hsm = params.signed_by(&key, &issuer).map_err(certificate_fault)?;
        Ok(Reply::Csr(Certificates {
            csr,
            hsm: hsm.pem(),
            aws_hardware: node.settings.aws_hardware.clone(),
            manufacturer_hardware: node.settings.manufacturer_hardware.clone(),
            cluster: node.identity().map(|i| i.certificate.clone()),
        }))
    }

    pub(crate) fn install(&self, certificate: &str, anchor: &str) -> Result<Reply> {
        let node = self.node()?;
        if let Some(old) = node.identity() {
            if old.certificate == certificate && old.anchor == anchor {
                return Ok(Reply::Done);
            }
            return Err(Error::new(
                Rv::FUNCTION_REJECTED,
                "the HSM has a cluster certificate, which stays for its life",
            ));
        }
        let key = self.cluster_key()?;
        check_chain(certificate, anchor, &key)?;
        let identity = ClusterIdentity {
            certificate: certificate.to_owned(),
            anchor: anchor.to_owned(),
            key: Secret::new(key.serialize_der()),
        };
        let bytes = encode::secret(&identity)?;
        let store = &self.inner.store;
        store.write(|tx| put_sealed(store, tx, "identity", &bytes))?;
        node.set_identity(Some(identity));
        self.inner.refresh()?;
        Ok(Reply::Done)
    }
}

/// As the real HSMs name themselves.
fn subject(settings: &NodeSettings) -> CertificateParams {
    let mut name = DistinguishedName::new();
    if let Ok(country) = "US".try_into() {
        // X.520 wants a PrintableString here.
        name.push(DnType::CountryName, DnValue::PrintableString(country));
    }
    for (ty, text) in [
        (DnType::StateOrProvinceName, "CA"),
        (DnType::OrganizationName, "Cavium"),
        (DnType::OrganizationalUnitName, "N3FIPS"),
        (DnType::LocalityName, "SanJose"),
    ] {
        name.push(ty, DnValue::Utf8String(text.to_owned()));
    }
    let common = format!("HSM:{}:PARTN:1, for FIPS mode", settings.serial);
    name.push(DnType::CommonName, DnValue::Utf8String(common));
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params
}

fn parse<'a>(pem: &'a Pem, what: &str) -> Result<X509Certificate<'a>> {
    match X509Certificate::from_der(&pem.contents) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(refuse(format!("the {what} is not an X.509 certificate"))),
    }
}

fn first_pem(text: &str, what: &str) -> Result<Pem> {
    let first = Pem::iter_from_buffer(text.as_bytes()).next();
    match first {
        Some(Ok(pem)) if pem.label == "CERTIFICATE" => Ok(pem),
        _ => Err(refuse(format!("the {what} is not a PEM certificate"))),
    }
}

/// The certificate is over this HSM's key, and the anchor, which signed itself, signed it.
fn check_chain(certificate: &str, anchor: &str, key: &KeyPair) -> Result<()> {
    let certificate = first_pem(certificate, "cluster certificate")?;
    let certificate = parse(&certificate, "cluster certificate")?;
    let anchor = first_pem(anchor, "trust anchor")?;
    let anchor = parse(&anchor, "trust anchor")?;
    if certificate.public_key().raw != key.subject_public_key_info() {
        return Err(refuse(
            "the certificate is not over the key of this HSM's CSR",
        ));
    }
    if anchor.verify_signature(None).is_err() {
        return Err(refuse("the trust anchor is not self-signed"));
    }
    if certificate.issuer() != anchor.subject()
        || certificate
            .verify_signature(Some(anchor.public_key()))
            .is_err()
    {
        return Err(refuse("the certificate is not signed by the trust anchor"));
    }
    Ok(())
}
