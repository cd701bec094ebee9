//! Finds the HSMs of a running `up` and connects to the management port of each.

use std::sync::Arc;

use hsm_api::Link;
use hsm_net::{Anchors, NodeClient, NodeClientConfig};
use serde_json::{Value, json};

use super::commands::Server;
use crate::guide::text;
use crate::running::Running;

/// Every HSM of the cluster that is ACTIVE, connected. One that is down is named on standard error: a command then
/// reaches the others only, as with the real tool.
pub fn servers(
    running: &Running,
    region: &str,
    cluster_id: Option<&str>,
) -> Result<Vec<Server>, String> {
    let cluster = running.aws().simulation(
        "nodes",
        &json!({ "Region": region, "ClusterId": cluster_id }),
    );
    let cluster = cluster.map_err(|refusal| refusal.to_string())?;
    let anchors = anchors(running, &cluster)?;
    let mut servers = Vec::new();
    for hsm in cluster["Hsms"].as_array().into_iter().flatten() {
        let (host, address) = (text(&hsm["EniIp"]), text(&hsm["ManagementAddress"]));
        if hsm["State"] != "ACTIVE" {
            eprintln!(
                "{} at {host} is {}: left out",
                text(&hsm["HsmId"]),
                text(&hsm["State"])
            );
            continue;
        }
        let address: std::net::SocketAddr = address
            .parse()
            .map_err(|error| format!("{address}: {error}"))?;
        match NodeClient::connect(&NodeClientConfig::management(address, anchors.clone())) {
            Ok(client) => {
                let link: Arc<dyn Link> = Arc::new(client);
                servers.push(Server {
                    hsm_id: text(&hsm["HsmId"]),
                    host,
                    port: address.port(),
                    link,
                    login: None,
                });
            }
            Err(error) => eprintln!(
                "cannot connect to {} at {address}: {error}",
                text(&hsm["HsmId"])
            ),
        }
    }
    if servers.is_empty() {
        return Err(format!(
            "{} has no HSM that answers; `aws cloudhsmv2 describe-clusters` shows their states",
            text(&cluster["ClusterId"])
        ));
    }
    Ok(servers)
}

/// What the HSMs' certificates must chain to: customerCA.crt, and before the cluster is initialized the service's own CA.
fn anchors(running: &Running, cluster: &Value) -> Result<Anchors, String> {
    let said = |error: hsm_api::Error| error.to_string();
    match cluster["TrustAnchor"].as_str() {
        Some(pem) => Anchors::from_pem(pem).map_err(said),
        None => {
            let file = running.data_dir.join("cloudhsm/service/ca.pem");
            let pem = std::fs::read_to_string(&file)
                .map_err(|error| format!("{}: {error}", file.display()))?;
            Anchors::from_pem(&pem).map_err(said)
        }
    }
}
