//! Applications. A pool of connections of one application shares one link, and with it login,
//! session objects and streams; the link ends with the last of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Weak};

use hsm_api::{Hello, Hsm, Link, Peer, Reply, Request, Result, Rv};
use parking_lot::Mutex;

/// Whether a user is logged in on an application's link, or the caller has a certificate: one fact for all
/// connections of the application, those that rest too.
pub type Proof = Arc<AtomicBool>;

pub struct Apps {
    hsm: Arc<dyn Hsm>,
    /// The application's number is random and known to it alone: no other can join its link.
    open: Mutex<HashMap<(u128, Peer), Weak<Shared>>>,
}

struct Shared {
    link: Arc<dyn Link>,
    number: u64,
    proven: Proof,
}

/// One connection's share of its application's link.
pub struct Joined<'a> {
    apps: &'a Apps,
    who: (u128, Peer),
    shared: Option<Arc<Shared>>,
}

impl Apps {
    pub fn new(hsm: Arc<dyn Hsm>) -> Self {
        Apps {
            hsm,
            open: Mutex::default(),
        }
    }

    pub fn join(&self, hello: &Hello) -> Result<Joined<'_>> {
        let who = (hello.application, hello.peer);
        // Held while the link opens: two first connections of one application must not open two.
        let mut open = self.open.lock();
        let shared = match open.get(&who).and_then(Weak::upgrade) {
            Some(shared) => shared,
            None => {
                let link = self.hsm.open(hello)?;
                let shared = Arc::new(Shared {
                    link,
                    number: rand::random(),
                    proven: Arc::new(AtomicBool::new(hello.peer != Peer::Client)),
                });
                open.insert(who, Arc::downgrade(&shared));
                shared
            }
        };
        Ok(Joined {
            apps: self,
            who,
            shared: Some(shared),
        })
    }
}

impl Joined<'_> {
    /// The link.
    pub fn link(&self) -> Option<&dyn Link> {
        self.shared.as_ref().map(|shared| &*shared.link)
    }
    /// What proves this application, for its connections' seats.
    pub fn proof(&self) -> Proof {
        let shared = self.shared.as_ref();
        shared.map_or_else(Proof::default, |s| Arc::clone(&s.proven))
    }
    /// Takes note of what an answer tells about the login.
    pub fn heard(&self, request: &Request<'_>, answer: &Result<Reply>) {
        let Some(shared) = self.shared.as_ref().filter(|_| self.who.1 == Peer::Client) else {
            return;
        };
        let is = match (request, answer) {
            (Request::Login { .. }, Ok(_)) => true,
            (Request::Logout, Ok(_)) => false,
            (_, Err(e)) => match e.rv {
                Rv::USER_ALREADY_LOGGED_IN | Rv::USER_ANOTHER_ALREADY_LOGGED_IN => true,
                // Not by its own logout: the HSM was restored from a backup. (A key that wants a login for
                // each use says the same; a client that logs in again hears that it is, as above.)
                Rv::USER_NOT_LOGGED_IN => false,
                _ => return,
            },
            _ => return,
        };
        shared.proven.store(is, SeqCst);
    }
    /// Tells this link from another one of the same application.
    pub fn number(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.number)
    }
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        // First the share, then the table: the link's own end may take time and no lock is held.
        drop(self.shared.take());
        let mut open = self.apps.open.lock();
        if open
            .get(&self.who)
            .is_some_and(|link| link.strong_count() == 0)
        {
            open.remove(&self.who);
        }
    }
}
