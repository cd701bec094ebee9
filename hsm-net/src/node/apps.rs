//! Applications. A pool of connections of one application shares one link, and with it login,
//! session objects and streams; the link ends with the last of them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use hsm_api::{Hello, Hsm, Link, Peer, Result};
use parking_lot::Mutex;

/// Tells whether a user is logged in on an application's link, or the caller has a certificate: the same
/// for all connections of the application, those that rest too.
pub struct Proof {
    certified: bool,
    link: Weak<dyn Link>,
}

impl Proof {
    /// Asks the HSM itself: a login may end without a request (the HSM is restored from a backup).
    pub fn holds(&self) -> bool {
        self.certified || self.link.upgrade().is_some_and(|link| link.is_logged_in())
    }
}

pub struct Apps {
    hsm: Arc<dyn Hsm>,
    /// The application's number is random and known to it alone: no other can join its link.
    open: Mutex<HashMap<(u128, Peer), Weak<Shared>>>,
}

struct Shared {
    link: Arc<dyn Link>,
    number: u64,
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
    pub fn proof(&self) -> Option<Proof> {
        self.shared.as_ref().map(|shared| Proof {
            certified: self.who.1 != Peer::Client,
            link: Arc::downgrade(&shared.link),
        })
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
