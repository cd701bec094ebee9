//! What depends on the control plane and not on the module: the checks of aws-facts A4 to A8, and key management.

use std::path::Path;

use kms_core::clusters::{ConnectionErrorCode as Code, KmsUser, Network};
use kms_core::suite::{Client, Target, TestClock, TestCluster};
use kms_core::{Settings, suite::store_input};
use serde_json::{Value, json};

use crate::fake::SoftHsm;

pub fn run(target: &SoftHsm, dir: &Path) {
    let clock = TestClock::new();
    let settings = Settings {
        clock: clock.clone(),
        ..target.settings(&dir.join("refusals"))
    };
    let kms = Client::open(settings);
    create_checks(target, &kms);
    connection_error_codes(target, &kms);
    update_checks(target, &kms);
    quota(target, &kms);
    members(target, &kms);
    management(&kms, &clock);
    lists(&kms);
    grants(&kms);
    refused_operations(&kms);
}

fn text(value: &Value, member: &str) -> String {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member} in {value}"))
        .to_owned()
}

fn refused(kms: &Client, operation: &str, input: Value, exception: &str) {
    assert_eq!(
        kms.no(operation, input.clone()).0,
        exception,
        "{operation} {input}"
    );
}

/// Removes all key stores, so that each part begins with none.
fn clear(kms: &Client) {
    for store in kms.ok("DescribeCustomKeyStores", json!({}))["CustomKeyStores"]
        .as_array()
        .unwrap()
    {
        kms.ok(
            "DeleteCustomKeyStore",
            json!({"CustomKeyStoreId": store["CustomKeyStoreId"]}),
        );
    }
}

fn create_checks(target: &SoftHsm, kms: &Client) {
    let cluster = target.new_cluster("kmsPswd");
    let input = || store_input(&cluster, "kmsPswd");
    let with = |member: &str, value: &str| {
        let mut input = input();
        input[member] = json!(value);
        input
    };
    let create = |input, exception| refused(kms, "CreateCustomKeyStore", input, exception);
    create(
        with("CloudHsmClusterId", "cluster-zzzzzzzzzzz"),
        "CloudHsmClusterNotFoundException",
    );
    create(
        with("TrustAnchorCertificate", "another"),
        "IncorrectTrustAnchorException",
    );

    target
        .clusters
        .change(&cluster.id, |c| c.facts.active = false);
    create(input(), "CloudHsmClusterNotActiveException");
    target
        .clusters
        .change(&cluster.id, |c| c.facts.active = true);

    let zones = |zones: &[&str]| zones.iter().map(|z| (*z).to_owned()).collect::<Vec<_>>();
    for few in [&[][..], &["us-west-2a"], &["us-west-2a", "us-west-2a"]] {
        target
            .clusters
            .change(&cluster.id, |c| c.facts.active_hsm_zones = zones(few));
        create(input(), "CloudHsmClusterInvalidConfigurationException");
    }
    target.clusters.change(&cluster.id, |c| {
        c.facts.active_hsm_zones = zones(&["us-west-2a", "us-west-2b"]);
        c.facts.network = Network::Unsound("The security group lacks a rule.".into());
    });
    assert_eq!(
        kms.no("CreateCustomKeyStore", input()).1.as_deref(),
        Some("The security group lacks a rule.")
    );
    target
        .clusters
        .change(&cluster.id, |c| c.facts.network = Network::Sound);

    let store = kms.create_store(&cluster, "kmsPswd");
    // Another password is another property: no longer the same request.
    create(
        store_input(&cluster, "another1"),
        "CustomKeyStoreNameInUseException",
    );
    create(
        with("CustomKeyStoreName", "other"),
        "CloudHsmClusterInUseException",
    );
    let sibling = target.new_cluster("kmsPswd");
    let certificate = format!("certificate of {}", cluster.id);
    target
        .clusters
        .change(&sibling.id, |c| c.facts.cluster_certificate = certificate);
    create(
        store_input(&sibling, "kmsPswd"),
        "CloudHsmClusterInUseException",
    );
    assert_eq!(kms.create_store(&cluster, "kmsPswd"), store);
    clear(kms);
}

/// Each code from its cause, and back to CONNECTED once the cause is gone.
fn connection_error_codes(target: &SoftHsm, kms: &Client) {
    let cluster = target.new_cluster("kmsPswd");
    let store = kms.create_store(&cluster, "kmsPswd");
    let id = json!({"CustomKeyStoreId": store});
    let fails = |code: &str| {
        kms.ok("ConnectCustomKeyStore", id.clone());
        assert_eq!(kms.wait(&store, "FAILED")["ConnectionErrorCode"], code);
        refused(
            kms,
            "ConnectCustomKeyStore",
            id.clone(),
            "CustomKeyStoreInvalidStateException",
        );
        kms.disconnect(&store);
    };
    for (code, name) in [
        (Code::InternalError, "INTERNAL_ERROR"),
        (Code::NetworkErrors, "NETWORK_ERRORS"),
        (Code::ClusterNotFound, "CLUSTER_NOT_FOUND"),
        (Code::InsufficientCloudhsmHsms, "INSUFFICIENT_CLOUDHSM_HSMS"),
        (
            Code::InsufficientFreeAddressesInSubnet,
            "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET",
        ),
        (Code::SubnetNotFound, "SUBNET_NOT_FOUND"),
    ] {
        target
            .clusters
            .change(&cluster.id, |c| c.broken = Some(code));
        fails(name);
    }
    target.clusters.change(&cluster.id, |c| c.broken = None);
    let user = KmsUser {
        hsm: "hsm-a".into(),
        present: true,
        locked: false,
        logged_in: false,
        second_factor: false,
    };
    let cases: [(&str, fn(&mut KmsUser)); 4] = [
        ("USER_NOT_FOUND", |u| u.present = false),
        ("USER_LOCKED_OUT", |u| u.locked = true),
        ("USER_LOGGED_IN", |u| u.logged_in = true),
        ("INVALID_CREDENTIALS", |u| u.second_factor = true),
    ];
    for (code, change) in cases {
        let mut second = KmsUser {
            hsm: "hsm-b".into(),
            ..user.clone()
        };
        change(&mut second);
        target
            .clusters
            .change(&cluster.id, |c| c.users = vec![user.clone(), second]);
        fails(code);
    }
    target
        .clusters
        .change(&cluster.id, |c| c.users = vec![user]);
    // What can be said at once leaves the store DISCONNECTED.
    target
        .clusters
        .change(&cluster.id, |c| c.facts.active_hsm_zones.truncate(1));
    kms.connect(&store);
    // One HSM is enough to connect, not to make a key.
    let key = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store});
    refused(
        kms,
        "CreateKey",
        key,
        "CloudHsmClusterInvalidConfigurationException",
    );
    kms.disconnect(&store);
    let attached = target.clusters.0.lock().unwrap()[&cluster.id].attached;
    assert_eq!(attached, 0, "disconnect takes the interfaces away");
    target
        .clusters
        .change(&cluster.id, |c| c.facts.active_hsm_zones.clear());
    refused(
        kms,
        "ConnectCustomKeyStore",
        id.clone(),
        "CloudHsmClusterInvalidConfigurationException",
    );
    target
        .clusters
        .change(&cluster.id, |c| c.facts.active = false);
    refused(
        kms,
        "ConnectCustomKeyStore",
        id.clone(),
        "CloudHsmClusterNotActiveException",
    );
    assert_eq!(kms.store(&store)["ConnectionState"], "DISCONNECTED");
    // A cluster that is gone is found on the way.
    target.clusters.0.lock().unwrap().remove(&cluster.id);
    fails("CLUSTER_NOT_FOUND");
    refused(
        kms,
        "ConnectCustomKeyStore",
        json!({"CustomKeyStoreId": "cks-0"}),
        "CustomKeyStoreNotFoundException",
    );
    clear(kms);
}

fn update_checks(target: &SoftHsm, kms: &Client) {
    let cluster = target.new_cluster("kmsPswd");
    let store = kms.create_store(&cluster, "kmsPswd");
    let update = |member: &str, value: &str| json!({"CustomKeyStoreId": store, member: value});
    let (other, related) = (target.new_cluster("kmsPswd"), target.new_cluster("kmsPswd"));
    let certificate = format!("certificate of {}", cluster.id);
    target.clusters.change(&related.id, |c| {
        c.facts.cluster_certificate = certificate;
        c.anchor = cluster.trust_anchor.clone();
    });
    let refuse = |input, exception| refused(kms, "UpdateCustomKeyStore", input, exception);
    refuse(
        update("CloudHsmClusterId", &other.id),
        "CloudHsmClusterNotRelatedException",
    );
    refuse(
        update("CloudHsmClusterId", "cluster-zzzzzzzzzzz"),
        "CloudHsmClusterNotFoundException",
    );
    target
        .clusters
        .change(&related.id, |c| c.facts.active = false);
    refuse(
        update("CloudHsmClusterId", &related.id),
        "CloudHsmClusterNotActiveException",
    );
    target
        .clusters
        .change(&related.id, |c| c.facts.active = true);
    target
        .clusters
        .change(&related.id, |c| c.facts.active_hsm_zones.truncate(1));
    refuse(
        update("CloudHsmClusterId", &related.id),
        "CloudHsmClusterInvalidConfigurationException",
    );
    target.clusters.change(&related.id, |c| {
        c.facts.active_hsm_zones.push("us-west-2b".into())
    });
    // The old cluster may be gone by then: that is what the operation is for.
    target.clusters.0.lock().unwrap().remove(&cluster.id);
    kms.ok(
        "UpdateCustomKeyStore",
        update("CloudHsmClusterId", &related.id),
    );
    assert_eq!(kms.store(&store)["CloudHsmClusterId"], json!(related.id));
    kms.connect(&store);
    kms.disconnect(&store);
    let neighbour = kms.create_store(&other, "kmsPswd");
    let taken = text(&kms.store(&neighbour), "CustomKeyStoreName");
    refuse(
        update("NewCustomKeyStoreName", &taken),
        "CustomKeyStoreNameInUseException",
    );
    refuse(json!({"CustomKeyStoreId": store}), "ValidationException");
    refuse(
        update("KeyStorePassword", "not-alnum"),
        "ValidationException",
    );
    clear(kms);
}

fn quota(target: &SoftHsm, kms: &Client) {
    let clusters: Vec<TestCluster> = (0..11).map(|_| target.new_cluster("kmsPswd")).collect();
    for cluster in &clusters[..10] {
        kms.create_store(cluster, "kmsPswd");
    }
    refused(
        kms,
        "CreateCustomKeyStore",
        store_input(&clusters[10], "kmsPswd"),
        "LimitExceededException",
    );
    let page = kms.ok("DescribeCustomKeyStores", json!({"Limit": 7}));
    assert_eq!(
        (
            page["CustomKeyStores"].as_array().unwrap().len(),
            &page["Truncated"]
        ),
        (7, &json!(true))
    );
    let rest = kms.ok(
        "DescribeCustomKeyStores",
        json!({"Limit": 7, "Marker": page["NextMarker"]}),
    );
    assert_eq!(
        (
            rest["CustomKeyStores"].as_array().unwrap().len(),
            &rest["Truncated"]
        ),
        (3, &json!(false))
    );
    let named = kms.ok(
        "DescribeCustomKeyStores",
        json!({"CustomKeyStoreName": page["CustomKeyStores"][0]["CustomKeyStoreName"]}),
    );
    assert_eq!(named["CustomKeyStores"][0], page["CustomKeyStores"][0]);
    clear(kms);
}

fn members(target: &SoftHsm, kms: &Client) {
    let cluster = target.new_cluster("kmsPswd");
    for member in [
        "CloudHsmClusterId",
        "TrustAnchorCertificate",
        "KeyStorePassword",
        "CustomKeyStoreName",
    ] {
        let mut input = store_input(&cluster, "kmsPswd");
        input.as_object_mut().unwrap().remove(member);
        let (exception, message) = kms.no("CreateCustomKeyStore", input);
        assert_eq!(exception, "ValidationException", "{member}");
        assert!(
            message
                .unwrap()
                .to_lowercase()
                .contains(&member.to_lowercase()),
            "{member}"
        );
    }
    let mut short = store_input(&cluster, "short");
    refused(
        kms,
        "CreateCustomKeyStore",
        short.clone(),
        "ValidationException",
    );
    short["KeyStorePassword"] = json!("kmsPswd");
    short["XksProxyConnectivity"] = json!("PUBLIC_ENDPOINT");
    refused(
        kms,
        "CreateCustomKeyStore",
        short.clone(),
        "ValidationException",
    );
    short["CustomKeyStoreType"] = json!("EXTERNAL_KEY_STORE");
    refused(
        kms,
        "CreateCustomKeyStore",
        short,
        "UnsupportedOperationException",
    );
}

fn management(kms: &Client, clock: &TestClock) {
    let created = kms.ok(
        "CreateKey",
        json!({"Description": "d", "Tags": [{"TagKey": "k", "TagValue": "v"}]}),
    );
    let metadata = &created["KeyMetadata"];
    let (id, arn) = (text(metadata, "KeyId"), text(metadata, "Arn"));
    assert_eq!(arn, format!("arn:aws:kms:us-west-2:111122223333:key/{id}"));
    assert_eq!(text(metadata, "CurrentKeyMaterialId").len(), 64);
    assert_eq!(
        metadata["EncryptionAlgorithms"],
        json!(["SYMMETRIC_DEFAULT"])
    );

    let alias = json!({"AliasName": "alias/a", "TargetKeyId": id});
    assert_eq!(
        kms.ok("CreateAlias", alias.clone()),
        Value::Null,
        "an empty body"
    );
    assert_eq!(
        kms.no("CreateAlias", alias).1.unwrap(),
        "An alias with the name arn:aws:kms:us-west-2:111122223333:alias/a already exists"
    );
    for form in [
        id.as_str(),
        &arn,
        "alias/a",
        "arn:aws:kms:us-west-2:111122223333:alias/a",
    ] {
        assert_eq!(
            kms.ok("DescribeKey", json!({"KeyId": form}))["KeyMetadata"]["Arn"],
            json!(arn)
        );
    }
    assert_eq!(
        kms.no("DescribeKey", json!({"KeyId": "alias/none"}))
            .1
            .unwrap(),
        "Alias arn:aws:kms:us-west-2:111122223333:alias/none is not found."
    );
    refused(
        kms,
        "DisableKey",
        json!({"KeyId": "alias/a"}),
        "NotFoundException",
    );
    let second = text(&kms.ok("CreateKey", json!({}))["KeyMetadata"], "KeyId");
    kms.ok(
        "UpdateAlias",
        json!({"AliasName": "alias/a", "TargetKeyId": second}),
    );
    assert_eq!(
        kms.ok("ListAliases", json!({"KeyId": second}))["Aliases"][0]["TargetKeyId"],
        json!(second)
    );
    assert_eq!(
        kms.ok("ListAliases", json!({"KeyId": id}))["Aliases"],
        json!([])
    );

    let blob = kms.encrypt(&id, "kept");
    kms.ok("DisableKey", json!({"KeyId": id}));
    assert_eq!(
        kms.no("Decrypt", json!({"CiphertextBlob": blob})),
        (
            "DisabledException".into(),
            Some(format!("{arn} is disabled."))
        )
    );
    kms.ok("EnableKey", json!({"KeyId": arn}));
    kms.ok(
        "UpdateKeyDescription",
        json!({"KeyId": id, "Description": "new"}),
    );
    assert_eq!(
        kms.ok("DescribeKey", json!({"KeyId": id}))["KeyMetadata"]["Description"],
        "new"
    );

    assert_eq!(
        kms.no("CancelKeyDeletion", json!({"KeyId": id})).1.unwrap(),
        format!("{arn} is not pending deletion.")
    );
    let schedule = |days: i64| json!({"KeyId": id, "PendingWindowInDays": days});
    refused(
        kms,
        "ScheduleKeyDeletion",
        schedule(6),
        "ValidationException",
    );
    refused(
        kms,
        "ScheduleKeyDeletion",
        schedule(31),
        "ValidationException",
    );
    let scheduled = kms.ok("ScheduleKeyDeletion", schedule(7));
    assert_eq!(
        (text(&scheduled, "KeyId"), text(&scheduled, "KeyState")),
        (arn.clone(), "PendingDeletion".into())
    );
    let pending = (
        "KMSInvalidStateException".to_owned(),
        Some(format!("{arn} is pending deletion.")),
    );
    for (operation, input) in [
        ("Decrypt", json!({"CiphertextBlob": blob})),
        ("EnableKey", json!({"KeyId": id})),
        ("ScheduleKeyDeletion", schedule(7)),
        (
            "CreateAlias",
            json!({"AliasName": "alias/b", "TargetKeyId": id}),
        ),
        (
            "UpdateAlias",
            json!({"AliasName": "alias/a", "TargetKeyId": id}),
        ),
        ("TagResource", json!({"KeyId": id, "Tags": []})),
        (
            "CreateGrant",
            json!({"KeyId": id, "GranteePrincipal": "p", "Operations": ["Decrypt"]}),
        ),
    ] {
        assert_eq!(kms.no(operation, input), pending, "{operation}");
    }
    assert_eq!(
        kms.ok("CancelKeyDeletion", json!({"KeyId": id}))["KeyId"],
        json!(arn)
    );
    assert_eq!(
        kms.ok("DescribeKey", json!({"KeyId": id}))["KeyMetadata"]["KeyState"],
        "Disabled"
    );
    kms.ok("ScheduleKeyDeletion", schedule(7));
    clock.pass_days(8);
    kms.kms().tick().unwrap();
    refused(
        kms,
        "DescribeKey",
        json!({"KeyId": id}),
        "NotFoundException",
    );
    // Its ciphertexts are refused as those of a key that one may not know of.
    refused(
        kms,
        "Decrypt",
        json!({"CiphertextBlob": blob}),
        "AccessDeniedException",
    );
    kms.ok("DeleteAlias", json!({"AliasName": "alias/a"}));
    refused(
        kms,
        "DeleteAlias",
        json!({"AliasName": "alias/a"}),
        "NotFoundException",
    );
}

fn lists(kms: &Client) {
    let key = text(&kms.ok("CreateKey", json!({}))["KeyMetadata"], "KeyId");
    for _ in 0..4 {
        kms.ok("CreateKey", json!({}));
    }
    let (mut seen, mut marker) = (Vec::new(), Value::Null);
    loop {
        let page = kms.ok("ListKeys", json!({"Limit": 2, "Marker": marker}));
        seen.extend(
            page["Keys"]
                .as_array()
                .unwrap()
                .iter()
                .map(|k| text(k, "KeyId")),
        );
        match page["Truncated"].as_bool().unwrap() {
            true => marker = page["NextMarker"].clone(),
            false => break,
        }
    }
    let all = kms.ok("ListKeys", json!({}))["Keys"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(seen.len(), all);
    assert!(seen.contains(&key) && seen.is_sorted());
    refused(
        kms,
        "ListKeys",
        json!({"Marker": "rubbish"}),
        "InvalidMarkerException",
    );

    let tags: Vec<Value> = (0..3)
        .map(|i| json!({"TagKey": format!("k{i}"), "TagValue": ""}))
        .collect();
    kms.ok("TagResource", json!({"KeyId": key, "Tags": tags}));
    kms.ok(
        "UntagResource",
        json!({"KeyId": key, "TagKeys": ["k1", "absent"]}),
    );
    let tags = kms.ok("ListResourceTags", json!({"KeyId": key}));
    assert_eq!(
        tags["Tags"],
        json!([{"TagKey": "k0", "TagValue": ""}, {"TagKey": "k2", "TagValue": ""}])
    );

    let policy = kms.ok("GetKeyPolicy", json!({"KeyId": key}));
    assert_eq!(policy["PolicyName"], "default");
    let document = r#"{"Version":"2012-10-17","Statement":[]}"#;
    kms.ok("PutKeyPolicy", json!({"KeyId": key, "Policy": document}));
    assert_eq!(
        kms.ok("GetKeyPolicy", json!({"KeyId": key}))["Policy"],
        document
    );
    refused(
        kms,
        "PutKeyPolicy",
        json!({"KeyId": key, "Policy": "{"}),
        "MalformedPolicyDocumentException",
    );
    assert_eq!(
        kms.ok("ListKeyPolicies", json!({"KeyId": key}))["PolicyNames"],
        json!(["default"])
    );
}

fn grants(kms: &Client) {
    let metadata = kms.ok("CreateKey", json!({}))["KeyMetadata"].clone();
    let (key, arn) = (text(&metadata, "KeyId"), text(&metadata, "Arn"));
    let who = "arn:aws:iam::111122223333:role/r";
    let input = json!({"KeyId": key, "GranteePrincipal": who, "RetiringPrincipal": who, "Operations": ["Decrypt"], "Name": "n"});
    let one = kms.ok("CreateGrant", input.clone());
    assert_eq!(
        kms.ok("CreateGrant", input.clone())["GrantId"],
        one["GrantId"],
        "the name makes it the same"
    );
    let mut unnamed = input;
    unnamed.as_object_mut().unwrap().remove("Name");
    let two = kms.ok("CreateGrant", unnamed);
    assert_ne!(one["GrantId"], two["GrantId"]);
    let listed = kms.ok("ListGrants", json!({"KeyId": key}));
    assert_eq!(listed["Grants"].as_array().unwrap().len(), 2);
    assert_eq!(listed["Grants"][0]["KeyId"], json!(arn));
    let retirable = kms.ok("ListRetirableGrants", json!({"RetiringPrincipal": who}));
    assert_eq!(retirable["Grants"].as_array().unwrap().len(), 2);
    refused(
        kms,
        "RevokeGrant",
        json!({"KeyId": key, "GrantId": one["GrantId"], "DryRun": true}),
        "DryRunOperationException",
    );
    kms.ok(
        "RevokeGrant",
        json!({"KeyId": key, "GrantId": one["GrantId"]}),
    );
    refused(
        kms,
        "RevokeGrant",
        json!({"KeyId": key, "GrantId": one["GrantId"]}),
        "NotFoundException",
    );
    kms.ok("RetireGrant", json!({"GrantToken": two["GrantToken"]}));
    assert_eq!(
        kms.ok("ListGrants", json!({"KeyId": key}))["Grants"],
        json!([])
    );
}

fn refused_operations(kms: &Client) {
    let arn = text(&kms.ok("CreateKey", json!({}))["KeyMetadata"], "Arn");
    let sign = json!({"KeyId": arn, "Message": "eA==", "SigningAlgorithm": "ECDSA_SHA_256"});
    assert_eq!(
        kms.no("Sign", sign),
        (
            "InvalidKeyUsageException".into(),
            Some(format!(
                "{arn} key usage is ENCRYPT_DECRYPT which is not valid for Sign."
            ))
        )
    );
    assert_eq!(
        kms.no("GetParametersForImport", json!({"KeyId": arn, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"})),
        ("UnsupportedOperationException".into(), Some(format!("{arn} origin is AWS_KMS which is not valid for this operation.")))
    );
    assert_eq!(
        kms.no(
            "ReplicateKey",
            json!({"KeyId": arn, "ReplicaRegion": "eu-west-1"})
        )
        .1
        .unwrap(),
        format!("{arn} is not a multi-region primary key.")
    );
    assert_eq!(
        kms.ok("GetKeyRotationStatus", json!({"KeyId": arn}))["KeyRotationEnabled"],
        json!(false)
    );
    assert_eq!(
        kms.no("GenerateRandom", json!({})).1.unwrap(),
        "NumberOfBytes is required."
    );
    let both = json!({"KeyId": arn, "KeySpec": "AES_256", "NumberOfBytes": 32});
    refused(kms, "GenerateDataKey", both, "ValidationException");
    let rsa =
        json!({"KeyId": arn, "Plaintext": "eA==", "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"});
    refused(kms, "Encrypt", rsa, "InvalidKeyUsageException");
    let large = json!({"KeyId": arn, "Plaintext": kms_core::suite::base64(&"x".repeat(4097))});
    assert_eq!(
        kms.no("Encrypt", large).1.unwrap(),
        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096"
    );
}
