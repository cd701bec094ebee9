//! What nodes do among themselves: each asks the others what they hold, fetches what it holds in
//! another state or not at all, and applies it; the HSM decides which of two states is the newer. A node that was away catches up so, and a client that died between creating and cloning
//! leaves nothing half done. Users never travel this way: the management tools write them to each HSM.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use hsm_api::{Error, Hello, Hsm, Link, ObjectId, Peer, Reply, Request, Result, Rv, SessionId};
use parking_lot::{Condvar, Mutex, RwLock};

use crate::{Anchors, Credentials, NodeClient, NodeClientConfig};

/// Objects asked for at once. Large ones come in several replies.
const BATCH: usize = 64;
/// Rounds that found nothing make the pause grow up to so many times `every`.
const SLOWEST: u32 = 8;

/// The other nodes of the cluster, by their service ports; replaceable at any time.
#[derive(Clone, Default)]
pub struct Peers(Arc<RwLock<Vec<SocketAddr>>>);

impl Peers {
    /// Replaces the list.
    pub fn set(&self, addresses: Vec<SocketAddr>) {
        *self.0.write() = addresses;
    }
    /// The list of now.
    pub fn list(&self) -> Vec<SocketAddr> {
        self.0.read().clone()
    }
}

/// What catch-up needs.
pub struct SyncConfig {
    /// Where changes are applied.
    pub hsm: Arc<dyn Hsm>,
    /// Whom to ask.
    pub peers: Peers,
    /// What this node presents to them: a certificate of the service's CA with OU `NODE_UNIT`.
    pub credentials: Arc<Credentials>,
    /// What their certificates must chain to, asked each time because it changes with initialization;
    /// `None` while there is nothing to trust yet.
    pub anchors: Arc<dyn Fn() -> Option<Anchors> + Send + std::marker::Sync>,
    /// Time between two rounds.
    pub every: Duration,
    /// For each request to a peer.
    pub timeout: Duration,
    /// One line for each peer that starts or ceases to fail.
    pub log: Arc<dyn Fn(&str) + Send + std::marker::Sync>,
}

/// A running catch-up loop. Dropping it ends it, without waiting for a round that is under way.
pub struct Sync(Arc<Shared>);

struct Shared {
    config: SyncConfig,
    /// Connections to peers, and what was last wrong with each. One round at a time holds it.
    round: Mutex<Round>,
    stopping: AtomicBool,
    sleeping: Mutex<()>,
    wake: Condvar,
}

#[derive(Default)]
struct Round {
    trusted: Option<Anchors>,
    own: Option<Arc<dyn Link>>,
    lines: HashMap<SocketAddr, NodeClient>,
    failing: HashMap<SocketAddr, Rv>,
}

impl Sync {
    /// Starts the loop on a thread of its own.
    pub fn start(config: SyncConfig) -> Sync {
        let shared = Arc::new(Shared {
            config,
            round: Mutex::default(),
            stopping: AtomicBool::new(false),
            sleeping: Mutex::new(()),
            wake: Condvar::new(),
        });
        let looping = Arc::clone(&shared);
        thread::spawn(move || looping.run());
        Sync(shared)
    }

    /// Runs a round at once, and returns when it is done: how many changes were fetched and applied.
    pub fn now(&self) -> usize {
        self.0.round()
    }
}

impl Drop for Sync {
    fn drop(&mut self) {
        self.0.stopping.store(true, SeqCst);
        let _sleeping = self.0.sleeping.lock();
        self.0.wake.notify_all();
    }
}

impl Shared {
    fn run(&self) {
        let mut pause = 1;
        while !self.stopping.load(SeqCst) {
            pause = if self.round() > 0 {
                1
            } else {
                (pause * 2).min(SLOWEST)
            };
            let mut sleeping = self.sleeping.lock();
            if !self.stopping.load(SeqCst) {
                self.wake.wait_for(&mut sleeping, self.config.every * pause);
            }
        }
    }

    fn round(&self) -> usize {
        let Some(anchors) = (self.config.anchors)() else {
            return 0;
        };
        let mut round = self.round.lock();
        if round.trusted.as_ref() != Some(&anchors) {
            // Connections made under another anchor prove nothing about this one.
            *round = Round {
                trusted: Some(anchors.clone()),
                ..Round::default()
            };
        }
        let peers = self.config.peers.list();
        round.lines.retain(|peer, _| peers.contains(peer));
        let mut applied = 0;
        for peer in peers {
            match self.catch_up(&mut round, peer, &anchors) {
                Ok(count) => {
                    applied += count;
                    if round.failing.remove(&peer).is_some() {
                        (self.config.log)(&format!("catch-up with {peer}: works again"));
                    }
                }
                Err(error) => {
                    round.lines.remove(&peer);
                    if round.failing.insert(peer, error.rv) != Some(error.rv) {
                        (self.config.log)(&format!("catch-up with {peer}: {error}"));
                    }
                }
            }
        }
        applied
    }

    fn catch_up(&self, round: &mut Round, peer: SocketAddr, anchors: &Anchors) -> Result<usize> {
        let own = match &round.own {
            Some(own) => Arc::clone(own),
            None => {
                let hello = Hello {
                    application: rand::random(),
                    peer: Peer::Node,
                };
                let own = self.config.hsm.open(&hello)?;
                round.own = Some(Arc::clone(&own));
                own
            }
        };
        let theirs: &dyn Link = match round.lines.entry(peer) {
            Entry::Occupied(line) => line.into_mut(),
            Entry::Vacant(free) => {
                let credentials = Arc::clone(&self.config.credentials);
                let mut config =
                    NodeClientConfig::service(peer, anchors.clone(), Peer::Node, credentials);
                config.call_timeout = self.config.timeout;
                free.insert(NodeClient::connect(&config)?)
            }
        };
        let missing = missing(&digest(&*own)?, digest(theirs)?);
        let mut applied = 0;
        for batch in missing.chunks(BATCH) {
            applied += fetch(&*own, theirs, batch)?;
        }
        Ok(applied)
    }
}

type Digest = Vec<(ObjectId, u64, u64)>;

/// What they hold in another state than we do. Not only what has a higher version: a tombstone beats
/// any living state, and a digest does not tell which is one. Whoever holds the lesser state takes the
/// other's, and then there is no difference any more.
fn missing(ours: &Digest, theirs: Digest) -> Vec<ObjectId> {
    let ours: HashMap<_, _> = ours
        .iter()
        .map(|&(id, version, origin)| (id, (version, origin)))
        .collect();
    let differs = |&(id, version, origin): &(ObjectId, u64, u64)| {
        ours.get(&id).is_none_or(|&own| own != (version, origin))
    };
    theirs
        .into_iter()
        .filter(differs)
        .map(|(id, ..)| id)
        .collect()
}

fn digest(of: &dyn Link) -> Result<Digest> {
    match of.call(SessionId(0), &Request::Digest, &mut [])? {
        Reply::Digest(digest) => Ok(digest),
        _ => Err(Error::new(
            Rv::DEVICE_ERROR,
            "no digest in the answer to Digest",
        )),
    }
}

/// Fetches and applies. They give as many as go into one reply; the rest is asked for again.
fn fetch(own: &dyn Link, theirs: &dyn Link, mut ids: &[ObjectId]) -> Result<usize> {
    let mut count = 0;
    while !ids.is_empty() {
        let export = Request::Export { ids: ids.to_vec() };
        let Reply::Changes(changes) = theirs.call(SessionId(0), &export, &mut [])? else {
            let why = "no changes in the answer to Export";
            return Err(Error::new(Rv::DEVICE_ERROR, why));
        };
        let last = changes.last().map(|change| change.id);
        // None: what is left is known to nobody any more. A stranger: nothing that we asked for.
        let Some(last) = ids.iter().position(|id| Some(*id) == last) else {
            break;
        };
        ids = &ids[last + 1..];
        count += changes.len();
        own.call(SessionId(0), &Request::Apply { changes }, &mut [])?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_missing() {
        let ours = vec![
            (ObjectId(1), 2, 7),
            (ObjectId(2), 1, 7),
            (ObjectId(3), 1, 9),
        ];
        let theirs = vec![
            (ObjectId(1), 1, 9), // may be a tombstone
            (ObjectId(2), 1, 8), // the same version of another origin
            (ObjectId(3), 1, 9), // the same
            (ObjectId(4), 1, 1), // unknown here
        ];
        assert_eq!(
            missing(&ours, theirs),
            [ObjectId(1), ObjectId(2), ObjectId(4)]
        );
    }
}
