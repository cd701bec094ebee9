//! Connecting a key store: attach, log in as kmsuser, rotate the password, stay logged in (aws-facts A5).
//!
//! Rotation survives a crash at any instruction. The new password is stored, sealed, as *pending* before C_SetPIN and becomes *current*
//! after it; whoever finds a pending one cannot know whether the HSM took it, and tries it first, then the current one.
//! That is at most two failed logins a connect, and the first good one sets the HSM's counter back, so a crash never locks kmsuser.
//!
//! In a cluster C_SetPIN writes to every HSM, so a crash may also fall between two of them. Then each password is right on
//! some HSMs and no login succeeds on all. The failure counters, which need no login to read, tell this from two wrong passwords
//! (an HSM that took one of the two counts one failure, not two), and repeating the interrupted C_SetPIN mends it.

use std::sync::Arc;

use aws_json::ServiceError;
use zeroize::Zeroizing;

use crate::clusters::{
    Attachment, Clusters, ConnectFailure, ConnectionErrorCode as Code, KmsUser,
    refused_before_login,
};
use crate::error::told;
use crate::p11::{Fault, FaultKind, Module, Token};
use crate::records::KeyStore;
use crate::seal::new_password;
use crate::stores::KeyStores;

/// The points at which a connect can be interrupted, for tests that kill the service there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Nothing was done yet.
    Begun,
    /// The cluster is attached.
    Attached,
    /// kmsuser is logged in with the old password.
    LoggedIn,
    /// The new password is stored as pending; the HSM has the old one.
    PendingStored,
    /// The HSM has the new password; it is stored as pending.
    PinChanged,
    /// The new password is stored as current.
    CurrentStored,
}

impl Point {
    /// All of them, in the order in which a connect meets them.
    pub const ALL: [Point; 6] = [
        Point::Begun,
        Point::Attached,
        Point::LoggedIn,
        Point::PendingStored,
        Point::PinChanged,
        Point::CurrentStored,
    ];
}

/// Asked at each point; `true` ends the connect there as if the process had died.
pub type Interrupt = Arc<dyn Fn(Point) -> bool + Send + Sync>;

/// Why a connect did not end in a login.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The key store is FAILED.
    Failed(ConnectFailure),
    /// A disconnect came first, or the service stops: nothing is to be written.
    Unwanted,
}

impl From<ServiceError> for Stop {
    fn from(error: ServiceError) -> Stop {
        Stop::Failed(ConnectFailure::new(Code::InternalError, told(&error)))
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        let code = match fault.kind {
            FaultKind::WrongPassword => Code::InvalidCredentials,
            FaultKind::LockedOut => Code::UserLockedOut,
            FaultKind::NoUser => Code::UserNotFound,
            FaultKind::LoggedIn => Code::UserLoggedIn,
            FaultKind::Unreachable | FaultKind::StaleSession => Code::NetworkErrors,
            _ => Code::InternalError,
        };
        Stop::Failed(ConnectFailure::new(code, fault.why))
    }
}

impl KeyStores {
    /// Connects the store as its record says now.
    pub(crate) fn connect_now(&self, store: &KeyStore) -> Result<Token, Stop> {
        self.pass(Point::Begun)?;
        let attachment = self
            .clusters
            .attach(&store.scope, &store.id, &store.cluster, &store.trust_anchor)
            .map_err(Stop::Failed)?;
        self.pass(Point::Attached)?;
        let module = self
            .modules
            .load(&attachment.module.path, attachment.module.config.as_deref())?;
        let (token, used) = self.log_in(store, &module, &attachment)?;
        self.pass(Point::LoggedIn)?;
        self.rotate(store, &token, &used)?;
        Ok(token)
    }

    fn log_in(
        &self,
        store: &KeyStore,
        module: &Arc<Module>,
        attachment: &Attachment,
    ) -> Result<(Token, Zeroizing<String>), Stop> {
        let before = users(&*self.clusters, store);
        if let Some(refused) = refused_before_login(&before) {
            return Err(Stop::Failed(refused));
        }
        let current = self.sealer.open(&store.id, &store.password)?;
        let pending =
            store.pending.as_ref().map(|p| self.sealer.open(&store.id, p)).transpose()?;
        let try_with = |password: &Zeroizing<String>| {
            Token::login(module, &attachment.module, &attachment.pin, password)
        };
        let mut tries = 0;
        let mut refusal = None;
        for password in pending.iter().chain([&current]) {
            match try_with(password) {
                Ok(token) => return Ok((token, password.clone())),
                Err(wrong) if wrong.kind == FaultKind::WrongPassword => {
                    tries += 1;
                    refusal = Some(wrong);
                }
                Err(other) => return Err(other.into()),
            }
        }
        if let Some(pending) = pending
            && half_changed(&before, &users(&*self.clusters, store), tries)
        {
            // Its own answer says nothing: HSMs that were changed already refuse the old password. The login that follows decides.
            let _ = Token::set_password_unlogged(
                module,
                &attachment.module,
                &attachment.pin,
                &current,
                &pending,
            );
            return Ok((try_with(&pending)?, pending));
        }
        Err(refusal.map_or(Stop::Unwanted, Stop::from))
    }

    fn rotate(&self, store: &KeyStore, token: &Token, used: &str) -> Result<(), Stop> {
        let new = new_password();
        let (used_sealed, new_sealed) =
            (self.sealer.seal(&store.id, used)?, self.sealer.seal(&store.id, &new)?);
        // If the login was with what was pending, that one is current from here on: the pending place is needed again.
        self.update_wanted(store, |record| {
            record.password = used_sealed.clone();
            record.pending = Some(new_sealed.clone());
        })?;
        self.pass(Point::PendingStored)?;
        token.set_password(used, &new)?;
        self.pass(Point::PinChanged)?;
        self.store.change(|rows| {
            // Even if a disconnect came meanwhile: the HSM has the new password, and that must be known.
            let Some(mut record) = rows.fetch::<KeyStore>(&store.scope, &store.id)? else {
                return Ok(());
            };
            if record.pending.as_ref() == Some(&new_sealed) {
                record.password = new_sealed.clone();
                record.pending = None;
                rows.save(&record)?;
            }
            Ok(())
        })?;
        self.pass(Point::CurrentStored)
    }

    fn pass(&self, point: Point) -> Result<(), Stop> {
        match &self.interrupt {
            Some(interrupt) if interrupt(point) => Err(Stop::Unwanted),
            _ => Ok(()),
        }
    }

    /// Changes the record if this attempt is still the wanted one.
    fn update_wanted(
        &self,
        store: &KeyStore,
        change: impl Fn(&mut KeyStore),
    ) -> Result<(), Stop> {
        let wanted = self.store.change(|rows| {
            match rows.fetch::<KeyStore>(&store.scope, &store.id)? {
                Some(mut record) if record.attempt == store.attempt => {
                    change(&mut record);
                    rows.save(&record)?;
                    Ok(true)
                }
                _ => Ok(false),
            }
        })?;
        if wanted { Ok(()) } else { Err(Stop::Unwanted) }
    }
}

fn users(clusters: &dyn Clusters, store: &KeyStore) -> Vec<KmsUser> {
    clusters.kmsuser(&store.scope, &store.cluster)
}

/// Whether some HSM took one of the passwords that were tried: then it counts fewer new failures than there were tries.
fn half_changed(before: &[KmsUser], after: &[KmsUser], tries: u32) -> bool {
    after.iter().any(|user| {
        before
            .iter()
            .find(|earlier| earlier.hsm == user.hsm)
            .is_some_and(|earlier| user.failed_logins < earlier.failed_logins + tries)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(hsm: &str, failed_logins: u32) -> KmsUser {
        KmsUser {
            hsm: hsm.into(),
            present: true,
            locked: false,
            logged_in: false,
            second_factor: false,
            failed_logins,
        }
    }

    #[test]
    fn counters_tell_a_half_made_change_from_two_wrong_passwords() {
        let before = [user("a", 0), user("b", 1)];
        assert!(!half_changed(&before, &[user("a", 2), user("b", 3)], 2));
        // a took the pending one and refused the current one; b the other way round.
        assert!(half_changed(&before, &[user("a", 1), user("b", 0)], 2));
        assert!(!half_changed(&before, &[], 2));
    }
}
