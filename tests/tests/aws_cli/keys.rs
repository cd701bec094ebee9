//! The sequence's steps with keys: made, used, named, disabled, scheduled for deletion.

use super::text;
use serde_json::Value;
use tests::aws::{ACCOUNT, Aws};
use tests::story::decoded;
use tests::up::Home;

pub fn a_key(aws: &Aws, cluster: &str, store: &str) -> String {
    let made = aws.json(&format!(
        "kms create-key --origin AWS_CLOUDHSM --custom-key-store-id {store} --description sequence"
    ));
    let key = &made["KeyMetadata"];
    let arn = text(key, "Arn").to_owned();
    assert_eq!(
        arn,
        format!(
            "arn:aws:kms:{}:{ACCOUNT}:key/{}",
            aws.region,
            text(key, "KeyId")
        )
    );
    let wanted = [
        ("AWSAccountId", ACCOUNT),
        ("Origin", "AWS_CLOUDHSM"),
        ("CustomKeyStoreId", store),
        ("CloudHsmClusterId", cluster),
        ("KeyManager", "CUSTOMER"),
        ("KeyState", "Enabled"),
        ("KeyUsage", "ENCRYPT_DECRYPT"),
        ("KeySpec", "SYMMETRIC_DEFAULT"),
        ("CustomerMasterKeySpec", "SYMMETRIC_DEFAULT"),
        ("Description", "sequence"),
    ];
    for (name, value) in wanted {
        assert_eq!(key[name], value, "{name} in {key}");
    }
    assert_eq!(
        (&key["Enabled"], &key["MultiRegion"]),
        (&Value::Bool(true), &Value::Bool(false)),
        "{key}"
    );
    assert_eq!(
        key["EncryptionAlgorithms"],
        serde_json::json!(["SYMMETRIC_DEFAULT"]),
        "{key}"
    );
    assert!(
        key["ExpirationModel"].is_null() && key["CurrentKeyMaterialId"].is_null(),
        "{key}"
    );
    let described = aws.json(&format!("kms describe-key --key-id {arn}"));
    assert_eq!(&described["KeyMetadata"], key);
    arn
}

/// Returns the name of a file with a ciphertext of `file://plain` under the first key.
pub fn cryptography(aws: &Aws, home: &Home, store: &str, keys: &[String; 2]) -> String {
    let [first, second] = keys;
    home.write("plain", "what nobody else should know");
    let context = "--encryption-context purpose=test,stage=one";
    let sealed = aws.json(&format!(
        "kms encrypt --key-id {first} --plaintext fileb://plain {context}"
    ));
    assert_eq!(text(&sealed, "KeyId"), first, "{sealed}");
    assert_eq!(
        text(&sealed, "EncryptionAlgorithm"),
        "SYMMETRIC_DEFAULT",
        "{sealed}"
    );
    home.write("sealed", decoded(&sealed["CiphertextBlob"]));

    let opened = aws.json(&format!(
        "kms decrypt --ciphertext-blob fileb://sealed {context}"
    ));
    assert_eq!(
        decoded(&opened["Plaintext"]),
        home.read("plain"),
        "{opened}"
    );
    assert_eq!(text(&opened, "KeyId"), first, "{opened}");
    // The order of a context does not matter; its content does.
    aws.json(
        "kms decrypt --ciphertext-blob fileb://sealed --encryption-context stage=one,purpose=test",
    );
    for wrong in [
        "",
        "--encryption-context purpose=test",
        "--encryption-context purpose=test,stage=One",
    ] {
        let words = format!("kms decrypt --ciphertext-blob fileb://sealed {wrong}");
        aws.refused(&words, "InvalidCiphertextException");
    }
    let words = format!("kms decrypt --ciphertext-blob fileb://sealed {context} --key-id {second}");
    aws.refused(&words, "IncorrectKeyException");

    let moved = aws.json(&format!(
        "kms re-encrypt --ciphertext-blob fileb://sealed --destination-key-id {second} \
         --source-encryption-context purpose=test,stage=one --destination-encryption-context stage=two"
    ));
    assert_eq!(
        (text(&moved, "SourceKeyId"), text(&moved, "KeyId")),
        (first.as_str(), second.as_str()),
        "{moved}"
    );
    home.write("moved", decoded(&moved["CiphertextBlob"]));
    let opened =
        aws.json("kms decrypt --ciphertext-blob fileb://moved --encryption-context stage=two");
    assert_eq!(
        decoded(&opened["Plaintext"]),
        home.read("plain"),
        "{opened}"
    );
    assert_eq!(text(&opened, "KeyId"), second, "{opened}");

    let data_key = aws.json(&format!(
        "kms generate-data-key --key-id {first} --key-spec AES_256"
    ));
    let plain = decoded(&data_key["Plaintext"]);
    assert_eq!(
        (plain.len(), text(&data_key, "KeyId")),
        (32, first.as_str()),
        "{data_key}"
    );
    home.write("data-key", decoded(&data_key["CiphertextBlob"]));
    let opened = aws.json("kms decrypt --ciphertext-blob fileb://data-key");
    assert_eq!(decoded(&opened["Plaintext"]), plain);

    let random = format!("kms generate-random --number-of-bytes 48 --custom-key-store-id {store}");
    let (a, b) = (aws.json(&random), aws.json(&random));
    let (a, b) = (decoded(&a["Plaintext"]), decoded(&b["Plaintext"]));
    assert_eq!((a.len(), b.len()), (48, 48));
    assert_ne!(a, b);

    let plain = aws.json(&format!(
        "kms encrypt --key-id {first} --plaintext fileb://plain"
    ));
    home.write("kept", decoded(&plain["CiphertextBlob"]));
    "kept".into()
}

pub fn aliases(aws: &Aws, keys: &[String; 2]) {
    let id = |arn: &str| arn.rsplit('/').next().expect("an ARN").to_owned();
    aws.json(&format!(
        "kms create-alias --alias-name alias/seq --target-key-id {}",
        keys[0]
    ));
    let again = format!(
        "kms create-alias --alias-name alias/seq --target-key-id {}",
        keys[1]
    );
    aws.refused(&again, "AlreadyExistsException");
    let targets = || {
        let list = aws.json("kms list-aliases")["Aliases"].clone();
        let list = list.as_array().expect("Aliases").clone();
        list.into_iter().find(|a| a["AliasName"] == "alias/seq")
    };
    let alias = targets().expect("the alias is listed");
    assert_eq!(text(&alias, "TargetKeyId"), id(&keys[0]), "{alias}");
    assert_eq!(
        text(&alias, "AliasArn"),
        format!("arn:aws:kms:{}:{ACCOUNT}:alias/seq", aws.region)
    );
    let sealed = aws.json("kms encrypt --key-id alias/seq --plaintext fileb://plain");
    assert_eq!(text(&sealed, "KeyId"), keys[0], "{sealed}");

    aws.json(&format!(
        "kms update-alias --alias-name alias/seq --target-key-id {}",
        keys[1]
    ));
    let sealed = aws.json("kms encrypt --key-id alias/seq --plaintext fileb://plain");
    assert_eq!(text(&sealed, "KeyId"), keys[1], "{sealed}");
    aws.json("kms delete-alias --alias-name alias/seq");
    assert_eq!(targets(), None);
    aws.refused(
        "kms encrypt --key-id alias/seq --plaintext fileb://plain",
        "NotFoundException",
    );
}

pub fn key_state(aws: &Aws, key: &str) -> (String, bool) {
    let now = aws.json(&format!("kms describe-key --key-id {key}"));
    let now = &now["KeyMetadata"];
    (
        text(now, "KeyState").to_owned(),
        now["Enabled"].as_bool().expect("Enabled"),
    )
}

pub fn enabled_and_disabled(aws: &Aws, key: &str) {
    aws.json(&format!("kms disable-key --key-id {key}"));
    assert_eq!(key_state(aws, key), ("Disabled".into(), false));
    let encrypt = format!("kms encrypt --key-id {key} --plaintext fileb://plain");
    aws.refused(&encrypt, "DisabledException")
        .says(&format!("{key} is disabled."));
    aws.json(&format!("kms enable-key --key-id {key}"));
    assert_eq!(key_state(aws, key), ("Enabled".into(), true));
    aws.json(&encrypt);
}

pub fn deletion_scheduled_and_cancelled(aws: &Aws, key: &str) {
    let cancel = format!("kms cancel-key-deletion --key-id {key}");
    aws.refused(&cancel, "KMSInvalidStateException")
        .says(&format!("{key} is not pending deletion."));
    let schedule = |days: u32| {
        format!("kms schedule-key-deletion --key-id {key} --pending-window-in-days {days}")
    };
    aws.refused(&schedule(6), "ValidationException");
    let answer = aws.json(&schedule(7));
    assert_eq!(
        (text(&answer, "KeyId"), text(&answer, "KeyState")),
        (key, "PendingDeletion"),
        "{answer}"
    );
    assert_eq!(answer["PendingWindowInDays"], 7, "{answer}");
    assert!(!answer["DeletionDate"].is_null(), "{answer}");
    let encrypt = format!("kms encrypt --key-id {key} --plaintext fileb://plain");
    aws.refused(&encrypt, "KMSInvalidStateException")
        .says(&format!("{key} is pending deletion."));
    assert_eq!(text(&aws.json(&cancel), "KeyId"), key);
    assert_eq!(key_state(aws, key), ("Disabled".into(), false));
    aws.json(&format!("kms enable-key --key-id {key}"));
    aws.json(&encrypt);
}
