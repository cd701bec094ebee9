//! The module on a cluster: a configuration file names the nodes and customerCA.crt, and pkcs11-tool works as a crypto
//! user of the cluster.

use serde_json::json;
use std::path::{Path, PathBuf};
use tests::boto::Boto;
use tests::openssl::{Ca, accepts, openssl};
use tests::p11::Token;
use tests::poll::until;
use tests::procs;
use tests::story::{Cluster, connected};
use tests::up::{Home, Up};

/// The module's configuration for this cluster, and where it is.
fn config(home: &Home, nodes: &[String], anchor: &Path) -> PathBuf {
    let nodes: Vec<String> = nodes.iter().map(|n| format!("{n:?}")).collect();
    let anchor = anchor.to_str().expect("a path is text");
    let text = format!(
        "[[cluster]]\nlabel = \"cavium\"\nnodes = [{}]\ntrust-anchor = {anchor:?}\n",
        nodes.join(", ")
    );
    home.write("pkcs11.toml", text)
}

/// The client ports of a cluster's HSMs.
fn client_ports(cluster: &Cluster) -> Vec<String> {
    cluster
        .addresses()
        .iter()
        .map(|ip| format!("{ip}:2223"))
        .collect()
}

/// A cluster of two with a crypto user, reached through `pkcs11.toml`.
pub fn crypto_user<'a>(home: &'a Home, boto: &'a Boto) -> (Cluster<'a>, Token) {
    let cluster = Cluster::pair(home, boto);
    cluster.officer("createUser CU cu1 password1\ny").ok();
    let config = config(home, &client_ports(&cluster), &cluster.ca.path());
    let token = Token::configured(home, &config, "cavium", "cu1:password1");
    (cluster, token)
}

#[test]
fn a_key_made_on_the_cluster_outlives_either_hsm() {
    for survivor in 0..2 {
        let home = Home::new();
        let up = Up::bare(&home);
        let boto = Boto::new(&up);
        let (_cluster, token) = crypto_user(&home, &boto);
        token
            .user("--keygen --key-type aes:32 --private --label shared")
            .ok()
            .says("Secret Key Object; AES length 32");
        let key = || {
            let keys = token.secret_keys();
            assert_eq!(keys.len(), 1, "{keys:?}");
            assert_eq!(keys[0]["label"], "shared", "{keys:?}");
        };
        key();
        // The cluster's personality is the real library's: the HSM makes the IV.
        let answer = token.probe("gcm-roundtrip shared").ok().json();
        assert_eq!(answer["hsm_made_iv"], true, "{answer}");
        let nodes = procs::nodes(&home.data());
        assert_eq!(nodes.len(), 2, "{nodes:?}");
        let victim = &nodes[1 - survivor];
        procs::signal("KILL", victim.pid);
        until(10, "the HSM is gone", || {
            let left = procs::nodes(&home.data());
            if left.iter().any(|p| p.pid == victim.pid) {
                Err(format!("{left:?}"))
            } else {
                Ok(())
            }
        });
        key();
        token
            .user("--list-objects --type secrkey")
            .ok()
            .says("shared");
        // Used it can be where the rule of two HSMs is switched off.
        let text =
            std::fs::read_to_string(home.path("pkcs11.toml")).expect("read the configuration");
        let file = home.write(
            "alone.toml",
            format!("{text}key-availability-check = false\n"),
        );
        Token::configured(&home, &file, "cavium", "cu1:password1")
            .probe("gcm-roundtrip shared")
            .ok();
    }
}

#[test]
fn signatures_of_the_cluster_are_what_openssl_accepts() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (_cluster, token) = crypto_user(&home, &boto);
    let dir = home.path("");
    home.write("message", "signed by an HSM");
    openssl(&dir, "dgst -sha256 -binary -out digest message").ok();
    for (kind, id, sign) in [
        ("rsa:2048", "01", "--mechanism SHA256-RSA-PKCS -i message"),
        (
            "EC:prime256v1",
            "02",
            "--mechanism ECDSA --signature-format openssl -i digest",
        ),
    ] {
        token
            .user(&format!(
                "--keypairgen --key-type {kind} --id {id} --label k{id} --usage-sign --private"
            ))
            .ok();
        token
            .user(&format!(
                "--read-object --type pubkey --id {id} -o p{id}.der"
            ))
            .ok();
        token
            .user(&format!("--sign {sign} --id {id} -o s{id}"))
            .ok();
        accepts(
            &dir,
            &format!("p{id}.der"),
            "message",
            &format!("s{id}"),
            "",
        );
    }
}

#[test]
fn kms_keys_are_there_for_kmsuser_under_their_arn_and_nobody_else() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (cluster, store) = connected(&home, &boto);
    let mut arns = [store.key(), store.key()];
    arns.sort();
    cluster.officer("createUser CU cu1 password1\ny").ok();
    let file = config(&home, &client_ports(&cluster), &cluster.ca.path());
    let token = Token::configured(&home, &file, "cavium", "cu1:password1");
    assert_eq!(
        token.secret_keys(),
        Vec::<serde_json::Value>::new(),
        "another user's keys are not seen"
    );

    // The audit path of the guide: disconnect, a password of one's own, look.
    store.disconnect();
    cluster
        .officer("changePswd CU kmsuser tempPassword\ny")
        .ok();
    let kmsuser = token.with_pin("kmsuser:tempPassword");
    let mut keys = kmsuser.secret_keys();
    keys.sort_by_key(|k| k["label"].to_string());
    let labels: Vec<&str> = keys.iter().filter_map(|k| k["label"].as_str()).collect();
    assert_eq!(labels, arns, "label = key ARN");
    for key in &keys {
        for (name, value) in [
            ("token", true),
            ("private", true),
            ("sensitive", true),
            ("extractable", false),
        ] {
            assert_eq!(key[name], value, "{name} of {key}");
        }
        assert_eq!(
            (&key["never_extractable"], &key["bytes"]),
            (&json!(true), &json!(32)),
            "{key}"
        );
        assert_eq!(key["value"], "sensitive", "{key}");
    }
    store.set_password("tempPassword");
    store.connect();
}

#[test]
fn pins_are_a_user_and_a_password() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (_cluster, token) = crypto_user(&home, &boto);
    token.user("--list-objects").ok();
    // Users are listed without a login, so an HSM may say that it has no such user.
    for (pin, code) in [
        ("cu1:password2", "CKR_PIN_INCORRECT"),
        ("nobody:password1", "CKR_USER_PIN_NOT_INITIALIZED"),
    ] {
        let refused = token.with_pin(pin).user("--list-objects").fails();
        refused
            .says(code)
            .silent_about(pin.rsplit(':').next().expect("a last part"));
    }
    // Without a colon there is no user to refuse: which code it is, is not fixed.
    token
        .with_pin("cu1password1")
        .user("--list-objects")
        .fails();
    token.user("--list-objects").ok();
}

#[test]
fn another_trust_anchor_or_no_node_is_a_clear_error() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (cluster, token) = crypto_user(&home, &boto);
    token.user("--list-objects").ok();

    let other = Ca::new(&home.path("other-ca"));
    let log = home.path("module.log");
    let file = config(&home, &client_ports(&cluster), &other.path());
    let stranger = Token::configured(&home, &file, "", "cu1:password1")
        .with_env("KEYSTEAD_PKCS11_LOG", log.as_os_str());
    stranger.user("--list-objects").fails();
    let text = std::fs::read_to_string(&log)
        .expect("the log is written")
        .to_lowercase();
    assert!(
        text.contains("certificate") || text.contains("trust"),
        "the log says why: {text}"
    );
    assert!(!text.contains("password1"), "a password in the log: {text}");

    // A closed port, then an address where nobody answers among living nodes: the living ones suffice.
    std::fs::remove_file(&log).expect("remove the log");
    let file = config(&home, &["127.0.0.1:1".into()], &cluster.ca.path());
    let nobody = Token::configured(&home, &file, "", "cu1:password1")
        .with_env("KEYSTEAD_PKCS11_LOG", log.as_os_str());
    nobody.user("--list-objects").limit(60).fails();
    let text = std::fs::read_to_string(&log).expect("the log is written");
    assert!(
        text.contains("127.0.0.1:1"),
        "the log names the node: {text}"
    );
    let mut nodes = client_ports(&cluster);
    nodes.insert(0, "127.0.0.1:1".into());
    let file = config(&home, &nodes, &cluster.ca.path());
    Token::configured(&home, &file, "cavium", "cu1:password1")
        .user("--list-objects")
        .limit(60)
        .ok();
}
