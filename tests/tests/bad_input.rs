//! What nobody should send: a clear error, the service stays up, nothing is lost.

use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tests::boto::Boto;
use tests::http::{post, send};
use tests::p11::Token;
use tests::procs;
use tests::story::{connected, decrypt, encrypt};
use tests::up::{Home, Up};

#[test]
fn requests_that_are_no_requests() {
    let home = Home::new();
    let mut up = Up::bare(&home);
    let to = up.authority().to_owned();
    let cases: [(&str, &str, &[u8], &str); 12] = [
        (
            "malformed JSON",
            "TrentService.ListKeys",
            b"{\"Limit\": ",
            "SerializationException",
        ),
        (
            "no JSON at all",
            "TrentService.ListKeys",
            b"\x00\xff\xfe",
            "SerializationException",
        ),
        (
            "an array",
            "TrentService.ListKeys",
            b"[]",
            "SerializationException",
        ),
        (
            "a text for a number",
            "TrentService.ListKeys",
            b"{\"Limit\":\"many\"}",
            "SerializationException",
        ),
        (
            "bad base64",
            "TrentService.Decrypt",
            b"{\"CiphertextBlob\":\"%%\"}",
            "SerializationException",
        ),
        (
            "bad JSON, CloudHSM",
            "BaldrApiService.DescribeClusters",
            b"{",
            "SerializationException",
        ),
        (
            "an unknown operation",
            "TrentService.MakeCoffee",
            b"{}",
            "UnknownOperationException",
        ),
        (
            "an unknown service",
            "NoService.ListKeys",
            b"{}",
            "UnknownOperationException",
        ),
        ("no service", "ListKeys", b"{}", "UnknownOperationException"),
        (
            "the other service's operation",
            "TrentService.DescribeClusters",
            b"{}",
            "UnknownOperationException",
        ),
        (
            "a required member missing",
            "TrentService.DescribeKey",
            b"{}",
            "ValidationException",
        ),
        (
            "a value out of range",
            "TrentService.ListKeys",
            b"{\"Limit\":0}",
            "ValidationException",
        ),
    ];
    for (what, target, body, exception) in cases {
        let answer = post(&to, target, body);
        assert_eq!(
            (answer.status, answer.exception().as_str()),
            (400, exception),
            "{what}: {answer:?}"
        );
        assert!(
            answer
                .head
                .to_lowercase()
                .contains("content-type: application/x-amz-json-1.1"),
            "{answer:?}"
        );
        assert!(
            answer.head.to_lowercase().contains("x-amzn-requestid: "),
            "{answer:?}"
        );
    }
    // The account is an access key id of twelve digits, the region is the signature's.
    let answer = post(
        &to,
        "TrentService.DescribeKey",
        b"{\"KeyId\":\"1234abcd-12ab-34cd-56ef-1234567890ab\"}",
    );
    let arn = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    assert_eq!(
        answer.json()["message"],
        format!("Key '{arn}' does not exist"),
        "{answer:?}"
    );
    // An unknown member is ignored, as the real service does.
    let answer = post(
        &to,
        "TrentService.ListKeys",
        b"{\"NoSuchMember\":{\"a\":[1,null]},\"Limit\":5}",
    );
    assert_eq!(
        (answer.status, answer.json()["Keys"].clone()),
        (200, json!([])),
        "{answer:?}"
    );
    // So is one that is null.
    let answer = post(&to, "TrentService.ListKeys", b"{\"Limit\":null}");
    assert_eq!(answer.status, 200, "{answer:?}");
    // JSON deep enough to exhaust a stack.
    let deep = [
        b"{\"a\":".repeat(100_000),
        b"1".to_vec(),
        b"}".repeat(100_000),
    ]
    .concat();
    let answer = post(&to, "TrentService.ListKeys", &deep);
    assert!(
        answer.status == 400 || answer.status == 413,
        "{}",
        answer.head
    );
    assert!(up.alive());
    assert_eq!(post(&to, "TrentService.ListKeys", b"{}").status, 200);
}

#[test]
fn requests_that_are_too_large_or_never_end() {
    let home = Home::new();
    let mut up = Up::bare(&home);
    let to = up.authority().to_owned();
    let large = format!("{{\"KeyId\":\"{}\"}}", "k".repeat(64 << 20));
    let answer = post(&to, "TrentService.DescribeKey", large.as_bytes());
    assert!(matches!(answer.status, 400 | 413), "{}", answer.head);

    // Announced, never sent: refused by its announcement, or by a time limit.
    let head = format!("POST / HTTP/1.1\r\nHost: {to}\r\nX-Amz-Target: TrentService.ListKeys\r\n");
    let announced = format!("{head}Content-Length: 99999999999\r\nConnection: close\r\n\r\n{{");
    if let Some(answer) = send(&to, announced.as_bytes(), 3) {
        assert!(matches!(answer.status, 400 | 408 | 413), "{}", answer.head);
    }
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"GET\r\n\r\n",
        b"\r\n\r\n\r\n",
        &[0xff; 4096],
    ] {
        if let Some(answer) = send(&to, garbage, 3) {
            assert!((400..500).contains(&answer.status), "{}", answer.head);
        }
    }
    // Connections that are opened and left: the others are served all the same.
    let idle: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(&to).expect("connect"))
        .collect();
    assert_eq!(post(&to, "TrentService.ListKeys", b"{}").status, 200);
    drop(idle);
    assert!(up.alive());
}

#[test]
fn frames_that_are_no_frames_do_not_disturb_an_hsm() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (cluster, store) = connected(&home, &boto);
    let key = store.key();
    let sealed = encrypt(&boto, &key, b"undisturbed");
    let before: Vec<u32> = procs::nodes(&home.data()).iter().map(|p| p.pid).collect();
    assert_eq!(before.len(), 2);
    // The start of a TLS record that never goes on, one that claims more than it may, no TLS, and nothing at all.
    let truncated: &[u8] = &[
        0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03,
    ];
    let oversize: &[u8] = &[0x16, 0x03, 0x03, 0xff, 0xff];
    let bytes: [&[u8]; 5] = [
        truncated,
        oversize,
        b"GET / HTTP/1.0\r\n\r\n",
        &[0xff; 100_000],
        b"",
    ];
    for address in cluster.addresses() {
        for port in [2223, 2224, 2225] {
            for bytes in bytes {
                let to = format!("{address}:{port}");
                let mut stream =
                    TcpStream::connect(&to).unwrap_or_else(|e| panic!("connect to {to}: {e}"));
                stream
                    .set_read_timeout(Some(Duration::from_millis(200)))
                    .expect("set a time limit");
                // The node may hang up at any point of this.
                drop(stream.write_all(bytes));
                drop(stream.read(&mut [0; 64]));
            }
        }
        // Held open while others work.
        let _held: Vec<TcpStream> = (0..50)
            .filter_map(|_| TcpStream::connect(format!("{address}:2223")).ok())
            .collect();
        assert_eq!(decrypt(&boto, &sealed), b"undisturbed");
    }
    let after: Vec<u32> = procs::nodes(&home.data()).iter().map(|p| p.pid).collect();
    assert_eq!(after, before, "no HSM died and was started again");
    for _ in 0..10 {
        assert_eq!(decrypt(&boto, &sealed), b"undisturbed");
    }
}

#[test]
fn a_config_file_with_faults_is_named_with_its_line() {
    let home = Home::new();
    let log = home.path("module.log");
    let anchor = home.write("customerCA.crt", "this is no certificate");
    let anchor = anchor.to_str().expect("a path is text");
    // (what, text, the line that the log must name)
    let cases = [
        ("no TOML", "[[cluster]\nlabel = 1\n".to_owned(), 1),
        ("an unknown key", "\n\nno-such-key = true\n".to_owned(), 3),
        ("a wrong type", "[[cluster]]\nlabel = 5\n".to_owned(), 2),
        (
            "an address that is none",
            format!(
                "[[cluster]]\nlabel = \"c\"\nnodes = [\"nowhere\"]\ntrust-anchor = {anchor:?}\n"
            ),
            3,
        ),
    ];
    for (what, text, line) in cases {
        let file = home.write("pkcs11.toml", text);
        // Left from the case before; the first has none.
        drop(std::fs::remove_file(&log));
        let token = Token::configured(&home, &file, "", "x")
            .with_env("KEYSTEAD_PKCS11_LOG", log.as_os_str());
        token.bare_tool("--list-slots").fails().says("C_Initialize");
        let said = std::fs::read_to_string(&log).unwrap_or_else(|e| panic!("{what}: no log: {e}"));
        assert!(
            said.contains("pkcs11.toml"),
            "{what}: the log names the file: {said}"
        );
        let named = [format!("line {line}"), format!("pkcs11.toml:{line}")];
        assert!(
            named.iter().any(|n| said.contains(n)),
            "{what}: the log names line {line}: {said}"
        );
    }
    let missing = home.path("not-there.toml");
    drop(std::fs::remove_file(&log));
    let token = Token::configured(&home, &missing, "", "x")
        .with_env("KEYSTEAD_PKCS11_LOG", log.as_os_str());
    token.bare_tool("--list-slots").fails().says("C_Initialize");
    let said = std::fs::read_to_string(&log).expect("the log is written");
    assert!(
        said.contains("not-there.toml"),
        "the log names the file: {said}"
    );
}

#[test]
fn a_faulty_trust_anchor_file_is_named() {
    let home = Home::new();
    let log = home.path("module.log");
    let anchor = home.write("customerCA.crt", "this is no certificate");
    let text = format!(
        "[[cluster]]\nlabel = \"c\"\nnodes = [\"127.0.0.1:2223\"]\ntrust-anchor = {anchor:?}\n"
    );
    let file = home.write("pkcs11.toml", text);
    let token =
        Token::configured(&home, &file, "", "x").with_env("KEYSTEAD_PKCS11_LOG", log.as_os_str());
    token.bare_tool("--list-slots").fails();
    let said = std::fs::read_to_string(&log).expect("the log is written");
    assert!(
        said.contains("customerCA.crt"),
        "the log names the file: {said}"
    );
}

#[test]
fn commands_without_a_service_say_so() {
    let home = Home::new();
    for words in ["vpc subnets --output json", "mgmt -c listUsers"] {
        let done = home.tool(words).fails();
        assert!(
            !done.stderr.trim().is_empty(),
            "says what is wrong\n{}",
            done.report()
        );
        done.silent_about("panicked");
    }
    for words in [
        "",
        "no-such-command",
        "up --no-such-option",
        "up --listen nowhere",
    ] {
        home.keystead(words).fails().silent_about("panicked");
    }
}

#[test]
fn two_services_on_one_data_directory_or_one_port_are_refused() {
    let home = Home::new();
    let up = Up::bare(&home);
    home.tool("up --bare --listen 127.0.0.1:0")
        .limit(30)
        .fails()
        .silent_about("panicked");
    let other = Home::new();
    let taken = up.authority().to_owned();
    other
        .tool("up --bare --listen")
        .arg(&taken)
        .limit(30)
        .fails()
        .says(&taken);
    assert_eq!(post(&taken, "TrentService.ListKeys", b"{}").status, 200);
}
