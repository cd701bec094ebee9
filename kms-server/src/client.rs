//! A small client: signed requests to a server of ours, one connection each. The demo and the
//! tests use it, so that they go the way that every other client goes.

use crate::sigv4::{Key, Message, sign};
use aws_json::shape::Model;
use serde_json::Value;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// How long an answer may take: connecting a key store can wait for a whole cluster.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a request has the word of [`crate::Config::own`].
pub(crate) const OWN_HEADER: &str = "x-keystead-own";

/// Whom to ask, and who asks.
#[derive(Debug, Clone)]
pub struct Client {
    host: String,
    key: Key,
    region: String,
    own: Option<String>,
}

impl Client {
    /// A client of the server at `endpoint`: `http://HOST:PORT`, or the same without `http://`.
    pub fn new(endpoint: &str, key: Key, region: &str) -> Self {
        let host = endpoint.strip_prefix("http://").unwrap_or(endpoint);
        let host = host.trim_end_matches('/').to_owned();
        Self {
            host,
            key,
            region: region.to_owned(),
            own: None,
        }
    }

    /// The same, whose requests the server knows for its own program's by this word: [`crate::Config::own`].
    #[must_use]
    pub fn with_own(self, word: &str) -> Self {
        let own = Some(word.to_owned());
        Self { own, ..self }
    }

    /// Runs an operation of the service that `model` describes. An empty answer is `Null`.
    ///
    /// # Errors
    /// [`CallError::Refused`] if the service says no, [`CallError::Broken`] if it doesn't say
    /// anything that can be read.
    pub fn call(&self, model: &Model, operation: &str, input: &Value) -> Result<Value, CallError> {
        let body = Zeroizing::new(input.to_string().into_bytes());
        let target = format!("{}.{operation}", model.target_prefix);
        let headers = [
            ("host", self.host.as_str()),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
        ];
        let message = Message {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            body: &body,
        };
        let now = OffsetDateTime::now_utc();
        let signed = sign(&message, &self.key, &self.region, model.signing_name, now);
        let mut headers = headers.to_vec();
        headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
        headers.extend(self.own.as_deref().map(|word| (OWN_HEADER, word)));
        self.exchange("/", &headers, &body)
    }

    /// Posts JSON to a path of the server's own, without a signature.
    ///
    /// # Errors
    /// As those of [`Client::call`].
    pub fn post(&self, path: &str, input: &Value) -> Result<Value, CallError> {
        let mut headers = vec![
            ("host", self.host.as_str()),
            ("content-type", "application/json"),
        ];
        headers.extend(self.own.as_deref().map(|word| (OWN_HEADER, word)));
        self.exchange(
            path,
            &headers,
            &Zeroizing::new(input.to_string().into_bytes()),
        )
    }

    fn exchange(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Value, CallError> {
        let mut request = Zeroizing::new(format!("POST {path} HTTP/1.1\r\n").into_bytes());
        for (name, value) in headers {
            write!(*request, "{name}: {value}\r\n")?;
        }
        write!(
            *request,
            "content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        )?;
        request.extend_from_slice(body);

        let mut stream = TcpStream::connect(&self.host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&request)?;
        let mut answer = Zeroizing::new(Vec::new());
        stream.read_to_end(&mut answer)?;
        read(&answer)
    }
}

fn read(answer: &[u8]) -> Result<Value, CallError> {
    let broken = |what: &str| CallError::Broken(io::Error::new(io::ErrorKind::InvalidData, what));
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or_else(|| broken("the answer has no end of its head"))?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status: u16 = status.ok_or_else(|| broken("the answer has no status"))?;
    let body = match &answer[end + 4..] {
        [] => Value::Null,
        body => serde_json::from_slice(body).map_err(|_| broken("the answer is not JSON"))?,
    };
    if status == 200 {
        return Ok(body);
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let exception = text("__type").unwrap_or_else(|| "an answer without __type".to_owned());
    let message = text("message").or_else(|| text("Message"));
    Err(CallError::Refused {
        status,
        exception,
        message,
    })
}

/// Why there is no output.
#[derive(Debug)]
pub enum CallError {
    /// The service's answer.
    Refused {
        /// HTTP status.
        status: u16,
        /// The exception's name.
        exception: String,
        /// Its text, if it has one.
        message: Option<String>,
    },
    /// No connection, or no answer, or none that can be read.
    Broken(io::Error),
}

impl CallError {
    /// The exception's name, if it was the service that refused.
    pub fn exception(&self) -> Option<&str> {
        match self {
            Self::Refused { exception, .. } => Some(exception),
            Self::Broken(_) => None,
        }
    }
}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused {
                exception,
                message: Some(message),
                ..
            } => {
                write!(f, "{exception}: {message}")
            }
            Self::Refused { exception, .. } => f.write_str(exception),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}
