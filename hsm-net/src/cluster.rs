//! Many nodes as one HSM. A link holds a line (a pool of TLS connections) to each node, for one
//! application; it has no thread of its own, since it lives inside other people's processes.
//!
//! Three functions decide everything, each in its file: which node is asked and who is asked next
//! (`balance`), how users are logged in everywhere (`login`), how what was made gets to the other
//! nodes (`carry`). `line` is one node as this application sees it, `homes` knows what lives on one
//! node only, `link` sorts requests to the three.

mod balance;
mod carry;
mod homes;
mod line;
mod link;
mod login;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hsm_api::{Error, Hello, Hsm, Link, Peer, Result, Rv};

use crate::conn::{Conn, Patience};
use crate::frame::Greeting;
use crate::{Anchors, Purpose, tls};

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
    /// How long a node that could not be reached is left alone while others answer. Doubles, up to
    /// thirty times as long, while it stays away.
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
#[derive(Debug)]
pub struct Cluster {
    config: ClusterConfig,
    anchors: Anchors,
}

/// The most HSMs that a cluster may have; a set of them fits a word.
const MOST_NODES: usize = 64;

impl Cluster {
    /// Reads the configuration; connects to nothing yet.
    ///
    /// # Errors
    /// ARGUMENTS_BAD for a trust anchor that is no certificate, or a list of nodes that is empty or
    /// names one twice.
    pub fn new(config: ClusterConfig) -> Result<Arc<Cluster>> {
        let bad = |why: String| Error::new(Rv::ARGUMENTS_BAD, why);
        let anchors = Anchors::from_pem(&config.trust_anchor_pem)?;
        if config.nodes.is_empty() || config.nodes.len() > MOST_NODES {
            return Err(bad(format!(
                "cluster {}: {} HSMs are configured; it needs 1 to {MOST_NODES}",
                config.label,
                config.nodes.len()
            )));
        }
        for (i, node) in config.nodes.iter().enumerate() {
            if config.nodes[..i].contains(node) {
                return Err(bad(format!(
                    "cluster {}: HSM {node} is configured twice",
                    config.label
                )));
            }
        }
        Ok(Arc::new(Cluster { config, anchors }))
    }

    /// The configuration.
    pub fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// Connects to each node afresh, without login, and tells how that went.
    pub fn health(&self) -> Vec<NodeHealth> {
        let hello = Hello {
            application: rand::random(),
            peer: Peer::Client,
        };
        let greeting = Greeting {
            purpose: Purpose::Client,
            hello,
        };
        let reach = |address| {
            let tls = tls::client(&self.anchors, None, false)?;
            Conn::open(address, &tls, &greeting, self.patience()).map(drop)
        };
        let nodes = self.config.nodes.iter();
        nodes
            .map(|&address| NodeHealth {
                address,
                reached: reach(address),
            })
            .collect()
    }

    fn patience(&self) -> Patience {
        Patience {
            connect: self.config.connect_timeout,
            call: self.config.call_timeout,
        }
    }
}

impl Hsm for Cluster {
    fn open(&self, who: &Hello) -> Result<Arc<dyn Link>> {
        let link = link::ClusterLink::new(&self.config, &self.anchors, self.patience(), who)?;
        link.greet_one()?;
        Ok(Arc::new(link))
    }
}
