//! What the tool is connected to and who is logged in; users and the cluster itself. A command that changes users
//! goes to every HSM by itself, for they do not copy users to one another.

use std::io;
use std::sync::Arc;

use hsm_api::{Hello, Hidden, Hsm, Link, Peer, Request};
use hsm_net::{Cluster, ClusterConfig};
use serde_json::{Map, Value as Json, json};
use zeroize::Zeroizing;

use super::grammar::{Login, Named, Role};
use crate::hsms::{Fleet, Refused, SESSION, Server};
use crate::mgmt::shell::Input;

/// What a command answers: data, or a sentence.
pub type Answer = Result<Json, String>;

/// The first admin has this password until the cluster is activated.
const FIRST: &[u8] = b"password";

/// The tool's state.
pub struct Session {
    pub(super) fleet: Fleet,
    pub(super) login: Option<LoggedIn>,
    /// The cluster as applications see it, for keys; opened at first use.
    link: Option<Arc<dyn Link>>,
}

/// Who is logged in.
pub struct LoggedIn {
    pub role: Role,
    pub name: String,
    password: Zeroizing<String>,
}

impl Role {
    fn of_hsm(self) -> hsm_api::Role {
        match self {
            Role::CryptoUser => hsm_api::Role::Cu,
            Role::Admin => hsm_api::Role::Co,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Role::CryptoUser => "crypto-user",
            Role::Admin => "admin",
        }
    }
}

/// A role as `user list` shows it.
fn role_name(role: hsm_api::Role) -> &'static str {
    match role {
        hsm_api::Role::PreCo => "unactivated-admin",
        hsm_api::Role::Co => Role::Admin.name(),
        hsm_api::Role::Cu => Role::CryptoUser.name(),
        hsm_api::Role::Au => "internal(APPLIANCE_USER)",
    }
}

/// `full` where all HSMs have it.
pub fn coverage(on: usize, of: usize) -> &'static str {
    if on == of { "full" } else { "partial" }
}

pub fn said(error: Refused) -> String {
    error.to_string()
}

fn same(named: &Named) -> Json {
    json!({ "username": named.username.to_lowercase(), "role": named.role.name() })
}

impl Session {
    /// Nobody is logged in yet.
    pub fn new(fleet: Fleet) -> Session {
        Session {
            fleet,
            login: None,
            link: None,
        }
    }

    pub(super) fn logged_in(&self) -> Result<&LoggedIn, String> {
        self.login.as_ref().ok_or_else(|| {
            "nobody is logged in: use `login`, or set CLOUDHSM_ROLE and CLOUDHSM_PIN for a single command".into()
        })
    }

    /// On every HSM; a sentence names each that refuses, and those that did it all the same.
    fn on_each(&self, ask: impl Fn(&Server) -> Result<(), Refused>) -> Result<(), String> {
        let (mut said, mut done) = (Vec::new(), Vec::new());
        for server in &self.fleet.servers {
            match ask(server) {
                Ok(()) => done.push(server.hsm_id.as_str()),
                Err(why) => said.push(format!("{}: {why}", server.hsm_id)),
            }
        }
        if said.is_empty() {
            return Ok(());
        }
        if !done.is_empty() {
            said.push(format!("done on {}", done.join(", ")));
        }
        Err(said.join("; "))
    }

    fn request_each(&self, request: &Request<'_>) -> Result<(), String> {
        self.on_each(|server| server.ask(request).map(drop))
    }

    /// `cluster activate`.
    pub fn activate(
        &mut self,
        password: Option<Zeroizing<String>>,
        input: &mut dyn Input,
    ) -> io::Result<Answer> {
        let password = typed(password, true, input)?;
        Ok(password.and_then(|password| {
            let (role, name) = (hsm_api::Role::PreCo, "admin");
            self.on_each(|server| {
                if server.node()?.activated {
                    let why = "the cluster is activated already";
                    return Err(Refused::new(hsm_api::Rv::FUNCTION_REJECTED, why));
                }
                server.ask(&Request::Login {
                    role,
                    name: Some(name),
                    pin: Hidden(FIRST),
                })?;
                let password = Hidden(password.as_bytes());
                let changed = server.ask(&Request::ChangePassword {
                    role,
                    name,
                    password,
                });
                server.ask(&Request::Logout)?;
                changed.map(drop)
            })?;
            Ok(json!("Cluster activation successful"))
        }))
    }

    /// `cluster hsm-info`.
    pub fn hsm_info(&self) -> Answer {
        let mut hsms = Vec::new();
        for server in &self.fleet.servers {
            let info = server.node().map_err(said)?;
            let fips = if info.fips {
                "2 [FIPS mode with single factor authentication]"
            } else {
                "0 [non-FIPS mode]"
            };
            hsms.push(json!({
                "vendor": "Keystead",
                "model": "Keystead simulated HSM",
                "serial-number": info.serial,
                "firmware-version-major": env!("CARGO_PKG_VERSION_MAJOR"),
                "firmware-version-minor": env!("CARGO_PKG_VERSION_MINOR"),
                "firmware-build-number": env!("CARGO_PKG_VERSION_PATCH"),
                "firmware-id": concat!("keystead-", env!("CARGO_PKG_VERSION")),
                "fips-state": fips,
            }));
        }
        Ok(json!({ "hsms": hsms }))
    }

    /// `login`.
    pub fn log_in(&mut self, login: Login, input: &mut dyn Input) -> io::Result<Answer> {
        let password = typed(login.password, false, input)?;
        Ok(password.and_then(|password| self.log_in_with(&login.user, password)))
    }

    /// On every HSM, or on none.
    pub fn log_in_with(&mut self, user: &Named, password: Zeroizing<String>) -> Answer {
        if let Some(login) = &self.login {
            return Err(format!("{} is logged in: log out first", login.name));
        }
        let request = Request::Login {
            role: user.role.of_hsm(),
            name: Some(&user.username),
            pin: Hidden(password.as_bytes()),
        };
        for (n, server) in self.fleet.servers.iter().enumerate() {
            if let Err(error) = server.ask(&request) {
                for server in &self.fleet.servers[..n] {
                    // One that is gone has forgotten.
                    let _ = server.ask(&Request::Logout);
                }
                return Err(said(error));
            }
        }
        drop(request);
        self.login = Some(LoggedIn {
            role: user.role,
            name: user.username.to_lowercase(),
            password,
        });
        Ok(same(user))
    }

    /// `logout`.
    pub fn log_out(&mut self) -> Answer {
        self.logged_in()?;
        self.leave_cluster();
        self.login = None;
        self.request_each(&Request::Logout)?;
        Ok(json!("Logout successful"))
    }

    /// `user create`.
    pub fn create_user(&mut self, new: Login, input: &mut dyn Input) -> io::Result<Answer> {
        let password = typed(new.password, true, input)?;
        Ok(password.and_then(|password| {
            self.logged_in()?;
            self.request_each(&Request::CreateUser {
                role: new.user.role.of_hsm(),
                name: &new.user.username,
                password: Hidden(password.as_bytes()),
            })?;
            Ok(same(&new.user))
        }))
    }

    /// `user delete`.
    pub fn delete_user(&self, user: &Named) -> Answer {
        self.logged_in()?;
        self.request_each(&Request::DeleteUser {
            role: user.role.of_hsm(),
            name: &user.username,
        })?;
        Ok(same(user))
    }

    /// `user change-password`.
    pub fn change_password(&mut self, to: Login, input: &mut dyn Input) -> io::Result<Answer> {
        let password = typed(to.password, true, input)?;
        Ok(password.and_then(|password| {
            // A user who is logged in elsewhere keeps his password, and the cluster's link is elsewhere.
            self.leave_cluster();
            self.logged_in()?;
            self.request_each(&Request::ChangePassword {
                role: to.user.role.of_hsm(),
                name: &to.user.username,
                password: Hidden(password.as_bytes()),
            })?;
            if let Some(login) = &mut self.login
                && login.role == to.user.role
                && login.name.eq_ignore_ascii_case(&to.user.username)
            {
                login.password = password;
            }
            Ok(same(&to.user))
        }))
    }

    /// `user list`: of all HSMs together.
    pub fn users(&self) -> Answer {
        let mut all: Vec<(hsm_api::UserInfo, usize)> = Vec::new();
        for server in &self.fleet.servers {
            for user in server.users().map_err(said)? {
                match all
                    .iter_mut()
                    .find(|(known, _)| known.role == user.role && known.name == user.name)
                {
                    Some((known, on)) => {
                        known.locked |= user.locked;
                        *on += 1;
                    }
                    None => all.push((user, 1)),
                }
            }
        }
        let of = self.fleet.servers.len();
        let users: Vec<Json> = all
            .iter()
            .map(|(user, on)| {
                json!({
                    "username": user.name,
                    "role": role_name(user.role),
                    "locked": user.locked.to_string(),
                    "mfa": [],
                    "quorum": [],
                    "cluster-coverage": coverage(*on, of),
                })
            })
            .collect();
        Ok(json!({ "users": users }))
    }

    /// The cluster, logged in to as the user.
    pub(super) fn cluster(&mut self) -> Result<Arc<dyn Link>, String> {
        if let Some(link) = &self.link {
            return Ok(Arc::clone(link));
        }
        let login = self.logged_in()?;
        let anchor = self.fleet.anchor.as_deref();
        let anchor = anchor.ok_or("the cluster is not initialized")?;
        let config = ClusterConfig::new(&self.fleet.cluster_id, self.fleet.clients.clone(), anchor);
        let application = rand::random();
        let peer = Peer::Client;
        let link = Cluster::new(config)
            .and_then(|cluster| cluster.open(&Hello { application, peer }))
            .map_err(said)?;
        let request = Request::Login {
            role: login.role.of_hsm(),
            name: Some(&login.name),
            pin: Hidden(login.password.as_bytes()),
        };
        link.call(SESSION, &request, &mut []).map_err(said)?;
        drop(request);
        self.link = Some(Arc::clone(&link));
        Ok(link)
    }

    /// The cluster's link, if there is one: session keys live there.
    pub(super) fn open_link(&self) -> Option<&dyn Link> {
        self.link.as_deref()
    }

    /// Session keys go with it.
    fn leave_cluster(&mut self) {
        if let Some(link) = self.link.take() {
            // HSMs that are gone have forgotten.
            let _ = link.call(SESSION, &Request::Logout, &mut []);
        }
    }
}

/// A password from the line, or asked for.
fn typed(
    given: Option<Zeroizing<String>>,
    is_new: bool,
    input: &mut dyn Input,
) -> io::Result<Result<Zeroizing<String>, String>> {
    if let Some(password) = given {
        return Ok(Ok(password));
    }
    let password = input.password("Enter password: ")?;
    // The end of the input too: an empty password would be a failed attempt, of which there are few.
    if password.is_empty() {
        return Ok(Err("no password was given".into()));
    }
    if is_new && *password != *input.password("Confirm password: ")? {
        return Ok(Err("the two passwords differ".into()));
    }
    Ok(Ok(password))
}

/// An object of these members.
pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    let members = members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Json::Object(Map::from_iter(members))
}
