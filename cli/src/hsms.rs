//! The HSMs of a running `up` as management tools reach them: each by itself, on its management port. Shared by
//! `mgmt` and `cloudhsm-cli`.

use std::net::SocketAddr;
use std::sync::Arc;

use hsm_api::reply::{AttrReply, KeyInfo, NodeInfo};
use hsm_api::{AttrType, Link, ObjectId, Reply, Request, Role, SessionId, UserInfo};
use hsm_net::{Anchors, NodeClient, NodeClientConfig};
use serde_json::{Value, json};

use crate::guide::text;
use crate::running::Running;

/// The management session on each HSM; user management needs no more than one.
pub const SESSION: SessionId = SessionId(1);

/// Why an HSM did not do it.
pub type Refused = hsm_api::Error;

/// One HSM that the tool is connected to.
pub struct Server {
    /// `hsm-...`
    pub hsm_id: String,
    /// Its address, as shown to the user.
    pub host: String,
    /// The port of the management tools.
    pub port: u16,
    /// The line to it.
    pub link: Arc<dyn Link>,
    /// Who is logged in through this tool.
    pub login: Option<(Role, String)>,
}

/// A cluster's HSMs.
pub struct Fleet {
    /// `cluster-...`
    pub cluster_id: String,
    /// Those that answer.
    pub servers: Vec<Server>,
    /// Where applications reach them.
    pub clients: Vec<SocketAddr>,
    /// customerCA.crt, once the cluster is initialized.
    pub anchor: Option<String>,
}

impl Server {
    /// Asks this HSM.
    pub fn ask(&self, request: &Request<'_>) -> Result<Reply, Refused> {
        self.link.call(SESSION, request, &mut [])
    }

    /// Its users.
    pub fn users(&self) -> Result<Vec<UserInfo>, Refused> {
        match self.ask(&Request::Users)? {
            Reply::Users(users) => Ok(users),
            _ => Err(unexpected()),
        }
    }

    /// What it says of itself.
    pub fn node(&self) -> Result<NodeInfo, Refused> {
        match self.ask(&Request::NodeInfo)? {
            Reply::Node(info) => Ok(info),
            _ => Err(unexpected()),
        }
    }

    /// The keys that a user owns or shares.
    pub fn keys(&self, user: u32) -> Result<Vec<KeyInfo>, Refused> {
        match self.ask(&Request::UserKeys { user })? {
            Reply::Keys(keys) => Ok(keys),
            _ => Err(unexpected()),
        }
    }

    /// Attributes of a key.
    pub fn attributes(
        &self,
        id: ObjectId,
        types: Vec<AttrType>,
    ) -> Result<Vec<AttrReply>, Refused> {
        match self.ask(&Request::Attributes { id, types })? {
            Reply::Attributes(values) => Ok(values),
            _ => Err(unexpected()),
        }
    }
}

/// An answer of another kind.
pub fn unexpected() -> Refused {
    Refused::new(
        hsm_api::Rv::GENERAL_ERROR,
        "the HSM gave another kind of answer than was asked for",
    )
}

/// Every HSM of the cluster that is ACTIVE, connected. One that is down is named on standard error: a command then
/// reaches the others only, as with the real tool.
pub fn connect(running: &Running, region: &str, cluster_id: Option<&str>) -> Result<Fleet, String> {
    let cluster = running.aws().simulation(
        "nodes",
        &json!({ "Region": region, "ClusterId": cluster_id }),
    );
    let cluster = cluster.map_err(|refusal| refusal.to_string())?;
    let anchors = anchors(running, &cluster)?;
    let (mut servers, mut clients) = (Vec::new(), Vec::new());
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
        let parsed = |address: &str| -> Result<SocketAddr, String> {
            address
                .parse()
                .map_err(|error| format!("{address}: {error}"))
        };
        let address = parsed(&address)?;
        clients.push(parsed(&text(&hsm["ClientAddress"]))?);
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
    Ok(Fleet {
        cluster_id: text(&cluster["ClusterId"]),
        servers,
        clients,
        anchor: cluster["TrustAnchor"].as_str().map(str::to_owned),
    })
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
