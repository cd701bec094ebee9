//! Many nodes as one HSM.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hsm_api::{Error, Hello, Hsm, Link, Result, Rv};

/// Where a cluster is and how it is used.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// For messages.
    pub label: String,
    /// Client ports (2223).
    pub nodes: Vec<SocketAddr>,
    /// customerCA.crt.
    pub trust_anchor_pem: String,
    /// A new token key must be on two HSMs before it is used.
    pub availability_check: bool,
    /// For TCP and TLS.
    pub connect_timeout: Duration,
    /// For each request.
    pub call_timeout: Duration,
    /// How long a node that could not be reached is left alone while others answer.
    pub back_off: Duration,
}

impl ClusterConfig {
    /// With the usual times, and the availability check on.
    pub fn new(label: &str, nodes: Vec<SocketAddr>, trust_anchor_pem: &str) -> Self {
        ClusterConfig {
            label: label.to_owned(),
            nodes,
            trust_anchor_pem: trust_anchor_pem.to_owned(),
            availability_check: true,
            connect_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(30),
            back_off: Duration::from_secs(1),
        }
    }
}

/// How one node was found.
#[derive(Clone, Debug)]
pub struct NodeHealth {
    /// Which.
    pub address: SocketAddr,
    /// Reached, greeted and trusted; or TOKEN_NOT_PRESENT (not reached), TOKEN_NOT_RECOGNIZED (its
    /// certificate does not chain to the anchor), or what it answered.
    pub reached: Result<()>,
}

/// A cluster of HSMs that answers as one.
pub struct Cluster;

impl Cluster {
    /// Reads the configuration; connects to nothing yet.
    ///
    /// # Errors
    /// ARGUMENTS_BAD for a trust anchor that is no certificate, or an empty list of nodes.
    pub fn new(_config: ClusterConfig) -> Result<Arc<Cluster>> {
        Ok(Arc::new(Cluster))
    }

    /// Connects to each node afresh, without login, and tells how that went.
    pub fn health(&self) -> Vec<NodeHealth> {
        Vec::new()
    }
}

impl Hsm for Cluster {
    fn open(&self, _who: &Hello) -> Result<Arc<dyn Link>> {
        Err(Error::from(Rv::TOKEN_NOT_PRESENT))
    }
}
