//! The seam between the PKCS#11 module and whatever holds the keys. The engine in this process, the
//! cluster client and the node's server loop all stand on one side of it or the other.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Reply, Request, Result, SessionId};

/// An HSM, or a cluster of them that answers as one.
pub trait Hsm: Send + Sync {
    /// Opens a link for one application. Login state belongs to the link.
    ///
    /// # Errors
    /// TOKEN_NOT_PRESENT when no HSM can be reached, DEVICE_ERROR when the store cannot be opened.
    fn open(&self, who: &Hello) -> Result<Arc<dyn Link>>;
}

/// One application's line to an HSM. Dropping it logs out and forgets its session objects.
pub trait Link: Send + Sync {
    /// Answers one request. Bulk results go straight into `out`, and the reply says how many bytes;
    /// where `out` is shorter than the mechanism's bound for the input, the answer is
    /// BUFFER_TOO_SMALL and nothing has happened.
    ///
    /// # Errors
    /// Whatever the HSM refuses; DEVICE_REMOVED where the HSM of a stream is gone.
    fn call(&self, session: SessionId, request: &Request<'_>, out: &mut [u8]) -> Result<Reply>;

    /// Whether somebody is logged in here now, as far as it can be told without asking anybody. A node
    /// asks the HSM that it serves; answers to requests would not tell, for a refused request may say
    /// USER_NOT_LOGGED_IN to who is (a key that wants a login before each use).
    fn is_logged_in(&self) -> bool {
        false
    }
}

/// Who opens a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Random, one for each C_Initialize of each process.
    pub application: u128,
    /// What kind of caller.
    pub peer: Peer,
}

/// Kinds of caller. The transport proves the last two by certificate before the engine sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Peer {
    /// A PKCS#11 application or a management tool: may do what its login allows.
    Client,
    /// Another HSM of the same cluster: may exchange changes.
    Node,
    /// The CloudHSM service: certificates, backup, restore, peers. Never a key.
    Service,
}
