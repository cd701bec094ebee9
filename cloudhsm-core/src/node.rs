//! What the control plane and a node process say to each other: the file that `keystead node --spec
//! FILE` reads, the line that the node prints when it serves, and the lines that it reads from its
//! standard input. Data only; [`crate::supervisor`] starts and watches the processes.
//!
//! Life of a node
//! 1. It reads its [`NodeSpec`], opens its engine in `data_dir`, binds the three addresses of `listen`.
//! 2. It prints one line, a [`Ready`] as JSON, and flushes. Nothing else goes to standard output.
//! 3. Each further line on standard input is a [`NodeCommand`] as JSON, and takes effect at once.
//! 4. When standard input ends (the control plane stopped, or died in whatever way) the node
//!    finishes what it is doing and exits with status 0. So no node outlives its control plane.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// All that a node needs to be one HSM of one cluster. The file is 0600 and names files, which hold
/// the secrets; it has no secret itself but PRECO's well-known first password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// `hsm-...`
    pub hsm_id: String,
    /// `cluster-...`
    pub cluster_id: String,
    /// For certificates and log lines.
    pub account: String,
    /// The region, for the same.
    pub region: String,
    /// Zone, for clients that prefer what is near.
    pub zone: String,
    /// The HSM's serial number.
    pub serial: String,
    /// Which HSM this is in `hsm_api::Change::origin`; unique in the data directory for all time.
    pub origin: u64,
    /// `hsm1.medium` or `hsm2m.medium`.
    pub hsm_type: String,
    /// Whether the policy of FIPS mode holds.
    pub fips: bool,
    /// The HSM's own directory, mode 0700: its store and its sealed token key.
    pub data_dir: PathBuf,
    /// Where the node listens. What it presents there is its cluster certificate, and before that is
    /// installed `credentials`.
    pub listen: Listen,
    /// PEM: the CA of the service, which has signed `credentials` and what the service itself presents
    /// on the service port.
    pub service_ca: PathBuf,
    /// The node's certificate (OU = `hsm_net::NODE_UNIT`) and key under `service_ca`.
    pub credentials: Credentials,
    /// The hardware's key and certificates. The HSM signs its `HsmCertificate` with the key.
    pub hardware: Hardware,
    /// 32 bytes that all HSMs of this service share: a backup is sealed under it, so that any other
    /// HSM of the service can restore it and nobody else can read it.
    pub backup_key: PathBuf,
    /// Password of PRECO `admin` of an HSM that was never activated.
    pub preco_password: String,
    /// The other HSMs of the cluster, as of the start; [`NodeCommand::Peers`] replaces them.
    pub peers: Vec<PeerSpec>,
    /// Conditions of the network and the disk, as of the start; [`NodeCommand::Conditions`] replaces them.
    pub conditions: Conditions,
}

/// TCP 2223, 2224 and 2225 of the HSM's own address; where only 127.0.0.1 exists, other ports of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// 2223: PKCS#11 applications.
    pub client: SocketAddr,
    /// 2224: the service and the other HSMs.
    pub service: SocketAddr,
    /// 2225: management tools.
    pub management: SocketAddr,
}

/// A certificate (PEM, leaf first) and its key (PKCS#8 PEM, 0600).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Credentials {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The hardware identity of one HSM: one P-256 key (PKCS#8 PEM), two certificates over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Hardware {
    pub key: PathBuf,
    pub aws_certificate: PathBuf,
    pub manufacturer_certificate: PathBuf,
}

/// Another HSM of the same cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PeerSpec {
    pub hsm_id: String,
    pub origin: u64,
    /// Its service port.
    pub address: SocketAddr,
}

/// What `keystead fault` does to a running node. A command carries all of it, so that the newest one
/// says everything and a repeat changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// Every answer on 2223 and 2225 is late by so much.
    pub delay_ms: u64,
    /// So many of a hundred requests on 2223 and 2225 lose their connection before they are carried out.
    pub drop_requests: u8,
    /// So many of a hundred lose it afterwards, instead of the answer.
    pub drop_replies: u8,
    /// Cut off from everybody: open connections end, new ones are not answered, no peer is asked.
    pub partitioned: bool,
    /// Of 2223 to 2225: refused, and open connections on them end.
    pub closed_ports: Vec<u16>,
    /// Every write to the store fails as on a full disk.
    pub disk_full: bool,
}

/// One line on the node's standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeCommand {
    /// `{"conditions":{"delay_ms":200}}`
    Conditions(Conditions),
    /// `{"peers":[{"hsm_id":"hsm-...","origin":2,"address":"127.3.4.5:2224"}]}`
    Peers(Vec<PeerSpec>),
}

/// The node's one line on standard output, when it serves: `{"ready":"hsm-..."}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The HSM's id.
    pub ready: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_documented() {
        let line = r#"{"conditions":{"delay_ms":200}}"#;
        let command: NodeCommand = serde_json::from_str(line).expect("parses");
        let wanted = Conditions {
            delay_ms: 200,
            ..Conditions::default()
        };
        assert_eq!(command, NodeCommand::Conditions(wanted));
        let ready: Ready = serde_json::from_str(r#"{"ready":"hsm-abc"}"#).expect("parses");
        assert_eq!(ready.ready, "hsm-abc");
    }
}
