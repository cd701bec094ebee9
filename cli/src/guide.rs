//! The steps of AWS's guide, from an empty account to a connected key store, as calls of the two services
//! and lines for the management tool. The demo tells them one by one; `up` takes them before it is ready.

use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair, PKCS_RSA_SHA256,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::aws::{Aws, Service};

/// Long enough for a slow machine; steps take far less.
const LIMIT: Duration = Duration::from_secs(60);
/// How often a state is asked for.
const POLL: Duration = Duration::from_millis(20);

/// Runs lines of management commands.
pub type MgmtTool<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// An endpoint, and what the steps have made behind it so far.
pub struct Guide {
    /// The endpoint.
    pub aws: Aws,
    /// The cluster, once it is made.
    pub cluster: String,
    /// The key store, once it is made.
    pub store: String,
}

/// The customer's CA certificate and the cluster certificate that it signed, PEM.
pub struct Signed {
    /// customerCA.crt
    pub anchor: String,
    /// The cluster's certificate.
    pub certificate: String,
}

impl Guide {
    /// At the beginning.
    pub fn new(aws: Aws) -> Self {
        Guide {
            aws,
            cluster: String::new(),
            store: String::new(),
        }
    }

    /// A KMS operation.
    pub fn kms(&self, operation: &str, body: Value) -> Result<Value, String> {
        self.aws
            .call(Service::Kms, operation, &body)
            .map_err(|refusal| refusal.to_string())
    }

    fn hsm(&self, operation: &str, body: Value) -> Result<Value, String> {
        self.aws
            .call(Service::CloudHsm, operation, &body)
            .map_err(|refusal| refusal.to_string())
    }

    /// Two subnets of the simulated VPC: their ids, and their zones.
    pub fn two_subnets(&self) -> Result<([String; 2], [String; 2]), String> {
        let list = self
            .aws
            .simulation("vpc/subnets", &json!({ "Region": crate::aws::region() }))
            .map_err(|r| r.to_string())?;
        match list.as_array().map(Vec::as_slice) {
            Some([a, b, ..]) => Ok((
                [text(&a["SubnetId"]), text(&b["SubnetId"])],
                [text(&a["AvailabilityZone"]), text(&b["AvailabilityZone"])],
            )),
            _ => Err("fewer than two subnets in the simulated VPC".into()),
        }
    }

    /// Creates the cluster, and waits until it can take its first HSM.
    pub fn create_cluster(
        &mut self,
        subnets: &[String; 2],
        tags: Option<Value>,
        wait: &dyn Fn(),
    ) -> Result<(), String> {
        let made = self.hsm(
            "CreateCluster",
            json!({ "HsmType": "hsm2m.medium", "SubnetIds": subnets, "TagList": tags }),
        )?;
        self.cluster = text(&made["Cluster"]["ClusterId"]);
        self.until_cluster("UNINITIALIZED", wait)
    }

    /// A cluster that is there and has this tag key.
    pub fn tagged(&self, key: &str) -> Result<Option<String>, String> {
        let all = self.hsm("DescribeClusters", json!({}))?;
        let is = |cluster: &&Value| {
            let mut tags = cluster["TagList"].as_array().into_iter().flatten();
            tags.any(|tag| tag["Key"] == key)
                && !matches!(
                    text(&cluster["State"]).as_str(),
                    "DELETED" | "DELETE_IN_PROGRESS"
                )
        };
        let found = all["Clusters"].as_array().into_iter().flatten().find(is);
        Ok(found.map(|cluster| text(&cluster["ClusterId"])))
    }

    /// Takes a tag off the cluster.
    pub fn untag(&self, key: &str) -> Result<(), String> {
        let body = json!({ "ResourceId": self.cluster, "TagKeyList": [key] });
        self.hsm("UntagResource", body).map(|_| ())
    }

    /// Deletes the cluster and its HSMs.
    pub fn delete_cluster(&self, wait: &dyn Fn()) -> Result<(), String> {
        let cluster = until(wait, || {
            let cluster = self.cluster_now()?;
            let still = !text(&cluster["State"]).ends_with("_IN_PROGRESS");
            Ok(still.then_some(cluster))
        })?;
        for hsm in cluster["Hsms"].as_array().into_iter().flatten() {
            if hsm["State"] != "DELETE_IN_PROGRESS" {
                let body = json!({ "ClusterId": self.cluster, "HsmId": hsm["HsmId"] });
                self.hsm("DeleteHsm", body)?;
            }
        }
        until(wait, || {
            let none = self.cluster_now()?["Hsms"]
                .as_array()
                .is_none_or(Vec::is_empty);
            Ok(none.then_some(()))
        })?;
        self.hsm("DeleteCluster", json!({ "ClusterId": self.cluster }))?;
        self.until_cluster("DELETED", wait)
    }

    /// The cluster as DescribeClusters shows it.
    pub fn cluster_now(&self) -> Result<Value, String> {
        let all = self.hsm(
            "DescribeClusters",
            json!({ "Filters": { "clusterIds": [self.cluster] } }),
        )?;
        Ok(all["Clusters"][0].clone())
    }

    fn until_cluster(&self, state: &str, wait: &dyn Fn()) -> Result<(), String> {
        until(wait, || {
            Ok((self.cluster_now()?["State"] == state).then_some(()))
        })
        .map_err(|error| format!("the cluster should become {state}: {error}"))
    }

    /// The HSMs that are ACTIVE.
    pub fn active_hsms(&self) -> Result<Vec<Value>, String> {
        let hsms = self.cluster_now()?["Hsms"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        Ok(hsms
            .into_iter()
            .filter(|hsm| hsm["State"] == "ACTIVE")
            .collect())
    }

    /// Creates an HSM in `zone` and waits until it is ACTIVE.
    pub fn create_hsm(&self, zone: &str, wait: &dyn Fn()) -> Result<Value, String> {
        let made = self.hsm(
            "CreateHsm",
            json!({ "ClusterId": self.cluster, "AvailabilityZone": zone }),
        )?;
        until(wait, || {
            Ok(self
                .active_hsms()?
                .into_iter()
                .find(|hsm| hsm["HsmId"] == made["Hsm"]["HsmId"]))
        })
    }

    /// The signing request that the first HSM made.
    pub fn csr(&self, wait: &dyn Fn()) -> Result<String, String> {
        until(wait, || {
            Ok(self.cluster_now()?["Certificates"]["ClusterCsr"]
                .as_str()
                .map(str::to_owned))
        })
    }

    /// Initializes the cluster.
    pub fn initialize(&self, signed: &Signed, wait: &dyn Fn()) -> Result<(), String> {
        let body = json!({ "ClusterId": self.cluster, "SignedCert": signed.certificate, "TrustAnchor": signed.anchor });
        self.hsm("InitializeCluster", body)?;
        self.until_cluster("INITIALIZED", wait)
    }

    /// Sets the first officer's password.
    pub fn activate(
        &self,
        officer: &str,
        mgmt: MgmtTool<'_>,
        wait: &dyn Fn(),
    ) -> Result<(), String> {
        mgmt(&format!(
            "loginHSM PRECO admin password\nchangePswd PRECO admin {officer}\ny\nlogoutHSM"
        ))?;
        self.until_cluster("ACTIVE", wait)
    }

    /// Creates the crypto user `kmsuser`.
    pub fn create_kmsuser(
        &self,
        officer: &str,
        password: &str,
        mgmt: MgmtTool<'_>,
    ) -> Result<(), String> {
        mgmt(&format!(
            "loginHSM CO admin {officer}\ncreateUser CU kmsuser {password}\ny\nlogoutHSM"
        ))
        .map(|_| ())
    }

    /// Creates the key store `name`; its id.
    pub fn create_key_store(
        &self,
        name: &str,
        password: &str,
        anchor: &str,
    ) -> Result<String, String> {
        let made = self.kms(
            "CreateCustomKeyStore",
            json!({
                "CustomKeyStoreName": name, "CloudHsmClusterId": self.cluster,
                "KeyStorePassword": password, "TrustAnchorCertificate": anchor,
            }),
        )?;
        Ok(text(&made["CustomKeyStoreId"]))
    }

    fn until_store(&self, state: &str, wait: &dyn Fn()) -> Result<(), String> {
        until(wait, || {
            let all = self.kms(
                "DescribeCustomKeyStores",
                json!({ "CustomKeyStoreId": self.store }),
            )?;
            let store = &all["CustomKeyStores"][0];
            match store["ConnectionErrorCode"].as_str() {
                Some(code) => Err(format!("the key store could not connect: {code}")),
                None => Ok((store["ConnectionState"] == state).then_some(())),
            }
        })
    }

    /// Connects the key store and waits until it is CONNECTED.
    pub fn connect(&self, wait: &dyn Fn()) -> Result<(), String> {
        self.kms(
            "ConnectCustomKeyStore",
            json!({ "CustomKeyStoreId": self.store }),
        )?;
        self.until_store("CONNECTED", wait)
    }

    /// Deletes the key store, which must be DISCONNECTED and have no keys.
    pub fn delete_key_store(&self) -> Result<(), String> {
        let named = json!({ "CustomKeyStoreId": self.store });
        self.kms("DeleteCustomKeyStore", named).map(|_| ())
    }

    /// Disconnects the key store and waits until it is DISCONNECTED.
    pub fn disconnect(&self, wait: &dyn Fn()) -> Result<(), String> {
        self.kms(
            "DisconnectCustomKeyStore",
            json!({ "CustomKeyStoreId": self.store }),
        )?;
        self.until_store("DISCONNECTED", wait)
    }
}

/// Makes a certificate authority of the customer's own, as the guide does with openssl, and signs the request.
pub fn sign(csr: &str) -> Result<Signed, String> {
    let (anchor, issuer) = new_authority().map_err(wrong)?;
    let mut request = CertificateSigningRequestParams::from_pem(csr).map_err(wrong)?;
    valid_from_today(&mut request.params);
    let certificate = request.signed_by(&issuer).map_err(wrong)?.pem();
    Ok(Signed {
        anchor,
        certificate,
    })
}

/// The certificate of an authority that signs nothing, PEM.
pub fn authority() -> Result<String, String> {
    new_authority().map(|(anchor, _)| anchor).map_err(wrong)
}

fn new_authority() -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
    let mut params = CertificateParams::new(vec![])?;
    valid_from_today(&mut params);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Keystead");
    params
        .distinguished_name
        .push(DnType::CommonName, "customerCA");
    let anchor = params.self_signed(&key)?.pem();
    Ok((anchor, Issuer::new(params, key)))
}

/// Ten years, as the guide's `-days 3652`; from yesterday, for clocks differ.
fn valid_from_today(params: &mut CertificateParams) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::from_hours(24);
    params.not_after = now + Duration::from_hours(24 * 3652);
}

fn wrong(error: rcgen::Error) -> String {
    format!("certificate authority: {error}")
}

/// Asks until there is an answer; `wait` is called between, to show progress.
pub fn until<T>(
    wait: &dyn Fn(),
    mut ask: impl FnMut() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let began = Instant::now();
    loop {
        crate::interrupt::check()?;
        if let Some(value) = ask()? {
            return Ok(value);
        }
        if began.elapsed() > LIMIT {
            return Err(format!("not reached within {} s", LIMIT.as_secs()));
        }
        wait();
        std::thread::sleep(POLL);
    }
}

/// A JSON string's text; empty where there is none.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
