//! What nodes do among themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hsm_api::Hsm;
use parking_lot::RwLock;

use crate::{Anchors, Credentials};

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

/// A running catch-up loop. Dropping it ends it.
pub struct Sync;

impl Sync {
    /// Starts the loop on a thread of its own.
    pub fn start(_config: SyncConfig) -> Sync {
        Sync
    }
    /// Runs a round at once, and returns when it is done: changes applied.
    pub fn now(&self) -> usize {
        0
    }
}
