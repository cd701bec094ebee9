//! One node, one link: management tools talk to each HSM by itself, and so does the service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hsm_api::{Error, Hello, Link, Peer, Reply, Request, Result, Rv, SessionId};
use parking_lot::Mutex;

use crate::conn::{self, Conn, Failure, Patience};
use crate::frame::Greeting;
use crate::{Anchors, Credentials, Purpose, tls};

/// How to reach one node.
#[derive(Clone, Debug)]
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

impl NodeClientConfig {
    /// A management tool at a node's port 2225, with the usual times.
    pub fn management(address: SocketAddr, anchors: Anchors) -> Self {
        NodeClientConfig {
            address,
            anchors,
            purpose: Purpose::Management,
            peer: Peer::Client,
            credentials: None,
            connect_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(30),
        }
    }

    /// The service, or another node, at a node's port 2224, with the usual times.
    pub fn service(
        address: SocketAddr,
        anchors: Anchors,
        peer: Peer,
        credentials: Arc<Credentials>,
    ) -> Self {
        NodeClientConfig {
            purpose: Purpose::Service,
            peer,
            credentials: Some(credentials),
            ..Self::management(address, anchors)
        }
    }
}

/// A link to one node over one connection. When the connection is lost, so is the link: calls answer
/// DEVICE_REMOVED, and the caller connects anew.
pub struct NodeClient {
    address: SocketAddr,
    /// `None` once it is lost.
    conn: Mutex<Option<Conn>>,
}

impl NodeClient {
    /// Connects and opens the link.
    ///
    /// # Errors
    /// TOKEN_NOT_PRESENT if the node cannot be reached, TOKEN_NOT_RECOGNIZED if its certificate does
    /// not chain to the anchors, else what the node answers.
    pub fn connect(config: &NodeClientConfig) -> Result<NodeClient> {
        let tls = tls::client(&config.anchors, config.credentials.as_deref(), false)?;
        let hello = Hello {
            application: rand::random(),
            peer: config.peer,
        };
        let greeting = Greeting {
            purpose: config.purpose,
            hello,
        };
        let patience = Patience {
            connect: config.connect_timeout,
            call: config.call_timeout,
        };
        let conn = Conn::open(config.address, &tls, &greeting, patience)?;
        Ok(NodeClient {
            address: config.address,
            conn: Mutex::new(Some(conn)),
        })
    }

    /// A request without session and bulk output.
    ///
    /// # Errors
    /// As `call`.
    pub fn ask(&self, request: &Request<'_>) -> Result<Reply> {
        self.call(SessionId(0), request, &mut [])
    }

    /// Where the node is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Link for NodeClient {
    fn call(&self, session: SessionId, request: &Request<'_>, out: &mut [u8]) -> Result<Reply> {
        let mut slot = self.conn.lock();
        let conn = slot.as_mut().ok_or_else(|| {
            Error::new(
                Rv::DEVICE_REMOVED,
                format!("HSM {}: connection lost", self.address),
            )
        })?;
        match conn.call(session, request, out) {
            Ok(reply) => Ok(reply),
            Err(Failure::Refused(error)) => Err(conn::at(self.address, error)),
            Err(Failure::Lost { why, .. }) => {
                *slot = None;
                let why = Error::new(Rv::DEVICE_REMOVED, why.why);
                Err(conn::at(self.address, why))
            }
        }
    }
}
