//! ModifyCluster: backup retention, and the move from hsm1.medium to hsm2m.medium, which can be taken
//! back for a day.

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{BackupRetentionPolicy, cluster, invalid, scope};
use crate::control::CloudHsm;
use crate::error::Refused;
use crate::model::{ClusterState, HsmState};

const ROLLBACK_SECONDS: f64 = 86_400.0;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ModifyCluster {
    cluster_id: String,
    hsm_type: Option<String>,
    backup_retention_policy: Option<BackupRetentionPolicy>,
}

impl Operation<CloudHsm> for ModifyCluster {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        let now = hsm.now();
        let shown = hsm.store.change(|state| {
            let realm = state.realm_mut(&scope(caller));
            let vpc = realm.vpc.clone();
            let cluster = cluster(realm, &self.cluster_id)?;
            if self.hsm_type.is_none() && self.backup_retention_policy.is_none() {
                return invalid("HsmType or BackupRetentionPolicy must be given.")?;
            }
            if let Some(policy) = &self.backup_retention_policy {
                cluster.retention_days = policy.days()?;
            }
            if let Some(wanted) = self.hsm_type.filter(|t| *t != cluster.hsm_type) {
                if cluster.state != ClusterState::Active
                    || cluster.hsms.iter().any(|h| h.state != HsmState::Active)
                {
                    return invalid(
                        "The cluster and all its HSMs must be ACTIVE to change the HSM type.",
                    )?;
                }
                match (cluster.hsm_type.as_str(), wanted.as_str()) {
                    ("hsm1.medium", "hsm2m.medium") => {
                        cluster.rollback_until = Some(now + ROLLBACK_SECONDS)
                    }
                    ("hsm2m.medium", "hsm1.medium")
                        if cluster.rollback_until.is_some_and(|t| now < t) =>
                    {
                        cluster.rollback_until = None;
                    }
                    (is, _) => {
                        return invalid(format!(
                            "The HSM type cannot be changed from {is} to {wanted}."
                        ))?;
                    }
                }
                cluster.hsm_type = wanted;
                cluster.state = ClusterState::Modifying;
                cluster.since = now;
            }
            let (shown, days) = (cluster.view(&vpc), cluster.retention_days);
            // It holds for the backups that there are, too; each keeps it when the cluster is gone.
            let own = realm.backups.values_mut().filter(|b| b.cluster == self.cluster_id);
            own.for_each(|b| b.retention_days = days);
            Ok::<_, Refused>(shown)
        })?;
        Ok(json!({ "Cluster": shown }))
    }
}
