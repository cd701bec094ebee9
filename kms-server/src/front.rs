//! From a whole request to its answer: target, signature, service, and then log and metrics.
//! Blocking and free of HTTP's machinery, which is `http`'s.

use crate::credentials::Keyring;
use crate::log::{Entry, Log};
use crate::metrics::Metrics;
use crate::sigv4::{Authorization, Message, verify};
use aws_json::error::UNKNOWN_OPERATION;
use aws_json::{Caller, Exception, Response, Result, Service, ServiceError};
use std::sync::Arc;
use std::time::Instant;
use time::OffsetDateTime;

const TOO_LARGE: Exception = Exception::new("RequestEntityTooLargeException", 413);

/// What stands in logs and metrics where there is no such thing.
const NONE: &str = "-";

pub(crate) struct Front {
    pub(crate) services: Vec<Arc<dyn Service>>,
    pub(crate) keyring: Option<Keyring>,
    pub(crate) log: Log,
    pub(crate) metrics: Metrics,
    pub(crate) body_limit: usize,
}

/// A request's body, or that it was larger than the limit.
pub(crate) enum Body<'a> {
    Whole(&'a [u8]),
    TooLarge,
}

/// What log and metrics need to know, filled in as far as the request comes.
struct Known {
    service: Option<Arc<dyn Service>>,
    operation: &'static str,
    caller: Option<Caller>,
}

impl Front {
    /// Answers `POST /`. The message's body is ignored in favour of `body`.
    pub(crate) fn answer(&self, message: &Message<'_>, body: Body<'_>, id: &str) -> Response {
        let start = Instant::now();
        let mut known = Known {
            service: None,
            operation: NONE,
            caller: None,
        };
        let response = self
            .run(message, body, id, &mut known)
            .unwrap_or_else(|error| match &known.service {
                Some(service) => service.refuse(error),
                None => Response::refusal(error, "message"),
            });
        self.note(&known, &response, id, start);
        response
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

        let Body::Whole(body) = body else {
            let limit = self.body_limit;
            return Err(TOO_LARGE.says(format!("The body is larger than {limit} bytes.")));
        };
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
            .map_or(NONE, |service| service.signing_name());
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
            cause: response
                .error
                .as_ref()
                .and_then(|error| error.cause.as_deref()),
        });
    }
}
