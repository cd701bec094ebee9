//! KMS meets CloudHSM: `kms-core` asks [`Clusters`], `cloudhsm-core` knows the answers, and the PKCS#11 module is
//! told of each attached cluster in its configuration file (ADR 4).

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloudhsm_core::{CloudHsm, Facts, NotAttached};
use kms_core::clusters::{
    Attachment, ClusterFacts, Clusters, ConnectFailure, ConnectionErrorCode as Code, KmsUser,
    Network,
};
use kms_core::ids::Scope;
use kms_core::p11::ModuleSpec;
use kms_core::quirks::PinForm;
use parking_lot::Mutex;

/// The label of the service's own token.
pub const SERVICE_TOKEN: &str = "keystead-service";

/// The configuration file of the module that this process loads: the service's own token, and a cluster for each
/// attached key store.
pub struct ModuleConfig {
    file: PathBuf,
    /// By key store: what it uses now comes last, what it may still let go of before it.
    clusters: Mutex<BTreeMap<String, Vec<Row>>>,
}

/// One cluster in the file.
#[derive(Clone, PartialEq, Eq)]
struct Row {
    label: String,
    nodes: Vec<String>,
    anchor: PathBuf,
}

impl ModuleConfig {
    /// A file in `dir` with the service's own token only; whatever was attached before a restart attaches again.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(dir: &Path) -> io::Result<ModuleConfig> {
        fs::create_dir_all(dir.join("tokens"))?;
        let config = ModuleConfig {
            file: dir.join("pkcs11.toml"),
            clusters: Mutex::default(),
        };
        config.write(&BTreeMap::new())?;
        Ok(config)
    }

    /// What C_Initialize gets, to find the file.
    pub fn reserved(&self) -> String {
        format!("config={}", self.file.display())
    }

    /// Names the cluster of a key store; the label of its slot. It changes when the HSMs do, since a slot keeps those it
    /// was made with. The slot labelled `keep` stays beside it, for what runs on it.
    fn put(
        &self,
        store_id: &str,
        nodes: Vec<String>,
        anchor: &str,
        keep: Option<&str>,
    ) -> io::Result<String> {
        let mut hasher = DefaultHasher::new();
        (&nodes, anchor).hash(&mut hasher);
        let label = format!("{store_id}-{:08x}", hasher.finish() as u32);
        let dir = self.file.parent().unwrap_or(Path::new("."));
        let anchor_file = dir.join(format!("{label}.crt"));
        fs::write(&anchor_file, anchor)?;
        let mut clusters = self.clusters.lock();
        let before = clusters.get(store_id).cloned().unwrap_or_default();
        let mut now = before.clone();
        now.retain(|row| keep == Some(row.label.as_str()) && row.label != label);
        now.push(Row {
            label: label.clone(),
            nodes,
            anchor: anchor_file,
        });
        if before != now {
            clusters.insert(store_id.to_owned(), now.clone());
            self.write(&clusters)?;
            for gone in before {
                if now.iter().all(|row| row.label != gone.label) {
                    let _ = fs::remove_file(gone.anchor);
                }
            }
        }
        Ok(label)
    }

    /// The nodes of the slot of this label.
    fn nodes(&self, store_id: &str, label: &str) -> Option<Vec<String>> {
        let clusters = self.clusters.lock();
        let row = clusters.get(store_id)?.iter().find(|r| r.label == label)?;
        Some(row.nodes.clone())
    }

    fn remove(&self, store_id: &str) -> io::Result<()> {
        let mut clusters = self.clusters.lock();
        if let Some(rows) = clusters.remove(store_id) {
            self.write(&clusters)?;
            for row in rows {
                fs::remove_file(row.anchor)?;
            }
        }
        Ok(())
    }

    fn write(&self, clusters: &BTreeMap<String, Vec<Row>>) -> io::Result<()> {
        let mut text = String::from(
            "# Written by keystead up: the service's own token, and the cluster of each connected key store.\n\
             [[token]]\ndirectory = \"tokens\"\n",
        );
        for row in clusters.values().flatten() {
            let nodes: Vec<String> = row.nodes.iter().map(|node| format!("{node:?}")).collect();
            let _ = write!(
                text,
                "\n[[cluster]]\nlabel = {:?}\nnodes = [{}]\ntrust-anchor = {:?}\npersonality = \"standard\"\n",
                row.label,
                nodes.join(", "),
                row.anchor.file_name().unwrap_or_default().to_string_lossy(),
            );
        }
        let part = self.file.with_extension("new");
        fs::write(&part, text)?;
        fs::rename(part, &self.file)
    }
}

/// The CloudHSM service of this process as KMS sees it.
pub struct InProcess {
    service: Arc<CloudHsm>,
    module: PathBuf,
    config: Arc<ModuleConfig>,
}

impl InProcess {
    /// Over the control plane, with the module at `module` and the file that tells it of clusters.
    pub fn new(service: Arc<CloudHsm>, module: PathBuf, config: Arc<ModuleConfig>) -> InProcess {
        InProcess {
            service,
            module,
            config,
        }
    }

    /// Tells the module of the cluster.
    fn way(
        &self,
        store_id: &str,
        nodes: Vec<String>,
        anchor: &str,
        keep: Option<&str>,
    ) -> Result<Attachment, ConnectFailure> {
        let label = self.config.put(store_id, nodes, anchor, keep);
        let label = label.map_err(|error| {
            ConnectFailure::new(
                Code::InternalError,
                format!("the module's configuration cannot be written: {error}"),
            )
        })?;
        Ok(Attachment {
            module: ModuleSpec {
                path: self.module.clone(),
                config: Some(self.config.reserved()),
                token_label: label,
            },
            pin: PinForm::User("kmsuser".to_owned()),
        })
    }

    /// Each ACTIVE HSM must answer as the anchor wants: the login, and the change of kmsuser's password, go to all of them.
    fn reach(&self, facts: &Facts, anchor: &str) -> Result<(), ConnectFailure> {
        let nodes = facts.hsms.iter().map(|hsm| hsm.client).collect();
        let health = self.service.health(nodes, anchor);
        let health =
            health.map_err(|error| ConnectFailure::new(Code::InternalError, error.to_string()))?;
        match health
            .into_iter()
            .find_map(|(address, reached)| Some((address, reached.err()?)))
        {
            None => Ok(()),
            Some((address, error)) => Err(ConnectFailure::new(
                Code::NetworkErrors,
                format!("the HSM at {address} does not answer: {error}"),
            )),
        }
    }
}

/// The client ports of the ACTIVE HSMs.
fn nodes(facts: &Facts) -> Vec<String> {
    let each = facts.hsms.iter();
    each.map(|hsm| hsm.client.to_string()).collect()
}

fn at(scope: &Scope) -> cloudhsm_core::Scope {
    cloudhsm_core::Scope::new(&scope.account, &scope.region)
}

impl Clusters for InProcess {
    fn facts(&self, scope: &Scope, cluster_id: &str) -> Option<ClusterFacts> {
        let facts = self.service.facts(&at(scope), cluster_id)?;
        Some(ClusterFacts {
            active: facts.active,
            active_hsm_zones: facts.hsms.into_iter().map(|hsm| hsm.zone).collect(),
            cluster_certificate: facts.certificate,
            network: facts.unsound.map_or(Network::Sound, Network::Unsound),
        })
    }

    fn anchored(&self, scope: &Scope, cluster_id: &str, trust_anchor: &str) -> bool {
        self.service.anchored(&at(scope), cluster_id, trust_anchor)
    }

    fn attach(
        &self,
        scope: &Scope,
        store_id: &str,
        cluster_id: &str,
        trust_anchor: &str,
    ) -> Result<Attachment, ConnectFailure> {
        self.service
            .attach(&at(scope), store_id, cluster_id)
            .map_err(not_attached)?;
        let gone = || {
            ConnectFailure::new(
                Code::ClusterNotFound,
                format!("{cluster_id} does not exist"),
            )
        };
        let facts = self
            .service
            .facts(&at(scope), cluster_id)
            .ok_or_else(gone)?;
        self.reach(&facts, trust_anchor)?;
        self.way(store_id, nodes(&facts), trust_anchor, None)
    }

    fn moved(
        &self,
        scope: &Scope,
        store_id: &str,
        cluster_id: &str,
        trust_anchor: &str,
        in_use: &str,
    ) -> Result<Option<Attachment>, ConnectFailure> {
        let (Some(facts), Some(used)) = (
            self.service.facts(&at(scope), cluster_id),
            self.config.nodes(store_id, in_use),
        ) else {
            return Ok(None);
        };
        let now = nodes(&facts);
        // One that is away for a while is no reason to go: it will be back at the same address.
        if now.iter().all(|node| used.contains(node)) {
            return Ok(None);
        }
        self.way(store_id, now, trust_anchor, Some(in_use))
            .map(Some)
    }

    fn hold(&self, scope: &Scope, cluster_id: &str) -> Box<dyn Any> {
        Box::new(self.service.hold(&at(scope), cluster_id))
    }

    fn kmsuser(&self, scope: &Scope, cluster_id: &str) -> Vec<KmsUser> {
        let each = self
            .service
            .user(&at(scope), cluster_id, "kmsuser")
            .into_iter();
        each.filter_map(|(hsm, user)| {
            let user = user.ok()?;
            Some(KmsUser {
                hsm,
                present: user.is_some(),
                locked: user.as_ref().is_some_and(|user| user.locked),
                logged_in: user.as_ref().is_some_and(|user| user.logged_in > 0),
                second_factor: user.as_ref().is_some_and(|user| user.second_factor),
                failed_logins: user.map_or(0, |user| user.failures),
            })
        })
        .collect()
    }

    fn detach(&self, scope: &Scope, store_id: &str, cluster_id: &str) {
        self.service.detach(&at(scope), store_id, cluster_id);
        // A file that stays behind names a cluster that nobody asks for any more; the next attach writes it anew.
        let _ = self.config.remove(store_id);
    }
}

fn not_attached(why: NotAttached) -> ConnectFailure {
    let (code, text) = match why {
        NotAttached::ClusterNotFound => (
            Code::ClusterNotFound,
            "the cluster does not exist".to_owned(),
        ),
        NotAttached::NoActiveHsm => (
            Code::InsufficientCloudhsmHsms,
            "the cluster has no active HSM".to_owned(),
        ),
        NotAttached::SubnetNotFound(id) => (Code::SubnetNotFound, format!("{id} was deleted")),
        NotAttached::NoFreeAddress(id) => (
            Code::InsufficientFreeAddressesInSubnet,
            format!("{id} has no free address"),
        ),
        NotAttached::Failed(why) => (Code::InternalError, why),
    };
    ConnectFailure::new(code, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_hsms_is_a_new_label_and_detaching_leaves_no_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = ModuleConfig::create(dir.path()).expect("the file is written");
        let nodes = |n: u8| vec![format!("127.20.1.{n}:2223")];
        let first = config.put("cks-1", nodes(1), "PEM", None).expect("writes");
        assert_eq!(
            config.put("cks-1", nodes(1), "PEM", None).expect("writes"),
            first
        );
        let second = config.put("cks-1", nodes(2), "PEM", None).expect("writes");
        assert_ne!(first, second);
        assert!(second.len() <= 32, "a token label has 32 bytes");
        let text = fs::read_to_string(dir.path().join("pkcs11.toml")).expect("reads");
        assert!(
            text.contains(&second) && !text.contains(&first) && text.contains("127.20.1.2:2223")
        );
        let third = config.put("cks-1", nodes(3), "PEM", Some(&second));
        let third = third.expect("writes");
        let text = fs::read_to_string(dir.path().join("pkcs11.toml")).expect("reads");
        assert!(text.contains(&second) && text.contains(&third), "{text}");
        assert_eq!(config.nodes("cks-1", &second), Some(nodes(2)));
        config.remove("cks-1").expect("removes");
        let left = fs::read_dir(dir.path()).expect("reads").count();
        assert_eq!(left, 2, "pkcs11.toml and tokens");
    }
}
