//! `keystead demo`: the whole story, ended by itself, with nothing left behind.

use std::fs;
use tests::procs;
use tests::up::Home;

#[test]
fn the_demo_tells_its_story_and_leaves_nothing() {
    let home = Home::new();
    let before: Vec<_> = fs::read_dir(home.path(""))
        .expect("list")
        .flatten()
        .map(|e| e.path())
        .collect();
    let done = home.keystead("demo").limit(180).ok();
    let text = done.text();

    // The steps, in the order of the issue; each by words that its line cannot do without, whatever its wording.
    let steps: [(&str, &[&str]); 22] = [
        (
            "a cluster over two subnets",
            &["create-cluster", "CreateCluster"],
        ),
        ("the first HSM", &["create-hsm", "CreateHsm"]),
        ("the CSR", &["csr"]),
        (
            "sign and initialize",
            &["initialize-cluster", "InitializeCluster"],
        ),
        ("activate", &["changePswd", "activat"]),
        ("the second HSM", &["create-hsm", "CreateHsm"]),
        ("kmsuser", &["createUser CU kmsuser"]),
        (
            "a key store",
            &["create-custom-key-store", "CreateCustomKeyStore"],
        ),
        ("the same key store again", &["same"]),
        (
            "connect",
            &["connect-custom-key-store", "ConnectCustomKeyStore"],
        ),
        ("the old password is of no use", &["password"]),
        ("keys", &["create-key", "CreateKey"]),
        ("encrypt", &["Encrypt", "encrypt"]),
        ("decrypt", &["Decrypt", "decrypt"]),
        ("re-encrypt", &["ReEncrypt", "re-encrypt"]),
        ("a data key", &["GenerateDataKey", "generate-data-key"]),
        (
            "a wrong context is refused",
            &["InvalidCiphertextException"],
        ),
        ("the keys in the HSMs", &["SENSITIVE", "sensitive"]),
        ("an HSM is killed", &["kill", "signal 9"]),
        (
            "disconnected, the key is unavailable",
            &["KMSInvalidStateException"],
        ),
        (
            "reconnect",
            &["connect-custom-key-store", "ConnectCustomKeyStore"],
        ),
        ("delete is refused", &["CustomKeyStoreHasCMKsException"]),
    ];
    let mut rest = text.as_str();
    for (step, words) in steps {
        let at = words
            .iter()
            .filter_map(|w| Some(rest.find(w)? + w.len()))
            .min();
        let at = at.unwrap_or_else(|| {
            panic!("no line about {step} ({words:?}) in what follows\n{rest}\n---\n{text}")
        });
        // The next step is on a later line.
        rest = rest[at..].split_once('\n').map_or("", |(_, later)| later);
    }
    assert!(
        text.contains("arn:aws:kms:"),
        "the list of keys shows ARNs as labels:\n{text}"
    );
    let timed = text
        .lines()
        .filter(|l| l.contains(" ms") || l.contains(" s"))
        .count();
    assert!(
        timed >= steps.len() - 4,
        "each step is a line with its time:\n{text}"
    );
    assert!(
        !text.contains('\r') && !text.contains('\x1b'),
        "progress is for terminals only:\n{text:?}"
    );

    let left = procs::mentioning(&home.path(""));
    assert!(left.is_empty(), "processes left: {left:?}");
    let after: Vec<_> = fs::read_dir(home.path(""))
        .expect("list")
        .flatten()
        .map(|e| e.path())
        .collect();
    assert_eq!(
        after.len(),
        before.len(),
        "new in the home directory: {after:?}"
    );
    for name in ["tmp", "data", "xdg"] {
        let files: Vec<_> = fs::read_dir(home.path(name))
            .expect("list")
            .flatten()
            .map(|e| e.path())
            .collect();
        assert!(files.is_empty(), "left in {name}: {files:?}");
    }
}

#[test]
fn an_interrupted_demo_leaves_nothing_either() {
    use std::process::{Command, Stdio};
    use std::time::Duration;
    let home = Home::new();
    let mut child = Command::new(tests::tools::keystead())
        .arg("demo")
        .envs(home.env())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start the demo");
    // Somewhere in the middle: HSMs are running by then.
    tests::poll::until(60, "the demo has started an HSM", || {
        let nodes = procs::nodes(&home.path(""));
        if nodes.is_empty() {
            Err("none".into())
        } else {
            Ok(())
        }
    });
    std::thread::sleep(Duration::from_millis(300));
    procs::signal("INT", child.id());
    tests::poll::until(20, "the demo ends", || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        other => Err(format!("{other:?}")),
    });
    tests::poll::until(10, "its processes are gone", || {
        let left = procs::mentioning(&home.path(""));
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    });
    let files: Vec<_> = fs::read_dir(home.path("tmp"))
        .expect("list")
        .flatten()
        .map(|e| e.path())
        .collect();
    assert!(files.is_empty(), "left: {files:?}");
}
