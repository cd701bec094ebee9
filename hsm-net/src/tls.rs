//! rustls as it is used here: TLS 1.3, AWS-LC, blocking, over a TCP socket without delay.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hsm_api::{Error, Result, Rv};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use crate::verify::ByAnchor;
use crate::{Anchors, Credentials, ServiceTrust};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// How a client greets: whom it believes, what it presents, and whether it resumes TLS sessions.
/// Sessions are remembered in the configuration, so each node gets one of its own.
pub fn client(
    anchors: &Anchors,
    credentials: Option<&Credentials>,
    resume: bool,
) -> Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| refused(&e))?
        .dangerous()
        .with_custom_certificate_verifier(ByAnchor::new(anchors.clone(), provider()));
    let mut config = match credentials {
        Some(own) => builder.with_client_cert_resolver(Arc::new(presented(own)?)),
        None => builder.with_no_client_auth(),
    };
    config.enable_sni = false;
    config.resumption = if resume {
        Resumption::in_memory_sessions(8)
    } else {
        Resumption::disabled()
    };
    Ok(Arc::new(config))
}

/// How a node greets: what it presents and, on the service port, whom it believes.
pub fn server(identity: &Credentials, trust: Option<&ServiceTrust>) -> Result<Arc<ServerConfig>> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| refused(&e))?;
    let builder = match trust {
        Some(trust) => {
            builder.with_client_cert_verifier(ByAnchor::new(trust.ca.clone(), provider()))
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(
        builder.with_cert_resolver(Arc::new(presented(identity)?)),
    ))
}

/// Not `CertifiedKey::from_der`: that compares key and certificate by webpki, which refuses the version
/// 1 certificates that users make. A key that does not fit fails the peer's check of the handshake.
fn presented(own: &Credentials) -> Result<SingleCertAndKey> {
    let key: PrivateKeyDer<'static> = own.key.clone_key();
    let key = provider()
        .key_provider
        .load_private_key(key)
        .map_err(|e| refused(&e))?;
    Ok(SingleCertAndKey::from(CertifiedKey::new(
        own.chain.clone(),
        key,
    )))
}

fn refused(error: &rustls::Error) -> Error {
    Error::new(Rv::ARGUMENTS_BAD, format!("TLS configuration: {error}"))
}

/// How a process waits for the network.
pub type Waiting = fn(&mut dyn FnMut());

static WAITING: OnceLock<Waiting> = OnceLock::new();

/// From now on whatever waits for the network does so inside of `how`, which must call what it is
/// given once: a library may want to tell a thread that waits from one at work. Only the first
/// `how` of a process counts.
pub fn while_waiting(how: Waiting) {
    let _ = WAITING.set(how);
}

fn waits<T>(mut work: impl FnMut() -> T) -> T {
    match WAITING.get() {
        None => work(),
        Some(how) => {
            let mut done = None;
            how(&mut || done = Some(work()));
            // `how` calls what it is given.
            done.unwrap_or_else(work)
        }
    }
}

/// A TCP stream that its owner may shut down while a thread reads from it.
#[derive(Clone)]
pub struct Socket(pub Arc<TcpStream>);

impl Socket {
    pub fn connect(to: SocketAddr, timeout: Duration) -> io::Result<Socket> {
        let stream = waits(|| TcpStream::connect_timeout(&to, timeout))?;
        Socket::new(stream)
    }

    pub fn new(stream: TcpStream) -> io::Result<Socket> {
        // One frame is one write; Nagle would hold it back for the peer's acknowledgement.
        stream.set_nodelay(true)?;
        Ok(Socket(Arc::new(stream)))
    }

    pub fn patience(&self, timeout: Duration) -> io::Result<()> {
        let timeout = Some(timeout.max(Duration::from_millis(1)));
        self.0.set_read_timeout(timeout)?;
        self.0.set_write_timeout(timeout)
    }

    /// Whether the peer has closed. Costs three system calls.
    pub fn is_closed(&self) -> bool {
        if self.0.set_nonblocking(true).is_err() {
            return true;
        }
        let closed = match self.0.peek(&mut [0]) {
            Ok(read) => read == 0,
            Err(e) => e.kind() != io::ErrorKind::WouldBlock,
        };
        closed || self.0.set_nonblocking(false).is_err()
    }

    pub fn close(&self, how: Shutdown) {
        // Already closed is as good.
        let _ = self.0.shutdown(how);
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        waits(|| (&*self.0).read(buf))
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        waits(|| (&*self.0).write(buf))
    }
    fn write_vectored(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        waits(|| (&*self.0).write_vectored(bufs))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
