//! A key store from its creation to its end, and what is refused on the way.

use serde_json::json;

use super::client::{base64, store_input, text};
use super::{Client, Stage, TestClock};

pub(super) fn tell(stage: &Stage<'_>) {
    let cluster = stage.target.new_cluster("kmsPswd");
    let clock = TestClock::new();
    let kms = Client::open(crate::Settings {
        clock: clock.clone(),
        ..stage.settings()
    });
    let store = kms.create_store(&cluster, "kmsPswd");
    assert_eq!(
        kms.create_store(&cluster, "kmsPswd"),
        store,
        "a repeated create is the same create"
    );
    assert_eq!(kms.store(&store)["ConnectionState"], "DISCONNECTED");
    assert!(
        stage.logs_in(&cluster, "kmsPswd"),
        "create must not touch the password"
    );

    kms.ok("ConnectCustomKeyStore", json!({"CustomKeyStoreId": store}));
    assert_eq!(
        kms.store(&store)["ConnectionState"],
        "CONNECTING",
        "connect answers before it is done"
    );
    let described = kms.wait(&store, "CONNECTED");
    assert_eq!(described["CustomKeyStoreType"], "AWS_CLOUDHSM");
    assert_eq!(described["CloudHsmClusterId"], cluster.id);
    assert!(described.get("ConnectionErrorCode").is_none());
    assert!(described.get("KeyStorePassword").is_none());

    let (one, two) = (kms.key_in(&store), kms.key_in(&store));
    let metadata = kms.ok("DescribeKey", json!({"KeyId": one}))["KeyMetadata"].clone();
    assert_eq!(metadata["Origin"], "AWS_CLOUDHSM");
    assert_eq!(metadata["CustomKeyStoreId"], json!(store));
    assert_eq!(metadata["CloudHsmClusterId"], json!(cluster.id));
    assert_eq!(metadata["KeyState"], "Enabled");
    assert!(metadata.get("CurrentKeyMaterialId").is_none());
    in_the_hsm(stage, &cluster, &[&one, &two]);

    let blob = crypto(&kms, &one, &two);
    let bytes = kms.ok(
        "GenerateRandom",
        json!({"NumberOfBytes": 16, "CustomKeyStoreId": store}),
    );
    assert_eq!(text(&bytes, "Plaintext").len(), 24);

    kms.disconnect(&store);
    assert!(
        !stage.logs_in(&cluster, "kmsPswd"),
        "connect must have rotated the password"
    );
    let metadata = kms.ok("DescribeKey", json!({"KeyId": one}))["KeyMetadata"].clone();
    assert_eq!(
        (&metadata["KeyState"], &metadata["Enabled"]),
        (&json!("Unavailable"), &json!(false))
    );
    let unavailable = (
        "KMSInvalidStateException".to_owned(),
        Some(format!("{one} is unavailable.")),
    );
    assert_eq!(
        kms.no("Encrypt", json!({"KeyId": one, "Plaintext": base64("x")})),
        unavailable
    );
    assert_eq!(
        kms.no("Decrypt", json!({"CiphertextBlob": blob})),
        unavailable
    );
    // Deferred: it shows when the store is back.
    kms.ok("DisableKey", json!({"KeyId": two}));

    kms.connect(&store);
    assert_eq!(kms.decrypt(&blob), base64("attack at dawn"));
    let disabled = kms.no("Encrypt", json!({"KeyId": two, "Plaintext": base64("x")}));
    assert_eq!(
        disabled,
        (
            "DisabledException".to_owned(),
            Some(format!("{two} is disabled."))
        )
    );

    end(stage, &cluster, &kms, &clock, &store, &[&one, &two]);
}

/// Encrypt, decrypt, re-encrypt, data keys, contexts; gives a blob of `one`.
fn crypto(kms: &Client, one: &str, two: &str) -> String {
    let context = json!({"purpose": "test", "b": "2"});
    let blob = text(
        &kms.ok(
            "Encrypt",
            json!({"KeyId": one, "Plaintext": base64("attack at dawn"), "EncryptionContext": context}),
        ),
        "CiphertextBlob",
    );
    let open = |context| json!({"CiphertextBlob": blob, "EncryptionContext": context});
    let plain = kms.ok("Decrypt", open(context.clone()));
    assert_eq!(plain["Plaintext"], json!(base64("attack at dawn")));
    assert_eq!(plain["KeyId"], json!(one));
    let invalid = ("InvalidCiphertextException".to_owned(), None);
    assert_eq!(
        kms.no("Decrypt", open(json!({"purpose": "other", "b": "2"}))),
        invalid
    );
    assert_eq!(kms.no("Decrypt", json!({"CiphertextBlob": blob})), invalid);
    assert_eq!(
        kms.no("Decrypt", json!({"CiphertextBlob": base64("nonsense")})),
        invalid
    );
    let mut wrong_key = open(context.clone());
    wrong_key["KeyId"] = json!(two);
    assert_eq!(kms.no("Decrypt", wrong_key).0, "IncorrectKeyException");

    let moved = kms.ok(
        "ReEncrypt",
        json!({"CiphertextBlob": blob, "SourceEncryptionContext": context, "DestinationKeyId": two}),
    );
    assert_eq!(
        (&moved["SourceKeyId"], &moved["KeyId"]),
        (&json!(one), &json!(two))
    );
    assert_eq!(
        kms.decrypt(&text(&moved, "CiphertextBlob")),
        base64("attack at dawn")
    );

    let data = kms.ok(
        "GenerateDataKey",
        json!({"KeyId": one, "KeySpec": "AES_256"}),
    );
    assert_eq!(
        kms.decrypt(&text(&data, "CiphertextBlob")),
        text(&data, "Plaintext")
    );
    let without = kms.ok(
        "GenerateDataKeyWithoutPlaintext",
        json!({"KeyId": one, "NumberOfBytes": 3}),
    );
    assert!(without.get("Plaintext").is_none());
    assert_eq!(kms.decrypt(&text(&without, "CiphertextBlob")).len(), 4);

    let largest = "x".repeat(4096);
    assert_eq!(kms.decrypt(&kms.encrypt(one, &largest)), base64(&largest));
    let dry = json!({"KeyId": one, "Plaintext": base64("x"), "DryRun": true});
    assert_eq!(
        kms.no("Encrypt", dry),
        (
            "DryRunOperationException".to_owned(),
            Some("The request would have succeeded, but the DryRun option is set.".to_owned())
        )
    );
    kms.encrypt(one, "attack at dawn")
}

fn in_the_hsm(stage: &Stage<'_>, cluster: &super::TestCluster, arns: &[&str]) {
    let keys = stage
        .module(cluster)
        .seen_keys(&cluster.module.token_label)
        .expect("keys are seen");
    for arn in arns {
        let key = keys.iter().find(|key| key.label == **arn);
        let key = key.unwrap_or_else(|| panic!("no key is labelled {arn}: {keys:?}"));
        assert!(
            key.token && key.private && key.sensitive && !key.extractable,
            "{key:?}"
        );
        assert!(
            key.encrypt && key.decrypt && !key.sign && !key.wrap,
            "{key:?}"
        );
    }
    assert_eq!(keys.len(), arns.len());
}

/// No store goes while it has keys; deletion destroys what is in a connected HSM.
fn end(
    stage: &Stage<'_>,
    cluster: &super::TestCluster,
    kms: &Client,
    clock: &TestClock,
    store: &str,
    arns: &[&str],
) {
    let id = json!({"CustomKeyStoreId": store});
    assert_eq!(
        kms.no("DeleteCustomKeyStore", id.clone()).0,
        "CustomKeyStoreInvalidStateException"
    );
    kms.disconnect(store);
    assert_eq!(
        kms.no("DeleteCustomKeyStore", id.clone()).0,
        "CustomKeyStoreHasCMKsException"
    );
    for arn in arns {
        kms.ok(
            "ScheduleKeyDeletion",
            json!({"KeyId": arn, "PendingWindowInDays": 7}),
        );
        let state = kms.ok("DescribeKey", json!({"KeyId": arn}))["KeyMetadata"]["KeyState"].clone();
        assert_eq!(
            state, "PendingDeletion",
            "a planned deletion shows though the store is away"
        );
    }
    assert_eq!(
        kms.no("DeleteCustomKeyStore", id.clone()).0,
        "CustomKeyStoreHasCMKsException"
    );
    kms.connect(store);
    clock.pass_days(6);
    kms.kms().tick().expect("tick");
    in_the_hsm(stage, cluster, arns);
    clock.pass_days(1);
    kms.kms().tick().expect("tick");
    in_the_hsm(stage, cluster, &[]);
    assert_eq!(
        kms.no("DescribeKey", json!({"KeyId": arns[0]})),
        (
            "NotFoundException".to_owned(),
            Some(format!("Key '{}' does not exist", arns[0]))
        )
    );
    kms.disconnect(store);
    kms.ok("DeleteCustomKeyStore", id.clone());
    assert_eq!(
        kms.no("DescribeCustomKeyStores", id).0,
        "CustomKeyStoreNotFoundException"
    );
}

/// The legality table (aws-facts A3) in the states that a story can hold still.
pub(super) fn states(stage: &Stage<'_>) {
    let cluster = stage.target.new_cluster("kmsPswd");
    let kms = Client::open(stage.settings());
    let store = kms.create_store(&cluster, "kmsPswd");
    let id = json!({"CustomKeyStoreId": store});
    let wrong = |operation: &str, input| {
        assert_eq!(
            kms.no(operation, input).0,
            "CustomKeyStoreInvalidStateException",
            "{operation}"
        );
    };
    let key = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
    let random = json!({"NumberOfBytes": 8, "CustomKeyStoreId": store});
    let rename = |name: &str| json!({"CustomKeyStoreId": store, "NewCustomKeyStoreName": name});
    let password = json!({"CustomKeyStoreId": store, "KeyStorePassword": "kmsPswd"});
    // DISCONNECTED
    wrong("DisconnectCustomKeyStore", id.clone());
    wrong("CreateKey", key.clone());
    wrong("GenerateRandom", random.clone());
    kms.ok("UpdateCustomKeyStore", rename("disconnected"));
    kms.ok("UpdateCustomKeyStore", password.clone());
    // CONNECTED
    kms.connect(&store);
    kms.ok("ConnectCustomKeyStore", id.clone());
    kms.ok("UpdateCustomKeyStore", rename("connected"));
    wrong("UpdateCustomKeyStore", password.clone());
    wrong("DeleteCustomKeyStore", id.clone());
    assert_eq!(kms.store(&store)["CustomKeyStoreName"], "connected");
    // The same properties do not find a connected store: this is a name in use.
    let mut again = store_input(&cluster, "kmsPswd");
    again["CustomKeyStoreName"] = json!("connected");
    assert_eq!(
        kms.no("CreateCustomKeyStore", again).0,
        "CustomKeyStoreNameInUseException"
    );
    let other = store_input(&cluster, "kmsPswd");
    assert_eq!(
        kms.no("CreateCustomKeyStore", other).0,
        "CloudHsmClusterInUseException"
    );
    // FAILED
    kms.disconnect(&store);
    kms.ok("UpdateCustomKeyStore", password.clone());
    kms.ok("ConnectCustomKeyStore", id.clone());
    wrong("UpdateCustomKeyStore", password.clone());
    wrong("DeleteCustomKeyStore", id.clone());
    assert_eq!(
        kms.wait(&store, "FAILED")["ConnectionErrorCode"],
        "INVALID_CREDENTIALS"
    );
    wrong("ConnectCustomKeyStore", id.clone());
    wrong("UpdateCustomKeyStore", rename("failed"));
    wrong("DeleteCustomKeyStore", id.clone());
    wrong("CreateKey", key);
    wrong("GenerateRandom", random);
    kms.disconnect(&store);
    assert!(kms.store(&store).get("ConnectionErrorCode").is_none());
    kms.ok("DeleteCustomKeyStore", id);
}
