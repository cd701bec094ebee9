//! One node, one link.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hsm_api::{Error, Hello, Link, Peer, Reply, Request, Result, Rv, SessionId};

use crate::{Anchors, Credentials, Purpose};

/// How to reach one node.
#[derive(Clone)]
pub struct NodeClientConfig {
    /// The port that fits `purpose`.
    pub address: SocketAddr,
    /// What the node's certificate must chain to.
    pub anchors: Anchors,
    /// As what the caller comes.
    pub purpose: Purpose,
    /// Who the caller is: `Peer::Client` but on the service port.
    pub peer: Peer,
    /// The caller's certificate; on the service port only.
    pub credentials: Option<Arc<Credentials>>,
    /// For TCP and TLS.
    pub connect_timeout: Duration,
    /// For each request.
    pub call_timeout: Duration,
}

/// A link to one node over one connection. When the connection is lost, so is the link: calls answer
/// DEVICE_REMOVED, and the caller connects anew.
pub struct NodeClient;

impl NodeClient {
    /// Connects and opens the link.
    ///
    /// # Errors
    /// TOKEN_NOT_PRESENT if the node cannot be reached, TOKEN_NOT_RECOGNIZED if its certificate does
    /// not chain to the anchors, else what the node answers.
    pub fn connect(_config: &NodeClientConfig) -> Result<NodeClient> {
        Err(Rv::TOKEN_NOT_PRESENT.into())
    }

    /// A request without session and bulk output.
    ///
    /// # Errors
    /// As `call`.
    pub fn ask(&self, request: &Request<'_>) -> Result<Reply> {
        self.call(SessionId(0), request, &mut [])
    }
}

impl Link for NodeClient {
    fn call(&self, _s: SessionId, _r: &Request<'_>, _out: &mut [u8]) -> Result<Reply> {
        Err(Error::from(Rv::DEVICE_REMOVED))
    }
}

/// As whom the link was opened.
impl NodeClient {
    /// What was said in the greeting.
    pub fn hello(&self) -> Hello {
        Hello {
            application: 0,
            peer: Peer::Client,
        }
    }
}
