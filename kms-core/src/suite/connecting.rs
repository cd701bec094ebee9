//! Logins, rotation, crashes and restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Client, Stage, TestCluster};
use crate::Settings;
use crate::connect::{Interrupt, Point};

pub(super) fn wrong_password(stage: &Stage<'_>) {
    let cluster = stage.target.new_cluster("kmsPswd");
    let kms = Client::open(stage.settings());
    let store = kms.create_store(&cluster, "another1");
    let id = json!({"CustomKeyStoreId": store});
    kms.ok("ConnectCustomKeyStore", id.clone());
    assert_eq!(
        kms.wait(&store, "FAILED")["ConnectionErrorCode"],
        "INVALID_CREDENTIALS"
    );
    kms.disconnect(&store);
    kms.ok(
        "UpdateCustomKeyStore",
        json!({"CustomKeyStoreId": store, "KeyStorePassword": "kmsPswd"}),
    );
    kms.connect(&store);
    let blob = kms.encrypt(&kms.key_in(&store), "kept");
    // The audit path: disconnect, a crypto officer sets a password, Update tells it, connect.
    kms.disconnect(&store);
    stage.target.set_password(&cluster, "tempPass1");
    assert!(stage.logs_in(&cluster, "tempPass1"));
    kms.ok(
        "UpdateCustomKeyStore",
        json!({"CustomKeyStoreId": store, "KeyStorePassword": "tempPass1"}),
    );
    kms.connect(&store);
    assert_eq!(kms.decrypt(&blob), super::client::base64("kept"));
    kms.disconnect(&store);
    assert!(!stage.logs_in(&cluster, "tempPass1"));
}

pub(super) fn crashes(stage: &Stage<'_>) {
    for point in Point::ALL {
        let stage = &Stage {
            target: stage.target,
            dir: stage.dir.join(format!("{point:?}")),
            modules: Default::default(),
        };
        let cluster = stage.target.new_cluster("kmsPswd");
        let store = crash_at(stage, &cluster, point);
        // Twice: what was pending is settled by the first connect and must not confuse the second.
        for round in 1..=2 {
            let kms = Client::open(stage.settings());
            kms.wait(&store, "CONNECTED");
            let key = kms.key_in(&store);
            assert_eq!(
                kms.decrypt(&kms.encrypt(&key, "x")),
                super::client::base64("x"),
                "{round}"
            );
        }
    }
}

/// A service that dies at this point of its first connect; gives the key store.
fn crash_at(stage: &Stage<'_>, cluster: &TestCluster, point: Point) -> String {
    let reached = Arc::new(AtomicBool::new(false));
    let interrupt: Interrupt = {
        let reached = reached.clone();
        Arc::new(move |at| {
            let now = at == point;
            reached.fetch_or(now, Ordering::SeqCst);
            now
        })
    };
    let settings = Settings {
        interrupt: Some(interrupt),
        ..stage.settings()
    };
    let kms = Client::open(settings);
    let store = kms.create_store(cluster, "kmsPswd");
    kms.ok("ConnectCustomKeyStore", json!({"CustomKeyStoreId": store}));
    until(
        || reached.load(Ordering::SeqCst),
        &format!("{point:?} is reached"),
    );
    assert_eq!(
        kms.store(&store)["ConnectionState"],
        "CONNECTING",
        "{point:?}"
    );
    store
}

/// A crash leaves a pending password, then a crypto officer sets a third one: neither is right, and Update mends it.
pub(super) fn third_password(stage: &Stage<'_>) {
    let cluster = stage.target.new_cluster("kmsPswd");
    let store = crash_at(stage, &cluster, Point::PinChanged);
    stage.target.set_password(&cluster, "tempPass1");
    let kms = Client::open(stage.settings());
    let id = json!({"CustomKeyStoreId": store});
    for _ in 0..2 {
        assert_eq!(
            kms.wait(&store, "FAILED")["ConnectionErrorCode"],
            "INVALID_CREDENTIALS"
        );
        kms.disconnect(&store);
        kms.ok("ConnectCustomKeyStore", id.clone());
    }
    kms.wait(&store, "FAILED");
    kms.disconnect(&store);
    kms.ok(
        "UpdateCustomKeyStore",
        json!({"CustomKeyStoreId": store, "KeyStorePassword": "tempPass1"}),
    );
    kms.connect(&store);
    kms.key_in(&store);
}

pub(super) fn restart(stage: &Stage<'_>) {
    let cluster = stage.target.new_cluster("kmsPswd");
    let (store, key, blob, own, own_blob) = {
        let kms = Client::open(stage.settings());
        let store = kms.create_store(&cluster, "kmsPswd");
        kms.connect(&store);
        let key = kms.key_in(&store);
        let blob = kms.encrypt(&key, "before");
        let own = kms.ok("CreateKey", json!({}))["KeyMetadata"]["Arn"]
            .as_str()
            .map(str::to_owned);
        let own = own.expect("an ARN");
        let own_blob = kms.encrypt(&own, "own");
        (store, key, blob, own, own_blob)
    };
    let kms = Client::open(stage.settings());
    assert_eq!(kms.decrypt(&own_blob), super::client::base64("own"));
    assert_eq!(
        kms.ok("DescribeKey", json!({"KeyId": own}))["KeyMetadata"]["Origin"],
        "AWS_KMS"
    );
    kms.wait(&store, "CONNECTED");
    assert_eq!(kms.decrypt(&blob), super::client::base64("before"));
    assert_eq!(
        kms.ok("DescribeKey", json!({"KeyId": key}))["KeyMetadata"]["KeyState"],
        "Enabled"
    );
    kms.disconnect(&store);
    drop(kms);
    // What was disconnected stays so.
    let kms = Client::open(stage.settings());
    assert_eq!(kms.store(&store)["ConnectionState"], "DISCONNECTED");
}

pub(super) fn overtaken(stage: &Stage<'_>) {
    let cluster = stage.target.new_cluster("kmsPswd");
    let settings = Settings {
        connect_takes: Duration::from_millis(400),
        ..stage.settings()
    };
    let kms = Client::open(settings);
    let store = kms.create_store(&cluster, "kmsPswd");
    let id = json!({"CustomKeyStoreId": store});
    for _ in 0..3 {
        kms.ok("ConnectCustomKeyStore", id.clone());
        // Legal while CONNECTING; the worker may be anywhere in its rotation.
        kms.ok("DisconnectCustomKeyStore", id.clone());
        kms.wait(&store, "DISCONNECTED");
    }
    kms.connect(&store);
    kms.key_in(&store);
}

fn until(mut done: impl FnMut() -> bool, what: &str) {
    let begun = Instant::now();
    while !done() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{what}: not within a minute"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
