//! May this caller ask this, and may this user see that object. All the rules about who are here.
//!
//! Embedded, PKCS#11's own: private objects are the logged-in user's, the security officer has no keys.
//! In a cluster, CloudHSM's: crypto users use what they own or share, officers manage users and never
//! use a key, other HSMs carry sealed changes, the service installs certificates and takes backups.

use hsm_api::{Error, Peer, Request, Result, Role, Rv};

use crate::object::Object;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    /// Logged in as.
    pub role: Option<Role>,
    /// The user's number on this HSM, if any is logged in.
    pub user: u32,
    /// By what objects know the user.
    pub mark: u64,
    /// On an HSM of a cluster.
    pub node: bool,
}

impl Who {
    /// The PKCS#11 security officer, the cluster's crypto officer.
    pub fn is_officer(self) -> bool {
        self.role == Some(Role::Co)
    }
}

/// Whether an object exists, as far as this caller can tell.
pub fn may_see(who: Who, object: &Object) -> bool {
    match who.role {
        Some(Role::Cu) => object.belongs_to(who.mark),
        // An officer marks keys as trusted; using them is refused in `may_ask`.
        Some(Role::Co) if who.node => object.facts.token,
        _ => !who.node && !object.facts.private,
    }
}

/// Whether this caller may make or change an object like this.
///
/// # Errors
/// USER_NOT_LOGGED_IN.
pub fn may_write(who: Who, private: bool) -> Result<()> {
    if who.role == Some(Role::Cu) || !(private || who.node) {
        return Ok(());
    }
    Err(Error::new(
        Rv::USER_NOT_LOGGED_IN,
        "a private object needs a logged-in crypto user",
    ))
}

/// Whether this crypto user may change, destroy, copy or wrap the object. Who was given a share of a
/// key uses it and no more: a copy would be his own, to wrap as he likes.
///
/// # Errors
/// FUNCTION_REJECTED.
pub fn may_dispose(who: Who, object: &Object) -> Result<()> {
    if !who.node || who.role != Some(Role::Cu) || object.is_owned_by(who.mark) {
        return Ok(());
    }
    Err(Error::new(
        Rv::FUNCTION_REJECTED,
        "the key is another user's, who only shares its use",
    ))
}

/// Whether this caller may read the object's secret attributes, where they hide from nobody else. An
/// officer sees what he marks as trusted, and no value.
pub fn may_read_secrets(who: Who) -> bool {
    !(who.node && who.is_officer())
}

/// Whether this kind of caller may ask this at all.
///
/// # Errors
/// FUNCTION_REJECTED, USER_NOT_LOGGED_IN, FUNCTION_NOT_SUPPORTED.
pub fn may_ask(peer: Peer, who: Who, request: &Request<'_>) -> Result<()> {
    use Request as R;
    match request {
        R::TokenInfo | R::Mechanisms | R::NodeInfo | R::Users => Ok(()),
        R::Csr | R::Install { .. } => only(matches!(peer, Peer::Service)),
        // Sealed under the key of the whole service: no other cluster's HSM may have it.
        R::Backup | R::Restore { .. } => only(matches!(peer, Peer::Service)),
        R::Digest => match peer {
            Peer::Client => carries(who),
            Peer::Node | Peer::Service => Ok(()),
        },
        R::Export { .. } | R::Apply { .. } => match peer {
            Peer::Client => carries(who),
            Peer::Node => Ok(()),
            Peer::Service => only(false),
        },
        _ if peer != Peer::Client => only(false),
        R::Random
        | R::Seed { .. }
        | R::InitToken { .. }
        | R::InitPin { .. }
        | R::SetPin { .. }
        | R::Login { .. }
        | R::LoginContext { .. }
        | R::Logout
        | R::CloseSession => Ok(()),
        R::CreateUser { .. } | R::DeleteUser { .. } => {
            logged_in(who)?;
            only(who.is_officer())
        }
        R::ChangePassword { .. } | R::UserKeys { .. } | R::Share { .. } => logged_in(who),
        R::Find { .. } | R::Resolve { .. } | R::Attributes { .. } | R::SetAttributes { .. } => {
            Ok(())
        }
        // Digests need no key, and so no user.
        R::Crypt { key: None, .. }
        | R::Begin { key: None, .. }
        | R::Update { .. }
        | R::Finish { .. }
        | R::Abort { .. }
        | R::SaveState { .. }
        | R::RestoreState { .. } => Ok(()),
        _ if !who.node || who.role == Some(Role::Cu) => Ok(()),
        _ => {
            logged_in(who)?;
            Err(Error::new(
                Rv::FUNCTION_REJECTED,
                "only crypto users manage and use keys",
            ))
        }
    }
}

fn logged_in(who: Who) -> Result<()> {
    if who.role.is_some() {
        return Ok(());
    }
    Err(Error::new(Rv::USER_NOT_LOGGED_IN, "log in first"))
}

/// Masked objects are carried by any user of an activated HSM.
fn carries(who: Who) -> Result<()> {
    logged_in(who)?;
    only(who.role != Some(Role::PreCo))
}

fn only(may: bool) -> Result<()> {
    if may {
        return Ok(());
    }
    Err(Error::new(
        Rv::FUNCTION_REJECTED,
        "this is not for this kind of caller or user to ask",
    ))
}
