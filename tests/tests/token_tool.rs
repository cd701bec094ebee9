//! `keystead token`: keys that openssl made go in, pkcs11-tool uses them, openssl judges.

use crate::cluster_module::crypto_user;
use std::thread;
use tests::boto::Boto;
use tests::openssl::{accepts, openssl};
use tests::p11::Token;
use tests::run::Run;
use tests::tools;
use tests::up::{Home, Up};

pub const SO_PIN: &str = "87654321";
pub const PIN: &str = "135790";

/// `keystead token WORDS` of the user of this directory, whose PINs are in the environment as in a script.
pub fn tool(home: &Home, words: &str) -> Run {
    let run = home.keystead("token").words(words);
    run.env("KEYSTEAD_PIN", PIN).env("KEYSTEAD_SO_PIN", SO_PIN)
}

/// A directory with a token `t`, a message and its digest.
fn home() -> Home {
    let home = Home::new();
    tool(&home, "init --label t").ok().says("made the token t");
    home.write("message", [0x42; 500]);
    openssl(&home.path(""), "dgst -sha256 -binary -out digest message").ok();
    home
}

/// The same token for pkcs11-tool.
fn token(home: &Home) -> Token {
    Token::ours(home, "t", PIN)
}

/// What the key `id` signs in the token, openssl accepts under the public half of the file `key`.
#[track_caller]
fn signs(home: &Home, key: &str, id: &str, mechanism: &str, options: &str) {
    let dir = home.path("");
    let public = format!("public-{id}.der");
    openssl(
        &dir,
        &format!("pkey -in {key} -pubout -outform DER -out {public}"),
    )
    .ok();
    let input = if mechanism == "ECDSA" {
        "digest"
    } else {
        "message"
    };
    token(home)
        .user(&format!(
            "--sign --mechanism {mechanism} --id {id} -i {input} -o signature-{id} {options}"
        ))
        .ok();
    accepts(&dir, &public, "message", &format!("signature-{id}"), "");
}

#[test]
fn tokens_are_made_listed_and_deleted() {
    let home = Home::new();
    let made = tool(&home, "init --label first --output json").ok().json();
    assert_eq!(
        (&made["created"], &made["slot"]),
        (&true.into(), &0.into()),
        "{made}"
    );
    tool(&home, "init --label second").ok();
    tool(&home, "init --label first")
        .fails()
        .says("there is a token first already");
    let again = tool(&home, "init --label first --if-not-exists --output json")
        .ok()
        .json();
    assert_eq!(
        (&again["created"], &again["serial"]),
        (&false.into(), &made["serial"]),
        "{again}"
    );
    let listed = tool(&home, "list --output json").ok().json();
    let labels: Vec<&str> = listed
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|t| t["label"].as_str())
        .collect();
    assert_eq!(labels, ["first", "second"], "and no empty slot beside them");
    Token::ours(&home, "second", PIN)
        .user("--list-objects")
        .ok();

    // Without a token named, none is chosen among several; without a word, none is deleted.
    let done = tool(&home, "list --label x").fails();
    assert_eq!(done.code, Some(2), "{}", done.report());
    let done = tool(&home, "delete --token first --whole-token").fails();
    assert_eq!(done.code, Some(2), "{}", done.report());
    tool(&home, "delete --token first --whole-token --yes").ok();
    tool(&home, "list")
        .ok()
        .says("second")
        .silent_about("first");
    // The other one keeps working, and a new one does not get the old one's number.
    Token::ours(&home, "second", PIN)
        .user("--list-objects")
        .ok();
    tool(&home, "init --label third").ok();
    tool(&home, "check --token second").ok().says("sound");
}

#[test]
fn many_processes_that_want_the_same_token_get_one() {
    let home = Home::new();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| tool(&home, "init --label shared --if-not-exists").ok());
        }
    });
    let listed = tool(&home, "list --output json").ok().json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["state"], "ready", "{listed}");
}

#[test]
fn every_form_of_a_private_key_signs_once_imported() {
    let (home, dir) = (home(), Home::path);
    let dir = dir(&home, "");
    openssl(&dir, "genrsa -out rsa.pem 2048").ok();
    openssl(&dir, "rsa -in rsa.pem -traditional -out pkcs1.pem").ok();
    openssl(
        &dir,
        "rsa -in rsa.pem -traditional -outform DER -out pkcs1.der",
    )
    .ok();
    openssl(
        &dir,
        "pkcs8 -topk8 -in rsa.pem -nocrypt -outform DER -out pkcs8.der",
    )
    .ok();
    openssl(
        &dir,
        "pkcs8 -topk8 -in rsa.pem -passout pass:open -out sealed.pem",
    )
    .ok();
    openssl(
        &dir,
        "pkcs8 -topk8 -in rsa.pem -v2 des3 -v2prf hmacWithSHA1 -passout pass:open -outform DER -out sealed.der",
    )
    .ok();
    let files = [
        "rsa.pem",
        "pkcs1.pem",
        "pkcs1.der",
        "pkcs8.der",
        "sealed.pem",
        "sealed.der",
    ];
    for (number, file) in files.iter().enumerate() {
        let id = format!("1{number}");
        tool(
            &home,
            &format!("import --token t --label rsa{number} --id {id} --passphrase open {file}"),
        )
        .ok();
        signs(&home, "rsa.pem", &id, "SHA256-RSA-PKCS", "");
    }
    for (number, curve) in ["prime256v1", "secp384r1", "secp521r1", "secp256k1"]
        .iter()
        .enumerate()
    {
        let (sec1, der, id) = (
            format!("{curve}.pem"),
            format!("{curve}.der"),
            format!("2{number}"),
        );
        openssl(&dir, &format!("ecparam -name {curve} -genkey -out {sec1}")).ok();
        openssl(&dir, &format!("ec -in {sec1} -outform DER -out {der}")).ok();
        let file = if number % 2 == 0 { &sec1 } else { &der };
        tool(&home, &format!("import --token t --id {id} {file}")).ok();
        signs(&home, &sec1, &id, "ECDSA", "--signature-format openssl");
    }
    let sound = tool(&home, "check --token t --output json").ok().json();
    assert_eq!(sound["sound"], true, "{sound}");
    // Private halves stay: nothing was asked that would let them out.
    let listed = token(&home).user("--list-objects --type privkey").ok();
    assert_eq!(
        listed.text().matches("sensitive").count(),
        10,
        "{}",
        listed.report()
    );
    assert_eq!(
        listed.text().matches("extract").count(),
        0,
        "{}",
        listed.report()
    );
}

#[test]
fn a_pkcs12_file_brings_key_certificate_and_chain_under_one_id() {
    let home = home();
    let dir = home.path("");
    openssl(
        &dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=Authority",
    )
    .ok();
    openssl(
        &dir,
        "req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=Leaf",
    )
    .ok();
    openssl(
        &dir,
        "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out leaf.pem",
    )
    .ok();
    let export = "pkcs12 -export -inkey leaf.key -in leaf.pem -certfile ca.pem -name leaf -passout pass:open";
    openssl(&dir, &format!("{export} -out modern.p12")).ok();
    openssl(&dir, &format!("{export} -legacy -out old.p12")).ok();

    let refused = tool(&home, "import --token t --passphrase shut modern.p12").fails();
    assert!(
        refused.says("the passphrase is wrong").code == Some(1),
        "a wrong passphrase is no wrong command line"
    );
    let nothing = tool(&home, "list --token t --output json").ok().json();
    assert_eq!(nothing, serde_json::json!([]));
    let objects = tool(
        &home,
        "import --token t --id 0a --passphrase open --output json modern.p12",
    )
    .ok()
    .json();
    let seen: Vec<(&str, &str, bool)> = objects["imported"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|o| {
            (
                o["class"].as_str().unwrap_or_default(),
                o["label"].as_str().unwrap_or_default(),
                o["id"] == "0a",
            )
        })
        .collect();
    assert!(seen.contains(&("private key", "leaf", true)), "{seen:?}");
    assert!(seen.contains(&("public key", "leaf", true)), "{seen:?}");
    assert!(seen.contains(&("certificate", "leaf", true)), "{seen:?}");
    assert!(
        seen.contains(&("certificate", "Authority", false)),
        "{seen:?}"
    );
    signs(&home, "leaf.key", "0a", "SHA256-RSA-PKCS", "");
    tool(&home, "import --token t --id 0b --passphrase open old.p12").ok();
    signs(&home, "leaf.key", "0b", "SHA256-RSA-PKCS", "");
    // Out again as it was.
    tool(
        &home,
        "export --token t --class cert --id 0a --out back.pem",
    )
    .ok();
    let fingerprint = |file: &str| {
        openssl(&dir, &format!("x509 -noout -fingerprint -in {file}"))
            .ok()
            .text()
    };
    assert_eq!(fingerprint("back.pem"), fingerprint("leaf.pem"));
}

#[test]
fn a_raw_key_encrypts_as_openssl_does() {
    let home = home();
    let dir = home.path("");
    let key: Vec<u8> = (7..39).collect();
    home.write("key.bin", &key);
    tool(&home, "import --token t --label raw --id 31 key.bin")
        .ok()
        .says("AES secret key");
    let iv = "000102030405060708090a0b0c0d0e0f";
    token(&home)
        .user(&format!(
            "--encrypt --mechanism AES-CBC-PAD --iv {iv} --id 31 -i message -o ours"
        ))
        .ok();
    openssl(
        &dir,
        &format!(
            "enc -aes-256-cbc -K {} -iv {iv} -in message -out theirs",
            hex::encode(&key)
        ),
    )
    .ok();
    assert_eq!(home.read("ours"), home.read("theirs"));
    // Made as a key that stays.
    tool(&home, "export --token t --id 31 --out out.bin")
        .fails()
        .says("is not extractable");
    home.write("short", [1, 2, 3]);
    let done = tool(&home, "import --token t short").fails();
    assert_eq!(
        done.says("--raw generic").code,
        Some(2),
        "three bytes are no AES key"
    );
    tool(&home, "import --token t --raw generic --label hmac short").ok();
}

#[test]
fn what_may_leave_leaves_and_nothing_else() {
    let home = home();
    let dir = home.path("");
    openssl(&dir, "ecparam -name prime256v1 -genkey -noout -out ec.pem").ok();
    let import = "import --token t ec.pem --label";
    tool(&home, &format!("{import} stays --id 01")).ok();
    tool(&home, &format!("{import} wraps --id 02 --extractable")).ok();
    tool(
        &home,
        &format!("{import} leaves --id 03 --extractable --not-sensitive"),
    )
    .ok();
    let export = "export --token t --class private --label";
    let refused = tool(&home, &format!("{export} stays")).fails();
    assert_eq!(refused.says("is not extractable").code, Some(1));
    tool(&home, &format!("{export} wraps"))
        .fails()
        .says("only wrapped under another key");
    tool(&home, &format!("{export} leaves --out back.pem")).ok();
    tool(
        &home,
        &format!("{export} leaves --encrypt --passphrase open --out sealed.pem"),
    )
    .ok();
    let public = |words: &str| openssl(&dir, &format!("pkey {words} -pubout")).ok().text();
    let original = public("-in ec.pem");
    assert_eq!(public("-in back.pem"), original);
    assert_eq!(public("-in sealed.pem -passin pass:open"), original);
    // Everybody may have the public half, and the file that is there is never written over.
    let run = home
        .keystead("token")
        .words("export --token t --label stays --class public");
    assert_eq!(run.without("KEYSTEAD_PIN").ok().text(), original);
    tool(&home, &format!("{export} leaves --out ec.pem"))
        .fails()
        .says("exists");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(home.path("back.pem"))
            .expect("the exported file")
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "a private key is its owner's alone");

    // What fits several objects is not deleted by chance.
    let done = tool(&home, "delete --token t --id 01 --yes").fails();
    assert_eq!(done.says("several objects fit").code, Some(2));
    tool(&home, "delete --token t --id 01 --class private --yes").ok();
    let left = token(&home).user("--list-objects").ok().text();
    let count = |what: &str| left.matches(what).count();
    assert_eq!(
        (count("Private Key Object"), count("Public Key Object")),
        (2, 3),
        "{left}"
    );
}

#[test]
fn check_finds_what_is_damaged() {
    let home = home();
    home.write("key.bin", [9; 32]);
    tool(&home, "import --token t --label one --id 01 key.bin").ok();
    tool(&home, "import --token t --label two --id 02 key.bin").ok();
    tool(&home, "check").ok().says("2 objects opened");
    let store = home.path("xdg/keystead/tokens/token-0000");
    std::fs::write(store.join("device.key.0123"), "left").expect("write a file");
    let done = tool(&home, "check --output json").fails();
    assert_eq!(done.code, Some(1), "{}", done.report());
    let found = done.json();
    assert!(
        found["findings"][0]["what"]
            .as_str()
            .is_some_and(|w| w.contains("device.key.0123")),
        "{found}"
    );
    std::fs::remove_file(store.join("device.key.0123")).expect("remove a file");
    // One record, changed behind the module's back.
    let script = "import sqlite3, sys\n\
                  db = sqlite3.connect(sys.argv[1])\n\
                  n = db.execute('UPDATE objects SET sealed = zeroblob(length(sealed)) WHERE id = (SELECT min(id) FROM objects)').rowcount\n\
                  db.commit(); assert n == 1";
    Run::new(tools::need("python3"))
        .args(["-c", script])
        .arg(store.join("token.db"))
        .ok();
    tool(&home, "check")
        .fails()
        .says("1 of 2 stored objects do not open");
    tool(&home, "check --stores-only").ok().says("sound");
}

#[test]
fn mistakes_are_named_and_secrets_are_not() {
    let home = home();
    let done = tool(&home, "list --token t")
        .env("KEYSTEAD_PIN", "246802")
        .fails();
    assert_eq!(done.code, Some(1), "{}", done.report());
    done.says("CKR_PIN_INCORRECT").silent_about("246802");
    let run = home.keystead("token").words("check --token t");
    let done = run.without("KEYSTEAD_PIN").fails();
    assert_eq!(done.code, Some(2), "{}", done.report());
    done.says("--pin").says("KEYSTEAD_PIN");
    tool(&home, "init --help")
        .ok()
        .silent_about(PIN)
        .silent_about(SO_PIN);
    let code = |words: &str, says: &str| tool(&home, words).fails().says(says).code;
    assert_eq!(code("list --token nobody", "there are: t"), Some(1));
    assert_eq!(code("import --token t gone.pem", "gone.pem"), Some(2));
    assert_eq!(code("--config gone.toml list", "gone.toml"), Some(2));
    assert_eq!(code("--module /etc/passwd list", "/etc/passwd"), Some(2));
    assert_eq!(
        code("import --token t --id xyz message", "hexadecimal"),
        Some(2)
    );
    assert_eq!(code("migrate --from . ", "no SoftHSM2 token"), Some(2));
    home.write("bad.toml", "[[token]]\ndirectory = 7\n");
    let done = tool(&home, "--config bad.toml init --label x").fails();
    assert_eq!(done.says("bad.toml").code, Some(2));
}

#[test]
fn a_directory_and_a_configuration_choose_the_tokens() {
    let home = home();
    tool(&home, "--directory elsewhere init --label e").ok();
    tool(&home, "--directory elsewhere list")
        .ok()
        .says("e ")
        .silent_about("  t ");
    home.write(
        "both.toml",
        "[[token]]\ndirectory = \"elsewhere\"\n[[token]]\ndirectory = \"xdg/keystead/tokens\"\n",
    );
    let both = tool(&home, "--config both.toml list --output json")
        .ok()
        .json();
    assert_eq!(
        (&both[0]["label"], &both[1]["label"]),
        (&"e".into(), &"t".into()),
        "{both}"
    );
    // A new one goes to the first directory.
    tool(&home, "--config both.toml init --label f").ok();
    tool(&home, "--directory elsewhere list").ok().says("f ");
}

#[test]
fn p11_kit_finds_the_module_by_its_file() {
    let home = home();
    let text = std::fs::read_to_string(tools::root().join("dist/keystead.module"));
    let library = home.path("libkeystead_pkcs11.so");
    std::fs::copy(tools::module(), &library).expect("copy the module");
    let text = text.expect("the module file").replace(
        "module: libkeystead_pkcs11.so",
        &format!("module: {}", library.display()),
    );
    std::fs::create_dir_all(home.path("xdg/pkcs11/modules")).expect("make a directory");
    home.write("xdg/pkcs11/modules/keystead.module", text);
    let p11tool = tools::need("p11tool");
    let root = Run::new(tools::need("id")).words("-u").ok().text().trim() == "0";
    let run = if root {
        // p11-kit does not read root's own configuration: somebody else asks.
        Run::new(tools::need("chown"))
            .words("-R 65534:65534")
            .arg(home.path(""))
            .ok();
        Run::new(tools::need("setpriv"))
            .words("--reuid 65534 --regid 65534 --clear-groups")
            .arg(p11tool)
    } else {
        Run::new(p11tool)
    };
    let run = run.words("--list-tokens").envs(home.env());
    run.dir(&home.path(""))
        .ok()
        .says("token=t")
        .says("manufacturer=Keystead");
}

#[test]
fn a_cluster_is_a_token_like_any_other() {
    let home = Home::new();
    let dir = home.path("");
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let (_cluster, token) = crypto_user(&home, &boto);
    // CloudHSM's own library takes no public object with CKA_PRIVATE false, which is what a public key is here.
    let config = std::fs::read_to_string(home.path("pkcs11.toml")).expect("it was just written");
    home.write(
        "pkcs11.toml",
        format!("{config}personality = \"standard\"\n"),
    );
    let cluster = |words: &str| {
        let run = tool(&home, words).env("KEYSTEAD_PIN", "cu1:password1");
        run.words("--config pkcs11.toml")
    };
    home.write("message", [3; 99]);
    openssl(&dir, "genrsa -out rsa.pem 2048").ok();
    openssl(&dir, "rsa -in rsa.pem -pubout -outform DER -out rsa.der").ok();
    cluster("import --token cavium --id 01 --label rsa rsa.pem").ok();
    token
        .user("--sign --mechanism SHA256-RSA-PKCS --id 01 -i message -o signature")
        .ok();
    accepts(&dir, "rsa.der", "message", "signature", "");
    cluster("check --token cavium").ok().says("sound");

    // A SoftHSM2 token's keys move into the cluster.
    let theirs = Token::softhsm(&home, "old", PIN);
    theirs.init(SO_PIN);
    theirs
        .user("--keypairgen --key-type rsa:2048 --id 02 --label moved")
        .ok();
    theirs
        .user("--read-object --type pubkey --id 02 -o moved.der")
        .ok();
    cluster("migrate --from softhsm-tokens --token cavium")
        .env("KEYSTEAD_FROM_PIN", PIN)
        .ok()
        .says("2 carried");
    token
        .user("--sign --mechanism SHA256-RSA-PKCS --id 02 -i message -o signature2")
        .ok();
    accepts(&dir, "moved.der", "message", "signature2", "");
    cluster("delete --token cavium --id 02 --all --yes").ok();
    cluster("list --token cavium").ok().silent_about("moved");

    // The cluster itself is the service's to make and to delete.
    let done = cluster("init --label other").fails();
    assert_eq!(done.says("--directory").code, Some(2));
    cluster("delete --token cavium --whole-token --yes")
        .fails()
        .says("a cluster's tokens are not deleted here");
}
