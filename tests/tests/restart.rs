//! What is in the data directory survives: a restart, and a kill at any moment of a connect.

use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tests::boto::Boto;
use tests::poll::until;
use tests::story::{Store, connected, decrypt, encrypt};
use tests::up::{Home, Up};

#[test]
fn after_a_restart_the_key_store_reconnects_by_itself() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (cluster, store) = connected(&home, &boto);
    let (key, id) = (store.key(), store.id.clone());
    boto.kms(
        "CreateAlias",
        json!({"AliasName": "alias/kept", "TargetKeyId": key}),
    );
    let sealed = encrypt(&boto, &key, b"kept over a restart");
    let before = boto.kms("DescribeKey", json!({"KeyId": key}));
    let described = cluster.describe();
    drop(boto);
    up.stop();

    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let store = Store::new(&boto, &id);
    store.settles("CONNECTED");
    assert_eq!(decrypt(&boto, &sealed), b"kept over a restart");
    assert_eq!(
        boto.kms("DescribeKey", json!({"KeyId": "alias/kept"})),
        before
    );
    let answer = boto.hsm("DescribeClusters", json!({}));
    let now = &answer["Clusters"][0];
    for member in [
        "ClusterId",
        "State",
        "SubnetMapping",
        "SecurityGroup",
        "Certificates",
        "CreateTimestamp",
    ] {
        assert_eq!(now[member], described[member], "{member}");
    }
    // And its password is still KMS's own business: another connect works too.
    store.disconnect();
    store.connect();
    assert_eq!(decrypt(&boto, &sealed), b"kept over a restart");
}

#[test]
fn a_disconnected_key_store_stays_so_over_a_restart() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (_cluster, store) = connected(&home, &boto);
    let (key, id) = (store.key(), store.id.clone());
    let sealed = encrypt(&boto, &key, b"later");
    store.disconnect();
    drop(boto);
    up.stop();

    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let store = Store::new(&boto, &id);
    assert_eq!(store.state(), "DISCONNECTED");
    store.connect();
    assert_eq!(decrypt(&boto, &sealed), b"later");
}

#[test]
fn killed_at_any_moment_of_connect_nothing_is_stranded() {
    let home = Home::new();
    let mut up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (_cluster, store) = connected(&home, &boto);
    let (key, id) = (store.key(), store.id.clone());
    let sealed = encrypt(&boto, &key, b"never stranded");

    // How long a whole connect takes here: the kills fall within that time, and a little after it.
    store.disconnect();
    let begun = SystemTime::now();
    store.connect();
    let whole = begun
        .elapsed()
        .expect("the clock goes on")
        .max(Duration::from_millis(100));
    drop(boto);
    for round in 0..12u32 {
        let boto = Boto::new(&up);
        let store = Store::new(&boto, &id);
        store.disconnect();
        boto.kms("ConnectCustomKeyStore", store.named());
        // Moments spread over the connect, shaken by the clock so that runs differ.
        let shake = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .subsec_nanos()
            % 1000;
        let moment = whole.mul_f64((f64::from(round) + f64::from(shake) / 1000.0) / 10.0);
        std::thread::sleep(moment);
        up.kill();
        drop(boto);

        up = Up::bare(&home);
        let boto = Boto::new(&up);
        let store = Store::new(&boto, &id);
        let seen = until(
            60,
            "the key store settles after the restart",
            || match store.state() {
                s if s == "CONNECTING" => Err(s),
                s => Ok(s),
            },
        );
        let when = format!("killed {moment:?} into connect (round {round})");
        assert_eq!(
            seen,
            "CONNECTED",
            "{when}: {}\n{}",
            store.describe(),
            up.log()
        );
        assert_eq!(decrypt(&boto, &sealed), b"never stranded", "{when}");
    }
    // The rounds must not have eaten the five wrong passwords that lock kmsuser.
    let boto = Boto::new(&up);
    let store = Store::new(&boto, &id);
    for _ in 0..2 {
        store.disconnect();
        store.connect();
    }
    assert_eq!(decrypt(&boto, &sealed), b"never stranded");
}

#[test]
fn killed_while_keys_are_made_no_answered_key_is_lost() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (_cluster, store) = connected(&home, &boto);
    let id = store.id.clone();
    let made: Vec<_> = (0..5)
        .map(|i| {
            let key = store.key();
            let text = format!("key {i}");
            let sealed = encrypt(&boto, &key, text.as_bytes());
            (text, sealed)
        })
        .collect();
    drop(boto);
    up.kill();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    Store::new(&boto, &id).settles("CONNECTED");
    for (text, sealed) in made {
        assert_eq!(decrypt(&boto, &sealed), text.as_bytes());
    }
}

#[test]
fn with_credentials_of_an_account_up_makes_its_cluster_there() {
    let home = Home::new();
    let file = home.write(
        "credentials",
        "[ci]\naws_access_key_id = 000011112222\naws_secret_access_key = secret\n",
    );
    let file = file.to_str().expect("a path is text");
    let up = Up::start(&home, &["--credentials", file], &[]);
    up.said("made: cluster");
    // The tools look at an account as the AWS CLI does: by AWS_ACCESS_KEY_ID.
    let list = |account: &str| {
        home.tool("mgmt -c listUsers")
            .env("AWS_ACCESS_KEY_ID", account)
    };
    list("000011112222").ok().says("kmsuser");
    list("123456789012").fails();
}

#[test]
fn an_up_that_was_killed_while_it_made_its_cluster_is_finished_by_the_next() {
    use std::process::{Command, Stdio};
    let home = Home::new();
    for milliseconds in [300, 700, 1100] {
        let mut up = Command::new(tests::tools::keystead())
            .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(home.data())
            .envs(home.env())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start keystead up");
        std::thread::sleep(Duration::from_millis(milliseconds));
        up.kill().expect("kill a child");
        up.wait().expect("wait for a child");
    }
    let up = Up::start(&home, &[], &[]);
    let boto = Boto::new(&up);
    Store::only(&boto).settles("CONNECTED");
    let clusters = boto.hsm(
        "DescribeClusters",
        json!({"Filters": {"states": ["ACTIVE", "UNINITIALIZED", "INITIALIZED"]}}),
    );
    assert_eq!(
        clusters["Clusters"].as_array().map(Vec::len),
        Some(1),
        "{clusters}"
    );
    assert_eq!(clusters["Clusters"][0]["TagList"], json!([]), "{clusters}");
}
