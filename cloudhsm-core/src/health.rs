//! Whether HSMs answer a client that holds a trust anchor: the question that a connect asks first.

use std::net::SocketAddr;
use std::time::Duration;

use hsm_api::Result;
use hsm_net::{Cluster, ClusterConfig};

use crate::control::Control;

/// Long enough for a loaded machine, short enough that a connect with an HSM cut off fails soon.
const PATIENCE: Duration = Duration::from_secs(3);

impl Control {
    /// Connects to each client port afresh, as an application with `anchor` (PEM) does, and tells how that went:
    /// TOKEN_NOT_PRESENT where nothing answers, TOKEN_NOT_RECOGNIZED where the certificate is not the anchor's.
    ///
    /// # Errors
    /// ARGUMENTS_BAD where `anchor` is no certificate, or there is no node.
    pub fn health(&self, nodes: Vec<SocketAddr>, anchor: &str) -> Result<Vec<(SocketAddr, Result<()>)>> {
        let usual = ClusterConfig::new("health", nodes, anchor);
        let cluster = Cluster::new(ClusterConfig { connect_timeout: PATIENCE, call_timeout: PATIENCE, ..usual })?;
        Ok(cluster.health().into_iter().map(|node| (node.address, node.reached)).collect())
    }
}
