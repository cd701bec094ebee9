//! One connection's life: TLS, greeting, requests until it ends.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use hsm_api::{Error, Peer, Result as HsmResult, Rv};
use rustls::{ServerConnection, StreamOwned};
use zeroize::{Zeroize, Zeroizing};

use super::apps::{Joined, Proof};
use super::{Purpose, Shared};
use crate::cert::{NODE_UNIT, SERVICE_UNIT};
use crate::frame::{self, Broken, Greeting, Welcome};
use crate::tls::Socket;
use crate::verify;

type Tls = StreamOwned<ServerConnection, Socket>;

/// A buffer that grew beyond this is given back after use.
const KEEP: usize = 256 << 10;

/// Serves until the peer closes, which is no error, or until something else ends the connection.
/// `proof` becomes that of its application.
pub fn connection(
    shared: &Shared,
    purpose: Purpose,
    socket: Socket,
    proof: &OnceLock<Proof>,
) -> Result<(), Broken> {
    socket.patience(shared.limits.greeting)?;
    let config = shared
        .tls(purpose)
        .map_err(|e| io::Error::other(e.to_string()))?;
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut tls = StreamOwned::new(session, socket);

    match frame::read_preamble(&mut tls) {
        // It is told our version, so that it can say what is wrong.
        Err(Broken::Version(theirs)) => {
            tls.write_all(&frame::preamble())?;
            return Err(Broken::Version(theirs));
        }
        other => other?,
    }
    let len = frame::read_len(&mut tls, frame::GREETING_LIMIT)?;
    let mut body = Vec::new();
    frame::read_body(&mut tls, len, &mut body)?;
    let greeting: Greeting = frame::take(&body)?;

    let joined = admit(&tls, purpose, &greeting).and_then(|()| shared.apps.join(&greeting.hello));
    let welcome = match &joined {
        Ok(joined) => Ok(Welcome {
            link: joined.number(),
            limit: u32::try_from(shared.limits.frame_on(purpose)).unwrap_or(u32::MAX),
        }),
        Err(refused) => Err(refused.clone()),
    };
    let mut answer = frame::preamble().to_vec();
    frame::put(&welcome, &mut answer)?;
    tls.write_all(&answer)?;
    match joined {
        Ok(joined) => {
            tls.sock.0.set_read_timeout(Some(shared.limits.idle))?;
            if let Some(of) = joined.proof() {
                let _ = proof.set(of);
            }
            requests(shared, shared.limits.frame_on(purpose), &mut tls, &joined)
        }
        Err(refused) => Err(io::Error::other(refused.to_string()).into()),
    }
}

/// Whether this port takes this kind of caller, and the caller is what it says.
fn admit(tls: &Tls, port: Purpose, greeting: &Greeting) -> HsmResult<()> {
    let refuse = |why| Err(Error::new(Rv::FUNCTION_REJECTED, why));
    if greeting.purpose != port {
        return refuse(
            "this port serves another purpose: applications use 2223, the service and HSMs 2224, management tools 2225",
        );
    }
    let unit = match (port, greeting.hello.peer) {
        (Purpose::Client | Purpose::Management, Peer::Client) => return Ok(()),
        (Purpose::Service, Peer::Service) => SERVICE_UNIT,
        (Purpose::Service, Peer::Node) => NODE_UNIT,
        _ => return refuse("this port does not take such a caller"),
    };
    let leaf = tls.conn.peer_certificates().and_then(<[_]>::first);
    if leaf.is_some_and(|leaf| verify::units(leaf).iter().any(|of| of == unit)) {
        return Ok(());
    }
    refuse("the caller's certificate is for another role")
}

fn requests(
    shared: &Shared,
    limit: usize,
    tls: &mut Tls,
    joined: &Joined<'_>,
) -> Result<(), Broken> {
    let Some(link) = joined.link() else {
        return Ok(());
    };
    let mut received = Zeroizing::new(Vec::new());
    let mut reply = Zeroizing::new(Vec::new());
    loop {
        let len = match frame::read_len(tls, limit) {
            Err(Broken::Closed) => return Ok(()),
            other => other?,
        };
        frame::read_body(tls, len, &mut received)?;
        let arrived = Instant::now();
        let (head, request) = frame::take_request(&received)?;
        shared.faults.pause();
        if shared.faults.refuses() || shared.faults.loses_request() {
            return Err(io::Error::other("fault: request lost").into());
        }
        if arrived.elapsed() > Duration::from_millis(head.deadline_ms.into()) {
            // The caller has given up and may be asking elsewhere.
            return Err(io::Error::other("request past its deadline").into());
        }
        let out = usize::try_from(head.out).unwrap_or(usize::MAX);
        if out > limit {
            return Err(Broken::Oversized(out));
        }
        frame::begin_reply(out, &mut reply);
        let secret = frame::holds_secret(&request);
        let result = link.call(head.session, &request, frame::output(&mut reply));
        drop(request);
        if secret {
            received.zeroize();
        }
        let written = frame::written(&result);
        if written > out {
            return Err(Broken::Garbled(
                "the HSM claims more output than there was room for",
            ));
        }
        frame::end_reply(head.id, written, &result, &mut reply)?;
        if shared.faults.loses_reply() {
            return Err(io::Error::other("fault: reply lost").into());
        }
        tls.write_all(&reply)?;
        tidy(&mut received);
        tidy(&mut reply);
        if shared.stopping.load(SeqCst) {
            return Ok(());
        }
    }
}

/// Memory that one large request took is not kept for the connection's life.
fn tidy(buffer: &mut Zeroizing<Vec<u8>>) {
    if buffer.capacity() > KEEP {
        buffer.zeroize();
        **buffer = Vec::new();
    }
}
