//! Raw requests over a socket, for what no honest client sends.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The lines of the head.
    pub head: String,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("not JSON: {e}\n{self:?}"))
    }

    /// The exception's name without a namespace.
    #[track_caller]
    pub fn exception(&self) -> String {
        let json = self.json();
        let name = json["__type"]
            .as_str()
            .unwrap_or_else(|| panic!("no __type in {self:?}"));
        name.rsplit('#').next().unwrap_or(name).to_owned()
    }
}

/// An AWS JSON 1.1 request with some signature, its body as given.
#[track_caller]
pub fn post(authority: &str, target: &str, body: &[u8]) -> Answer {
    let service = if target.starts_with("Baldr") {
        "cloudhsm"
    } else {
        "kms"
    };
    let mut request = format!(
        "POST / HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: {target}\r\n\
         X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=111122223333/20260101/us-west-2/\
         {service}/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        "0".repeat(64),
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    send(authority, &request, 20).unwrap_or_else(|| panic!("no HTTP answer to {target}"))
}

/// Send bytes and read until the peer closes, or for so many seconds. `None` if no HTTP answer came.
#[track_caller]
pub fn send(authority: &str, request: &[u8], seconds: u64) -> Option<Answer> {
    let mut stream =
        TcpStream::connect(authority).unwrap_or_else(|e| panic!("connect to {authority}: {e}"));
    let patience = Some(Duration::from_secs(seconds));
    stream.set_read_timeout(patience).expect("set a time limit");
    stream
        .set_write_timeout(patience)
        .expect("set a time limit");
    // A server may answer and close before it has read an oversize request: then the write fails, and its answer counts.
    drop(stream.write_all(request));
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
