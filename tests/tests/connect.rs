//! Connecting a key store: every way in which kmsuser can stand in the way, found by its true cause and repaired as the
//! guide says; and what each operation answers in each state.

use serde_json::{Value, json};
use tests::boto::Boto;
use tests::poll::until;
use tests::procs;
use tests::story::{Cluster, KMS_PASSWORD, Store, bytes, connected, decrypt, encrypt};
use tests::up::{Home, Up};

#[test]
fn a_wrong_password_is_found_at_connect_and_repaired_by_update() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let cluster = Cluster::ready(&home, &boto);
    // The password is not looked at before.
    let store = cluster.store("ExampleKeyStore", "wrongPswd");
    store.connect_fails("INVALID_CREDENTIALS");
    boto.kms_refuses(
        "CustomKeyStoreInvalidStateException",
        "ConnectCustomKeyStore",
        store.named(),
    );
    store.disconnect();
    store.set_password(KMS_PASSWORD);
    store.connect();
    decrypts(&boto, &store);
}

#[test]
fn without_kmsuser_the_user_is_not_found_until_it_is_made() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let cluster = Cluster::pair(&home, &boto);
    let store = cluster.store("ExampleKeyStore", KMS_PASSWORD);
    store.connect_fails("USER_NOT_FOUND");
    store.disconnect();

    // On one HSM of two is as good as nowhere: users are not synchronised by the service.
    cluster
        .officer(&format!(
            "server 0\ncreateUser CU kmsuser {KMS_PASSWORD}\ny\nexit"
        ))
        .ok();
    store.connect_fails("USER_NOT_FOUND");
    store.disconnect();
    cluster
        .officer(&format!(
            "server 1\ncreateUser CU kmsuser {KMS_PASSWORD}\ny\nexit"
        ))
        .ok();
    store.connect();
    decrypts(&boto, &store);
}

#[test]
fn a_crypto_officer_called_kmsuser_is_no_crypto_user() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let cluster = Cluster::pair(&home, &boto);
    cluster
        .officer(&format!("createUser CO kmsuser {KMS_PASSWORD}\ny"))
        .ok();
    let store = cluster.store("ExampleKeyStore", KMS_PASSWORD);
    store.connect_fails("USER_NOT_FOUND");
}

#[test]
fn logged_in_elsewhere_kmsuser_cannot_be_taken_over() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (cluster, store) = connected(&home, &boto);
    let key = store.key();
    let sealed = encrypt(&boto, &key, b"before the audit");

    // While KMS is logged in, nobody changes kmsuser's password.
    cluster
        .officer("changePswd CU kmsuser tempPassword\ny")
        .fails();
    store.disconnect();
    cluster
        .officer("changePswd CU kmsuser tempPassword\ny")
        .ok();
    let mut audit = Command::new(tests::tools::keystead())
        .args(["mgmt", "--cluster-id", &cluster.id, "--data-dir"])
        .arg(home.data())
        .envs(home.env())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("start keystead mgmt");
    let mut typed = audit.stdin.take().expect("stdin is piped");
    writeln!(typed, "loginHSM CU kmsuser tempPassword").expect("type a command");
    typed.flush().expect("type a command");
    until(20, "kmsuser is logged in", || {
        // Seen from outside: an officer may not change the password of somebody who is logged in.
        let tried = cluster
            .officer("changePswd CU kmsuser tempPassword\ny")
            .done();
        if tried.code == Some(0) {
            Err(tried.report())
        } else {
            Ok(())
        }
    });
    store.set_password("tempPassword");
    store.connect_fails("USER_LOGGED_IN");
    store.disconnect();

    writeln!(typed, "logoutHSM\nquit").expect("type a command");
    drop(typed);
    assert!(audit.wait().expect("wait for mgmt").success());
    store.connect();
    assert_eq!(decrypt(&boto, &sealed), b"before the audit");
}

#[test]
fn locked_out_kmsuser_is_freed_by_an_officer() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let cluster = Cluster::ready(&home, &boto);
    let store = cluster.store("ExampleKeyStore", KMS_PASSWORD);
    for _ in 0..5 {
        cluster
            .mgmt("loginHSM CU kmsuser notThisOne\nquit\n")
            .fails();
    }
    // The right one does not help any more.
    cluster
        .mgmt(&format!("loginHSM CU kmsuser {KMS_PASSWORD}\nquit\n"))
        .fails();
    store.connect_fails("USER_LOCKED_OUT");
    store.disconnect();
    cluster.officer("changePswd CU kmsuser freshPswd\ny").ok();
    store.set_password("freshPswd");
    store.connect();
    decrypts(&boto, &store);
}

#[test]
fn failed_connects_lock_kmsuser_too() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let cluster = Cluster::ready(&home, &boto);
    let store = cluster.store("ExampleKeyStore", "wrongPswd");
    let mut codes: Vec<String> = Vec::new();
    // Each HSM counts for itself, so five wrong passwords may take more than five connects, but no more than ten.
    while codes.last().is_none_or(|c| c != "USER_LOCKED_OUT") && codes.len() < 11 {
        boto.kms("ConnectCustomKeyStore", store.named());
        codes.push(
            store.settles("FAILED")["ConnectionErrorCode"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        );
        store.disconnect();
    }
    assert_eq!(codes[0], "INVALID_CREDENTIALS", "{codes:?}");
    assert_eq!(
        codes.last().map(String::as_str),
        Some("USER_LOCKED_OUT"),
        "{codes:?}"
    );
}

#[test]
fn every_connect_rotates_the_password_and_needs_no_update() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (cluster, store) = connected(&home, &boto);
    let key = store.key();
    let sealed = encrypt(&boto, &key, b"through all rotations");
    for _ in 0..3 {
        store.disconnect();
        store.connect();
        assert_eq!(decrypt(&boto, &sealed), b"through all rotations");
    }
    store.disconnect();
    cluster
        .mgmt(&format!("loginHSM CU kmsuser {KMS_PASSWORD}\nquit\n"))
        .fails();
    // What KMS no longer knows is repaired as with any wrong password.
    cluster.officer("changePswd CU kmsuser ownPassword\ny").ok();
    store.connect_fails("INVALID_CREDENTIALS");
    store.disconnect();
    store.set_password("ownPassword");
    store.connect();
    assert_eq!(decrypt(&boto, &sealed), b"through all rotations");
}

#[test]
fn without_an_hsm_connect_refuses_at_once() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let cluster = Cluster::ready(&home, &boto);
    let store = cluster.store("ExampleKeyStore", KMS_PASSWORD);
    let ids: Vec<String> = cluster.describe()["Hsms"]
        .as_array()
        .expect("Hsms")
        .iter()
        .map(|h| h["HsmId"].as_str().expect("HsmId").to_owned())
        .collect();
    cluster.delete_hsm(&ids[0]);
    // One is enough for connecting, though not for making a key store or a key.
    store.connect();
    let create = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store.id});
    boto.kms_refuses(
        "CloudHsmClusterInvalidConfigurationException",
        "CreateKey",
        create,
    );
    store.disconnect();
    cluster.delete_hsm(&ids[1]);
    boto.kms_refuses(
        "CloudHsmClusterInvalidConfigurationException",
        "ConnectCustomKeyStore",
        store.named(),
    );
    assert_eq!(store.state(), "DISCONNECTED");
}

/// What each operation answers in each reachable state: aws-facts A3, row by row. `ok` in a column means that it works.
#[test]
fn operations_in_states() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let cluster = Cluster::ready(&home, &boto);
    let store = cluster.store("ExampleKeyStore", KMS_PASSWORD);
    let id = &store.id;
    let update = |member: &str, value: &str| json!({"CustomKeyStoreId": id, member: value});
    let create_key = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": id});
    let random = json!({"CustomKeyStoreId": id, "NumberOfBytes": 8});

    // A key, so that deleting is refused in every state: by the state first, by its keys when the state allows it.
    store.connect();
    let key = store.key();
    let sealed = encrypt(&boto, &key, b"in every state");
    store.disconnect();
    let crypto = json!({"KeyId": key, "Plaintext": bytes("x")});
    let open = json!({"CiphertextBlob": sealed});

    const ILLEGAL: &str = "CustomKeyStoreInvalidStateException";
    const GONE: &str = "KMSInvalidStateException";
    // (operation, parameters, DISCONNECTED, CONNECTING, CONNECTED, FAILED); "-" is left out: it would change the state.
    let name = update("NewCustomKeyStoreName", "Renamed");
    let password = update("KeyStorePassword", "wrongPswd");
    let same_cluster = update("CloudHsmClusterId", &cluster.id);
    let delete = store.named();
    let has_keys = "CustomKeyStoreHasCMKsException";
    let table: [(&str, &Value, [&str; 4]); 11] = [
        (
            "UpdateCustomKeyStore",
            &name,
            ["ok", ILLEGAL, "ok", ILLEGAL],
        ),
        (
            "UpdateCustomKeyStore",
            &password,
            ["-", ILLEGAL, ILLEGAL, ILLEGAL],
        ),
        (
            "UpdateCustomKeyStore",
            &same_cluster,
            ["ok", ILLEGAL, ILLEGAL, ILLEGAL],
        ),
        (
            "DeleteCustomKeyStore",
            &delete,
            [has_keys, ILLEGAL, ILLEGAL, ILLEGAL],
        ),
        ("CreateKey", &create_key, [ILLEGAL, ILLEGAL, "ok", ILLEGAL]),
        ("GenerateRandom", &random, [ILLEGAL, ILLEGAL, "ok", ILLEGAL]),
        ("Encrypt", &crypto, [GONE, GONE, "ok", GONE]),
        ("Decrypt", &open, [GONE, GONE, "ok", GONE]),
        ("DescribeCustomKeyStores", &delete, ["ok", "ok", "ok", "ok"]),
        ("ConnectCustomKeyStore", &delete, ["-", "ok", "ok", ILLEGAL]),
        (
            "DisconnectCustomKeyStore",
            &delete,
            [ILLEGAL, "-", "-", "-"],
        ),
    ];
    let judge = |state: &str, column: usize| {
        assert_eq!(store.state(), state);
        for (operation, params, answers) in &table {
            let wanted = answers[column];
            if wanted == "-" {
                continue;
            }
            match boto.try_kms(operation, (*params).clone()) {
                Ok(_) => assert_eq!(wanted, "ok", "{operation} {params} while {state} succeeded"),
                Err(refusal) => assert_eq!(
                    refusal.code, wanted,
                    "{operation} {params} while {state}: {refusal:?}"
                ),
            }
            assert_eq!(store.state(), state, "after {operation}");
        }
        let available = state == "CONNECTED";
        let now = boto.kms("DescribeKey", json!({"KeyId": key}))["KeyMetadata"].clone();
        assert_eq!(
            now["KeyState"],
            if available { "Enabled" } else { "Unavailable" },
            "{state}: {now}"
        );
        assert_eq!(now["Enabled"], available, "{state}: {now}");
    };

    judge("DISCONNECTED", 0);
    // HSMs that do not answer keep a connect going: their processes are stopped, as a machine under a bad load is.
    let nodes = procs::nodes(&home.data());
    assert_eq!(nodes.len(), 2, "{nodes:?}");
    nodes.iter().for_each(|n| procs::signal("STOP", n.pid));
    boto.kms("ConnectCustomKeyStore", store.named());
    judge("CONNECTING", 1);
    // Leaving is allowed at any time.
    boto.kms("DisconnectCustomKeyStore", store.named());
    nodes.iter().for_each(|n| procs::signal("CONT", n.pid));
    store.settles("DISCONNECTED");
    store.connect();
    judge("CONNECTED", 2);
    store.disconnect();
    cluster
        .officer("changePswd CU kmsuser tempPassword\ny")
        .ok();
    store.connect_fails("INVALID_CREDENTIALS");
    judge("FAILED", 3);
    store.disconnect();
    store.set_password("tempPassword");
    store.connect();
    assert_eq!(decrypt(&boto, &sealed), b"in every state");
}

#[test]
fn keys_keep_their_state_through_a_disconnection() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (_cluster, store) = connected(&home, &boto);
    let (enabled, disabled, doomed, enabled_later) =
        (store.key(), store.key(), store.key(), store.key());
    let named = |key: &str| json!({"KeyId": key});
    boto.kms("DisableKey", named(&disabled));
    boto.kms("DisableKey", named(&enabled_later));
    boto.kms(
        "ScheduleKeyDeletion",
        json!({"KeyId": doomed, "PendingWindowInDays": 7}),
    );
    store.disconnect();
    let state = |key: &str| {
        let now = boto.kms("DescribeKey", named(key));
        now["KeyMetadata"]["KeyState"]
            .as_str()
            .expect("KeyState")
            .to_owned()
    };
    let all = || [&enabled, &disabled, &doomed, &enabled_later].map(|k| state(k));
    assert_eq!(
        all(),
        [
            "Unavailable",
            "Unavailable",
            "PendingDeletion",
            "Unavailable"
        ]
    );
    // Allowed, and seen after the reconnection.
    boto.kms("EnableKey", named(&enabled_later));
    boto.kms("CancelKeyDeletion", named(&doomed));
    boto.kms_refuses(
        "KMSInvalidStateException",
        "CancelKeyDeletion",
        named(&enabled),
    );
    store.connect();
    assert_eq!(all(), ["Enabled", "Disabled", "Disabled", "Enabled"]);
}

#[test]
fn a_key_store_survives_the_death_of_either_hsm() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (_cluster, store) = connected(&home, &boto);
    let key = store.key();
    let sealed = encrypt(&boto, &key, b"on both HSMs");
    procs::kill_one_node(&home.data());
    for _ in 0..20 {
        assert_eq!(decrypt(&boto, &sealed), b"on both HSMs");
    }
    assert_eq!(store.state(), "CONNECTED");
}

fn decrypts(boto: &Boto, store: &Store) {
    let key = store.key();
    let sealed = encrypt(boto, &key, b"some text");
    assert_eq!(decrypt(boto, &sealed), b"some text");
}

#[test]
fn a_connected_key_store_outlives_every_hsm_that_it_began_with() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (cluster, store) = connected(&home, &boto);
    let key = store.key();
    let sealed = encrypt(&boto, &key, b"replaced hardware");
    let first = cluster.describe()["Hsms"].clone();
    for zone in 0..2 {
        cluster.add_hsm(zone);
    }
    // KMS looks at its clusters every few seconds.
    std::thread::sleep(std::time::Duration::from_secs(7));
    for hsm in first.as_array().expect("Hsms") {
        cluster.delete_hsm(hsm["HsmId"].as_str().expect("HsmId"));
    }
    assert_eq!(store.state(), "CONNECTED");
    assert_eq!(decrypt(&boto, &sealed), b"replaced hardware");
    let second = store.key();
    encrypt(&boto, &second, b"on the new ones");
    store.disconnect();
    store.connect();
    assert_eq!(decrypt(&boto, &sealed), b"replaced hardware");
}

#[test]
fn the_fault_that_locks_kmsuser_does_and_says_where_it_cannot() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (cluster, store) = connected(&home, &boto);
    store.disconnect();
    home.tool("fault lock-user --hsm-id hsm-aaaaaaaaaaa")
        .fails()
        .says("is no ACTIVE HSM of the cluster");
    let hsm = cluster.describe()["Hsms"][0]["HsmId"].clone();
    home.tool("fault lock-user --cluster-id")
        .arg(&cluster.id)
        .arg("--hsm-id")
        .arg(hsm.as_str().expect("HsmId"))
        .ok();
    store.connect_fails("USER_LOCKED_OUT");
}
