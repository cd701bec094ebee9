//! One client connection: TLS, greeting, then one request at a time. It knows nothing of login,
//! of other nodes or of trying again.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hsm_api::{Error, Reply, Request, Result, Rv, SessionId};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use zeroize::{Zeroize, Zeroizing};

use crate::frame::{self, Broken, Greeting, RequestHead, Welcome};
use crate::tls::Socket;
use crate::{Purpose, verify};

/// What a client takes in one frame: the node's own limit, and room for what stands around the output.
const REPLY_LIMIT: usize = (17 << 20) + (64 << 10);
/// The same on the service port: whole backups.
const SERVICE_REPLY_LIMIT: usize = 272 << 20;
/// The most output that is asked for at once.
const MOST_OUTPUT: usize = 16 << 20;
/// What an operation adds to its input at most: the longest signature (SLH-DSA) is 49,856 bytes.
const MOST_GROWTH: usize = 64 << 10;
/// A buffer that grew beyond this is given back after use.
const KEEP: usize = 256 << 10;

/// Why a call brought no reply.
#[derive(Debug)]
pub enum Failure {
    /// The node answered: no.
    Refused(Error),
    /// No answer. `sent` says whether the node may have carried the request out.
    Lost { sent: bool, why: Error },
}

/// Times for a connection.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub connect: Duration,
    pub call: Duration,
}

pub struct Conn {
    tls: StreamOwned<ClientConnection, Socket>,
    /// Which link of the node's this connection joined.
    pub link: u64,
    /// When it last carried a request.
    pub used: Instant,
    limit: usize,
    reply_limit: usize,
    deadline_ms: u32,
    next: u64,
    sending: Zeroizing<Vec<u8>>,
    received: Zeroizing<Vec<u8>>,
}

impl Conn {
    /// Connects and greets.
    ///
    /// # Errors
    /// TOKEN_NOT_PRESENT if the node cannot be reached, TOKEN_NOT_RECOGNIZED if it is not believed,
    /// else what it answers to the greeting.
    pub fn open(
        address: SocketAddr,
        tls: &Arc<ClientConfig>,
        greeting: &Greeting,
        patience: Patience,
    ) -> Result<Conn> {
        let absent = |why: &dyn std::fmt::Display| {
            Error::new(
                Rv::TOKEN_NOT_PRESENT,
                format!("HSM {address} cannot be reached: {why}"),
            )
        };
        let socket = Socket::connect(address, patience.connect).map_err(|e| absent(&e))?;
        socket.patience(patience.connect).map_err(|e| absent(&e))?;
        let name = ServerName::from(address.ip());
        let session = ClientConnection::new(Arc::clone(tls), name).map_err(|e| absent(&e))?;
        let mut tls = StreamOwned::new(session, socket);

        let mut hello = frame::preamble().to_vec();
        let welcome = frame::put(greeting, &mut hello)
            .and_then(|()| Ok(tls.write_all(&hello)?))
            .and_then(|()| frame::read_preamble(&mut tls))
            .and_then(|()| frame::read_len(&mut tls, frame::GREETING_LIMIT))
            .and_then(|len| {
                let mut body = Vec::new();
                frame::read_body(&mut tls, len, &mut body)?;
                frame::take::<Result<Welcome>>(&body)
            });
        let welcome = match welcome {
            Ok(answer) => answer.map_err(|e| at(address, e))?,
            Err(broken) => {
                return Err(distrust(address, &broken).unwrap_or_else(|| absent(&broken)));
            }
        };
        tls.sock.patience(patience.call).map_err(|e| absent(&e))?;
        Ok(Conn {
            tls,
            link: welcome.link,
            used: Instant::now(),
            limit: usize::try_from(welcome.limit).unwrap_or(usize::MAX),
            reply_limit: match greeting.purpose {
                Purpose::Service => SERVICE_REPLY_LIMIT,
                _ => REPLY_LIMIT,
            },
            deadline_ms: u32::try_from(patience.call.as_millis()).unwrap_or(u32::MAX),
            next: 0,
            sending: Zeroizing::default(),
            received: Zeroizing::default(),
        })
    }

    /// Whether the node has closed this connection, as far as can be told without asking it.
    pub fn is_stale(&self) -> bool {
        self.tls.sock.is_closed()
    }

    /// Sends a request and waits for its reply. After `Lost` the connection is of no more use.
    pub fn call(
        &mut self,
        session: SessionId,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> std::result::Result<Reply, Failure> {
        let result = self.exchange(session, request, out);
        if frame::holds_secret(request) {
            self.sending.zeroize();
        }
        if self.sending.capacity() > KEEP {
            self.sending = Zeroizing::default();
        }
        if self.received.capacity() > KEEP {
            self.received = Zeroizing::default();
        }
        result
    }

    fn exchange(
        &mut self,
        session: SessionId,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> std::result::Result<Reply, Failure> {
        self.next += 1;
        let head = RequestHead {
            id: self.next,
            session,
            deadline_ms: self.deadline_ms,
            out: wanted(request, out.len()),
        };
        match frame::put_request(head, request, self.limit, &mut self.sending) {
            Ok(()) => {}
            Err(Broken::Oversized(len)) => {
                return Err(Failure::Refused(Error::new(
                    Rv::DATA_LEN_RANGE,
                    format!(
                        "a request of {len} bytes exceeds the HSM's limit of {}",
                        self.limit
                    ),
                )));
            }
            Err(broken) => return Err(lost(false, &broken)),
        }
        // A failed write may have put the whole frame on its way all the same.
        self.tls
            .write_all(&self.sending)
            .map_err(|e| lost(true, &e.into()))?;
        let len = frame::read_len(&mut self.tls, self.reply_limit).map_err(|e| lost(true, &e))?;
        frame::read_body(&mut self.tls, len, &mut self.received).map_err(|e| lost(true, &e))?;
        let (id, output, result) = frame::take_reply(&self.received).map_err(|e| lost(true, &e))?;
        if id != head.id || output.len() > out.len() || output.len() != frame::written(&result) {
            return Err(lost(
                true,
                &Broken::Garbled("a reply that does not fit its request"),
            ));
        }
        out[..output.len()].copy_from_slice(output);
        self.used = Instant::now();
        result.map_err(Failure::Refused)
    }
}

/// Naming the node that answered: in a cluster that is half of the cause.
pub fn at(address: SocketAddr, error: Error) -> Error {
    let why = if error.why.is_empty() {
        format!("HSM {address}")
    } else {
        format!("HSM {address}: {}", error.why)
    };
    Error::new(error.rv, why)
}

/// Whether a code says that a node could not be asked, rather than what it said.
pub fn is_transport(rv: Rv) -> bool {
    matches!(
        rv,
        Rv::TOKEN_NOT_PRESENT | Rv::DEVICE_REMOVED | Rv::DEVICE_ERROR
    )
}

/// What the caller hears when a request found no node: a device in trouble, while sessions live on; or
/// what the node said to being logged in to, for that is why it could not be used.
pub fn unusable(why: Error) -> Error {
    if is_transport(why.rv) {
        Error::new(Rv::DEVICE_ERROR, why.why)
    } else {
        why
    }
}

fn lost(sent: bool, why: &Broken) -> Failure {
    Failure::Lost {
        sent,
        why: Error::new(Rv::DEVICE_ERROR, why.to_string()),
    }
}

fn distrust(address: SocketAddr, broken: &Broken) -> Option<Error> {
    let why = match broken {
        Broken::Io(io) => {
            let tls = io.get_ref()?.downcast_ref::<rustls::Error>()?;
            match verify::explain(tls) {
                Some(words) => words.to_owned(),
                None => tls.to_string(),
            }
        }
        Broken::Garbled(_) | Broken::Version(_) | Broken::Oversized(_) => broken.to_string(),
        Broken::Closed => return None,
    };
    Some(Error::new(
        Rv::TOKEN_NOT_RECOGNIZED,
        format!("HSM {address} is not trusted: {why}"),
    ))
}

/// How much output to ask for: a caller's roomy buffer is no reason to make the node clear as much.
fn wanted(request: &Request<'_>, room: usize) -> u32 {
    let enough = match request {
        Request::Crypt { data, .. } => data.len() + MOST_GROWTH,
        _ => MOST_OUTPUT,
    };
    u32::try_from(room.min(enough).min(MOST_OUTPUT)).unwrap_or(u32::MAX)
}
