//! The records of the control plane, as they are persisted, and how the API shows them. No behaviour:
//! that is in `clusters`, `hsms` and `backups`.

use std::collections::BTreeMap;

use hsm_api::reply::Certificates;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::vpc::Vpc;

/// Seconds since 1970, as the API shows time.
pub type Time = f64;

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[allow(missing_docs)]
        pub enum $name { $(#[serde(rename = $text)] $variant),* }

        impl $name {
            /// As the API writes it.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }
        }
    };
}

states! {
    /// ClusterState. UPDATE_IN_PROGRESS and ROLLBACK_IN_PROGRESS belong to AWS's own maintenance.
    ClusterState {
        Creating = "CREATE_IN_PROGRESS", Uninitialized = "UNINITIALIZED",
        Initializing = "INITIALIZE_IN_PROGRESS", Initialized = "INITIALIZED", Active = "ACTIVE",
        Modifying = "MODIFY_IN_PROGRESS", Deleting = "DELETE_IN_PROGRESS", Deleted = "DELETED",
        Degraded = "DEGRADED",
    }
}
states! {
    /// HsmState.
    HsmState {
        Creating = "CREATE_IN_PROGRESS", Active = "ACTIVE", Degraded = "DEGRADED",
        Deleting = "DELETE_IN_PROGRESS", Deleted = "DELETED",
    }
}
states! {
    /// BackupState.
    BackupState {
        Creating = "CREATE_IN_PROGRESS", Ready = "READY", PendingDeletion = "PENDING_DELETION",
        Deleted = "DELETED",
    }
}
states! {
    /// ClusterMode.
    Mode { Fips = "FIPS", NonFips = "NON_FIPS" }
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

/// One account in one region.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Realm {
    pub vpc: Vpc,
    pub clusters: BTreeMap<String, Cluster>,
    pub backups: BTreeMap<String, Backup>,
    /// Resource policies by ARN.
    pub policies: BTreeMap<String, String>,
}

impl Realm {
    /// A realm that nobody has used yet.
    pub fn new(region: &str) -> Realm {
        Realm {
            vpc: Vpc::new(region),
            clusters: BTreeMap::new(),
            backups: BTreeMap::new(),
            policies: BTreeMap::new(),
        }
    }
}

/// A cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Cluster {
    pub id: String,
    pub state: ClusterState,
    pub message: Option<String>,
    pub hsm_type: String,
    pub mode: Mode,
    pub network: String,
    pub vpc: String,
    /// Zone to subnet id.
    pub subnets: BTreeMap<String, String>,
    pub group: String,
    pub hsms: Vec<Hsm>,
    /// What the first HSM gave: the CSR and the hardware's certificates.
    pub certificates: Option<Certificates>,
    /// The customer-signed cluster certificate, PEM.
    pub certificate: Option<String>,
    /// customerCA.crt: management tools and clients are told of it.
    pub anchor: Option<String>,
    /// What InitializeCluster accepted and the HSMs have not installed yet.
    pub pending: Option<Pending>,
    pub retention_days: u32,
    pub source_backup: Option<String>,
    pub preco_password: String,
    /// Until when a change of the HSM type can be taken back.
    pub rollback_until: Option<Time>,
    pub created: Time,
    /// When it got its state: for what is shown for a while only.
    pub since: Time,
    pub tags: Vec<Tag>,
    /// Interfaces that KMS has in this cluster's subnets, by key store.
    pub attached: BTreeMap<String, Attachment>,
}

/// What InitializeCluster accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Pending {
    pub certificate: String,
    pub anchor: String,
}

/// A key store's place in a cluster's network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Attachment {
    pub group: String,
    pub enis: Vec<String>,
}

/// One HSM of a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Hsm {
    pub id: String,
    pub state: HsmState,
    pub message: Option<String>,
    pub zone: String,
    pub subnet: String,
    pub eni: String,
    pub serial: String,
    pub origin: u64,
    /// Holds the cluster's users and keys; a new one does not before it was restored.
    pub furnished: bool,
    /// When it got its state.
    pub since: Time,
}

/// A backup. Its sealed content is a file of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Backup {
    pub id: String,
    pub state: BackupState,
    pub cluster: String,
    pub hsm_type: String,
    pub mode: Mode,
    pub created: Time,
    pub copied: Option<Time>,
    pub source: Option<Source>,
    pub never_expires: bool,
    /// When DeleteBackup's seven days are over.
    pub delete_at: Option<Time>,
    pub tags: Vec<Tag>,
    /// The cluster certificate and its anchor at that time: what makes two clusters related.
    pub certificate: String,
    pub anchor: String,
    /// Retention of the cluster, which the backup keeps when the cluster is gone.
    pub retention_days: u32,
}

/// Where a copied backup comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Source {
    pub region: String,
    pub backup: String,
    pub cluster: String,
}

impl Cluster {
    /// As DescribeClusters shows it.
    pub fn view(&self, vpc: &Vpc) -> Value {
        let hsms: Vec<Value> = self.hsms.iter().map(|h| h.view(self, vpc)).collect();
        let uninitialized = self.state == ClusterState::Uninitialized;
        given(json!({
            "ClusterId": self.id, "State": self.state.name(), "StateMessage": self.message,
            "HsmType": self.hsm_type, "Mode": self.mode.name(), "NetworkType": self.network,
            "VpcId": self.vpc, "SubnetMapping": self.subnets, "SecurityGroup": self.group,
            "Hsms": hsms, "Certificates": self.certificates_view(), "BackupPolicy": "DEFAULT",
            "BackupRetentionPolicy": {"Type": "DAYS", "Value": self.retention_days.to_string()},
            "HsmTypeRollbackExpiration": self.rollback_until, "SourceBackupId": self.source_backup, "CreateTimestamp": self.created, "TagList": self.tags,
            "PreCoPassword": uninitialized.then_some(&self.preco_password),
        }))
    }

    /// The CSR only while it can be signed; after that the certificate that came of it alone.
    fn certificates_view(&self) -> Value {
        match (&self.certificate, &self.certificates) {
            (Some(certificate), _) => json!({"ClusterCertificate": certificate}),
            (None, Some(c)) if self.state == ClusterState::Uninitialized => json!({
                "ClusterCsr": c.csr, "HsmCertificate": c.hsm,
                "AwsHardwareCertificate": c.aws_hardware,
                "ManufacturerHardwareCertificate": c.manufacturer_hardware,
            }),
            _ => json!({}),
        }
    }

    /// An HSM of this cluster.
    pub fn hsm(&self, id: &str) -> Option<&Hsm> {
        self.hsms.iter().find(|h| h.id == id)
    }

    /// The same, to change it.
    pub fn hsm_mut(&mut self, id: &str) -> Option<&mut Hsm> {
        self.hsms.iter_mut().find(|h| h.id == id)
    }
}

impl Hsm {
    /// As the API shows it.
    pub fn view(&self, cluster: &Cluster, vpc: &Vpc) -> Value {
        given(json!({
            "HsmId": self.id, "ClusterId": cluster.id, "AvailabilityZone": self.zone,
            "SubnetId": self.subnet, "EniId": self.eni,
            "EniIp": vpc.enis.get(&self.eni).map(|e| e.ip.to_string()),
            "HsmType": cluster.hsm_type, "State": self.state.name(), "StateMessage": self.message,
        }))
    }
}

impl Backup {
    /// As the API shows it.
    pub fn view(&self, account: &str, region: &str) -> Value {
        given(json!({
            "BackupId": self.id,
            "BackupArn": format!("arn:aws:cloudhsm:{region}:{account}:backup/{}", self.id),
            "BackupState": self.state.name(), "ClusterId": self.cluster,
            "CreateTimestamp": self.created, "CopyTimestamp": self.copied,
            "NeverExpires": self.never_expires, "DeleteTimestamp": self.delete_at,
            "SourceRegion": self.source.as_ref().map(|s| &s.region),
            "SourceBackup": self.source.as_ref().map(|s| &s.backup),
            "SourceCluster": self.source.as_ref().map(|s| &s.cluster),
            "TagList": self.tags, "HsmType": self.hsm_type, "Mode": self.mode.name(),
        }))
    }
}

/// An object without its null members: absent is how the API says "none".
pub fn given(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, v)| !v.is_null())
            .collect::<Map<String, Value>>()
            .into(),
        other => other,
    }
}
