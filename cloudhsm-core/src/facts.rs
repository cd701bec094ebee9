//! What KMS asks of a cluster: its facts, whether an anchor signed it, a place in its network, and
//! users as each HSM knows them. The server makes `kms-core`'s `Clusters` of it; this crate does not
//! know KMS.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use hsm_api::{Result as HsmResult, UserInfo};

use crate::certificates;
use crate::control::{Control, reach};
use crate::error::Refused;
use crate::model::{Attachment, Cluster, ClusterState, HsmState};
use crate::state::{Place, Scope};
use crate::vpc::{NoAddress, Vpc};

/// A cluster as KMS's checks see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Created, initialized and activated.
    pub active: bool,
    /// Clusters with the same one share a backup history. Empty before initialization.
    pub certificate: String,
    /// Its trust anchor, customerCA.crt, PEM. Empty before initialization.
    pub anchor: String,
    /// The HSMs that are ACTIVE.
    pub hsms: Vec<HsmFact>,
    /// What is wrong with its configuration, in a sentence: fewer than two zones, or rules missing from
    /// its security group. A deleted subnet is not: that is found when an interface is to be made.
    pub unsound: Option<String>,
}

/// An ACTIVE HSM.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct HsmFact {
    pub id: String,
    pub zone: String,
    pub ip: Ipv4Addr,
    /// Port 2223: PKCS#11 applications.
    pub client: SocketAddr,
    /// Port 2225: management tools.
    pub management: SocketAddr,
}

/// Why a key store gets no place in a cluster's network: each is a ConnectionErrorCode's true cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAttached {
    /// CLUSTER_NOT_FOUND
    ClusterNotFound,
    /// INSUFFICIENT_CLOUDHSM_HSMS
    NoActiveHsm,
    /// SUBNET_NOT_FOUND: which.
    SubnetNotFound(String),
    /// INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET: which.
    NoFreeAddress(String),
    /// INTERNAL_ERROR: the cause, for the log.
    Failed(String),
}

impl Control {
    /// The facts of a cluster; none where it does not exist, or no more.
    pub fn facts(&self, scope: &Scope, cluster_id: &str) -> Option<Facts> {
        let place = at(scope, cluster_id);
        self.store.read(|s| {
            let cluster = s.cluster(&place).filter(|c| exists(c))?;
            let vpc = &s.realm(scope)?.vpc;
            let hsms = cluster.hsms.iter().filter(|h| h.state == HsmState::Active);
            let hsms = hsms.filter_map(|h| {
                let [client, _, management] = reach(s, &place, h)?;
                let (id, zone) = (h.id.clone(), h.zone.clone());
                let ip = vpc.enis.get(&h.eni)?.ip;
                Some(HsmFact {
                    id,
                    zone,
                    ip,
                    client,
                    management,
                })
            });
            Some(Facts {
                active: cluster.state == ClusterState::Active,
                certificate: cluster.certificate.clone().unwrap_or_default(),
                anchor: cluster.anchor.clone().unwrap_or_default(),
                hsms: hsms.collect(),
                unsound: unsound(cluster, vpc),
            })
        })
    }

    /// Whether the certificate in `anchor` (PEM) signed the cluster's certificate.
    pub fn anchored(&self, scope: &Scope, cluster_id: &str, anchor: &str) -> bool {
        let Some(facts) = self.facts(scope, cluster_id) else {
            return false;
        };
        match (
            certificates::leaf(&facts.certificate),
            certificates::leaf(anchor),
        ) {
            (Ok(certificate), Ok(ca)) => certificates::signed_by(&certificate, &ca),
            _ => false,
        }
    }

    /// Gives a key store its security group and an interface in each subnet of the cluster, all or
    /// none. Asked again for the same store, it gives what is missing.
    ///
    /// # Errors
    /// [`NotAttached`] says why.
    pub fn attach(
        &self,
        scope: &Scope,
        store_id: &str,
        cluster_id: &str,
    ) -> Result<(), NotAttached> {
        enum Out {
            Refused(NotAttached),
            Disk(std::io::Error),
        }
        impl From<std::io::Error> for Out {
            fn from(e: std::io::Error) -> Out {
                Out::Disk(e)
            }
        }
        let refuse = |why| Err(Out::Refused(why));
        let done = self.store.change(|s| {
            let realm = s.realm_mut(scope);
            let Some(cluster) = realm.clusters.get_mut(cluster_id).filter(|c| exists(c)) else {
                return refuse(NotAttached::ClusterNotFound);
            };
            if !cluster.hsms.iter().any(|h| h.state == HsmState::Active) {
                return refuse(NotAttached::NoActiveHsm);
            }
            let vpc = &mut realm.vpc;
            let old = cluster.attached.remove(store_id);
            let mut now = old.unwrap_or_else(|| Attachment {
                group: vpc.make_group(format!("kms-{store_id}"), "KMS managed".to_owned()),
                enis: Vec::new(),
            });
            now.enis.retain(|eni| vpc.enis.contains_key(eni));
            for subnet in cluster.subnets.values() {
                if now.enis.iter().any(|e| vpc.enis[e].subnet == *subnet)
                    && vpc.subnets.contains_key(subnet)
                {
                    continue;
                }
                let text = format!("KMS managed ENI for cluster {cluster_id}");
                match vpc.attach(subnet, &now.group, text, None, false) {
                    Ok(eni) => now.enis.push(eni.id),
                    Err(NoAddress::NoSubnet(id)) => return refuse(NotAttached::SubnetNotFound(id)),
                    Err(NoAddress::Full(id)) => return refuse(NotAttached::NoFreeAddress(id)),
                    Err(e) => return refuse(NotAttached::Failed(e.to_string())),
                }
            }
            cluster.attached.insert(store_id.to_owned(), now);
            Ok(())
        });
        done.map_err(|out| match out {
            Out::Refused(why) => why,
            Out::Disk(e) => NotAttached::Failed(e.to_string()),
        })
    }

    /// Takes back what `attach` gave. What is gone already is no error.
    pub fn detach(&self, scope: &Scope, store_id: &str, cluster_id: &str) {
        let done = self.store.change(|s| {
            let realm = s.realm_mut(scope);
            if let Some(cluster) = realm.clusters.get_mut(cluster_id)
                && let Some(attachment) = cluster.attached.remove(store_id)
            {
                drop_attachment(&mut realm.vpc, &attachment);
            }
            Ok::<_, Refused>(())
        });
        if let Err(Refused(e)) = done {
            self.log(&format!(
                "{store_id}: its interfaces stay in {cluster_id}: {e}"
            ));
        }
    }

    /// A user by name (names ignore case) as each ACTIVE HSM knows it, without a login: `None` where
    /// the HSM does not have it, an error where the HSM could not be asked.
    pub fn user(
        &self,
        scope: &Scope,
        cluster_id: &str,
        name: &str,
    ) -> Vec<(String, HsmResult<Option<UserInfo>>)> {
        let place = at(scope, cluster_id);
        let hsms = self
            .facts(scope, cluster_id)
            .map(|f| f.hsms)
            .unwrap_or_default();
        let of = |hsm: HsmFact| {
            let users = self.ask(&place, &hsm.id, |a| a.users());
            let found =
                users.map(|all| all.into_iter().find(|u| u.name.eq_ignore_ascii_case(name)));
            (hsm.id, found)
        };
        hsms.into_iter().map(of).collect()
    }
}

/// Removes a key store's interfaces and group.
pub(crate) fn drop_attachment(vpc: &mut Vpc, attachment: &Attachment) {
    for eni in &attachment.enis {
        vpc.enis.remove(eni);
    }
    vpc.groups.remove(&attachment.group);
}

fn unsound(cluster: &Cluster, vpc: &Vpc) -> Option<String> {
    let zones: BTreeSet<&String> = cluster.subnets.keys().collect();
    if zones.len() < 2 {
        let text = "The cluster must have private subnets in at least two Availability Zones.";
        return Some(text.to_owned());
    }
    if !vpc.group_is_valid(&cluster.group) {
        return Some(format!(
            "The security group cloudhsm-{}-sg ({}) must allow inbound and outbound TCP traffic on ports 2223-2225 among its members.",
            cluster.id, cluster.group
        ));
    }
    None
}

pub(crate) fn exists(cluster: &Cluster) -> bool {
    !matches!(
        cluster.state,
        ClusterState::Deleted | ClusterState::Deleting
    )
}

fn at(scope: &Scope, cluster_id: &str) -> Place {
    Place {
        scope: scope.clone(),
        cluster: cluster_id.to_owned(),
    }
}
