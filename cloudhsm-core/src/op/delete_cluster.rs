//! DeleteCluster.

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{cluster, invalid, scope};
use crate::control::CloudHsm;
use crate::error::Refused;
use crate::model::ClusterState;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteCluster {
    cluster_id: String,
}

impl Operation<CloudHsm> for DeleteCluster {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        let now = hsm.now();
        let shown = hsm.store.change(|state| {
            let realm = state.realm_mut(&scope(caller));
            let vpc = realm.vpc.clone();
            let cluster = cluster(realm, &self.cluster_id)?;
            let id = &cluster.id;
            if !cluster.hsms.is_empty() {
                return invalid(format!("The cluster {id} has HSMs; delete them first."))?;
            }
            if matches!(
                cluster.state,
                ClusterState::Creating | ClusterState::Initializing | ClusterState::Modifying
            ) {
                let is = cluster.state.name();
                return invalid(format!(
                    "The cluster {id} is in state {is}; it cannot be deleted now."
                ))?;
            }
            cluster.state = ClusterState::Deleting;
            cluster.message = Some("The cluster is being deleted.".into());
            cluster.since = now;
            Ok::<_, Refused>(cluster.view(&vpc))
        })?;
        Ok(json!({ "Cluster": shown }))
    }
}
