//! Keys in use: by many threads, and after somebody destroyed them in the HSM.

use serde_json::json;

use super::client::base64;
use super::{Client, Stage};

pub(super) fn threads(stage: &Stage<'_>) {
    let cluster = stage.target.new_cluster("kmsPswd");
    let kms = Client::open(stage.settings());
    let store = kms.create_store(&cluster, "kmsPswd");
    kms.connect(&store);
    let keys = [kms.key_in(&store), kms.key_in(&store)];
    let kms = &kms;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let keys = &keys;
            scope.spawn(move || {
                for round in 0..25 {
                    let plain = format!("thread {thread}, round {round}");
                    let blob = kms.encrypt(&keys[round % 2], &plain);
                    assert_eq!(kms.decrypt(&blob), base64(&plain));
                }
            });
        }
    });
}

pub(super) fn destroyed(stage: &Stage<'_>) {
    let cluster = stage.target.new_cluster("kmsPswd");
    let kms = Client::open(stage.settings());
    let store = kms.create_store(&cluster, "kmsPswd");
    kms.connect(&store);
    let key = kms.key_in(&store);
    let blob = kms.encrypt(&key, "x");
    stage
        .module(&cluster)
        .destroy_keys(&cluster.module.token_label)
        .expect("keys are destroyed");
    assert_eq!(
        kms.no("Decrypt", json!({"CiphertextBlob": blob})).0,
        "KMSInvalidStateException"
    );
    let input = json!({"KeyId": key, "Plaintext": base64("x")});
    assert_eq!(kms.no("Encrypt", input).0, "KMSInvalidStateException");
    // The documentation contradicts itself on the state that is shown; the operation fails, the state stays.
    assert_eq!(
        kms.ok("DescribeKey", json!({"KeyId": key}))["KeyMetadata"]["KeyState"],
        "Enabled"
    );
    assert_eq!(kms.store(&store)["ConnectionState"], "CONNECTED");
    let fresh = kms.key_in(&store);
    assert_eq!(kms.decrypt(&kms.encrypt(&fresh, "y")), base64("y"));
}
