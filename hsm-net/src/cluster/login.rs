//! Users: logged in on every node, remembered for the node that comes back, their password changed on
//! all nodes or on none.

use std::sync::Arc;

use hsm_api::{Error, Phase, Reply, Request, Result, Role, Rv, Secret, SessionId};
use parking_lot::{Mutex, RwLock};

use super::line::{Line, Terms};
use crate::conn::{self, Failure};

/// Who is logged in, to be so again on a node that forgot. Wiped when dropped.
pub struct Credential {
    role: Role,
    name: Option<String>,
    pin: Secret,
}

impl Credential {
    /// The request that logs in.
    pub fn login(&self) -> Request<'_> {
        Request::Login {
            role: self.role,
            name: self.name.as_deref(),
            pin: self.pin.hidden(),
        }
    }
}

const NOBODY: Terms<'_> = Terms {
    credential: None,
    in_link: None,
};

/// The login state of a link to a cluster.
#[derive(Default)]
pub struct Login {
    current: RwLock<Option<Arc<Credential>>>,
    /// Held while users change: two logins of one application must not interleave over the nodes.
    /// Other requests go on meanwhile.
    changing: Mutex<()>,
}

impl Login {
    pub fn current(&self) -> Option<Arc<Credential>> {
        self.current.read().clone()
    }

    /// On every node that can be reached, at least one; if one of them refuses, on none.
    pub fn log_in(
        &self,
        lines: &[Line],
        session: SessionId,
        role: Role,
        name: Option<&str>,
        pin: &[u8],
    ) -> Result<Reply> {
        let _alone = self.changing.lock();
        if let Some(is) = self.current() {
            return Err(if is.role == role {
                Rv::USER_ALREADY_LOGGED_IN.into()
            } else {
                Rv::USER_ANOTHER_ALREADY_LOGGED_IN.into()
            });
        }
        let credential = Credential {
            role,
            name: name.map(str::to_owned),
            pin: Secret::from(pin),
        };
        let mut accepted: Vec<(&Line, u64)> = Vec::new();
        let mut absent: Option<Error> = None;
        for line in lines {
            match log_in_at(line, session, &credential) {
                Ok(link) => accepted.push((line, link)),
                Err(Failure::Lost { why, .. }) => {
                    absent.get_or_insert(why);
                }
                Err(Failure::Refused(refusal)) => {
                    for (line, _) in accepted {
                        // A node that is gone by now has forgotten the login by itself.
                        let _ = line.call(NOBODY, session, &Request::Logout, &mut []);
                    }
                    return Err(refusal);
                }
            }
        }
        if accepted.is_empty() {
            return Err(absent.map_or_else(|| Rv::DEVICE_ERROR.into(), conn::unusable));
        }
        // A node that was away learns of it when it is used next; what it refused before is past.
        lines.iter().for_each(Line::logged_out);
        accepted
            .into_iter()
            .for_each(|(line, link)| line.logged_in(link));
        *self.current.write() = Some(Arc::new(credential));
        Ok(Reply::Done)
    }

    /// On every node that can be reached.
    pub fn log_out(&self, lines: &[Line], session: SessionId) -> Result<Reply> {
        let _alone = self.changing.lock();
        if self.current.write().take().is_none() {
            return Err(Rv::USER_NOT_LOGGED_IN.into());
        }
        for line in lines.iter().filter(|line| line.knows_us()) {
            line.logged_out();
            // One that cannot be reached forgets by itself when it sees our connections closed.
            let _ = line.call(NOBODY, session, &Request::Logout, &mut []);
        }
        Ok(Reply::Done)
    }

    /// A password change in two steps, so that whatever breaks in between leaves one password that
    /// works on all nodes: while any node is not prepared the old one does, afterwards the new one.
    pub fn set_pin(
        &self,
        lines: &[Line],
        session: SessionId,
        old: &[u8],
        new: &[u8],
        phase: Phase,
    ) -> Result<Reply> {
        let _alone = self.changing.lock();
        let is = self.current();
        let terms = Terms {
            credential: is.as_deref(),
            in_link: None,
        };
        let step = |line: &Line, from, to, phase| {
            let request = Request::SetPin {
                old: hidden(from),
                new: hidden(to),
                phase,
            };
            line.call(terms, session, &request, &mut [])
        };
        if phase != Phase::Commit {
            for (i, line) in lines.iter().enumerate() {
                if let Err(failure) = step(line, old, new, Phase::Prepare) {
                    // Where the answer was lost, the new one may have been taken all the same: left there, it
                    // would commit at a login and make one HSM differ from the others.
                    let perhaps = matches!(failure, Failure::Lost { sent: true, .. });
                    for prepared in &lines[..i + usize::from(perhaps)] {
                        // Takes the new password back. If that fails both work there, until the next login.
                        let _ = step(prepared, old, old, Phase::Prepare);
                    }
                    return Err(on_all_or_none(failure));
                }
            }
        }
        if phase == Phase::Prepare {
            return Ok(Reply::Done);
        }
        if let Some(is) = &is {
            let credential = Credential {
                role: is.role,
                name: is.name.clone(),
                pin: Secret::from(new),
            };
            *self.current.write() = Some(Arc::new(credential));
        }
        let mut failed = None;
        let mut committed = 0;
        for line in lines {
            match step(line, old, new, Phase::Commit) {
                Ok(_) => committed += 1,
                // The next login there, with the new password, does the same.
                Err(failure) => failed = Some(failure),
            }
        }
        match failed {
            Some(failure) if committed == 0 => Err(on_all_or_none(failure)),
            _ => Ok(Reply::Done),
        }
    }

    /// Sets the first PIN of the crypto user on all nodes; begins only when all can be reached.
    pub fn init_pin(&self, lines: &[Line], session: SessionId, pin: &[u8]) -> Result<Reply> {
        let _alone = self.changing.lock();
        let is = self.current();
        let terms = Terms {
            credential: is.as_deref(),
            in_link: None,
        };
        for line in lines {
            line.reach()
                .map_err(|why| on_all_or_none(Failure::Lost { sent: false, why }))?;
        }
        for line in lines {
            let request = Request::InitPin { pin: hidden(pin) };
            line.call(terms, session, &request, &mut [])
                .map_err(on_all_or_none)?;
        }
        Ok(Reply::Done)
    }
}

fn log_in_at(
    line: &Line,
    session: SessionId,
    credential: &Credential,
) -> std::result::Result<u64, Failure> {
    match line.call(NOBODY, session, &credential.login(), &mut []) {
        // Left from a login or logout whose answer was lost. Who is logged in is not known: begin anew.
        Err(Failure::Refused(e))
            if matches!(
                e.rv,
                Rv::USER_ALREADY_LOGGED_IN | Rv::USER_ANOTHER_ALREADY_LOGGED_IN
            ) =>
        {
            line.call(NOBODY, session, &Request::Logout, &mut [])?;
            line.call(NOBODY, session, &credential.login(), &mut [])
        }
        answer => answer,
    }
    .map(|(_, link)| link)
}

fn hidden(bytes: &[u8]) -> hsm_api::Hidden<'_> {
    hsm_api::Hidden(bytes)
}

fn on_all_or_none(failure: Failure) -> Error {
    match failure {
        Failure::Refused(error) => error,
        Failure::Lost { why, .. } => {
            let why = conn::unusable(why);
            Error::new(
                why.rv,
                format!("a password is changed on all HSMs or on none: {}", why.why),
            )
        }
    }
}
