//! Connecting a key store: attach, log in as kmsuser, rotate the password, stay logged in (aws-facts A5).
//!
//! Rotation survives a crash at any instruction. The new password is stored, sealed, as *pending* before C_SetPIN and becomes *current*
//! after it; whoever finds a pending one cannot know whether the HSM took it, and tries both: two attempts at most, and the first good one
//! sets the HSM's counter of failures back, so a crash never locks kmsuser.
//!
//! *The current one is tried first, and the order matters.* In a cluster C_SetPIN prepares every HSM (it then takes both passwords) before it
//! commits on any, and a login with the new password commits too (ADR 3). After a crash among the prepared, the old password works on all
//! HSMs and the new one only on some: trying the new one first would commit it there, be refused elsewhere, and leave no password that
//! works on all. An HSM refuses the old one only after a commit, hence when all are prepared, and then the new one works on all.

use std::sync::Arc;

use aws_json::ServiceError;
use zeroize::Zeroizing;

use crate::clusters::{
    Attachment, ConnectFailure, ConnectionErrorCode as Code, refused_before_login,
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

type Password = Zeroizing<String>;

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
        // An HSM that comes back is filled from another, users included: not while their password changes.
        let _still = self.clusters.hold(&store.scope, &store.cluster);
        let attachment = self
            .clusters
            .attach(&store.scope, &store.id, &store.cluster, &store.trust_anchor)
            .map_err(Stop::Failed)?;
        self.pass(Point::Attached)?;
        let module = self
            .modules
            .load(&attachment.module.path, attachment.module.config.as_deref())?;
        let (token, used, unfinished) = self.log_in(store, &module, &attachment)?;
        self.pass(Point::LoggedIn)?;
        self.rotate(store, &token, &used, unfinished)?;
        Ok(token)
    }

    /// The token, the password that logged in, and the one that an earlier rotation may have begun to set.
    fn log_in(
        &self,
        store: &KeyStore,
        module: &Arc<Module>,
        attachment: &Attachment,
    ) -> Result<(Token, Password, Option<Password>), Stop> {
        let users = self.clusters.kmsuser(&store.scope, &store.cluster);
        if let Some(refused) = refused_before_login(&users) {
            return Err(Stop::Failed(refused));
        }
        let current = self.sealer.open(&store.id, &store.password)?;
        let worth_a_try = store.pending.as_ref().filter(|_| !store.pending_refused);
        let pending = worth_a_try
            .map(|p| self.sealer.open(&store.id, p))
            .transpose()?;
        let log_in = |password: &Password| {
            Token::login(module, &attachment.module, &attachment.pin, password)
        };
        let mut refusal = match log_in(&current) {
            Ok(token) => return Ok((token, current, pending)),
            Err(wrong) => wrong,
        };
        if refusal.kind == FaultKind::WrongPassword
            && let Some(pending) = pending
        {
            refusal = match log_in(&pending) {
                Ok(token) => return Ok((token, pending, None)),
                Err(wrong) => wrong,
            };
        }
        if refusal.kind != FaultKind::WrongPassword {
            return Err(refusal.into());
        }
        self.update_wanted(store, |record| {
            record.pending_refused = record.pending.is_some();
        })?;
        let before = users.iter().map(|user| user.failed_logins).max();
        let why = match before {
            // A named module does not tell.
            None => refusal.why,
            Some(0) => format!("{}; no login of kmsuser had failed before", refusal.why),
            Some(1) => format!("{}, after 1 failed login of kmsuser", refusal.why),
            Some(n) => format!("{}, after {n} failed logins of kmsuser", refusal.why),
        };
        Err(Fault { why, ..refusal }.into())
    }

    /// Gives kmsuser a password that only we know.
    ///
    /// An earlier rotation that did not come to its end is taken up again with the same password: its requests may
    /// still be on their way to an HSM, and a third password would be refused there, or lost, for ever (ADR 3).
    fn rotate(
        &self,
        store: &KeyStore,
        token: &Token,
        used: &str,
        unfinished: Option<Password>,
    ) -> Result<(), Stop> {
        let new = unfinished.unwrap_or_else(new_password);
        let (used_sealed, new_sealed) = (
            self.sealer.seal(&store.id, used)?,
            self.sealer.seal(&store.id, &new)?,
        );
        // If the login was with what was pending, that one is current from here on: the pending place is needed again.
        self.update_wanted(store, |record| {
            record.password = used_sealed.clone();
            record.pending = Some(new_sealed.clone());
            record.pending_refused = false;
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
    fn update_wanted(&self, store: &KeyStore, change: impl Fn(&mut KeyStore)) -> Result<(), Stop> {
        let wanted =
            self.store.change(
                |rows| match rows.fetch::<KeyStore>(&store.scope, &store.id)? {
                    Some(mut record) if record.attempt == store.attempt => {
                        change(&mut record);
                        rows.save(&record)?;
                        Ok(true)
                    }
                    _ => Ok(false),
                },
            )?;
        if wanted { Ok(()) } else { Err(Stop::Unwanted) }
    }
}
