//! The serving side: a thread for each port and for each connection. A connection greets, joins its
//! application's link, and then asks one request at a time. Whatever goes wrong on it ends that
//! connection only. Which applications there are is in `node/apps.rs`, one connection's life in
//! `node/serve.rs`.

mod apps;
mod serve;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hsm_api::{Hsm, Result};
use parking_lot::{Condvar, Mutex};
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};

use crate::tls::{self, Socket};
use crate::{Credentials, Faults, Identity, ServiceTrust};
use apps::{Apps, Proof};

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
    /// Connections at once, over all ports. Where they are all taken, a new one takes the place of the
    /// oldest on whose application nobody is logged in.
    pub connections: usize,
    /// Bytes of one frame, and of one request's output.
    pub frame: usize,
    /// The same on the service port, whose callers are proven and carry whole backups.
    pub service_frame: usize,
    /// Time for TLS handshake and greeting, and for a peer to take a reply.
    pub greeting: Duration,
    /// A connection without requests for so long is closed. It takes the application's login and
    /// session objects with it if it was its last, so be generous.
    pub idle: Duration,
}

impl Limits {
    fn frame_on(&self, port: Purpose) -> usize {
        if port == Purpose::Service {
            self.service_frame
        } else {
            self.frame
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 900,
            frame: (16 << 20) + (64 << 10),
            service_frame: 256 << 20,
            greeting: Duration::from_secs(10),
            idle: Duration::from_secs(12 * 3600),
        }
    }
}

/// Where a node's log lines go.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

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
    /// Takes one line for each connection that ended for a reason.
    pub log: Log,
}

/// A serving node. Dropping it shuts it down at once.
pub struct Node {
    shared: Arc<Shared>,
    addresses: Vec<(Purpose, SocketAddr)>,
    /// One for each address, in the same order.
    accepting: Mutex<Vec<JoinHandle<()>>>,
}

/// What all threads of a node see.
struct Shared {
    apps: Apps,
    identity: Arc<dyn Identity>,
    trust: ServiceTrust,
    limits: Limits,
    faults: Arc<Faults>,
    log: Log,
    stopping: AtomicBool,
    greets: Mutex<HashMap<Purpose, Greets>>,
    open: Mutex<Open>,
    all_closed: Condvar,
}

/// How a port greets, and the identity that this was made from.
type Greets = (Arc<Credentials>, Arc<ServerConfig>);

/// Open connections. A thread that blocks in a read is woken by shutting its socket down.
#[derive(Default)]
struct Open {
    next: u64,
    /// Threads that serve, those of closed connections too until they end.
    serving: usize,
    sockets: BTreeMap<u64, Seat>,
}

/// An open connection. The numbers rise, so the first is the oldest.
struct Seat {
    socket: Weak<TcpStream>,
    /// Its application's, once it has greeted.
    proof: Arc<OnceLock<Proof>>,
}

impl Seat {
    fn is_proven(&self) -> bool {
        self.proof.get().is_some_and(Proof::holds)
    }
}

impl Node {
    /// Starts to serve, on threads of its own.
    ///
    /// # Errors
    /// What the operating system refuses.
    pub fn start(config: NodeConfig) -> io::Result<Node> {
        let shared = Arc::new(Shared {
            apps: Apps::new(config.hsm),
            identity: config.identity,
            trust: config.trust,
            limits: config.limits,
            faults: config.faults,
            log: config.log,
            stopping: AtomicBool::new(false),
            greets: Mutex::default(),
            open: Mutex::default(),
            all_closed: Condvar::new(),
        });
        let mut node = Node {
            shared,
            addresses: Vec::new(),
            accepting: Mutex::default(),
        };
        for (purpose, listener) in config.listeners {
            node.addresses.push((purpose, listener.local_addr()?));
            let shared = Arc::clone(&node.shared);
            let accepting = thread::Builder::new()
                .name(format!("{purpose:?} port"))
                .spawn(move || accept(&shared, purpose, &listener))?;
            node.accepting.lock().push(accepting);
        }
        Ok(node)
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[(Purpose, SocketAddr)] {
        &self.addresses
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.shared.open.lock().sockets.len()
    }

    /// Takes no more connections and closes the ports, lets requests that are being carried out end
    /// (for at most `grace`), then closes all connections.
    pub fn shutdown(&self, grace: Duration) {
        if self.shared.stopping.swap(true, SeqCst) {
            return;
        }
        let accepting = std::mem::take(&mut *self.accepting.lock());
        for ((_, address), thread) in self.addresses.iter().zip(accepting) {
            // Wakes the thread that waits in accept, which then sees that it is over; with it the
            // port closes.
            if TcpStream::connect_timeout(&reachable(*address), Duration::from_secs(1)).is_ok() {
                let _ = thread.join();
            }
        }
        // Whoever waits for a request reads the end of the stream; whoever carries one out can
        // still send its reply.
        self.shared.close_all(Shutdown::Read);
        let end = Instant::now() + grace;
        let mut open = self.shared.open.lock();
        while open.serving != 0 {
            if self
                .shared
                .all_closed
                .wait_until(&mut open, end)
                .timed_out()
            {
                break;
            }
        }
        drop(open);
        self.shared.close_all(Shutdown::Both);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}

fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn accept(shared: &Arc<Shared>, purpose: Purpose, listener: &TcpListener) {
    loop {
        let accepted = listener.accept();
        if shared.stopping.load(SeqCst) {
            return;
        }
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of file descriptors, as a rule: others must close before this can go on.
                (shared.log)(&format!("{purpose:?} port: accept: {e}"));
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        if shared.faults.refuses() {
            continue;
        }
        if let Err(why) = begin(shared, purpose, stream, from) {
            (shared.log)(&format!(
                "{purpose:?} connection from {from} refused: {why}"
            ));
        }
    }
}

fn begin(
    shared: &Arc<Shared>,
    purpose: Purpose,
    stream: TcpStream,
    from: SocketAddr,
) -> io::Result<()> {
    let socket = Socket::new(stream)?;
    let entry =
        Entry::new(shared, &socket).ok_or_else(|| io::Error::other("too many connections"))?;
    thread::Builder::new()
        .name(format!("{purpose:?} {from}"))
        .spawn(move || {
            let shared = Arc::clone(&entry.shared);
            if let Err(why) = serve::connection(&shared, purpose, socket, &entry.proof) {
                (shared.log)(&format!("{purpose:?} connection from {from} closed: {why}"));
            }
            // Only now: shutdown waits for connections that have really ended.
            drop(entry);
        })?;
    Ok(())
}

/// A connection's place in the table of open ones, given back even if its thread panics.
struct Entry {
    shared: Arc<Shared>,
    number: u64,
    proof: Arc<OnceLock<Proof>>,
}

impl Entry {
    fn new(shared: &Arc<Shared>, socket: &Socket) -> Option<Entry> {
        let mut open = shared.open.lock();
        // Whoever connects faster than the closed ones end waits outside.
        if open.serving >= shared.limits.connections.saturating_mul(2) {
            return None;
        }
        if open.sockets.len() >= shared.limits.connections {
            let mut seats = open.sockets.iter();
            let idler = seats.find(|(_, seat)| !seat.is_proven());
            let idler = *idler?.0;
            // Its thread reads the end of the stream and goes.
            if let Some(socket) = open.sockets.remove(&idler)?.socket.upgrade() {
                Socket(socket).close(Shutdown::Both);
            }
            (shared.log)("too many connections: the oldest without a login is closed");
        }
        open.next += 1;
        open.serving += 1;
        let number = open.next;
        let proof = Arc::<OnceLock<Proof>>::default();
        let seat = Seat {
            socket: Arc::downgrade(&socket.0),
            proof: Arc::clone(&proof),
        };
        open.sockets.insert(number, seat);
        Some(Entry {
            shared: Arc::clone(shared),
            number,
            proof,
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.shared.open.lock();
        open.sockets.remove(&self.number);
        open.serving -= 1;
        if open.serving == 0 {
            self.shared.all_closed.notify_all();
        }
    }
}

impl Shared {
    fn close_all(&self, how: Shutdown) {
        let open = self.open.lock();
        for socket in open
            .sockets
            .values()
            .filter_map(|seat| seat.socket.upgrade())
        {
            Socket(socket).close(how);
        }
    }

    /// The TLS configuration for the identity of now. A new identity forgets all TLS sessions, so that
    /// nobody resumes one that was made with the old certificate.
    fn tls(&self, purpose: Purpose) -> Result<Arc<ServerConfig>> {
        let identity = self.identity.current();
        let mut greets = self.greets.lock();
        if let Some((made_from, config)) = greets.get(&purpose)
            && Arc::ptr_eq(made_from, &identity)
        {
            return Ok(Arc::clone(config));
        }
        let trust = (purpose == Purpose::Service).then_some(&self.trust);
        let config = tls::server(&identity, trust)?;
        greets.insert(purpose, (identity, Arc::clone(&config)));
        Ok(config)
    }
}
