//! From a whole request to its answer: target, signature, service, and then log and metrics.
//! Blocking and free of HTTP's machinery, which is `http`'s.

use crate::client::OWN_HEADER;
use crate::credentials::Keyring;
use crate::log::{Entry, Log};
use crate::metrics::Metrics;
use crate::sigv4::{Authorization, Message, verify};
use aws_json::error::{ACCESS_DENIED, UNKNOWN_OPERATION};
use aws_json::{Caller, Exception, Response, Result, Service, ServiceError};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;
use time::OffsetDateTime;

pub(crate) const INTERNAL: Exception = Exception::new("InternalFailure", 500);
const TOO_LARGE: Exception = Exception::new("RequestEntityTooLargeException", 413);

/// The service's name of [`Route`]s in logs and metrics.
const OWN: &str = "keystead";

/// What stands in logs and metrics where there is no such thing.
const NONE: &str = "-";

pub(crate) struct Front {
    pub(crate) services: Vec<Arc<dyn Service>>,
    pub(crate) keyring: Option<Keyring>,
    pub(crate) log: Log,
    pub(crate) metrics: Metrics,
    pub(crate) body_limit: usize,
    pub(crate) routes: Vec<Route>,
    pub(crate) own: Option<String>,
}

/// `POST` to paths of our own, for what AWS has no call for. JSON in, JSON out, no signature.
#[derive(Clone)]
pub struct Route {
    /// What the paths start with, such as `/_keystead/`.
    pub prefix: &'static str,
    /// What answers them. May block.
    pub answer: Arc<Handler>,
}

/// From path and body to the answer.
pub type Handler = dyn Fn(&str, &[u8]) -> Response + Send + Sync;

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This machine.
    Near,
    /// Anywhere else.
    Far,
}

/// A request's body, or that it was larger than the limit.
pub(crate) enum Body<'a> {
    Whole(&'a [u8]),
    TooLarge,
}

/// Which web page sent a request, as the browser tells it.
#[derive(Debug, PartialEq, Eq)]
enum Page {
    /// It was no page.
    None,
    /// One that this server itself gave.
    Own,
    /// One that believes to talk to its own server, under a name that its owner's DNS now gives our address.
    Rebound,
    /// Any other.
    Foreign,
}

fn page(message: &Message<'_>) -> Page {
    let Some(origin) = message.header("origin") else {
        return Page::None;
    };
    let host = message.header("host").unwrap_or("");
    match origin.split_once("://") {
        Some((_, from)) if from == host && is_address(host) => Page::Own,
        Some((_, from)) if from == host => Page::Rebound,
        _ => Page::Foreign,
    }
}

/// Whether nobody's DNS decides where `host` (a Host header) is: an IP address or localhost.
fn is_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.ends_with(".localhost") || address.parse::<IpAddr>().is_ok()
}

/// What log and metrics need to know, filled in as far as the request comes.
struct Known {
    service: Option<Arc<dyn Service>>,
    name: &'static str,
    operation: &'static str,
    caller: Option<Caller>,
    /// Whether the server's own program asks.
    own: bool,
}

impl Front {
    /// Whose path this is, if it is one of our own.
    pub(crate) fn route(&self, path: &str) -> Option<&Route> {
        self.routes
            .iter()
            .find(|route| path.starts_with(route.prefix))
    }

    /// Answers a `POST`. The message's body is ignored in favour of `body`.
    pub(crate) fn answer(
        &self,
        message: &Message<'_>,
        body: Body<'_>,
        origin: Origin,
        id: &str,
    ) -> Response {
        let start = Instant::now();
        let mut known = Known {
            service: None,
            name: NONE,
            operation: NONE,
            caller: None,
            own: self.own.is_some() && message.header(OWN_HEADER) == self.own.as_deref(),
        };
        let result = match self.route(message.path) {
            Some(route) => self.own(route, message, body, origin, &mut known),
            None => self.run(message, body, id, &mut known),
        };
        let response = result.unwrap_or_else(|error| match &known.service {
            Some(service) => service.refuse(error),
            None => Response::refusal(error, "message"),
        });
        self.note(&known, &response, id, start);
        response
    }

    fn own(
        &self,
        route: &Route,
        message: &Message<'_>,
        body: Body<'_>,
        origin: Origin,
        known: &mut Known,
    ) -> Result<Response> {
        (known.name, known.operation) = (OWN, route.prefix);
        if self.keyring.is_some() && origin == Origin::Far {
            // Nothing is signed here, so a guarded server keeps these paths to its machine.
            return Err(ACCESS_DENIED.says("This path answers to the server's own machine only."));
        }
        // A page from elsewhere, open in a browser on this machine, could post here unasked.
        if matches!(page(message), Page::Foreign | Page::Rebound) {
            return Err(ACCESS_DENIED.says("This path does not answer to foreign web pages."));
        }
        let body = self.whole(body)?;
        let run = AssertUnwindSafe(|| (route.answer)(message.path, body));
        let failed = |_| {
            INTERNAL
                .says("The request failed inside.")
                .caused_by("panic")
        };
        catch_unwind(run).map_err(failed)
    }

    fn whole<'a>(&self, body: Body<'a>) -> Result<&'a [u8]> {
        match body {
            Body::Whole(body) => Ok(body),
            Body::TooLarge => {
                let limit = self.body_limit;
                Err(TOO_LARGE.says(format!("The body is larger than {limit} bytes.")))
            }
        }
    }

    fn run(
        &self,
        message: &Message<'_>,
        body: Body<'_>,
        id: &str,
        known: &mut Known,
    ) -> Result<Response> {
        let target = message
            .header("x-amz-target")
            .ok_or_else(|| UNKNOWN_OPERATION.says("The request has no X-Amz-Target header."))?;
        let (prefix, operation) = target.split_once('.').unwrap_or((target, ""));
        let service = self
            .services
            .iter()
            .find(|service| service.target_prefix() == prefix);
        let service = service.ok_or_else(|| UNKNOWN_OPERATION.bare())?;
        known.service = Some(service.clone());
        known.operation = service.operation(operation).unwrap_or(NONE);

        // Where signatures are not looked at, nothing else would stop it. Pages of other origins cannot set X-Amz-Target.
        if self.keyring.is_none() && page(message) == Page::Rebound {
            return Err(ACCESS_DENIED.says(
                "A web page asks under a name instead of this server's address; that is how foreign pages get in.",
            ));
        }
        let body = self.whole(body)?;
        let caller = self.caller(&Message { body, ..*message }, service.signing_name(), id)?;
        let caller = known.caller.insert(caller);
        Ok(service.call(operation, body, caller))
    }

    /// Without a keyring anybody is who they say; with one they prove it.
    fn caller(&self, message: &Message<'_>, service: &str, id: &str) -> Result<Caller> {
        let authorization = Authorization::parse(message.header("authorization"))?;
        let Authorization {
            access_key, region, ..
        } = authorization;
        let mut user = None;
        if let Some(keyring) = &self.keyring {
            let found = keyring.find(access_key);
            let key = found.map(|(_, key)| key);
            verify(
                message,
                &authorization,
                key,
                service,
                OffsetDateTime::now_utc(),
            )?;
            user = found.map(|(name, _)| name);
        }
        Ok(Caller::new(access_key, region, user, id))
    }

    fn note(&self, known: &Known, response: &Response, id: &str, start: Instant) {
        let took = start.elapsed();
        let service = known
            .service
            .as_ref()
            .map_or(known.name, |service| service.signing_name());
        let result = response.error.as_ref().map_or("ok", ServiceError::name);
        self.metrics.count(service, known.operation, result, took);
        self.log.line(&Entry {
            service,
            operation: known.operation,
            caller: known.caller.as_ref().map_or(NONE, |caller| &caller.arn),
            region: known.caller.as_ref().map_or(NONE, |caller| &caller.region),
            result,
            status: response.status,
            took,
            id,
            own: known.own,
            cause: response
                .error
                .as_ref()
                .and_then(|error| error.cause.as_deref()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    #[test]
    fn web_pages_are_told_apart_by_their_origin() {
        let of = |headers: &[(&str, &str)]| {
            page(&Message {
                method: "POST",
                path: "/own/x",
                query: "",
                headers,
                body: &[],
            })
        };
        assert_eq!(of(&[("host", "evil.example:4566")]), Page::None);
        for host in [
            "127.0.0.1:4566",
            "[::1]:4566",
            "localhost:4566",
            "localhost",
            "10.0.0.7",
        ] {
            let origin = format!("http://{host}");
            assert_eq!(
                of(&[("host", host), ("origin", &origin)]),
                Page::Own,
                "{host}"
            );
        }
        for host in [
            "evil.example:4566",
            "localhost.evil.example",
            "127.0.0.1.evil",
        ] {
            let origin = format!("http://{host}");
            assert_eq!(
                of(&[("host", host), ("origin", &origin)]),
                Page::Rebound,
                "{host}"
            );
        }
        for origin in ["http://evil.example", "null", "http://127.0.0.1:80"] {
            assert_eq!(
                of(&[("host", "127.0.0.1:4566"), ("origin", origin)]),
                Page::Foreign,
                "{origin}"
            );
        }
    }

    #[test]
    fn a_guarded_server_keeps_its_own_paths_to_its_machine() {
        let ok = |_: &str, _: &[u8]| Response {
            status: 200,
            body: Vec::new().into(),
            error: None,
        };
        let mut front = Front {
            services: Vec::new(),
            keyring: None,
            log: Log::stderr(Level::Off),
            metrics: Metrics::default(),
            body_limit: 10,
            routes: vec![Route {
                prefix: "/own/",
                answer: Arc::new(ok),
            }],
            own: None,
        };
        let message = Message {
            method: "POST",
            path: "/own/x",
            query: "",
            headers: &[],
            body: &[],
        };
        let status = |front: &Front, origin, body| front.answer(&message, body, origin, "r").status;
        assert_eq!(status(&front, Origin::Far, Body::Whole(b"")), 200);
        assert_eq!(status(&front, Origin::Far, Body::TooLarge), 413);
        front.keyring = Some(Keyring::default());
        assert_eq!(status(&front, Origin::Far, Body::Whole(b"")), 400);
        assert_eq!(status(&front, Origin::Near, Body::Whole(b"")), 200);
    }
}
