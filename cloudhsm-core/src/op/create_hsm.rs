//! CreateHsm.

use std::net::Ipv4Addr;

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{cluster, invalid, scope};
use crate::control::CloudHsm;
use crate::error::{INVALID_REQUEST, Refused};
use crate::ids;
use crate::model::{ClusterState, Hsm, HsmState};

/// Of one cluster.
const MOST: usize = 28;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateHsm {
    cluster_id: String,
    availability_zone: String,
    ip_address: Option<String>,
}

impl Operation<CloudHsm> for CreateHsm {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        let now = hsm.now();
        let most = hsm.config.max_hsms;
        let shown = hsm.store.change(|state| {
            let origin = state.origin();
            let realm = state.realm_mut(&scope(caller));
            let hsms = realm.clusters.values().map(|c| c.hsms.len()).sum::<usize>();
            let cluster = cluster(realm, &self.cluster_id)?;
            let (id, zone) = (cluster.id.clone(), self.availability_zone);
            if !matches!(
                cluster.state,
                ClusterState::Uninitialized
                    | ClusterState::Initialized
                    | ClusterState::Active
                    | ClusterState::Degraded
            ) {
                let is = cluster.state.name();
                return invalid(format!(
                    "The cluster {id} is in state {is}; an HSM cannot be created in it now."
                ))?;
            }
            let Some(subnet) = cluster.subnets.get(&zone).cloned() else {
                return invalid(format!(
                    "The cluster {id} has no subnet in the Availability Zone {zone}."
                ))?;
            };
            if hsms >= most || cluster.hsms.len() >= MOST {
                return invalid(format!("The limit of {} HSMs is reached.", most.min(MOST)))?;
            }
            let (group, wanted) = (cluster.group.clone(), self.ip_address.as_deref());
            let wanted = wanted.map(str::parse::<Ipv4Addr>).transpose();
            let wanted = wanted.map_err(|_| INVALID_REQUEST.says("The IpAddress is not valid."))?;
            let hsm_id = ids::base32("hsm");
            let eni = realm
                .vpc
                .attach(
                    &subnet,
                    &group,
                    format!("CloudHSM Managed Interface for {id}"),
                    wanted,
                    true,
                )
                .map_err(|why| INVALID_REQUEST.says(why.to_string()))?;
            let made = Hsm {
                id: hsm_id,
                state: HsmState::Creating,
                message: None,
                zone,
                subnet,
                eni: eni.id,
                serial: ids::serial(),
                origin,
                furnished: false,
                since: now,
            };
            let vpc = realm.vpc.clone();
            let cluster = super::cluster(realm, &id)?;
            let shown = made.view(cluster, &vpc);
            cluster.hsms.push(made);
            Ok::<_, Refused>(shown)
        })?;
        Ok(json!({ "Hsm": shown }))
    }
}
