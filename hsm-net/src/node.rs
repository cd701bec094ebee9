//! The serving side.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hsm_api::Hsm;
use serde::{Deserialize, Serialize};

use crate::{Faults, Identity, ServiceTrust};

/// What a port is for; decides which callers it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// 2223: PKCS#11 applications.
    Client,
    /// 2224: the CloudHSM service and other nodes, by client certificate.
    Service,
    /// 2225: management tools.
    Management,
}

/// How much a node takes on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once, over all ports.
    pub connections: usize,
    /// Bytes of one frame, and of one request's output.
    pub frame: usize,
    /// Time for TLS handshake and greeting.
    pub greeting: Duration,
    /// A connection without requests for so long is closed.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 900,
            frame: (16 << 20) + (64 << 10),
            greeting: Duration::from_secs(10),
            idle: Duration::from_secs(12 * 3600),
        }
    }
}

/// What a node needs to serve.
pub struct NodeConfig {
    /// Bound sockets, each with its purpose.
    pub listeners: Vec<(Purpose, TcpListener)>,
    /// What is served.
    pub hsm: Arc<dyn Hsm>,
    /// What is presented to callers.
    pub identity: Arc<dyn Identity>,
    /// Who is believed on the service port.
    pub trust: ServiceTrust,
    /// How much is taken on.
    pub limits: Limits,
    /// Faults to rehearse; the caller keeps a clone.
    pub faults: Arc<Faults>,
    /// Where one line for each closed connection with a reason goes.
    pub log: Arc<dyn Fn(&str) + Send + Sync>,
}

/// A serving node. Dropping it shuts it down.
pub struct Node;

impl Node {
    /// Starts to serve, on threads of its own.
    ///
    /// # Errors
    /// What the operating system refuses.
    pub fn start(_config: NodeConfig) -> io::Result<Node> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[(Purpose, SocketAddr)] {
        &[]
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        0
    }

    /// Takes no more connections, lets requests that are being carried out end (for at most `grace`),
    /// then closes all connections. Returns when all threads have ended or the grace is over.
    pub fn shutdown(&self, _grace: Duration) {}
}
