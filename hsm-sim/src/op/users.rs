//! Users of a cluster's HSM, managed by its crypto officers. Each HSM by itself: nothing here tells
//! the others.

use hsm_api::{Error, Reply, Result, Role, Rv, UserInfo};

use super::token::logged_in_elsewhere;
use crate::link::{Login, SimLink};
use crate::store::seal::Credential;
use crate::users::{self, User};

fn unknown(role: Role, name: &str) -> Error {
    Error::new(
        Rv::USER_PIN_NOT_INITIALIZED,
        format!("there is no {role:?} named '{name}'"),
    )
}

impl SimLink {
    fn cluster_only(&self) -> Result<()> {
        if self.inner.node.is_some() {
            return Ok(());
        }
        Err(Error::new(
            Rv::FUNCTION_NOT_SUPPORTED,
            "an embedded token has PKCS#11's two users",
        ))
    }

    pub(crate) fn users(&self) -> Result<Reply> {
        self.cluster_only()?;
        let all = self.inner.store.read(users::all)?;
        let limit = self.inner.pins.failures;
        let info = |u: User| UserInfo {
            id: u.id,
            role: u.role,
            failures: u.failures,
            locked: u.failures >= limit,
            second_factor: false,
            quorum_key: false,
            logged_in: self.inner.logged_in(u.id, Some(self.id)),
            name: u.name,
        };
        Ok(Reply::Users(all.into_iter().map(info).collect()))
    }

    pub(crate) fn create_user(&self, role: Role, name: &str, password: &[u8]) -> Result<Reply> {
        self.cluster_only()?;
        let login = self.logged_in()?;
        if !matches!(role, Role::Co | Role::Cu) {
            return Err(Error::new(
                Rv::USER_TYPE_INVALID,
                "officers create COs and CUs",
            ));
        }
        users::check_name(name)?;
        self.inner.pins.check(password)?;
        let credential = Credential::make(password, &login.token, self.inner.pins.cost)?;
        self.inner.store.write(|tx| {
            tx.still(login.epoch)?;
            let all = users::all(tx.sql())?;
            if all.iter().any(|u| u.name.eq_ignore_ascii_case(name)) {
                return Err(Error::new(
                    Rv::FUNCTION_REJECTED,
                    format!("there is a user named '{name}' already"),
                ));
            }
            if all.len() >= 1024 {
                return Err(Error::new(
                    Rv::TOKEN_RESOURCE_EXCEEDED,
                    "1,024 users are the limit",
                ));
            }
            users::add(tx, role, name, &credential)
        })?;
        Ok(Reply::Done)
    }

    pub(crate) fn delete_user(&self, role: Role, name: &str) -> Result<Reply> {
        self.cluster_only()?;
        if !matches!(role, Role::Co | Role::Cu) {
            return Err(Error::new(
                Rv::USER_TYPE_INVALID,
                "officers delete COs and CUs",
            ));
        }
        let find = |sql: &_| users::find(sql, role, name)?.ok_or_else(|| unknown(role, name));
        let user = self.inner.store.read(find)?;
        if self.inner.logged_in(user.id, None) > 0 {
            return Err(logged_in_elsewhere());
        }
        if self
            .inner
            .table
            .read()
            .objects()
            .any(|o| o.origin.owner == users::mark(&user.name))
        {
            return Err(Error::new(
                Rv::FUNCTION_REJECTED,
                format!("'{name}' owns keys"),
            ));
        }
        self.inner
            .store
            .write(|tx| users::remove(tx, find(tx.sql())?.id))?;
        Ok(Reply::Done)
    }

    pub(crate) fn change_password(&self, role: Role, name: &str, password: &[u8]) -> Result<Reply> {
        self.cluster_only()?;
        let login = self.logged_in()?;
        let own = login.role == role && login.name.eq_ignore_ascii_case(name);
        if !(own || login.role == Role::Co && role != Role::PreCo) {
            return Err(Error::new(
                Rv::FUNCTION_REJECTED,
                "only a crypto officer changes another's password",
            ));
        }
        self.inner.pins.check(password)?;
        let find = |sql: &_| users::find(sql, role, name)?.ok_or_else(|| unknown(role, name));
        let user = self.inner.store.read(find)?;
        if self.inner.logged_in(user.id, Some(self.id)) > 0 {
            return Err(logged_in_elsewhere());
        }
        let credential = Credential::make(password, &login.token, self.inner.pins.cost)?;
        self.inner.store.write(|tx| {
            tx.still(login.epoch)?;
            let user = find(tx.sql())?;
            users::set(tx, user.id, &credential)?;
            if user.role == Role::PreCo {
                users::promote(tx, user.id, Role::Co)?;
            }
            Ok(())
        })?;
        if role == Role::PreCo {
            self.set_login(Some(Login {
                role: Role::Co,
                ..login
            }));
        }
        Ok(Reply::Done)
    }
}
