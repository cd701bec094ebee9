//! InitializeCluster.

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{cluster, invalid, scope};
use crate::certificates;
use crate::control::CloudHsm;
use crate::error::{INVALID_REQUEST, Refused};
use crate::model::{ClusterState, HsmState, Pending};

const MESSAGE: &str = "Cluster is initializing. State will change to INITIALIZED upon completion.";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InitializeCluster {
    cluster_id: String,
    signed_cert: String,
    trust_anchor: String,
}

impl Operation<CloudHsm> for InitializeCluster {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        let now = hsm.now();
        hsm.store.change(|state| {
            let cluster = cluster(state.realm_mut(&scope(caller)), &self.cluster_id)?;
            if cluster.state != ClusterState::Uninitialized {
                let (id, is) = (&cluster.id, cluster.state.name());
                return invalid(format!(
                    "The cluster {id} is in state {is}; it must be UNINITIALIZED."
                ))?;
            }
            let ready = cluster
                .hsms
                .iter()
                .any(|h| h.furnished && h.state == HsmState::Active);
            let Some(own) = cluster.certificates.as_ref().filter(|_| ready) else {
                return invalid(format!(
                    "The cluster {} has no active HSM to initialize.",
                    cluster.id
                ))?;
            };
            certificates::check(&own.csr, &self.signed_cert, &self.trust_anchor)
                .map_err(|why| INVALID_REQUEST.says(why))?;
            cluster.pending = Some(Pending {
                certificate: self.signed_cert,
                anchor: self.trust_anchor,
            });
            cluster.state = ClusterState::Initializing;
            cluster.message = Some(MESSAGE.into());
            cluster.since = now;
            Ok::<_, Refused>(())
        })?;
        Ok(json!({ "State": ClusterState::Initializing.name(), "StateMessage": MESSAGE }))
    }
}
