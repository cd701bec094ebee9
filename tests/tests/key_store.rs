//! One suite of key store tests, run on three targets: the cluster that plain `up` makes, our module alone, and
//! SoftHSM2. What differs is in [`Target`] only.

use serde_json::json;
use std::path::{Path, PathBuf};
use tests::boto::Boto;
use tests::p11::Token;
use tests::run::Run;
use tests::story::{Cluster, Store, blob, bytes, decoded, decrypt, encrypt};
use tests::tools;
use tests::up::{Home, Up};

const PIN: &str = "1234567";

/// Where the keys live.
struct Target {
    args: Vec<String>,
    env: Vec<(&'static str, PathBuf)>,
    /// The token as its owner knows it; the cluster has none.
    token: Option<Token>,
}

impl Target {
    fn cluster() -> Target {
        Target {
            args: Vec::new(),
            env: Vec::new(),
            token: None,
        }
    }

    fn module(token: Token, env: Vec<(&'static str, PathBuf)>) -> Target {
        let module = token.module().to_str().expect("a path is text").to_owned();
        let args = ["--module", &module, "--token-label", "kms", "--pin", PIN]
            .map(str::to_owned)
            .to_vec();
        Target {
            args,
            env,
            token: Some(token),
        }
    }

    fn embedded(home: &Home) -> Target {
        let token = Token::ours(home, "kms", PIN);
        token.init("12345678");
        Target::module(token, Vec::new())
    }

    fn softhsm(home: &Home) -> Target {
        let token = Token::softhsm(home, "kms", PIN);
        Run::new(tools::need("softhsm2-util"))
            .words("--init-token --free --label kms --so-pin 12345678 --pin")
            .arg(PIN)
            .env("SOFTHSM2_CONF", home.path("softhsm2.conf"))
            .ok();
        token.user("--list-objects").ok();
        Target::module(token, vec![("SOFTHSM2_CONF", home.path("softhsm2.conf"))])
    }

    #[track_caller]
    fn up(&self, home: &Home) -> Up {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let env: Vec<(&str, &Path)> = self.env.iter().map(|(k, v)| (*k, v.as_path())).collect();
        Up::start(home, &args, &env)
    }

    /// The PIN that the user gave opens nothing any more, because KMS changed it.
    #[track_caller]
    fn is_rotated(&self) {
        if let Some(token) = &self.token {
            token
                .user("--list-objects")
                .fails()
                .says("CKR_PIN_INCORRECT");
        }
    }
}

#[test]
fn on_the_cluster() {
    let home = Home::new();
    suite(&home, &Target::cluster());
}

#[test]
fn on_our_module_alone() {
    let home = Home::new();
    suite(&home, &Target::embedded(&home));
}

#[test]
fn on_softhsm() {
    let home = Home::new();
    suite(&home, &Target::softhsm(&home));
}

#[test]
fn an_up_with_a_wrong_pin_leaves_nothing_in_the_way_of_the_next() {
    let home = Home::new();
    let right = Target::embedded(&home);
    for (pin, why) in [("7654321", "INVALID_CREDENTIALS"), ("12-4567", "--pin: ")] {
        let up = right
            .args
            .iter()
            .map(|arg| if arg == PIN { pin } else { arg });
        let up = up.fold(home.keystead("up --listen 127.0.0.1:0"), Run::arg);
        up.arg("--data-dir").arg(home.data()).fails().says(why);
    }
    let up = right.up(&home);
    Store::only(&Boto::new(&up)).settles("CONNECTED");
}

#[test]
fn a_data_directory_keeps_to_a_module_or_to_clusters() {
    let home = Home::new();
    let target = Target::embedded(&home);
    let up = target.up(&home);
    let log = up.log();
    assert!(!log.contains("op=Describe"), "what it asks itself:\n{log}");
    for words in ["fault list", "vpc subnets", "mgmt -c listUsers"] {
        home.tool(words)
            .fails()
            .says("--module")
            .says("no simulated cluster");
    }
    up.stop();
    let other = home.keystead("up --bare --listen 127.0.0.1:0 --data-dir");
    other
        .arg(home.data())
        .fails()
        .says("made with --module")
        .silent_about("ready");
    assert!(!home.data().join("cloudhsm").exists(), "nothing was made");
    let up = target.up(&home);
    up.said("--pin is not used");
    Store::only(&Boto::new(&up)).settles("CONNECTED");
    up.stop();

    let clusters = Home::new();
    Up::bare(&clusters).stop();
    let other = clusters.keystead("up --bare --listen 127.0.0.1:0 --data-dir");
    let other = other.arg(clusters.data()).arg("--module");
    other
        .arg(tools::module())
        .fails()
        .says("made without --module")
        .silent_about("ready");
}

fn suite(home: &Home, target: &Target) {
    let up = target.up(home);
    let boto = Boto::new(&up);
    let store = Store::only(&boto);
    let described = store.settles("CONNECTED");
    assert_eq!(
        described["CustomKeyStoreType"], "AWS_CLOUDHSM",
        "{described}"
    );
    target.is_rotated();
    let (first, second) = (store.key(), store.key());
    let sealed = encrypt(&boto, &first, b"first");
    assert_eq!(decrypt(&boto, &sealed), b"first");
    assert_ne!(
        encrypt(&boto, &first, b"first"),
        sealed,
        "two ciphertexts of one plaintext differ"
    );
    context_is_bound(&boto, &first);
    keys_do_not_mix(&boto, &first, &second, &sealed);
    data_keys(&boto, &first);
    random(&boto, &store);
    in_parallel(&up, &first);
    nothing_is_public(target, &first);

    // Every connect rotates; the keys stay.
    for _ in 0..2 {
        store.disconnect();
        boto.kms_refuses(
            "KMSInvalidStateException",
            "Decrypt",
            json!({"CiphertextBlob": sealed}),
        );
        store.connect();
        target.is_rotated();
        assert_eq!(decrypt(&boto, &sealed), b"first");
    }
    let id = store.id.clone();
    drop(boto);
    up.stop();
    let up = target.up(home);
    let boto = Boto::new(&up);
    let store = Store::only(&boto);
    assert_eq!(store.id, id, "the same key store, not another");
    store.settles("CONNECTED");
    assert_eq!(decrypt(&boto, &sealed), b"first");
    assert_eq!(
        decrypt(&boto, &encrypt(&boto, &second, b"after the restart")),
        b"after the restart"
    );
    drop(boto);
    up.kill();
    let up = target.up(home);
    let boto = Boto::new(&up);
    Store::only(&boto).settles("CONNECTED");
    assert_eq!(decrypt(&boto, &sealed), b"first");
}

fn context_is_bound(boto: &Boto, key: &str) {
    let params = json!({"KeyId": key, "Plaintext": bytes("text"), "EncryptionContext": {"a": "1", "b": "2"}});
    let sealed = blob(&boto.kms("Encrypt", params)["CiphertextBlob"]);
    let open = json!({"CiphertextBlob": sealed, "EncryptionContext": {"b": "2", "a": "1"}});
    assert_eq!(decoded(&boto.kms("Decrypt", open)["Plaintext"]), b"text");
    for wrong in [
        json!({}),
        json!({"a": "1"}),
        json!({"a": "2", "b": "1"}),
        json!({"A": "1", "b": "2"}),
    ] {
        let open = json!({"CiphertextBlob": sealed, "EncryptionContext": wrong});
        boto.kms_refuses("InvalidCiphertextException", "Decrypt", open);
    }
}

fn keys_do_not_mix(boto: &Boto, first: &str, second: &str, sealed: &serde_json::Value) {
    let wrong = json!({"CiphertextBlob": sealed, "KeyId": second});
    boto.kms_refuses("IncorrectKeyException", "Decrypt", wrong);
    let moved = boto.kms(
        "ReEncrypt",
        json!({"CiphertextBlob": sealed, "DestinationKeyId": second}),
    );
    assert_eq!(
        (&moved["SourceKeyId"], &moved["KeyId"]),
        (&json!(first), &json!(second)),
        "{moved}"
    );
    assert_eq!(decrypt(boto, &blob(&moved["CiphertextBlob"])), b"first");
}

fn data_keys(boto: &Boto, key: &str) {
    for (params, length) in [
        (json!({"KeyId": key, "KeySpec": "AES_256"}), 32),
        (json!({"KeyId": key, "KeySpec": "AES_128"}), 16),
        (json!({"KeyId": key, "NumberOfBytes": 1024}), 1024),
    ] {
        let made = boto.kms("GenerateDataKey", params);
        let plain = decoded(&made["Plaintext"]);
        assert_eq!(plain.len(), length);
        assert_eq!(decrypt(boto, &blob(&made["CiphertextBlob"])), plain);
    }
}

fn random(boto: &Boto, store: &Store) {
    let ask = || {
        boto.kms(
            "GenerateRandom",
            json!({"CustomKeyStoreId": store.id, "NumberOfBytes": 1024}),
        )
    };
    let (a, b) = (decoded(&ask()["Plaintext"]), decoded(&ask()["Plaintext"]));
    assert_eq!((a.len(), b.len()), (1024, 1024));
    assert_ne!(a, b);
}

/// Several clients at once: sessions are pooled, and no answer goes to the wrong caller.
fn in_parallel(up: &Up, key: &str) {
    std::thread::scope(|scope| {
        for client in 0..4 {
            scope.spawn(move || {
                let boto = Boto::new(up);
                for i in 0..25 {
                    let text = format!("client {client} text {i}");
                    assert_eq!(
                        decrypt(&boto, &encrypt(&boto, key, text.as_bytes())),
                        text.as_bytes()
                    );
                }
            });
        }
    });
}

/// Without a login nobody learns even that there are keys.
fn nothing_is_public(target: &Target, key: &str) {
    if let Some(token) = &target.token {
        token.tool("--list-objects").ok().silent_about(key);
    }
}

#[test]
fn what_has_no_meaning_on_a_foreign_module_is_said() {
    let home = Home::new();
    let target = Target::softhsm(&home);
    let up = target.up(&home);
    let boto = Boto::new(&up);
    let store = Store::only(&boto).describe();
    let answer = boto.hsm("DescribeClusters", json!({}));
    let clusters = answer["Clusters"].as_array().expect("Clusters");
    let cluster = clusters
        .iter()
        .find(|c| c["ClusterId"] == store["CloudHsmClusterId"]);
    let cluster = cluster
        .unwrap_or_else(|| panic!("the key store's cluster {store} is described in {answer}"));
    assert_eq!(cluster["State"], "ACTIVE", "{cluster}");
    let said = cluster["StateMessage"].as_str().unwrap_or_default();
    assert!(
        said.to_lowercase().contains("libsofthsm2"),
        "StateMessage names the module: {cluster}"
    );
}

#[test]
fn a_wrong_pin_for_the_module_is_said_and_does_not_lock_the_token() {
    let home = Home::new();
    let mut target = Target::softhsm(&home);
    *target.args.last_mut().expect("the PIN comes last") = "7654321".into();
    // Whether `up` refuses to start or starts with a key store that FAILED is not fixed; that it says why is.
    let args: Vec<&str> = target.args.iter().map(String::as_str).collect();
    let mut run = home
        .keystead("up")
        .args(&args)
        .args(["--listen", "127.0.0.1:0"]);
    run = run
        .arg("--data-dir")
        .arg(home.data())
        .env("SOFTHSM2_CONF", home.path("softhsm2.conf"))
        .limit(60);
    run.fails()
        .says("CKR_PIN_INCORRECT")
        .silent_about("7654321");
    target
        .token
        .as_ref()
        .expect("SoftHSM2 has a token")
        .user("--list-objects")
        .ok();
}

#[test]
fn a_module_that_is_none_is_refused_with_its_path() {
    let home = Home::new();
    let not_elf = home.write("not-a-module.so", "hello");
    for path in [
        home.path("missing.so"),
        not_elf,
        PathBuf::from("/lib/x86_64-linux-gnu/libc.so.6"),
    ] {
        let run = home
            .tool("up --bare --listen 127.0.0.1:0 --token-label kms --pin 1234567 --module")
            .arg(&path);
        run.fails().says(path.to_str().expect("a path is text"));
    }
}

#[test]
fn plain_up_makes_all_that_its_users_need() {
    let home = Home::new();
    let up = Target::cluster().up(&home);
    let boto = Boto::new(&up);
    let store = Store::only(&boto).settles("CONNECTED");
    let answer = boto.hsm("DescribeClusters", json!({}));
    let cluster = &answer["Clusters"][0];
    assert_eq!(cluster["ClusterId"], store["CloudHsmClusterId"], "{answer}");
    assert_eq!(cluster["State"], "ACTIVE", "{cluster}");
    let hsms = cluster["Hsms"].as_array().expect("Hsms");
    let zones: std::collections::BTreeSet<&str> = hsms
        .iter()
        .map(|h| h["AvailabilityZone"].as_str().expect("AvailabilityZone"))
        .collect();
    assert_eq!(
        (hsms.len(), zones.len()),
        (2, 2),
        "two HSMs in two zones: {cluster}"
    );
    let anchor = Run::new(tools::need("find"))
        .arg(home.data())
        .args(["-name", "customerCA.crt"])
        .ok()
        .text();
    let anchor = anchor
        .lines()
        .next()
        .expect("customerCA.crt is in the data directory");
    let pem = std::fs::read_to_string(anchor).expect("read customerCA.crt");
    assert_eq!(
        store["TrustAnchorCertificate"].as_str().map(str::trim),
        Some(pem.trim())
    );
}

/// Test suites start afresh by it: nothing is left, of KMS neither, and all can be made again.
#[test]
fn a_reset_forgets_clusters_and_keys() {
    let home = Home::new();
    let up = Up::start(&home, &[], &[]);
    let boto = Boto::new(&up);
    let store = Store::only(&boto);
    let inside = store.key();
    let own = boto.kms("CreateKey", json!({}))["KeyMetadata"]["Arn"].clone();
    let alias = json!({ "AliasName": "alias/mine", "TargetKeyId": own });
    boto.kms("CreateAlias", alias.clone());
    let grant = json!({ "KeyId": own, "GranteePrincipal": "arn:aws:iam::123456789012:role/r",
                        "Operations": ["Encrypt"] });
    boto.kms("CreateGrant", grant);
    let sealed = encrypt(&boto, own.as_str().expect("an id"), b"text");

    let host = up.authority();
    let reset = |body: &str| {
        let request = format!(
            "POST /_keystead/reset HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        tests::http::send(host, request.as_bytes(), 60).expect("an answer")
    };
    // What cannot be read takes nothing away.
    let key = own.as_str().expect("an id");
    for body in ["{", "nothing", "{\"Account\": 7}"] {
        let answer = reset(body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert_eq!(answer.exception(), "SerializationException", "{body}");
        for key in [key, &inside] {
            assert_eq!(decrypt(&boto, &encrypt(&boto, key, b"text")), b"text");
        }
        assert_eq!(decrypt(&boto, &sealed), b"text");
        for (operation, member, count) in [
            ("ListAliases", "Aliases", 1),
            ("DescribeCustomKeyStores", "CustomKeyStores", 1),
        ] {
            let all = boto.kms(operation, json!({}))[member].clone();
            assert_eq!(all.as_array().map(Vec::len), Some(count), "{operation}");
        }
        let grants = boto.kms("ListGrants", json!({ "KeyId": own }))["Grants"].clone();
        assert_eq!(grants.as_array().map(Vec::len), Some(1));
    }

    let answer = reset("");
    assert_eq!(answer.status, 200, "{answer:?}");

    let none = |operation: &str, member: &str| {
        let all = boto.kms(operation, json!({}));
        assert_eq!(all[member], json!([]), "{operation}");
    };
    none("ListKeys", "Keys");
    none("ListAliases", "Aliases");
    none("DescribeCustomKeyStores", "CustomKeyStores");
    assert_eq!(
        boto.hsm("DescribeClusters", json!({}))["Clusters"],
        json!([])
    );
    for key in [json!(inside), own] {
        boto.kms_refuses("NotFoundException", "DescribeKey", json!({ "KeyId": key }));
    }
    boto.kms_refuses(
        "AccessDeniedException",
        "Decrypt",
        json!({ "CiphertextBlob": sealed }),
    );
    let again = boto.kms("CreateKey", json!({}))["KeyMetadata"]["Arn"].clone();
    boto.kms(
        "CreateAlias",
        json!({ "AliasName": "alias/mine", "TargetKeyId": again }),
    );
    let id = again.as_str().expect("an id");
    assert_eq!(decrypt(&boto, &encrypt(&boto, id, b"text")), b"text");
    let cluster = Cluster::pair(&home, &boto);
    assert_eq!(cluster.addresses().len(), 2);
    up.stop();
}
