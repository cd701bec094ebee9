//! The sequence with the real `aws`, once in each version: the same steps, states and JSON members as at AWS.

use serde_json::Value;
use std::fs;
use tests::aws::{ACCOUNT, Aws};
use tests::openssl::Ca;
use tests::poll::until;
use tests::story::decoded;
use tests::up::{Home, Up};

#[test]
fn the_sequence_with_version_1() {
    let home = Home::new();
    let up = Up::bare(&home);
    sequence(&Aws::v1(&up, &home), &home);
}

#[test]
fn the_sequence_with_version_2() {
    // Not the default region: what is made there must be found there, by the tools too.
    let home = Home::in_region("eu-central-1");
    let up = Up::bare(&home);
    sequence(&Aws::v2(&up, &home), &home);
}

fn sequence(aws: &Aws, home: &Home) {
    let (cluster, ca) = a_cluster_with_its_first_hsm(aws, home);
    signed_and_initialized(aws, home, &cluster, &ca);
    activated_with_kmsuser(aws, home, &cluster);
    let store = a_key_store_made_twice(aws, &cluster, &ca);
    connected(aws, home, &cluster, &store);
    let keys = [a_key(aws, &cluster, &store), a_key(aws, &cluster, &store)];
    let sealed = cryptography(aws, home, &store, &keys);
    aliases(aws, &keys);
    enabled_and_disabled(aws, &keys[0]);
    deletion_scheduled_and_cancelled(aws, &keys[1]);
    unavailable_while_disconnected(aws, home, &store, &keys[0], &sealed);
    updated(aws, &store);
    deleted(aws, &store, &keys);
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

/// An id as the real ones look: a prefix, then at least 11 characters of 2-7 and letters.
fn id_like(id: &str, prefix: &str) {
    let rest = id
        .strip_prefix(prefix)
        .unwrap_or_else(|| panic!("{id} begins with {prefix}"));
    assert!((11..=16).contains(&rest.len()), "{id}");
    assert!(
        rest.chars()
            .all(|c| ('2'..='7').contains(&c) || c.is_ascii_alphabetic()),
        "{id}"
    );
}

fn cluster_now(aws: &Aws, cluster: &str) -> Value {
    let answer = aws.json(&format!(
        "cloudhsmv2 describe-clusters --filters clusterIds={cluster}"
    ));
    answer["Clusters"][0].clone()
}

fn wait_for(aws: &Aws, cluster: &str, state: &str) -> Value {
    until(60, &format!("the cluster is {state}"), || {
        let now = cluster_now(aws, cluster);
        if now["State"] == state {
            Ok(now)
        } else {
            Err(now["State"].to_string())
        }
    })
}

fn hsm_in(aws: &Aws, cluster: &str, zone: &str) {
    let made = aws.json(&format!(
        "cloudhsmv2 create-hsm --cluster-id {cluster} --availability-zone {zone}"
    ));
    let hsm = &made["Hsm"];
    id_like(text(hsm, "HsmId"), "hsm-");
    assert_eq!(
        (text(hsm, "ClusterId"), text(hsm, "AvailabilityZone")),
        (cluster, zone),
        "{hsm}"
    );
    assert_eq!(hsm["State"], "CREATE_IN_PROGRESS", "{hsm}");
    for name in ["SubnetId", "EniId", "EniIp"] {
        text(hsm, name);
    }
    let id = text(hsm, "HsmId").to_owned();
    until(60, "the HSM is ACTIVE", || {
        let now = cluster_now(aws, cluster);
        let hsm = now["Hsms"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|h| h["HsmId"] == id.as_str());
        if hsm.is_some_and(|h| h["State"] == "ACTIVE") {
            Ok(())
        } else {
            Err(now["Hsms"].to_string())
        }
    });
}

fn zones(home: &Home) -> Vec<(String, String)> {
    let list = home.tool("vpc subnets --output json").ok().json();
    let list = list.as_array().expect("an array").iter();
    list.map(|s| {
        (
            text(s, "SubnetId").to_owned(),
            text(s, "AvailabilityZone").to_owned(),
        )
    })
    .collect()
}

fn a_cluster_with_its_first_hsm(aws: &Aws, home: &Home) -> (String, Ca) {
    let subnets = zones(home);
    assert_eq!(
        subnets.len(),
        3,
        "a private subnet in each of three zones: {subnets:?}"
    );
    let mut names: Vec<&str> = subnets.iter().map(|s| s.1.as_str()).collect();
    names.dedup();
    assert_eq!(names.len(), 3, "three different zones: {subnets:?}");

    let ids = format!("{} {}", subnets[0].0, subnets[1].0);
    let made = aws.json(&format!(
        "cloudhsmv2 create-cluster --hsm-type hsm2m.medium --subnet-ids {ids}"
    ));
    let made = &made["Cluster"];
    let id = text(made, "ClusterId").to_owned();
    id_like(&id, "cluster-");
    assert_eq!(made["State"], "CREATE_IN_PROGRESS", "{made}");
    assert_eq!(made["HsmType"], "hsm2m.medium", "{made}");
    assert_eq!(made["Hsms"], Value::Array(Vec::new()), "{made}");
    for (subnet, zone) in &subnets[..2] {
        assert_eq!(made["SubnetMapping"][zone], subnet.as_str(), "{made}");
    }
    assert!(
        text(made, "VpcId").starts_with("vpc-") && text(made, "SecurityGroup").starts_with("sg-"),
        "{made}"
    );
    assert_eq!(made["BackupPolicy"], "DEFAULT", "{made}");

    let now = wait_for(aws, &id, "UNINITIALIZED");
    assert!(
        now["Certificates"]["ClusterCsr"].is_null(),
        "no HSM yet, no CSR: {now}"
    );
    hsm_in(aws, &id, &subnets[0].1);
    let now = cluster_now(aws, &id);
    assert!(
        text(&now["Certificates"], "ClusterCsr").contains("BEGIN CERTIFICATE REQUEST"),
        "{now}"
    );
    (id, Ca::new(&home.path("ca")))
}

fn signed_and_initialized(aws: &Aws, home: &Home, cluster: &str, ca: &Ca) {
    // The guide takes the CSR out as text.
    let query = "Clusters[].Certificates.ClusterCsr";
    let csr = aws
        .run(&format!("cloudhsmv2 describe-clusters --filters clusterIds={cluster} --query {query} --output text"))
        .ok()
        .text();
    let signed = ca.sign(&csr);
    home.write("cluster.crt", &signed);
    fs::copy(ca.path(), home.path("customerCA.crt")).expect("copy customerCA.crt");
    let words = format!(
        "cloudhsmv2 initialize-cluster --cluster-id {cluster} --signed-cert file://cluster.crt \
         --trust-anchor file://customerCA.crt"
    );
    let answer = aws.json(&words);
    assert_eq!(answer["State"], "INITIALIZE_IN_PROGRESS", "{answer}");
    let message = "Cluster is initializing. State will change to INITIALIZED upon completion.";
    assert_eq!(answer["StateMessage"], message);
    let now = wait_for(aws, cluster, "INITIALIZED");
    assert_eq!(
        text(&now["Certificates"], "ClusterCertificate").trim(),
        signed.trim(),
        "{now}"
    );
    assert!(
        now["Certificates"]["ClusterCsr"].is_null(),
        "the CSR is for UNINITIALIZED clusters: {now}"
    );
    aws.refused(&words, "CloudHsmInvalidRequestException");
}

fn activated_with_kmsuser(aws: &Aws, home: &Home, cluster: &str) {
    let script =
        "loginHSM PRECO admin password\nchangePswd PRECO admin adminPswd1\ny\nlogoutHSM\nquit\n";
    let done = home.tool("mgmt").stdin(script).ok();
    done.says("loginHSM success on server 0")
        .says("Changing password for admin(PRECO) on 1 nodes");
    wait_for(aws, cluster, "ACTIVE");
    hsm_in(aws, cluster, &zones(home)[1].1);

    // The same commands as arguments; --yes answers the question.
    let done = home
        .tool("mgmt --yes")
        .args([
            "-c",
            "loginHSM CO admin adminPswd1; createUser CU kmsuser kmsPswd; listUsers",
        ])
        .ok();
    let done = done.says("Creating User kmsuser(CU) on 2 nodes");
    let per_server = done
        .text()
        .lines()
        .filter(|l| l.contains("kmsuser") && l.contains("CU"))
        .count();
    assert!(
        per_server >= 3,
        "the message, and kmsuser in both servers' lists\n{}",
        done.report()
    );
    home.tool("mgmt --yes")
        .args(["-c", "loginHSM PRECO admin password"])
        .fails()
        .silent_about("loginHSM success");
}

fn a_key_store_made_twice(aws: &Aws, cluster: &str, ca: &Ca) -> String {
    let create = |name: &str| {
        format!(
            "kms create-custom-key-store --custom-key-store-name {name} --cloud-hsm-cluster-id {cluster} \
             --key-store-password kmsPswd --trust-anchor-certificate file://customerCA.crt"
        )
    };
    // One that was never connected and has no keys can be deleted, and its cluster is free again.
    let first = aws.json(&create("ExampleKeyStore"));
    let first = text(&first, "CustomKeyStoreId");
    aws.json(&format!(
        "kms delete-custom-key-store --custom-key-store-id {first}"
    ));
    aws.refused(
        &format!("kms describe-custom-key-stores --custom-key-store-id {first}"),
        "CustomKeyStoreNotFoundException",
    );
    let made = aws.json(&create("ExampleKeyStore"));
    assert_ne!(text(&made, "CustomKeyStoreId"), first);
    let id = text(&made, "CustomKeyStoreId").to_owned();
    let hex = id
        .strip_prefix("cks-")
        .unwrap_or_else(|| panic!("{id} begins with cks-"));
    assert!(
        hex.len() == 17 && hex.chars().all(|c| c.is_ascii_hexdigit()),
        "{id}"
    );
    assert_eq!(
        aws.json(&create("ExampleKeyStore")),
        made,
        "the same values, the same id"
    );
    aws.refused(&create("OtherName"), "CloudHsmClusterInUseException");

    let now = store_now(aws, &id);
    assert_eq!(text(&now, "ConnectionState"), "DISCONNECTED", "{now}");
    assert_eq!(text(&now, "CustomKeyStoreName"), "ExampleKeyStore", "{now}");
    assert_eq!(text(&now, "CloudHsmClusterId"), cluster, "{now}");
    assert_eq!(
        text(&now, "TrustAnchorCertificate").trim(),
        ca.pem().trim(),
        "{now}"
    );
    assert!(
        now["ConnectionErrorCode"].is_null() && now["KeyStorePassword"].is_null(),
        "{now}"
    );
    // Version 1 shows the time as a number, version 2 as ISO 8601.
    assert!(
        now["CreationDate"].is_number() || now["CreationDate"].is_string(),
        "{now}"
    );
    let named = aws.json("kms describe-custom-key-stores --custom-key-store-name ExampleKeyStore");
    assert_eq!(
        named["CustomKeyStores"][0]["CustomKeyStoreId"],
        id.as_str(),
        "{named}"
    );
    id
}

fn store_now(aws: &Aws, store: &str) -> Value {
    aws.json(&format!(
        "kms describe-custom-key-stores --custom-key-store-id {store}"
    ))["CustomKeyStores"][0]
        .clone()
}

/// Wait through the states that may be seen on the way.
fn store_becomes(aws: &Aws, store: &str, on_the_way: &str, state: &str) {
    until(60, &format!("the key store is {state}"), || {
        let now = store_now(aws, store);
        let seen = text(&now, "ConnectionState").to_owned();
        assert!(
            seen == on_the_way || seen == state,
            "{on_the_way} or {state}: {now}"
        );
        if seen == state { Ok(()) } else { Err(seen) }
    });
}

fn connected(aws: &Aws, home: &Home, cluster: &str, store: &str) {
    let create_key = format!("kms create-key --origin AWS_CLOUDHSM --custom-key-store-id {store}");
    aws.refused(&create_key, "CustomKeyStoreInvalidStateException");
    aws.run(&format!(
        "kms connect-custom-key-store --custom-key-store-id {store}"
    ))
    .limit(20)
    .ok();
    store_becomes(aws, store, "CONNECTING", "CONNECTED");
    // KMS has rotated the password: the one that the user chose opens nothing any more.
    home.tool("mgmt --yes --cluster-id")
        .args([cluster, "-c", "loginHSM CU kmsuser kmsPswd"])
        .fails()
        .silent_about("loginHSM success");
}

fn a_key(aws: &Aws, cluster: &str, store: &str) -> String {
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
fn cryptography(aws: &Aws, home: &Home, store: &str, keys: &[String; 2]) -> String {
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

fn aliases(aws: &Aws, keys: &[String; 2]) {
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

fn key_state(aws: &Aws, key: &str) -> (String, bool) {
    let now = aws.json(&format!("kms describe-key --key-id {key}"));
    let now = &now["KeyMetadata"];
    (
        text(now, "KeyState").to_owned(),
        now["Enabled"].as_bool().expect("Enabled"),
    )
}

fn enabled_and_disabled(aws: &Aws, key: &str) {
    aws.json(&format!("kms disable-key --key-id {key}"));
    assert_eq!(key_state(aws, key), ("Disabled".into(), false));
    let encrypt = format!("kms encrypt --key-id {key} --plaintext fileb://plain");
    aws.refused(&encrypt, "DisabledException")
        .says(&format!("{key} is disabled."));
    aws.json(&format!("kms enable-key --key-id {key}"));
    assert_eq!(key_state(aws, key), ("Enabled".into(), true));
    aws.json(&encrypt);
}

fn deletion_scheduled_and_cancelled(aws: &Aws, key: &str) {
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

fn unavailable_while_disconnected(aws: &Aws, home: &Home, store: &str, key: &str, sealed: &str) {
    let delete = format!("kms delete-custom-key-store --custom-key-store-id {store}");
    aws.refused(&delete, "CustomKeyStoreInvalidStateException");
    let disconnect = format!("kms disconnect-custom-key-store --custom-key-store-id {store}");
    aws.json(&disconnect);
    store_becomes(aws, store, "DISCONNECTING", "DISCONNECTED");
    aws.refused(&disconnect, "CustomKeyStoreInvalidStateException");
    assert_eq!(key_state(aws, key), ("Unavailable".into(), false));
    let encrypt = format!("kms encrypt --key-id {key} --plaintext fileb://plain");
    aws.refused(&encrypt, "KMSInvalidStateException")
        .says(&format!("{key} is unavailable."));
    let decrypt = format!("kms decrypt --ciphertext-blob fileb://{sealed}");
    aws.refused(&decrypt, "KMSInvalidStateException");
    aws.refused(&delete, "CustomKeyStoreHasCMKsException");

    aws.json(&format!(
        "kms connect-custom-key-store --custom-key-store-id {store}"
    ));
    store_becomes(aws, store, "CONNECTING", "CONNECTED");
    assert_eq!(key_state(aws, key), ("Enabled".into(), true));
    let opened = aws.json(&decrypt);
    assert_eq!(decoded(&opened["Plaintext"]), home.read("plain"));
}

fn updated(aws: &Aws, store: &str) {
    let update =
        |what: &str| format!("kms update-custom-key-store --custom-key-store-id {store} {what}");
    aws.refused(
        &update("--key-store-password otherPswd"),
        "CustomKeyStoreInvalidStateException",
    );
    aws.json(&update("--new-custom-key-store-name NewName"));
    assert_eq!(
        text(&store_now(aws, store), "CustomKeyStoreName"),
        "NewName"
    );
    aws.json(&format!(
        "kms disconnect-custom-key-store --custom-key-store-id {store}"
    ));
    store_becomes(aws, store, "DISCONNECTING", "DISCONNECTED");
    aws.json(&update("--new-custom-key-store-name ThirdName"));
    assert_eq!(
        text(&store_now(aws, store), "CustomKeyStoreName"),
        "ThirdName"
    );
    let unknown = "cluster-aaaaaaaaaaa";
    aws.refused(
        &update(&format!("--cloud-hsm-cluster-id {unknown}")),
        "CloudHsmClusterNotFoundException",
    );
}

/// Keys that wait for their deletion still hold the key store, so a key store with keys cannot be deleted in a test's
/// time; one without can.
fn deleted(aws: &Aws, store: &str, keys: &[String; 2]) {
    for key in keys {
        aws.json(&format!(
            "kms schedule-key-deletion --key-id {key} --pending-window-in-days 7"
        ));
        assert_eq!(key_state(aws, key), ("PendingDeletion".into(), false));
    }
    let delete = format!("kms delete-custom-key-store --custom-key-store-id {store}");
    aws.refused(&delete, "CustomKeyStoreHasCMKsException");
    let unknown = "kms delete-custom-key-store --custom-key-store-id cks-00000000000000000";
    aws.refused(unknown, "CustomKeyStoreNotFoundException");
}
