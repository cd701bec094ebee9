//! CreateCluster.

use std::collections::BTreeMap;

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{BackupRetentionPolicy, backup, in_state, invalid, place, scope, tagged};
use crate::control::CloudHsm;
use crate::error::Refused;
use crate::facts::exists;
use crate::ids;
use crate::model::{BackupState, Cluster, ClusterState, Mode, Tag};

/// PRECO's password on an HSM that was never activated; publicly known, and good for activation only.
const PRECO_PASSWORD: &str = "password";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateCluster {
    hsm_type: String,
    subnet_ids: Vec<String>,
    backup_retention_policy: Option<BackupRetentionPolicy>,
    source_backup_id: Option<String>,
    network_type: Option<String>,
    #[serde(default)]
    tag_list: Vec<Tag>,
    mode: Option<Mode>,
}

impl Operation<CloudHsm> for CreateCluster {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        let now = hsm.now();
        let most = hsm.config.max_clusters;
        let id = ids::base32("cluster");
        let shown = hsm.store.change(|state| {
            let realm = state.realm_mut(&scope(caller));
            if realm.clusters.values().filter(|c| exists(c)).count() >= most {
                return invalid(format!(
                    "The account has reached its limit of {most} clusters."
                ))?;
            }
            let source = match &self.source_backup_id {
                // An ARN's last part is the id.
                Some(name) => {
                    let id = name.rsplit('/').next().unwrap_or(name);
                    let backup = backup(realm, id)?;
                    in_state(backup, BackupState::Ready)?;
                    Some(backup.clone())
                }
                None => None,
            };
            let mode = self
                .mode
                .or(source.as_ref().map(|b| b.mode))
                .unwrap_or(Mode::Fips);
            if source.as_ref().is_some_and(|b| b.mode != mode) {
                return invalid("The mode of the cluster must be that of the backup.")?;
            }
            match self.hsm_type.as_str() {
                "hsm1.medium" if mode == Mode::NonFips => {
                    return invalid("An hsm1.medium cluster can only be in FIPS mode.")?;
                }
                "hsm1.medium" if source.as_ref().is_some_and(|b| b.hsm_type != "hsm1.medium") => {
                    return invalid(
                        "A backup of an hsm2m.medium cluster cannot be restored to hsm1.medium.",
                    )?;
                }
                "hsm1.medium" | "hsm2m.medium" => {}
                other => return invalid(format!("The HSM type {other} is not supported."))?,
            }
            let retention_days = match &self.backup_retention_policy {
                Some(policy) => policy.days()?,
                None => 90,
            };
            let mut subnets = BTreeMap::new();
            for wanted in &self.subnet_ids {
                let Some(subnet) = realm.vpc.subnets.get(wanted) else {
                    return invalid(format!("The subnet {wanted} does not exist."))?;
                };
                if subnets
                    .insert(subnet.zone.clone(), wanted.clone())
                    .is_some()
                {
                    return invalid(format!(
                        "More than one subnet is in the Availability Zone {}.",
                        subnet.zone
                    ))?;
                }
            }
            let tags = tagged(&[], self.tag_list)?;
            let group = realm.vpc.make_group(
                format!("cloudhsm-{id}-sg"),
                format!("Security group for AWS CloudHSM cluster {id}"),
            );
            let cluster = Cluster {
                id: id.clone(),
                state: ClusterState::Creating,
                message: Some("Cluster creation in progress.".into()),
                hsm_type: self.hsm_type,
                mode,
                network: self.network_type.unwrap_or_else(|| "IPV4".into()),
                vpc: realm.vpc.id.clone(),
                subnets,
                group,
                hsms: Vec::new(),
                certificates: None,
                certificate: source.as_ref().map(|b| b.certificate.clone()),
                anchor: source.as_ref().map(|b| b.anchor.clone()),
                pending: None,
                retention_days,
                source_backup: source.map(|b| b.id),
                preco_password: PRECO_PASSWORD.into(),
                rollback_until: None,
                created: now,
                since: now,
                tags,
                attached: BTreeMap::new(),
            };
            let shown = cluster.view(&realm.vpc);
            realm.clusters.insert(id.clone(), cluster);
            Ok::<_, Refused>(shown)
        })?;
        hsm.watch(place(caller, &id));
        Ok(json!({ "Cluster": shown }))
    }
}
