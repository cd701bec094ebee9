//! One node as one application sees it: its idle connections, how busy it is, whether it answers,
//! and as whom it knows us.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::time::{Duration, Instant};

use hsm_api::{Error, Hello, Replay, Reply, Request, Result, Rv, SessionId};
use parking_lot::Mutex;
use rustls::ClientConfig;

use super::login::Credential;
use crate::conn::{self, Conn, Failure, Patience};
use crate::frame::Greeting;
use crate::{Anchors, Purpose, tls};

/// Idle connections kept; more than so many threads at once pay for a handshake again.
const MOST_IDLE: usize = 64;
/// A connection that rested longer is looked at before it is used.
const RESTED: Duration = Duration::from_secs(1);
/// The back-off grows up to so many times its beginning.
const LONGEST_BACK_OFF: u32 = 30;

/// An answer, with the link of the node's that gave it.
pub type Answer = std::result::Result<(Reply, u64), Failure>;

pub struct Line {
    pub address: SocketAddr,
    tls: Arc<ClientConfig>,
    greeting: Greeting,
    patience: Patience,
    idle: Mutex<Vec<Conn>>,
    busy: AtomicUsize,
    health: Health,
    /// The node's link in which we are logged in with the credentials of now; 0 is none.
    known_in: AtomicU64,
    /// Held while logging in, so that one thread does it for all. Says why these credentials are not
    /// taken, so that they are not tried again and again until the user is locked.
    login: Mutex<Option<Error>>,
}

/// Whether a node answers; times are milliseconds since the line was made.
struct Health {
    since: Instant,
    back_off: Duration,
    down_until: AtomicU64,
    failures: AtomicU32,
}

/// What a call on a line must be like.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// Logged in as this user, if anyone is.
    pub credential: Option<&'a Credential>,
    /// In this link of the node's only: what the request is about is gone with any other.
    pub in_link: Option<u64>,
}

impl Line {
    pub fn new(
        address: SocketAddr,
        anchors: &Anchors,
        patience: Patience,
        back_off: Duration,
        hello: &Hello,
    ) -> Result<Line> {
        Ok(Line {
            address,
            tls: tls::client(anchors, None, true)?,
            greeting: Greeting {
                purpose: Purpose::Client,
                hello: hello.clone(),
            },
            patience,
            idle: Mutex::default(),
            busy: AtomicUsize::new(0),
            health: Health {
                since: Instant::now(),
                back_off,
                down_until: AtomicU64::new(0),
                failures: AtomicU32::new(0),
            },
            known_in: AtomicU64::new(0),
            login: Mutex::default(),
        })
    }

    /// Whether we are logged in there.
    pub fn knows_us(&self) -> bool {
        self.known_in.load(SeqCst) != 0
    }

    /// Requests on their way now.
    pub fn busy(&self) -> usize {
        self.busy.load(Relaxed)
    }

    /// Left alone for now, because it could not be reached a moment ago.
    pub fn is_resting(&self) -> bool {
        self.health.is_resting()
    }

    /// Makes sure that there is a connection.
    pub fn reach(&self) -> Result<()> {
        if self.idle.lock().is_empty() {
            let conn = self.connect()?;
            self.put_back(conn);
        }
        Ok(())
    }

    /// Asks this node. A connection that breaks is replaced once by a fresh one if the request was not
    /// sent or may be repeated: where it was carried out already, this node knows so best.
    pub fn call(
        &self,
        terms: Terms<'_>,
        session: SessionId,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> Answer {
        self.busy.fetch_add(1, Relaxed);
        let _busy = Busy(&self.busy);
        let careful = request.replay() == Replay::Never;
        let mut conn = match self.take(careful) {
            Some(conn) => conn,
            None => self.connect().map_err(unsent)?,
        };
        let begun = Instant::now();
        let (sent, why) = match self.call_on(&mut conn, terms, session, request, out) {
            Err(Failure::Lost { sent, why }) => (sent, why),
            answered => {
                self.put_back(conn);
                return answered;
            }
        };
        // Its siblings in the pool went to the same process.
        self.idle.lock().clear();
        let too_late = begun.elapsed() >= self.patience.call;
        if too_late || (sent && careful) {
            self.health.failed();
            return Err(Failure::Lost {
                sent,
                why: conn::at(self.address, why),
            });
        }
        let mut conn = self.connect().map_err(|why| Failure::Lost { sent, why })?;
        match self.call_on(&mut conn, terms, session, request, out) {
            // What may have been carried out before may have been, even if now nothing was sent.
            Err(Failure::Lost { sent: again, why }) => {
                self.health.failed();
                Err(Failure::Lost {
                    sent: sent || again,
                    why: conn::at(self.address, why),
                })
            }
            answered => {
                self.put_back(conn);
                answered
            }
        }
    }

    /// One attempt on one connection, logged in where someone is.
    fn call_on(
        &self,
        conn: &mut Conn,
        terms: Terms<'_>,
        session: SessionId,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> Answer {
        if terms.in_link.is_some_and(|link| link != conn.link) {
            let why = Error::new(Rv::DEVICE_REMOVED, "restarted; sessions there are gone");
            return Err(Failure::Refused(conn::at(self.address, why)));
        }
        let Some(credential) = terms.credential else {
            return self.ask(conn, session, request, out);
        };
        if self.known_in.load(SeqCst) != conn.link {
            self.log_in(conn, credential)?;
        }
        match self.ask(conn, session, request, out) {
            // The node forgot us though the link is the same: an administrator changed something.
            Err(Failure::Refused(e)) if e.rv == Rv::USER_NOT_LOGGED_IN => {
                self.known_in.store(0, SeqCst);
                self.log_in(conn, credential)?;
                self.ask(conn, session, request, out)
            }
            answer => answer,
        }
    }

    fn ask(
        &self,
        conn: &mut Conn,
        session: SessionId,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> Answer {
        match conn.call(session, request, out) {
            Ok(reply) => Ok((reply, conn.link)),
            Err(Failure::Refused(error)) => Err(Failure::Refused(conn::at(self.address, error))),
            Err(lost) => Err(lost),
        }
    }

    /// Logs in again after the node, or the connection that knew us, was away. A refusal is remembered
    /// and makes this node one that cannot be used, while others can.
    fn log_in(&self, conn: &mut Conn, credential: &Credential) -> std::result::Result<(), Failure> {
        let mut refused = self.login.lock();
        if self.known_in.load(SeqCst) == conn.link {
            return Ok(());
        }
        if let Some(why) = &*refused {
            return Err(unsent(why.clone()));
        }
        match self.ask(conn, SessionId(0), &credential.login(), &mut []) {
            Ok(_) => {}
            Err(Failure::Refused(e)) if e.rv == Rv::USER_ALREADY_LOGGED_IN => {}
            Err(Failure::Refused(e)) => {
                *refused = Some(e.clone());
                return Err(unsent(e));
            }
            // The request itself has not been sent, whatever became of the login.
            Err(Failure::Lost { why, .. }) => return Err(unsent(why)),
        }
        self.known_in.store(conn.link, SeqCst);
        Ok(())
    }

    /// Notes that a login by request succeeded in this link of the node's.
    pub fn logged_in(&self, link: u64) {
        *self.login.lock() = None;
        self.known_in.store(link, SeqCst);
    }

    /// Forgets as whom the node knows us.
    pub fn logged_out(&self) {
        *self.login.lock() = None;
        self.known_in.store(0, SeqCst);
    }

    fn take(&self, careful: bool) -> Option<Conn> {
        let mut idle = self.idle.lock();
        let conn = idle.pop()?;
        if (careful || conn.used.elapsed() > RESTED) && conn.is_stale() {
            // Its siblings went to the same process.
            idle.clear();
            return None;
        }
        Some(conn)
    }

    fn put_back(&self, conn: Conn) {
        self.health.answered();
        let mut idle = self.idle.lock();
        if idle.len() < MOST_IDLE {
            idle.push(conn);
        }
    }

    fn connect(&self) -> Result<Conn> {
        // Before the attempt, so that other threads go elsewhere while this one waits.
        self.health.trying();
        // Only an answer ends the rest: a node that hangs still takes connections.
        Conn::open(self.address, &self.tls, &self.greeting, self.patience)
            .inspect_err(|_| self.health.failed())
    }
}

fn unsent(why: Error) -> Failure {
    Failure::Lost { sent: false, why }
}

struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Health {
    fn is_resting(&self) -> bool {
        let until = self.down_until.load(Relaxed);
        until > 0 && until > self.now()
    }

    fn trying(&self) {
        if self.failures.load(Relaxed) > 0 {
            self.rest();
        }
    }

    fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
        self.rest();
    }

    fn answered(&self) {
        if self.failures.load(Relaxed) > 0 {
            self.failures.store(0, Relaxed);
            self.down_until.store(0, Relaxed);
        }
    }

    fn rest(&self) {
        let doublings = self.failures.load(Relaxed).saturating_sub(1).min(5);
        let times = 2_u32.pow(doublings).min(LONGEST_BACK_OFF);
        let rest = u64::try_from((self.back_off * times).as_millis()).unwrap_or(u64::MAX);
        self.down_until
            .store(self.now().saturating_add(rest), Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
