//! DeleteHsm.

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{cluster, invalid, scope};
use crate::control::CloudHsm;
use crate::error::{NOT_FOUND, Refused};
use crate::model::{ClusterState, HsmState};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteHsm {
    cluster_id: String,
    hsm_id: Option<String>,
    eni_id: Option<String>,
    eni_ip: Option<String>,
}

impl Operation<CloudHsm> for DeleteHsm {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        let now = hsm.now();
        let selectors = [&self.hsm_id, &self.eni_id, &self.eni_ip];
        if selectors.iter().filter(|s| s.is_some()).count() != 1 {
            return invalid("Exactly one of HsmId, EniId and EniIp must be given.");
        }
        let id = hsm.store.change(|state| {
            let realm = state.realm_mut(&scope(caller));
            let vpc = realm.vpc.clone();
            let cluster = cluster(realm, &self.cluster_id)?;
            if matches!(
                cluster.state,
                ClusterState::Initializing | ClusterState::Modifying
            ) {
                let (id, is) = (&cluster.id, cluster.state.name());
                return invalid(format!(
                    "The cluster {id} is in state {is}; an HSM cannot be deleted now."
                ))?;
            }
            let named = |h: &crate::model::Hsm| {
                let ip = vpc.enis.get(&h.eni).map(|e| e.ip.to_string());
                self.hsm_id.as_ref() == Some(&h.id)
                    || self.eni_id.as_ref() == Some(&h.eni)
                    || (self.eni_ip.is_some() && self.eni_ip == ip)
            };
            let Some(found) = cluster.hsms.iter_mut().find(|h| named(h)) else {
                let id = &cluster.id;
                return Err(NOT_FOUND
                    .says(format!("The cluster {id} has no such HSM."))
                    .into());
            };
            if found.state == HsmState::Deleting {
                return invalid(format!("The HSM {} is being deleted already.", found.id))?;
            }
            found.state = HsmState::Deleting;
            found.message = None;
            found.since = now;
            Ok::<_, Refused>(found.id.clone())
        })?;
        Ok(json!({ "HsmId": id }))
    }
}
