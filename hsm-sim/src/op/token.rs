//! The token and its logins.

use std::sync::Arc;

use hsm_api::reply::TokenInfo;
use hsm_api::{Error, Phase, Reply, Result, Role, Rv, SessionId};

use crate::link::{Login, SimLink};
use crate::store::kind::TOKEN_MARK;
use crate::store::seal::{Credential, SealKey};
use crate::{store, users};

fn text(bytes: Option<Vec<u8>>) -> String {
    bytes.map_or_else(String::new, |b| String::from_utf8_lossy(&b).into_owned())
}

impl SimLink {
    pub(crate) fn token_info(&self) -> Result<Reply> {
        let rules = &self.inner.pins;
        let (label, serial, all) = self.inner.store.read(|sql| {
            Ok((
                store::value(sql, "label")?,
                store::value(sql, TOKEN_MARK)?,
                users::all(sql)?,
            ))
        })?;
        let login = self.login();
        let node = self.inner.node.as_ref();
        // Where there are many users, the flags are those of the one who asks.
        let of = |role: Role| match login.as_ref().filter(|l| l.role == role) {
            Some(mine) => all.iter().find(|u| u.id == mine.user),
            None if node.is_some() => None,
            None => all.iter().find(|u| u.role == role),
        };
        let failures = |role| of(role).map_or(0, |u| u.failures);
        Ok(Reply::Token(TokenInfo {
            initialized: label.is_some() || node.is_some(),
            label: node.map_or_else(|| text(label), |_| "keystead".to_owned()),
            serial: node.map_or_else(|| text(serial), |n| n.settings.serial.clone()),
            model: "Keystead".to_owned(),
            user_pin_set: all.iter().any(|u| u.role == Role::Cu),
            user_failures: failures(Role::Cu),
            user_locked: failures(Role::Cu) >= rules.failures,
            so_failures: failures(Role::Co),
            so_locked: failures(Role::Co) >= rules.failures,
            max_failures: rules.failures,
            min_pin: rules.min,
            max_pin: rules.max,
        }))
    }

    /// PKCS#11's own way to make users; a cluster's officers do it otherwise.
    fn embedded_only(&self) -> Result<()> {
        if self.inner.node.is_none() {
            return Ok(());
        }
        Err(Error::new(
            Rv::FUNCTION_NOT_SUPPORTED,
            "an HSM of a cluster is initialized by the service and its users are made by officers",
        ))
    }

    pub(crate) fn init_token(&self, so_pin: &[u8], label: &str) -> Result<Reply> {
        self.embedded_only()?;
        let store = &self.inner.store;
        if !self.inner.logins.lock().is_empty() {
            return Err(Error::new(Rv::SESSION_EXISTS, "somebody is logged in"));
        }
        let (known, epoch) =
            store.read(|sql| Ok((store::value(sql, "label")?.is_some(), store::epoch(sql)?)))?;
        if known {
            users::check(store, &self.inner.pins, Role::Co, "", so_pin)?;
        } else {
            self.inner.pins.check(so_pin)?;
        }
        let token = SealKey::generate()?;
        let officer = Credential::make(so_pin, &token, self.inner.pins.cost)?;
        store.write(|tx| {
            if !known && store::value(tx.sql(), "label")?.is_some() {
                return Err(Error::new(
                    Rv::PIN_INCORRECT,
                    "another process initialized the token",
                ));
            }
            tx.still(epoch)?;
            tx.wipe()?;
            tx.put("label", label.as_bytes())?;
            users::add(tx, Role::Co, "", &officer)
        })?;
        self.inner.refresh()?;
        Ok(Reply::Done)
    }

    pub(crate) fn init_pin(&self, pin: &[u8]) -> Result<Reply> {
        self.embedded_only()?;
        let login = self.logged_in()?;
        if login.role != Role::Co {
            return Err(Error::new(
                Rv::USER_NOT_LOGGED_IN,
                "the security officer sets this PIN",
            ));
        }
        self.inner.pins.check(pin)?;
        let credential = Credential::make(pin, &login.token, self.inner.pins.cost)?;
        self.inner.store.write(|tx| {
            tx.still(login.epoch)?;
            match users::find(tx.sql(), Role::Cu, "")? {
                Some(user) => users::set(tx, user.id, &credential),
                None => users::add(tx, Role::Cu, "", &credential),
            }
        })?;
        self.inner.refresh()?;
        Ok(Reply::Done)
    }

    pub(crate) fn set_pin(&self, old: &[u8], new: &[u8], phase: Phase) -> Result<Reply> {
        let (role, name) = match self.login() {
            Some(login) => {
                let elsewhere = self.inner.logged_in(login.user, Some(self.id)) > 0;
                if self.who().node && phase != Phase::Commit && elsewhere {
                    return Err(logged_in_elsewhere());
                }
                (login.role, login.name)
            }
            None if self.who().node => {
                return Err(Error::new(
                    Rv::USER_NOT_LOGGED_IN,
                    "log in to change your password",
                ));
            }
            None => (Role::Cu, String::new()),
        };
        let store = &self.inner.store;
        users::set_pin(store, &self.inner.pins, (role, &name), (old, new), phase)?;
        self.inner.refresh()?;
        Ok(Reply::Done)
    }

    pub(crate) fn log_in(&self, role: Role, name: Option<&str>, pin: &[u8]) -> Result<Reply> {
        let name = name.unwrap_or("");
        if !self.who().node && self.inner.store.value("label")?.is_none() {
            return Err(Error::new(
                Rv::TOKEN_NOT_INITIALIZED,
                "initialize the token first",
            ));
        }
        if let Some(login) = self.login()
            && (login.role != role || !login.name.eq_ignore_ascii_case(name))
        {
            return Err(Error::new(
                Rv::USER_ANOTHER_ALREADY_LOGGED_IN,
                format!("{:?} '{}' is logged in", login.role, login.name),
            ));
        }
        let epoch = self.inner.epoch();
        let (user, token) = users::check(&self.inner.store, &self.inner.pins, role, name, pin)?;
        let token = match self.inner.token() {
            // One expanded key for the whole engine.
            Some(own) if own.is(&token) => own,
            _ => Arc::new(token),
        };
        // First the login, so that another's logout does not lock again what this one unlocks.
        self.set_login(Some(Login {
            user: user.id,
            role: user.role,
            name: user.name,
            token: Arc::clone(&token),
            epoch,
        }));
        if let Err(e) = self.inner.unlock(&token) {
            self.set_login(None);
            return Err(e);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn log_in_for_once(&self, session: SessionId, pin: &[u8]) -> Result<Reply> {
        let login = self.logged_in()?;
        users::check(
            &self.inner.store,
            &self.inner.pins,
            login.role,
            &login.name,
            pin,
        )?;
        self.own.lock().freed.insert(session);
        Ok(Reply::Done)
    }
}

pub(super) fn logged_in_elsewhere() -> Error {
    Error::new(
        Rv::USER_ALREADY_LOGGED_IN,
        "the user is logged in elsewhere: log out there first",
    )
}
