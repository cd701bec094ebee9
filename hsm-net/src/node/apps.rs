//! Applications. A pool of connections of one application shares one link, and with it login,
//! session objects and streams; the link ends with the last of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use hsm_api::{Hello, Hsm, Link, Peer, Result};
use parking_lot::Mutex;

pub struct Apps {
    hsm: Arc<dyn Hsm>,
    /// The application's number is random and known to it alone: no other can join its link.
    open: Mutex<HashMap<(u128, Peer), Weak<Shared>>>,
}

struct Shared {
    link: Arc<dyn Link>,
    number: u64,
    /// A user has logged in on the link, or the caller has a certificate.
    proven: AtomicBool,
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
                    proven: AtomicBool::new(hello.peer != Peer::Client),
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
    /// A login succeeded on this connection.
    pub fn prove(&self) {
        if let Some(shared) = &self.shared {
            shared.proven.store(true, Relaxed);
        }
    }
    /// Whether anybody has proven to the HSM who they are.
    pub fn is_proven(&self) -> bool {
        self.shared.as_ref().is_some_and(|s| s.proven.load(Relaxed))
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
