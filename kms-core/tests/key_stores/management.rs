//! Managing keys, aliases, tags, policies and grants; and what symmetric keys refuse.

use kms_core::suite::{Client, TestClock};
use serde_json::{Value, json};

use crate::refusals::{refused, text};

pub fn run(kms: &Client, clock: &TestClock) {
    management(kms, clock);
    lists(kms);
    grants(kms);
    refused_operations(kms);
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
    for operation in ["DisableKey", "EnableKeyRotation", "RotateKeyOnDemand"] {
        let aliased = json!({"KeyId": "alias/a"});
        refused(kms, operation, aliased, "NotFoundException");
    }
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
