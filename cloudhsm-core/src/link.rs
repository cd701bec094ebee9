//! The service's line to a node: TLS on its service port, both sides by certificate. A trait, so that
//! tests can put an HSM of their own behind it.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hsm_api::reply::{Certificates, NodeInfo};
use hsm_api::{Error, Hidden, Link, Peer, Reply, Request, Result, Rv, SessionId, UserInfo};
use hsm_net::{Anchors, Credentials, NodeClient, NodeClientConfig, Purpose};
use zeroize::Zeroizing;

use crate::ca::Ca;

/// Opens lines to nodes.
pub trait Dial: Send + Sync {
    /// To the node at `address`, which presents a certificate of the service's CA, or one that chains
    /// to `anchor` (PEM) once its cluster is initialized.
    ///
    /// # Errors
    /// TOKEN_NOT_PRESENT if nobody answers, TOKEN_NOT_RECOGNIZED if the certificate is another's.
    fn dial(&self, address: SocketAddr, anchor: Option<&str>) -> Result<Arc<dyn Link>>;
}

/// Dials over the network.
pub struct NetDial {
    ca: Anchors,
    credentials: Arc<Credentials>,
    connect_timeout: Duration,
    call_timeout: Duration,
}

impl NetDial {
    /// As the service of this CA.
    ///
    /// # Errors
    /// Its files cannot be read.
    pub fn new(ca: &Ca) -> Result<NetDial> {
        let read = |file| {
            let text = fs::read_to_string(file).map(Zeroizing::new);
            text.map_err(|e| {
                Error::new(
                    Rv::GENERAL_ERROR,
                    format!("{}: {e}", ca.service().key.display()),
                )
            })
        };
        let own = ca.service();
        let credentials = Credentials::from_pem(&read(own.certificate)?, &read(own.key)?)?;
        Ok(NetDial {
            ca: Anchors::from_pem(&read(ca.certificate())?)?,
            credentials: Arc::new(credentials),
            connect_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(60),
        })
    }
}

impl Dial for NetDial {
    fn dial(&self, address: SocketAddr, anchor: Option<&str>) -> Result<Arc<dyn Link>> {
        let anchors = match anchor {
            Some(pem) => self.ca.clone().and(Anchors::from_pem(pem)?),
            None => self.ca.clone(),
        };
        Ok(Arc::new(NodeClient::connect(&NodeClientConfig {
            address,
            anchors,
            purpose: Purpose::Service,
            peer: Peer::Service,
            credentials: Some(Arc::clone(&self.credentials)),
            connect_timeout: self.connect_timeout,
            call_timeout: self.call_timeout,
        })?))
    }
}

/// What the service asks of an HSM, with the reply that fits.
pub struct Appliance<'a>(pub &'a dyn Link);

impl Appliance<'_> {
    fn ask(&self, request: &Request<'_>) -> Result<Reply> {
        self.0.call(SessionId(0), request, &mut [])
    }

    /// The HSM's CSR and hardware certificates.
    ///
    /// # Errors
    /// The HSM's, and the line's; so for all below.
    pub fn certificates(&self) -> Result<Certificates> {
        match self.ask(&Request::Csr)? {
            Reply::Csr(certificates) => Ok(certificates),
            other => Err(odd("Csr", &other)),
        }
    }
    /// Installs the cluster certificate and its anchor.
    #[allow(missing_docs, clippy::missing_errors_doc)]
    pub fn install(&self, certificate: &str, anchor: &str) -> Result<()> {
        self.ask(&Request::Install {
            certificate,
            anchor,
        })
        .map(drop)
    }
    /// All of the HSM, sealed.
    #[allow(clippy::missing_errors_doc)]
    pub fn backup(&self) -> Result<Vec<u8>> {
        match self.ask(&Request::Backup)? {
            Reply::Bytes(bytes) => Ok(bytes),
            other => Err(odd("Backup", &other)),
        }
    }
    /// Gives the HSM all of another.
    #[allow(clippy::missing_errors_doc)]
    pub fn restore(&self, backup: &[u8]) -> Result<()> {
        self.ask(&Request::Restore {
            backup: Hidden(backup),
        })
        .map(drop)
    }
    /// What the HSM says of itself.
    #[allow(clippy::missing_errors_doc)]
    pub fn info(&self) -> Result<NodeInfo> {
        match self.ask(&Request::NodeInfo)? {
            Reply::Node(info) => Ok(info),
            other => Err(odd("NodeInfo", &other)),
        }
    }
    /// Its users.
    #[allow(clippy::missing_errors_doc)]
    pub fn users(&self) -> Result<Vec<UserInfo>> {
        match self.ask(&Request::Users)? {
            Reply::Users(users) => Ok(users),
            other => Err(odd("Users", &other)),
        }
    }
}

/// The reply's content may be a secret: only that it does not fit is said.
fn odd(request: &'static str, _reply: &Reply) -> Error {
    Error::new(
        Rv::DEVICE_ERROR,
        format!("the HSM's reply to {request} is of another kind"),
    )
}
