//! What is refused, and with which exception: aws-facts A4, A7, A8, B and D3, as far as the calls reach.

use serde_json::{Value, json};
use tests::aws::{ACCOUNT, REGION};
use tests::boto::Boto;
use tests::openssl::Ca;
use tests::story::{Cluster, KMS_PASSWORD, blob, bytes, connected, encrypt};
use tests::up::{Home, Up};

const BAD_CONFIGURATION: &str = "CloudHsmClusterInvalidConfigurationException";

/// The parameters with one member replaced; `Null` takes it away.
fn with(mut params: Value, member: &str, value: Value) -> Value {
    let map = params.as_object_mut().expect("an object");
    if value.is_null() {
        map.remove(member)
    } else {
        map.insert(member.into(), value)
    };
    params
}

#[test]
fn creating_a_key_store() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let refuses = |exception: &str, params: Value| {
        boto.kms_refuses(exception, "CreateCustomKeyStore", params);
    };

    let cluster = Cluster::created(&home, &boto);
    let params = || cluster.store_params("ExampleKeyStore", KMS_PASSWORD);
    let elsewhere = with(params(), "CloudHsmClusterId", json!("cluster-aaaaaaaaaaa"));
    refuses("CloudHsmClusterNotFoundException", elsewhere);
    refuses("CloudHsmClusterNotActiveException", params());
    drop(cluster);

    let cluster = Cluster::initialized(&home, &boto);
    let params = || cluster.store_params("ExampleKeyStore", KMS_PASSWORD);
    refuses("CloudHsmClusterNotActiveException", params());
    drop(cluster);

    let cluster = Cluster::active(&home, &boto);
    let params = || cluster.store_params("ExampleKeyStore", KMS_PASSWORD);
    refuses(BAD_CONFIGURATION, params());
    let same_zone = cluster.add_hsm(0);
    refuses(BAD_CONFIGURATION, params());
    cluster.add_hsm(1);
    cluster.delete_hsm(&same_zone);

    let other = Ca::new(&home.path("other-ca")).pem();
    refuses(
        "IncorrectTrustAnchorException",
        with(params(), "TrustAnchorCertificate", json!(other)),
    );
    let cluster_certificate = cluster.describe()["Certificates"]["ClusterCertificate"].clone();
    refuses(
        "IncorrectTrustAnchorException",
        with(params(), "TrustAnchorCertificate", cluster_certificate),
    );
    for member in [
        "CloudHsmClusterId",
        "KeyStorePassword",
        "TrustAnchorCertificate",
    ] {
        refuses("ValidationException", with(params(), member, Value::Null));
    }
    // What boto3 itself would stop: the service has to find it too.
    let long = "a".repeat(33);
    let bad = [
        ("CustomKeyStoreName", json!("")),
        ("CustomKeyStoreName", json!("n".repeat(257))),
        ("CustomKeyStoreName", Value::Null),
        ("CloudHsmClusterId", json!("cluster-1")),
        ("KeyStorePassword", json!("short6")),
        ("KeyStorePassword", json!(long)),
        ("CustomKeyStoreType", json!("SOME_TYPE")),
    ];
    for (member, value) in bad {
        let params = with(params(), member, value);
        boto.kms_refuses_unchecked("ValidationException", "CreateCustomKeyStore", params);
    }

    // Nothing of all this left a trace.
    assert_eq!(
        boto.kms("DescribeCustomKeyStores", json!({}))["CustomKeyStores"],
        json!([])
    );
    let store = cluster.store("ExampleKeyStore", KMS_PASSWORD);
    refuses(
        "CustomKeyStoreNameInUseException",
        with(params(), "KeyStorePassword", json!("otherPswd")),
    );
    refuses(
        "CloudHsmClusterInUseException",
        with(params(), "CustomKeyStoreName", json!("Another")),
    );
    assert_eq!(
        boto.kms("CreateCustomKeyStore", params())["CustomKeyStoreId"],
        store.id.as_str()
    );
}

#[test]
fn an_idempotent_retry_needs_a_disconnected_store() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (cluster, _store) = connected(&home, &boto);
    let same = cluster.store_params("ExampleKeyStore", KMS_PASSWORD);
    boto.kms_refuses(
        "CustomKeyStoreNameInUseException",
        "CreateCustomKeyStore",
        same,
    );
}

#[test]
fn updating_and_deleting_a_key_store() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let cluster = Cluster::ready(&home, &boto);
    let stranger = Cluster::ready(&home, &boto);
    let store = cluster.store("First", KMS_PASSWORD);
    let second = stranger.store("Second", KMS_PASSWORD);
    let update = |member: &str, value: &str| json!({"CustomKeyStoreId": store.id, member: value});
    let refuses = |exception: &str, params: Value| {
        boto.kms_refuses(exception, "UpdateCustomKeyStore", params);
    };
    refuses(
        "CloudHsmClusterNotRelatedException",
        update("CloudHsmClusterId", &stranger.id),
    );
    refuses(
        "CloudHsmClusterNotFoundException",
        update("CloudHsmClusterId", "cluster-aaaaaaaaaaa"),
    );
    let young = Cluster::created(&home, &boto);
    refuses(
        "CloudHsmClusterNotActiveException",
        update("CloudHsmClusterId", &young.id),
    );
    refuses(
        "CustomKeyStoreNameInUseException",
        update("NewCustomKeyStoreName", "Second"),
    );
    assert_eq!(
        store.describe()["CustomKeyStoreName"],
        "First",
        "nothing was changed"
    );
    assert_eq!(
        store.describe()["CloudHsmClusterId"],
        cluster.id.as_str(),
        "nothing was changed"
    );

    let unknown = json!({"CustomKeyStoreId": "cks-00000000000000000"});
    let operations = ["Connect", "Disconnect", "Update", "Delete"];
    for operation in operations.map(|o| format!("{o}CustomKeyStore")) {
        boto.kms_refuses(
            "CustomKeyStoreNotFoundException",
            &operation,
            unknown.clone(),
        );
    }
    boto.kms_refuses(
        "CustomKeyStoreNotFoundException",
        "DescribeCustomKeyStores",
        unknown.clone(),
    );
    let by_name = json!({"CustomKeyStoreName": "Third"});
    boto.kms_refuses(
        "CustomKeyStoreNotFoundException",
        "DescribeCustomKeyStores",
        by_name,
    );
    let create = with(unknown.clone(), "Origin", json!("AWS_CLOUDHSM"));
    boto.kms_refuses("CustomKeyStoreNotFoundException", "CreateKey", create);
    let random = with(unknown, "NumberOfBytes", json!(8));
    boto.kms_refuses("CustomKeyStoreNotFoundException", "GenerateRandom", random);

    boto.kms("DeleteCustomKeyStore", second.named());
    boto.kms_refuses(
        "CustomKeyStoreNotFoundException",
        "DeleteCustomKeyStore",
        second.named(),
    );
    // Its cluster and its name are free again.
    let again = stranger.store("Second", KMS_PASSWORD);
    assert_ne!(again.id, second.id);
    // A key that waits for its deletion still holds the store.
    again.connect();
    let key = again.key();
    boto.kms(
        "ScheduleKeyDeletion",
        json!({"KeyId": key, "PendingWindowInDays": 7}),
    );
    again.disconnect();
    boto.kms_refuses(
        "CustomKeyStoreHasCMKsException",
        "DeleteCustomKeyStore",
        again.named(),
    );
}

#[test]
fn creating_and_using_a_key() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (_cluster, store) = connected(&home, &boto);
    let base = || json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store.id});
    // Which of the two it is, the real service does not document for each combination.
    let neither = ["UnsupportedOperationException", "ValidationException"];
    let bad = [
        with(base(), "KeySpec", json!("RSA_2048")),
        with(
            with(base(), "KeySpec", json!("HMAC_256")),
            "KeyUsage",
            json!("GENERATE_VERIFY_MAC"),
        ),
        with(
            with(base(), "KeySpec", json!("ECC_NIST_P256")),
            "KeyUsage",
            json!("SIGN_VERIFY"),
        ),
        with(base(), "MultiRegion", json!(true)),
        with(base(), "Origin", json!("AWS_KMS")),
        with(base(), "Origin", json!("EXTERNAL")),
        with(base(), "Origin", Value::Null),
        with(base(), "CustomKeyStoreId", Value::Null),
    ];
    for params in bad {
        let shown = params.to_string();
        match boto.try_kms("CreateKey", params) {
            Ok(made) => panic!("{shown} made {made}"),
            Err(refusal) => assert!(
                neither.contains(&refusal.code.as_str()),
                "{shown}: {refusal:?}"
            ),
        }
    }

    let (key, other) = (store.key(), store.key());
    let refusal = boto.kms_refuses_unchecked(
        "ValidationException",
        "Encrypt",
        json!({"KeyId": key, "Plaintext": bytes(vec![7; 4097])}),
    );
    let wanted = "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: \
                  Member must have length less than or equal to 4096";
    assert_eq!(refusal.message, wanted);
    let largest = encrypt(&boto, &key, &[7; 4096]);
    assert_eq!(tests::story::decrypt(&boto, &largest), [7; 4096]);

    let answer = boto.kms(
        "Encrypt",
        json!({"KeyId": key, "Plaintext": bytes("text"), "EncryptionContext": {"a": "1"}}),
    );
    let sealed = blob(&answer["CiphertextBlob"]);
    let open = |context: Value| json!({"CiphertextBlob": sealed, "EncryptionContext": context});
    let refusal = boto.kms_refuses(
        "InvalidCiphertextException",
        "Decrypt",
        open(json!({"a": "2"})),
    );
    assert_eq!(refusal.message, "", "the real service says nothing more");
    boto.kms_refuses(
        "InvalidCiphertextException",
        "Decrypt",
        open(json!({"a": "1", "b": "2"})),
    );
    let mut forged = tests::story::decoded(&answer["CiphertextBlob"]);
    // The version, the sealed plaintext, the tag; a flipped digit of the key id would be another key.
    for at in [0, forged.len() - 17, forged.len() - 1] {
        forged[at] ^= 1;
        let params = json!({"CiphertextBlob": bytes(&forged), "EncryptionContext": {"a": "1"}});
        boto.kms_refuses("InvalidCiphertextException", "Decrypt", params);
        forged[at] ^= 1;
    }
    for short in [
        "",
        "x",
        "not a ciphertext of ours at all, but long enough to look like one, perhaps, to a parser",
    ] {
        let params = json!({"CiphertextBlob": bytes(short)});
        let code = if short.is_empty() {
            "ValidationException"
        } else {
            "InvalidCiphertextException"
        };
        boto.kms_refuses_unchecked(code, "Decrypt", params);
    }
    let wrong_key = with(open(json!({"a": "1"})), "KeyId", json!(other));
    let refusal = boto.kms_refuses("IncorrectKeyException", "Decrypt", wrong_key);
    let wanted =
        "The key ID in the request does not identify a CMK that can perform this operation.";
    assert_eq!(refusal.message, wanted);

    let unknown = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let refusal = boto.kms_refuses(
        "NotFoundException",
        "DescribeKey",
        json!({"KeyId": unknown}),
    );
    let arn = format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{unknown}");
    assert_eq!(refusal.message, format!("Key '{arn}' does not exist"));
    let refusal = boto.kms_refuses(
        "NotFoundException",
        "DescribeKey",
        json!({"KeyId": "fake-key-id"}),
    );
    assert_eq!(refusal.message, "Invalid keyId 'fake-key-id'");

    for (name, code) in [
        ("no-prefix", "ValidationException"),
        ("alias/with space", "ValidationException"),
    ] {
        boto.kms_refuses_unchecked(
            code,
            "CreateAlias",
            json!({"AliasName": name, "TargetKeyId": key}),
        );
    }
    for bytes in [0, 1025] {
        let params = json!({"CustomKeyStoreId": store.id, "NumberOfBytes": bytes});
        boto.kms_refuses_unchecked("ValidationException", "GenerateRandom", params);
    }
    let both = json!({"KeyId": key, "KeySpec": "AES_256", "NumberOfBytes": 32});
    boto.kms_refuses("ValidationException", "GenerateDataKey", both);
    boto.kms_refuses(
        "ValidationException",
        "GenerateDataKey",
        json!({"KeyId": key}),
    );
}

#[test]
fn making_a_cluster() {
    const INVALID: &str = "CloudHsmInvalidRequestException";
    const UNKNOWN: &str = "CloudHsmResourceNotFoundException";
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let no_subnet = json!({"HsmType": "hsm2m.medium", "SubnetIds": ["subnet-fedcba98"]});
    boto.hsm_refuses(INVALID, "CreateCluster", no_subnet);

    let cluster = Cluster::created(&home, &boto);
    let in_zone = |zone: &str| json!({"ClusterId": cluster.id, "AvailabilityZone": zone});
    let subnets = tests::story::subnets(&home);
    let third = subnets[2]["AvailabilityZone"]
        .as_str()
        .expect("AvailabilityZone");
    boto.hsm_refuses(INVALID, "CreateHsm", in_zone(third));
    let elsewhere = json!({"ClusterId": "cluster-aaaaaaaaaaa", "AvailabilityZone": third});
    boto.hsm_refuses(UNKNOWN, "CreateHsm", elsewhere);

    // No HSM, no request to sign: whatever is brought cannot be right.
    let initialize = |signed: &str, anchor: &str| json!({"ClusterId": cluster.id, "SignedCert": signed, "TrustAnchor": anchor});
    boto.hsm_refuses(
        INVALID,
        "InitializeCluster",
        initialize(&cluster.ca.pem(), &cluster.ca.pem()),
    );
    let hsm = cluster.add_hsm(0);
    let csr = cluster.describe()["Certificates"]["ClusterCsr"]
        .as_str()
        .expect("ClusterCsr")
        .to_owned();
    let other = Ca::new(&home.path("other-ca"));
    let (ours, theirs) = (cluster.ca.sign(&csr), other.sign(&csr));
    let wrong = [
        (
            "signed by somebody else",
            initialize(&theirs, &cluster.ca.pem()),
        ),
        ("anchored elsewhere", initialize(&ours, &other.pem())),
        (
            "not a certificate of the CSR's key",
            initialize(&cluster.ca.pem(), &cluster.ca.pem()),
        ),
        (
            "an anchor that is not self-signed",
            initialize(&ours, &ours),
        ),
        ("no certificate", initialize("hello", &cluster.ca.pem())),
    ];
    for (what, params) in wrong {
        match boto.try_hsm("InitializeCluster", params) {
            Ok(answer) => panic!("{what}: {answer}"),
            Err(refusal) => assert_eq!(refusal.code, INVALID, "{what}: {refusal:?}"),
        }
        assert_eq!(cluster.describe()["State"], "UNINITIALIZED", "{what}");
    }
    boto.hsm_refuses(INVALID, "DeleteCluster", json!({"ClusterId": cluster.id}));
    boto.hsm_refuses(
        UNKNOWN,
        "DeleteHsm",
        json!({"ClusterId": cluster.id, "HsmId": "hsm-aaaaaaaaaaa"}),
    );
    boto.hsm("InitializeCluster", initialize(&ours, &cluster.ca.pem()));
    cluster.wait("INITIALIZED");

    cluster.delete_hsm(&hsm);
    let gone = boto.hsm("DeleteCluster", json!({"ClusterId": cluster.id}));
    assert_eq!(gone["Cluster"]["State"], "DELETE_IN_PROGRESS", "{gone}");
}
