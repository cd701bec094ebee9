//! Bytes that no SDK would send: each gets a clear answer or a closed door, and the service is
//! up afterwards.

use crate::toy::{client, start};
use aws_json::shapes::kms;
use kms_server::Server;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Sends bytes and reads until the server closes.
pub fn exchange(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    // The server may close before it has everything; the answer counts.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

const ANYBODY: &str = "Authorization: AWS4-HMAC-SHA256 \
    Credential=AKID/20150830/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=00\r\n";

fn post(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\
         {headers}\r\n{body}"
    )
}

fn alive(server: &Server) {
    let client = client(server, "AKID", "x");
    assert!(client.call(&kms::MODEL, "CreateKey", &json!({})).is_ok());
}

#[test]
fn refused_requests_say_why() {
    let (server, _) = start(|_| ());
    let list = "X-Amz-Target: TrentService.ListKeys\r\n";
    let both = format!("{list}{ANYBODY}");
    for (headers, body, status, part) in [
        (both.as_str(), "{}", 200, r#""Truncated":false"#),
        (both.as_str(), "", 200, r#""Truncated":false"#),
        (both.as_str(), "{", 400, "SerializationException"),
        (both.as_str(), "\u{1}\u{2}", 400, "SerializationException"),
        (both.as_str(), "[]", 400, "SerializationException"),
        (list, "{}", 400, "MissingAuthenticationTokenException"),
        (ANYBODY, "{}", 400, "UnknownOperationException"),
        (
            &format!("X-Amz-Target: ListKeys\r\n{ANYBODY}"),
            "{}",
            400,
            "UnknownOperation",
        ),
        (
            &format!("X-Amz-Target: Other.ListKeys\r\n{ANYBODY}"),
            "{}",
            400,
            "UnknownOperation",
        ),
        (
            &format!("X-Amz-Target: TrentService.\r\n{ANYBODY}"),
            "{}",
            400,
            "UnknownOperation",
        ),
        (
            &format!("X-Amz-Target: é\r\n{ANYBODY}"),
            "{}",
            400,
            "UnknownOperation",
        ),
        (
            &format!("{list}Authorization: AWS4-HMAC-SHA256 Credential=é\r\n"),
            "{}",
            400,
            "MissingAuthenticationToken",
        ),
    ] {
        let answer = exchange(&server, post(headers, body).as_bytes());
        let case = format!("{headers:?} {body:?}:\n{answer}");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{case}");
        assert!(answer.contains(part), "{case}");
        let lower = answer.to_ascii_lowercase();
        assert!(
            lower.contains("content-type: application/x-amz-json-1.1\r\n"),
            "{case}"
        );
        assert!(lower.contains("x-amzn-requestid: "), "{case}");
        assert!(lower.contains("content-length: "), "{case}");
    }
    alive(&server);
}

#[test]
fn other_paths() {
    let (server, _) = start(|_| ());
    for (line, status, part) in [
        ("GET /health", 200, "ok"),
        ("GET /_health", 200, "ok"),
        (
            "GET /metrics",
            200,
            "# TYPE keystead_requests_total counter",
        ),
        ("GET /", 404, "UnknownOperationException"),
        ("POST /other", 404, "UnknownOperationException"),
        ("DELETE /health", 404, "UnknownOperationException"),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = exchange(&server, request.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line}:\n{answer}"
        );
        assert!(answer.contains(part), "{line}:\n{answer}");
    }
}

#[test]
fn bodies_over_the_limit_are_refused() {
    let (server, _) = start(|config| config.body_limit = 1000);
    let headers = format!("X-Amz-Target: TrentService.ListKeys\r\n{ANYBODY}");
    let fits = format!("{{\"X\":\"{}\"}}", "x".repeat(1000 - 8));
    assert_eq!(fits.len(), 1000);
    assert!(exchange(&server, post(&headers, &fits).as_bytes()).starts_with("HTTP/1.1 200 "));

    for size in [1001, 15_000, 1_000_000] {
        let answer = exchange(&server, post(&headers, &"x".repeat(size)).as_bytes());
        // Far over the limit the door may close while the client still sends.
        if size < 16_000 {
            assert!(answer.starts_with("HTTP/1.1 413 "), "{size}:\n{answer}");
            assert!(
                answer.contains("RequestEntityTooLargeException"),
                "{answer}"
            );
            assert!(answer.contains("larger than 1000 bytes"), "{answer}");
        }
    }
    let chunk = format!("800\r\n{}\r\n", "x".repeat(0x800));
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
         {headers}\r\n{chunk}0\r\n\r\n"
    );
    assert!(exchange(&server, chunked.as_bytes()).starts_with("HTTP/1.1 413 "));
    alive(&server);
}

#[test]
fn broken_http_does_no_harm() {
    let (server, logged) = start(|_| ());
    let long_header = format!("GET /health HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    for request in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /health HTTP/1.1\r\nbad header\r\n\r\n",
        long_header.as_bytes(),
    ] {
        let answer = exchange(&server, request);
        let refused = ["HTTP/1.1 4", "HTTP/1.0 4"]
            .iter()
            .any(|line| answer.starts_with(line));
        assert!(
            answer.is_empty() || refused,
            "{:?}:\n{answer}",
            &request[..request.len().min(40)]
        );
    }
    // Clients that vanish in the middle of a head or a body.
    for part in [
        "POST / HT",
        "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"KeyId\"",
    ] {
        let mut stream = TcpStream::connect(server.local_addr()).unwrap();
        stream.write_all(part.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
    }
    alive(&server);
    assert!(!logged.text().contains("panic"), "{}", logged.text());
}

#[test]
fn one_connection_serves_many_requests() {
    let (server, _) = start(|_| ());
    let headers = format!("X-Amz-Target: TrentService.ListKeys\r\n{ANYBODY}");
    let keep = post(&headers, "{}").replace("Connection: close\r\n", "");
    let pipelined = format!("{keep}{keep}{}", post(&headers, "{}"));
    let answer = exchange(&server, pipelined.as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
}
