//! cloudhsm_mgmt_util's commands, each by itself on every HSM of the cluster: the HSMs do not copy
//! users to one another, and a command that fails on one of two leaves exactly the difference that
//! the real tool leaves. In server mode (`server 0`) a command goes to that one HSM.

use std::io::{self, Write as _};

use hsm_api::reply::KeyInfo;
use hsm_api::{AttrType, Hidden, ObjectId, Request, Role};

use super::shell::{Input, Outcome};
use super::show;
use crate::hsms::{Refused, SESSION, Server};

/// The tool's state: its HSMs, and the one that server mode has picked.
pub struct Session {
    servers: Vec<Server>,
    only: Option<usize>,
}

impl Session {
    /// A session over connected HSMs, in global mode.
    pub fn new(servers: Vec<Server>) -> Self {
        Session {
            servers,
            only: None,
        }
    }

    /// What to show before a line.
    pub fn prompt(&self) -> String {
        match self.only {
            Some(n) => format!("server{n}> "),
            None => "aws-cloudhsm> ".into(),
        }
    }

    /// Runs one command.
    pub fn run(&mut self, words: &[String], input: &mut dyn Input) -> io::Result<Outcome> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.contains(&"-2fa") {
            println!(
                "{}: -2fa: second factors are not offered by these HSMs",
                words[0]
            );
            return Ok(Outcome::Failed);
        }
        let well = match words[..] {
            ["loginHSM", role, user, password] => self.login(role, user, password, input)?,
            ["logoutHSM"] => self.logout(),
            ["createUser", role, user, password] => {
                self.create_user(role, user, password, input)?
            }
            ["changePswd", role, user, password] => {
                self.change_password(role, user, password, input)?
            }
            ["deleteUser", role, user] => self.delete_user(role, user),
            ["listUsers"] => self.list_users(),
            ["getHSMInfo"] => self.hsm_info(),
            ["info", "server", n] => self.info(n),
            ["findAllKeys", user, hash, ref file @ ..] => self.find_all_keys(user, hash, file)?,
            ["getAttribute", handle, attribute, ref file @ ..] => {
                self.get_attribute(handle, attribute, file)?
            }
            ["listAttributes"] => {
                print!("{}", show::attributes());
                true
            }
            ["shareKey", handle, user, share] => self.share_key(handle, user, share),
            ["getKeyInfo", handle] => self.key_info(handle),
            ["server", n] => self.enter(n),
            ["exit"] if self.only.is_some() => {
                self.only = None;
                true
            }
            ["quit" | "exit"] => {
                println!("disconnecting from servers, please wait...");
                return Ok(Outcome::Quit);
            }
            ["help", ..] => {
                print!("{}", show::HELP);
                true
            }
            _ => {
                println!("{}", show::usage(words[0]));
                false
            }
        };
        Ok(if well { Outcome::Done } else { Outcome::Failed })
    }

    /// The HSMs that a command goes to: index and HSM.
    fn targets(&mut self) -> impl Iterator<Item = (usize, &mut Server)> {
        let only = self.only;
        self.servers
            .iter_mut()
            .enumerate()
            .filter(move |(n, _)| only.is_none_or(|o| o == *n))
    }

    /// Sends one request to each target and prints how it went there; true if all succeeded.
    fn on_each(&mut self, name: &str, request: &Request<'_>) -> bool {
        self.targets().fold(true, |well, (n, server)| {
            let result = server.link.call(SESSION, request, &mut []);
            report(name, n, server, result.map(|_| ())) && well
        })
    }

    fn login(
        &mut self,
        role: &str,
        user: &str,
        password: &str,
        input: &mut dyn Input,
    ) -> io::Result<bool> {
        let Some(role) = role_named(role) else {
            return Ok(bad_role(role));
        };
        let password = typed(password, input, "Enter password: ")?;
        let request = Request::Login {
            role,
            name: Some(user),
            pin: Hidden(password.as_bytes()),
        };
        let mut well = true;
        for (n, server) in self.targets() {
            let result = server.link.call(SESSION, &request, &mut []).map(|_| ());
            if result.is_ok() {
                server.login = Some((role, user.to_owned()));
            }
            well &= report("loginHSM", n, server, result);
        }
        Ok(well)
    }

    fn logout(&mut self) -> bool {
        let mut well = true;
        for (n, server) in self.targets() {
            let result = server
                .link
                .call(SESSION, &Request::Logout, &mut [])
                .map(|_| ());
            if result.is_ok() {
                server.login = None;
            }
            well &= report("logoutHSM", n, server, result);
        }
        well
    }

    fn create_user(
        &mut self,
        role: &str,
        user: &str,
        password: &str,
        input: &mut dyn Input,
    ) -> io::Result<bool> {
        let Some(kind) = role_named(role) else {
            return Ok(bad_role(role));
        };
        let password = typed(password, input, "Enter password: ")?;
        if !confirmed(input)? {
            return Ok(false);
        }
        println!(
            "Creating User {user}({role}) on {} nodes",
            self.targets().count()
        );
        let request = Request::CreateUser {
            role: kind,
            name: user,
            password: Hidden(password.as_bytes()),
        };
        Ok(self.on_each("createUser", &request))
    }

    fn change_password(
        &mut self,
        role: &str,
        user: &str,
        password: &str,
        input: &mut dyn Input,
    ) -> io::Result<bool> {
        let Some(kind) = role_named(role) else {
            return Ok(bad_role(role));
        };
        let password = typed(password, input, "Enter new password: ")?;
        if !confirmed(input)? {
            return Ok(false);
        }
        println!(
            "Changing password for {user}({role}) on {} nodes",
            self.targets().count()
        );
        let request = Request::ChangePassword {
            role: kind,
            name: user,
            password: Hidden(password.as_bytes()),
        };
        Ok(self.on_each("changePswd", &request))
    }

    fn delete_user(&mut self, role: &str, user: &str) -> bool {
        let Some(kind) = role_named(role) else {
            return bad_role(role);
        };
        println!(
            "Deleting user {user}({role}) on {} nodes",
            self.targets().count()
        );
        self.on_each(
            "deleteUser",
            &Request::DeleteUser {
                role: kind,
                name: user,
            },
        )
    }

    fn list_users(&mut self) -> bool {
        let mut well = true;
        for (n, server) in self.targets() {
            match server.users() {
                Ok(users) => print!("{}", show::users(n, &server.host, &users)),
                Err(error) => well = report("listUsers", n, server, Err(error)),
            }
        }
        well
    }

    fn hsm_info(&mut self) -> bool {
        let mut well = true;
        for (n, server) in self.targets() {
            match server.node() {
                Ok(info) => print!("{}", show::hsm_info(n, &info)),
                Err(error) => well = report("getHSMInfo", n, server, Err(error)),
            }
        }
        well
    }

    fn info(&mut self, n: &str) -> bool {
        let Some((index, server)) = numbered(&mut self.servers, n) else {
            return false;
        };
        match server.node() {
            Ok(info) => print!("{}", show::server_info(index, server, &info)),
            Err(error) => return report("info", index, server, Err(error)),
        }
        true
    }

    fn enter(&mut self, n: &str) -> bool {
        let Some((index, _)) = numbered(&mut self.servers, n) else {
            return false;
        };
        println!("Server is in 'E2' mode...");
        self.only = Some(index);
        true
    }

    fn find_all_keys(&mut self, user: &str, hash: &str, file: &[&str]) -> io::Result<bool> {
        let (Ok(user), true) = (user.parse(), matches!(hash, "0" | "1")) else {
            println!(
                "findAllKeys: usage: findAllKeys <user id> <0|1: with key hashes> [output file]"
            );
            return Ok(false);
        };
        let (mut text, mut well) = (String::new(), true);
        for (n, server) in self.targets() {
            match server.keys(user) {
                Ok(keys) => text += &show::keys(n, &server.host, user, &keys, hash == "1"),
                Err(error) => well = report("findAllKeys", n, server, Err(error)),
            }
        }
        output(&text, file)?;
        Ok(well)
    }

    fn get_attribute(&mut self, handle: &str, attribute: &str, file: &[&str]) -> io::Result<bool> {
        let Some(rows) = show::attributes_numbered(attribute) else {
            println!("getAttribute: no attribute {attribute}; listAttributes shows them");
            return Ok(false);
        };
        let (mut text, mut well) = (String::new(), true);
        for (n, server) in self.targets() {
            let types: Vec<AttrType> = rows.iter().map(|row| row.ty).collect();
            let values = key_by_handle(server, handle).and_then(|id| server.attributes(id, types));
            match values {
                Ok(values) => text += &show::attribute_values(n, &server.host, &rows, &values),
                Err(error) => well = report("getAttribute", n, server, Err(error)),
            }
        }
        output(&text, file)?;
        Ok(well)
    }

    fn share_key(&mut self, handle: &str, user: &str, share: &str) -> bool {
        let (Ok(user), true) = (user.parse(), matches!(share, "0" | "1")) else {
            println!("shareKey: usage: shareKey <key handle> <user id> <1: share | 0: unshare>");
            return false;
        };
        let mut well = true;
        for (n, server) in self.targets() {
            let result = key_by_handle(server, handle).and_then(|key| {
                server.link.call(
                    SESSION,
                    &Request::Share {
                        key,
                        user,
                        share: share == "1",
                    },
                    &mut [],
                )
            });
            well &= report("shareKey", n, server, result.map(|_| ()));
        }
        well
    }

    fn key_info(&mut self, handle: &str) -> bool {
        let mut well = true;
        for (n, server) in self.targets() {
            match key_info(server, handle) {
                Ok(info) => print!("{}", show::key_info(n, &server.host, &info)),
                Err(error) => well = report("getKeyInfo", n, server, Err(error)),
            }
        }
        well
    }
}

/// `CO`, `PCO`, `CU`, `AU`, `PRECO`.
fn role_named(name: &str) -> Option<Role> {
    Some(match name {
        "CO" | "PCO" => Role::Co,
        "CU" => Role::Cu,
        "AU" => Role::Au,
        "PRECO" => Role::PreCo,
        _ => return None,
    })
}

fn bad_role(role: &str) -> bool {
    println!("unknown user type {role}: one of CO, CU, AU, PRECO (case matters)");
    false
}

/// A password from the line, or from the next line for `-hpswd`.
fn typed(
    word: &str,
    input: &mut dyn Input,
    prompt: &str,
) -> io::Result<zeroize::Zeroizing<String>> {
    if word == "-hpswd" {
        input.password(prompt)
    } else {
        Ok(zeroize::Zeroizing::new(word.to_owned()))
    }
}

/// Shows the caution and asks; false, and a word, where the answer is not yes.
fn confirmed(input: &mut dyn Input) -> io::Result<bool> {
    print!("{}", show::CAUTION);
    print!("Do you want to continue(y/n)?");
    io::stdout().flush()?;
    let yes = matches!(input.answer()?.trim(), "y" | "Y" | "yes");
    println!();
    if !yes {
        println!("not done: the question was not answered with y");
    }
    Ok(yes)
}

fn report(name: &str, n: usize, server: &Server, result: Result<(), Refused>) -> bool {
    match result {
        Ok(()) => println!("{name} success on server {n}({})", server.host),
        Err(ref error) => println!("{name} failed on server {n}({}): {error}", server.host),
    }
    result.is_ok()
}

fn output(text: &str, file: &[&str]) -> io::Result<()> {
    match file {
        [] => print!("{text}"),
        [path, ..] => std::fs::write(path, text)?,
    }
    Ok(())
}

fn numbered<'a>(servers: &'a mut [Server], n: &str) -> Option<(usize, &'a mut Server)> {
    let index = n.parse().unwrap_or(usize::MAX);
    let count = servers.len();
    let found = servers.get_mut(index).map(|server| (index, server));
    if found.is_none() {
        println!("no server {n}: this cluster has {count}, numbered from 0");
    }
    found
}

/// A key by its handle, in decimal or `0x` hexadecimal. A crypto user's own and shared keys; a crypto
/// officer's, any user's.
fn key_info(server: &Server, handle: &str) -> Result<KeyInfo, Refused> {
    let handle = match handle.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => handle.parse().ok(),
    };
    let (role, name) = server.login.clone().ok_or_else(|| {
        Refused::new(
            hsm_api::Rv::USER_NOT_LOGGED_IN,
            "log in first: loginHSM CU <user> <password>",
        )
    })?;
    for user in server.users()? {
        let mine = user.role == role && user.name.eq_ignore_ascii_case(&name);
        if role == Role::Cu && !mine {
            continue;
        }
        if let Some(key) = server
            .keys(user.id)?
            .into_iter()
            .find(|key| Some(key.handle) == handle)
        {
            return Ok(key);
        }
    }
    Err(Refused::new(
        hsm_api::Rv::KEY_HANDLE_INVALID,
        "no such key among those that this user may see",
    ))
}

fn key_by_handle(server: &Server, handle: &str) -> Result<ObjectId, Refused> {
    key_info(server, handle).map(|key| key.id)
}
