//! Well-formed requests by the client: answers, accounts, enforced signatures, log, metrics, stop.

use crate::toy::{client, start};
use aws_json::Response;
use aws_json::shapes::{cloudhsmv2, kms};
use kms_server::client::{CallError, Client};
use kms_server::sigv4::Key;
use kms_server::{Keyring, Route, Server};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn refused(result: Result<Value, CallError>) -> (u16, String, Option<String>) {
    match result {
        Err(CallError::Refused {
            status,
            exception,
            message,
        }) => (status, exception, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_services_answer_on_one_port() {
    let (server, _) = start(|_| ());
    let client = client(&server, "000011112222", "anything");
    let key = client.call(&kms::MODEL, "CreateKey", &json!({})).unwrap();
    let arn = "arn:aws:kms:eu-west-1:000011112222:key/key-000";
    assert_eq!(key["KeyMetadata"]["Arn"], arn);
    assert_eq!(key["KeyMetadata"]["CreationDate"], 1499288695.918);

    let plain = json!({ "KeyId": "key-000", "Plaintext": "AQID" });
    let cipher = client.call(&kms::MODEL, "Encrypt", &plain).unwrap();
    assert_eq!(cipher, json!({ "CiphertextBlob": "AwIB" }));
    assert_eq!(
        client.call(&kms::MODEL, "Decrypt", &cipher).unwrap()["Plaintext"],
        "AQID"
    );

    let enable = json!({ "KeyId": "key-000" });
    assert_eq!(
        client.call(&kms::MODEL, "EnableKey", &enable).unwrap(),
        Value::Null
    );
    let connect = json!({ "CustomKeyStoreId": "cks-1" });
    assert_eq!(
        client
            .call(&kms::MODEL, "ConnectCustomKeyStore", &connect)
            .unwrap(),
        json!({})
    );

    let subnets = json!(["subnet-0123456789abcdef0"]);
    let cluster = json!({ "HsmType": "hsm2m.medium", "SubnetIds": subnets });
    let cluster = client
        .call(&cloudhsmv2::MODEL, "CreateCluster", &cluster)
        .unwrap();
    assert_eq!(cluster["Cluster"]["HsmType"], "hsm2m.medium");
    let refusal = json!({ "HsmType": "phsm1.x", "SubnetIds": subnets });
    assert_eq!(
        refused(client.call(&cloudhsmv2::MODEL, "CreateCluster", &refusal)),
        (
            400,
            "CloudHsmInvalidRequestException".into(),
            Some("No such HSM type.".into())
        )
    );
}

#[test]
fn refusals_keep_their_status_and_text() {
    let (server, _) = start(|_| ());
    let client = client(&server, "AKIDEXAMPLE", "anything");
    let call = |operation, input| refused(client.call(&kms::MODEL, operation, &input));
    let (status, exception, message) =
        call("Encrypt", json!({ "KeyId": "none", "Plaintext": "AQID" }));
    assert_eq!((status, exception.as_str()), (400, "NotFoundException"));
    assert_eq!(message.as_deref(), Some("Key 'none' does not exist"));
    let bad_marker = call("ListKeys", json!({ "Marker": "x" }));
    assert_eq!(bad_marker, (400, "InvalidMarkerException".into(), None));
    let unimplemented = call("Sign", json!({}));
    assert_eq!(unimplemented.1, "UnsupportedOperationException");
    assert_eq!(unimplemented.2.as_deref(), Some("Sign is not implemented."));
    assert_eq!(
        call("Dance", json!({})),
        (400, "UnknownOperationException".into(), None)
    );
    assert_eq!(call("GenerateRandom", json!({})).0, 500);
    // The panic above took nothing with it.
    assert!(client.call(&kms::MODEL, "CreateKey", &json!({})).is_ok());
}

fn guarded() -> (Server, crate::toy::Logged) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credentials");
    let text = "[alice]\naws_access_key_id = AKIDALICE\naws_secret_access_key = wonderland\n";
    std::fs::write(&file, text).unwrap();
    start(|config| config.keyring = Some(Keyring::read(&file).unwrap()))
}

#[test]
fn signatures_are_enforced_with_a_keyring() {
    let (server, logged) = guarded();
    let create = |client: &Client| client.call(&kms::MODEL, "CreateKey", &json!({}));
    assert!(create(&client(&server, "AKIDALICE", "wonderland")).is_ok());
    let wrong = refused(create(&client(&server, "AKIDALICE", "Wonderland")));
    assert_eq!(
        (wrong.0, wrong.1.as_str()),
        (400, "InvalidSignatureException")
    );
    let unknown = refused(create(&client(&server, "AKIDBOB", "wonderland")));
    assert_eq!(unknown.1, "UnrecognizedClientException");
    let text = logged.text();
    assert!(
        text.contains("caller=arn:aws:iam::123456789012:user/alice"),
        "{text}"
    );
    assert!(!text.contains("onderland"), "{text}");
}

#[test]
fn log_and_metrics_tell_operations_and_results() {
    let (server, logged) = start(|_| ());
    let client = client(&server, "AKIDEXAMPLE", "anything");
    client.call(&kms::MODEL, "CreateKey", &json!({})).unwrap();
    let secret = json!({ "KeyId": "none", "Plaintext": "c2VjcmV0IHNlY3JldA==" });
    let _ = client.call(&kms::MODEL, "Encrypt", &secret).unwrap_err();
    let _ = client.call(&kms::MODEL, "Dance", &json!({})).unwrap_err();

    let text = logged.text();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.contains(" info service=kms op=CreateKey result=ok status=200 ms="),
        "{text}"
    );
    let refusal = text.lines().nth(1).unwrap();
    assert!(
        refusal.contains("op=Encrypt result=NotFoundException status=400"),
        "{refusal}"
    );
    assert!(refusal.contains("region=eu-west-1"), "{refusal}");
    assert!(
        refusal.ends_with(r#"cause="looked in the toy""#),
        "{refusal}"
    );
    assert!(
        !text.contains("c2VjcmV0") && !text.contains("does not exist"),
        "{text}"
    );

    let metrics = crate::raw::exchange(&server, b"GET /metrics HTTP/1.0\r\n\r\n");
    for sample in [
        r#"keystead_requests_total{service="kms",operation="CreateKey",result="ok"} 1"#,
        r#"keystead_requests_total{service="kms",operation="Encrypt",result="NotFoundException"} 1"#,
        r#"keystead_requests_total{service="kms",operation="-",result="UnknownOperationException"} 1"#,
        r#"keystead_request_seconds_count{service="kms",operation="CreateKey"} 1"#,
    ] {
        assert!(
            metrics.lines().any(|line| line == sample),
            "{sample} is not in\n{metrics}"
        );
    }
}

/// Echoes its path, and panics where it is told to.
fn echo() -> Route {
    let answer = |path: &str, body: &[u8]| {
        assert!(path != "/_keystead/panic", "as told");
        let body = json!({ "path": path, "bytes": body.len() }).to_string();
        Response {
            status: 200,
            body: body.into_bytes().into(),
            error: None,
        }
    };
    Route {
        prefix: "/_keystead/",
        answer: Arc::new(answer),
    }
}

#[test]
fn routes_of_our_own() {
    let (server, logged) = start(|config| config.routes.push(echo()));
    let client = client(&server, "AKIDEXAMPLE", "anything");
    let echoed = client.post("/_keystead/vpc/subnets", &json!({})).unwrap();
    assert_eq!(
        echoed,
        json!({ "path": "/_keystead/vpc/subnets", "bytes": 2 })
    );
    assert!(
        logged
            .text()
            .contains("service=keystead op=/_keystead/ result=ok status=200")
    );
    assert_eq!(refused(client.post("/_other/", &json!({}))).0, 404);
    assert_eq!(refused(client.post("/_keystead/panic", &json!({}))).0, 500);

    let host = server.local_addr();
    let from = |origin: &str| {
        let request = format!(
            "POST /_keystead/reset HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\
             Connection: close\r\nContent-Length: 0\r\n\r\n"
        );
        crate::raw::exchange(&server, request.as_bytes())
    };
    assert!(from(&server.url()).starts_with("HTTP/1.1 200 "));
    for origin in ["null", "https://evil.example", "http://127.0.0.1:1"] {
        let answer = from(origin);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{origin}:\n{answer}");
        assert!(
            answer.contains("AccessDeniedException"),
            "{origin}:\n{answer}"
        );
    }
}

#[test]
fn stop_waits_for_what_is_under_way() {
    let (server, _) = start(|_| ());
    let address = server.local_addr();
    let slow = client(&server, "AKIDEXAMPLE", "anything");
    // Idle keep-alive connections must not hold the stop up.
    let idle = std::net::TcpStream::connect(address).unwrap();
    let input = json!({ "CustomKeyStoreId": "cks-1" });
    let under_way =
        std::thread::spawn(move || slow.call(&kms::MODEL, "ConnectCustomKeyStore", &input));
    std::thread::sleep(Duration::from_millis(150));
    let start = Instant::now();
    server.stop();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(under_way.join().unwrap().unwrap(), json!({}));
    assert!(std::net::TcpStream::connect(address).is_err());
    drop(idle);
}

#[test]
fn a_signal_is_waited_for() {
    let (server, _) = start(|_| ());
    let signals = server.signals().unwrap();
    // The handler stands: this ends the wait and not the process.
    let me = std::process::id().to_string();
    let kill = std::process::Command::new("kill")
        .args(["-TERM", &me])
        .status()
        .unwrap();
    assert!(kill.success());
    signals.wait();
    let client = client(&server, "AKIDEXAMPLE", "anything");
    assert!(client.call(&kms::MODEL, "CreateKey", &json!({})).is_ok());
}

#[test]
fn a_taken_address_is_an_error_that_names_it() {
    let (server, _) = start(|_| ());
    let config = kms_server::Config::new(server.local_addr());
    let error = Server::start(config, Vec::new()).err().unwrap().to_string();
    assert!(
        error.starts_with(&format!("cannot listen on {}", server.local_addr())),
        "{error}"
    );
}

#[test]
fn many_clients_at_once() {
    let (server, _) = start(|_| ());
    let client = Client::new(&server.url(), Key::new("a", "b"), "us-east-1");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    client.call(&kms::MODEL, "CreateKey", &json!({})).unwrap();
                }
            });
        }
    });
    let page = client
        .call(&kms::MODEL, "ListKeys", &json!({ "Limit": 1000 }))
        .unwrap();
    assert_eq!(page["Keys"].as_array().unwrap().len(), 200);
}
