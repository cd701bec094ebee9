//! One application's link to a cluster: sorts requests by where they must go.

use std::sync::Arc;

use hsm_api::reply::TokenInfo;
use hsm_api::{Error, Hello, Link, ObjectId, Reply, Request, Result, Rv, SessionId, StreamId};

use super::ClusterConfig;
use super::balance::{Balance, Done};
use super::carry::Carrier;
use super::homes::{Home, Homes, Kind, Place, begins_digest};
use super::line::{Line, Terms};
use super::login::{Credential, Login};
use crate::Anchors;
use crate::conn::{self, Failure, Patience};

/// A frame has its limit; a caller's wish for random bytes has none.
const RANDOM_AT_ONCE: usize = 1 << 20;

pub struct ClusterLink {
    label: String,
    availability_check: bool,
    balance: Balance,
    login: Login,
    homes: Homes,
}

impl ClusterLink {
    pub fn new(
        config: &ClusterConfig,
        anchors: &Anchors,
        patience: Patience,
        who: &Hello,
    ) -> Result<ClusterLink> {
        let line = |&address| Line::new(address, anchors, patience, config.back_off, who);
        let lines = config.nodes.iter().map(line).collect::<Result<Vec<_>>>()?;
        Ok(ClusterLink {
            label: config.label.clone(),
            availability_check: config.availability_check,
            balance: Balance::new(lines),
            login: Login::default(),
            homes: Homes::default(),
        })
    }

    /// At least one node must be there and be believed.
    ///
    /// # Errors
    /// TOKEN_NOT_RECOGNIZED if one is there and none believed, else TOKEN_NOT_PRESENT.
    pub fn greet_one(&self) -> Result<()> {
        let mut rv = Rv::TOKEN_NOT_PRESENT;
        let mut whys = Vec::new();
        for line in &self.balance.lines {
            match line.reach() {
                Ok(()) => return Ok(()),
                Err(e) => {
                    if e.rv != Rv::TOKEN_NOT_PRESENT {
                        rv = e.rv;
                    }
                    whys.push(e.why);
                }
            }
        }
        Err(Error::new(
            rv,
            format!("cluster {}: {}", self.label, whys.join("; ")),
        ))
    }

    /// Anything that one node answers for all, wherever it must go.
    fn ask(&self, session: SessionId, request: &Request<'_>, out: &mut [u8]) -> Result<Reply> {
        let is = self.login.current();
        let done = self.route(is.as_ref(), session, request, out)?;
        let terms = terms(is.as_ref());
        self.carrier(terms, session).settle(request, done)
    }

    fn route(
        &self,
        is: Option<&Arc<Credential>>,
        session: SessionId,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> Result<Done> {
        while let Some(Home { place, must }) = self.homes.of(session, request) {
            match self.ask_at(place, is, session, request, out) {
                // What drew it there is gone with the place, and with it whatever was half made.
                Err(e) if e.rv == Rv::DEVICE_REMOVED && !must => {}
                answer => {
                    return answer.map(|reply| Done {
                        reply,
                        node: place.node,
                        link: place.link,
                        doubtful: false,
                    });
                }
            }
        }
        self.balance.ask(terms(is), session, request, out)
    }

    /// One node, in the link of its that we had: what is asked about exists nowhere else.
    fn ask_at(
        &self,
        place: Place,
        is: Option<&Arc<Credential>>,
        session: SessionId,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> Result<Reply> {
        let terms = Terms {
            in_link: Some(place.link),
            ..terms(is)
        };
        let gone = match self.balance.lines[place.node].call(terms, session, request, out) {
            Ok((reply, _)) => return Ok(reply),
            Err(Failure::Refused(e)) if e.rv == Rv::DEVICE_REMOVED => e,
            Err(Failure::Refused(e)) => return Err(e),
            Err(Failure::Lost { why, .. }) => Error::new(Rv::DEVICE_REMOVED, why.why),
        };
        self.homes.gone(place);
        Err(gone)
    }

    /// The first step of a stream chooses its node.
    fn begin(&self, session: SessionId, stream: StreamId, request: &Request<'_>) -> Result<Reply> {
        let is = self.login.current();
        let done = self.route(is.as_ref(), session, request, &mut [])?;
        let place = Place {
            node: done.node,
            link: done.link,
        };
        let kind = if begins_digest(request) {
            Kind::Digest
        } else {
            Kind::Keyed
        };
        self.homes.keep_stream(stream, place, session, kind);
        Ok(done.reply)
    }

    /// A saved digest is in the HSM where it was: the others have never heard of it.
    fn restore(
        &self,
        session: SessionId,
        stream: StreamId,
        request: &Request<'_>,
    ) -> Result<Reply> {
        let is = self.login.current();
        let mut unknown = None;
        let mut lost = None;
        for (node, line) in self.balance.lines.iter().enumerate() {
            match line.call(terms(is.as_ref()), session, request, &mut []) {
                Ok((reply, link)) => {
                    let place = Place { node, link };
                    self.homes.keep_stream(stream, place, session, Kind::Digest);
                    return Ok(reply);
                }
                Err(Failure::Refused(e)) if e.rv == Rv::SAVED_STATE_INVALID => unknown = Some(e),
                Err(Failure::Refused(e)) => return Err(e),
                Err(Failure::Lost { why, .. }) => lost = Some(why),
            }
        }
        let why = unknown.or(lost.map(conn::unusable));
        Err(why.unwrap_or_else(|| Rv::DEVICE_ERROR.into()))
    }

    /// Later steps go where the first went.
    fn step(
        &self,
        session: SessionId,
        stream: StreamId,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> Result<Reply> {
        let place = self
            .homes
            .of_stream(stream)
            .ok_or(Rv::OPERATION_NOT_INITIALIZED)?;
        let is = self.login.current();
        let result = self.ask_at(place, is.as_ref(), session, request, out);
        let over = match (&result, request) {
            (Err(e), _) if e.rv == Rv::DEVICE_REMOVED => true,
            (Err(e), Request::Finish { .. }) => e.rv != Rv::BUFFER_TOO_SMALL,
            (_, Request::Finish { .. } | Request::Abort { .. }) => true,
            _ => false,
        };
        if over {
            self.homes.forget_stream(stream);
        }
        result
    }

    /// Any one node knows all token objects; session objects are where they were made.
    fn find(&self, session: SessionId, request: &Request<'_>) -> Result<Reply> {
        let is = self.login.current();
        let done = self
            .balance
            .ask(terms(is.as_ref()), session, request, &mut [])?;
        let Reply::Objects(mut found) = done.reply else {
            return Ok(done.reply);
        };
        let asked = Place {
            node: done.node,
            link: done.link,
        };
        for place in self
            .homes
            .of_objects()
            .into_iter()
            .filter(|place| *place != asked)
        {
            // A node that is gone has no session objects any more.
            if let Ok(Reply::Objects(more)) =
                self.ask_at(place, is.as_ref(), session, request, &mut [])
            {
                let known: std::collections::HashSet<ObjectId> = found.iter().copied().collect();
                found.extend(more.into_iter().filter(|id| !known.contains(id)));
            }
        }
        Ok(Reply::Objects(found))
    }

    /// To its applications the cluster is one token, whichever HSM answered: it keeps one name. Each HSM counts by itself
    /// what tries a user has left there; the first that has none left refuses his login. Told is the worst of those that
    /// answer.
    fn token(&self, session: SessionId, request: &Request<'_>) -> Result<Reply> {
        let is = self.login.current();
        let done = self.route(is.as_ref(), session, request, &mut [])?;
        let Reply::Token(info) = done.reply else {
            return Ok(done.reply);
        };
        let mut all = TokenInfo {
            label: self.label.clone(),
            serial: self.label.chars().take(16).collect(),
            ..info
        };
        for (node, line) in self.balance.lines.iter().enumerate() {
            if node == done.node || line.is_resting() || !line.knows_us() {
                continue;
            }
            match line.call(terms(is.as_ref()), session, request, &mut []) {
                Ok((Reply::Token(its), _)) => {
                    all.user_failures = all.user_failures.max(its.user_failures);
                    all.user_locked |= its.user_locked;
                    all.so_failures = all.so_failures.max(its.so_failures);
                    all.so_locked |= its.so_locked;
                }
                // It was asked to log him in first.
                Err(Failure::Refused(e)) if e.rv == Rv::PIN_LOCKED => all.user_locked = true,
                _ => {}
            }
        }
        Ok(Reply::Token(all))
    }

    fn close(&self, session: SessionId) -> Reply {
        let is = self.login.current();
        for place in self.homes.close(session) {
            // A node that is gone has forgotten the session by itself.
            let _ = self.ask_at(place, is.as_ref(), session, &Request::CloseSession, &mut []);
        }
        Reply::Done
    }

    fn log_in_for_one_use(&self, session: SessionId, request: &Request<'_>) -> Result<Reply> {
        let is = self.login.current();
        let done = match self.homes.of_objects().first() {
            // A session object is the likelier to be meant, and can be used nowhere else.
            Some(&place) => {
                let reply = self.ask_at(place, is.as_ref(), session, request, &mut [])?;
                Done {
                    reply,
                    node: place.node,
                    link: place.link,
                    doubtful: false,
                }
            }
            None => self
                .balance
                .ask(terms(is.as_ref()), session, request, &mut [])?,
        };
        self.homes.keep_context(
            session,
            Place {
                node: done.node,
                link: done.link,
            },
        );
        Ok(done.reply)
    }

    fn carrier<'a>(&'a self, terms: Terms<'a>, session: SessionId) -> Carrier<'a> {
        Carrier {
            balance: &self.balance,
            homes: &self.homes,
            terms,
            session,
            availability_check: self.availability_check,
        }
    }
}

fn terms(is: Option<&Arc<Credential>>) -> Terms<'_> {
    Terms {
        credential: is.map(|is| &**is),
        in_link: None,
    }
}

impl Link for ClusterLink {
    fn call(&self, session: SessionId, request: &Request<'_>, out: &mut [u8]) -> Result<Reply> {
        use Request as R;
        let lines = &self.balance.lines;
        match request {
            R::Login { role, name, pin } => self.login.log_in(lines, session, *role, *name, pin),
            R::Logout => self.login.log_out(lines, session),
            R::SetPin { old, new, phase } => self.login.set_pin(lines, session, old, new, *phase),
            R::InitPin { pin } => self.login.init_pin(lines, session, pin),
            R::LoginContext { .. } => self.log_in_for_one_use(session, request),
            R::CloseSession => Ok(self.close(session)),
            R::Find { .. } => self.find(session, request),
            R::Begin { stream, .. } => self.begin(session, *stream, request),
            R::RestoreState { stream, .. } => self.restore(session, *stream, request),
            R::Update { stream, .. }
            | R::DigestKey { stream, .. }
            | R::Finish { stream, .. }
            | R::Abort { stream }
            | R::SaveState { stream } => self.step(session, *stream, request, out),
            R::Users
            | R::CreateUser { .. }
            | R::DeleteUser { .. }
            | R::ChangePassword { .. }
            | R::UserKeys { .. }
            | R::Share { .. } => Err(Error::new(
                Rv::FUNCTION_NOT_SUPPORTED,
                "users are managed on each HSM by itself: use a management tool",
            )),
            R::InitToken { .. } => Err(Error::new(
                Rv::FUNCTION_NOT_SUPPORTED,
                "a cluster is initialized by CloudHSM's InitializeCluster and activated by a management tool",
            )),
            R::Digest
            | R::Export { .. }
            | R::Apply { .. }
            | R::Csr
            | R::Install { .. }
            | R::Backup
            | R::Restore { .. } => Err(Error::new(
                Rv::FUNCTION_NOT_SUPPORTED,
                "this is between HSMs and their service",
            )),
            R::Random => {
                for part in out.chunks_mut(RANDOM_AT_ONCE) {
                    match self.ask(session, request, part)? {
                        Reply::Written(count) if count == part.len() => {}
                        _ => return Err(Error::new(Rv::DEVICE_ERROR, "too few random bytes")),
                    }
                }
                Ok(Reply::Written(out.len()))
            }
            R::TokenInfo => self.token(session, request),
            _ => self.ask(session, request, out),
        }
    }
}
