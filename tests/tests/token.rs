//! The module alone: pkcs11-tool (opensc 0.23) on a token without any configuration, judged by openssl.
//!
//! `KEYSTEAD_TEST_PEER=softhsm cargo test -p tests token::` runs the same commands on SoftHSM2 and shows whether the
//! commands themselves are right. What pkcs11-tool 0.23 cannot do (AES-GCM came with 0.25) the probe does.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use tests::openssl::{accepts, openssl};
use tests::p11::{Token, peer};
use tests::tools;
use tests::up::Home;

const SO_PIN: &str = "12345678";
const IV: &str = "000102030405060708090a0b0c0d0e0f";

/// A token `t` with a user, in a directory that has a message and its SHA-256.
fn token(home: &Home) -> Token {
    let token = Token::under_test(home, "t", "1234");
    token.init(SO_PIN);
    let message: Vec<u8> = (0..1000u32).map(|i| (i * 7 % 251) as u8).collect();
    home.write("message", message);
    openssl(&home.path(""), "dgst -sha256 -binary -out digest message").ok();
    token
}

/// Make a key pair, read the public half, and say its file.
fn pair(token: &Token, kind: &str, id: &str) -> String {
    let made = token
        .user(&format!(
            "--keypairgen --key-type {kind} --id {id} --label key{id}"
        ))
        .ok();
    let made = made.says("Private Key Object").says("Public Key Object");
    made.says("sensitive, always sensitive, never extractable, local");
    let file = format!("public-{id}.der");
    token
        .tool(&format!("--read-object --type pubkey --id {id} -o {file}"))
        .ok();
    file
}

#[test]
fn a_token_starts_uninitialised_and_gets_its_label() {
    let home = Home::new();
    let token = Token::under_test(&home, "t", "1234");
    token.bare_tool("--list-slots").ok().says("uninitialized");
    token.init(SO_PIN);
    let listed = token
        .bare_tool("--list-slots")
        .ok()
        .says("token label        : t");
    listed.says("token initialized, PIN initialized");
    token.user("--list-objects").ok();
}

#[test]
fn a_wrong_pin_is_refused_and_the_right_one_still_works() {
    let home = Home::new();
    let token = token(&home);
    token
        .with_pin("9999")
        .user("--list-objects")
        .fails()
        .says("CKR_PIN_INCORRECT");
    token.user("--list-objects").ok();
    token.user("--change-pin --new-pin 567890").ok();
    token
        .user("--list-objects")
        .fails()
        .says("CKR_PIN_INCORRECT");
    token.with_pin("567890").user("--list-objects").ok();
}

#[test]
fn rsa_signatures_are_what_openssl_accepts() {
    let home = Home::new();
    let (token, dir) = (token(&home), home.path(""));
    let key = pair(&token, "rsa:2048", "01");

    token
        .user("--sign --mechanism SHA256-RSA-PKCS --id 01 -i message -o pkcs1")
        .ok();
    accepts(&dir, &key, "message", "pkcs1", "");
    let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sigopt rsa_mgf1_md:sha256";
    token
        .user("--sign --mechanism SHA256-RSA-PKCS-PSS --id 01 -i message -o pss")
        .ok();
    accepts(&dir, &key, "message", "pss", pss);
    // The bare PSS mechanism signs a digest that the caller made.
    let raw =
        "--mechanism RSA-PKCS-PSS --hash-algorithm SHA256 --mgf MGF1-SHA256 --salt-len 32 --id 01";
    token
        .user(&format!("--sign {raw} -i digest -o raw-pss"))
        .ok();
    accepts(&dir, &key, "message", "raw-pss", pss);

    let verify = |mechanism: &str, file: &str, signature: &str| {
        token.verifies(&format!(
            "{mechanism} -i {file} --signature-file {signature}"
        ))
    };
    assert!(verify(
        "--mechanism SHA256-RSA-PKCS --id 01",
        "message",
        "pkcs1"
    ));
    assert!(verify(
        "--mechanism SHA256-RSA-PKCS-PSS --id 01",
        "message",
        "pss"
    ));
    assert!(verify(raw, "digest", "raw-pss"));
    assert!(
        !verify("--mechanism SHA256-RSA-PKCS --id 01", "digest", "pkcs1"),
        "another message"
    );
    assert!(
        !verify("--mechanism SHA256-RSA-PKCS --id 01", "message", "pss"),
        "another scheme"
    );

    // And the other way round: what openssl signs, the module verifies, under a key that it was given.
    openssl(&dir, "genrsa -out theirs.pem 2048").ok();
    openssl(
        &dir,
        "rsa -in theirs.pem -pubout -outform DER -out theirs.der",
    )
    .ok();
    openssl(
        &dir,
        "dgst -sha256 -sign theirs.pem -out their-signature message",
    )
    .ok();
    token
        .user("--write-object theirs.der --type pubkey --id 09 --label theirs")
        .ok();
    assert!(verify(
        "--mechanism SHA256-RSA-PKCS --id 09",
        "message",
        "their-signature"
    ));
}

#[test]
fn ecdsa_signatures_are_what_openssl_accepts() {
    let home = Home::new();
    let (token, dir) = (token(&home), home.path(""));
    let key = pair(&token, "EC:prime256v1", "02");
    token
        .user("--sign --mechanism ECDSA --signature-format openssl --id 02 -i digest -o der")
        .ok();
    accepts(&dir, &key, "message", "der", "");
    // PKCS#11's own form is r and s side by side.
    token
        .user("--sign --mechanism ECDSA --id 02 -i digest -o rs")
        .ok();
    assert_eq!(home.read("rs").len(), 64);
    assert!(token.verifies("--mechanism ECDSA --id 02 -i digest --signature-file rs"));
    let mut forged = home.read("rs");
    forged[40] ^= 1;
    home.write("forged", forged);
    assert!(!token.verifies("--mechanism ECDSA --id 02 -i digest --signature-file forged"));
}

#[test]
fn aes_cbc_pad_is_what_openssl_makes() {
    let home = Home::new();
    let (token, dir) = (token(&home), home.path(""));
    token
        .user("--keygen --key-type aes:32 --id 03 --label made")
        .ok()
        .says("Secret Key Object; AES length 32");
    let cipher = format!("--mechanism AES-CBC-PAD --iv {IV}");
    token
        .user(&format!("--encrypt {cipher} --id 03 -i message -o sealed"))
        .ok();
    assert_eq!(
        home.read("sealed").len(),
        1008,
        "1000 bytes are padded to the next block"
    );
    token
        .user(&format!("--decrypt {cipher} --id 03 -i sealed -o opened"))
        .ok();
    assert_eq!(home.read("opened"), home.read("message"));

    // An imported key is known on both sides.
    let key: Vec<u8> = (100..132).collect();
    home.write("key.bin", &key);
    let import = "--write-object key.bin --type secrkey --key-type AES:32 --id 04 --label given --usage-decrypt";
    token.user(import).ok().says("Created secret key");
    token
        .user(&format!("--encrypt {cipher} --id 04 -i message -o ours"))
        .ok();
    let theirs = format!(
        "enc -aes-256-cbc -K {} -iv {IV} -in message -out theirs",
        hex::encode(&key)
    );
    openssl(&dir, &theirs).ok();
    assert_eq!(home.read("ours"), home.read("theirs"));
    token
        .user(&format!("--decrypt {cipher} --id 04 -i theirs -o opened2"))
        .ok();
    assert_eq!(home.read("opened2"), home.read("message"));
}

#[test]
fn aes_gcm_gives_the_published_vector_and_refuses_forgeries() {
    let home = Home::new();
    let token = token(&home);
    let answer = token.probe("gcm-vector").ok().json();
    // SoftHSM2 calls a bad tag a general error.
    let code = if peer() {
        "GeneralError"
    } else {
        "EncryptedDataInvalid"
    };
    assert_eq!(answer["forged"], code, "{answer}");
    assert_eq!(answer["other_aad"], code, "{answer}");
    token
        .user("--keygen --key-type aes:32 --id 05 --label g")
        .ok();
    token.probe("gcm-roundtrip g").ok();
    let keys = token.secret_keys();
    assert_eq!(keys.len(), 1, "the vector's session key is gone: {keys:?}");
    let key = &keys[0];
    assert_eq!(
        (key["label"].as_str(), key["bytes"].as_u64()),
        (Some("g"), Some(32)),
        "{key}"
    );
    assert_eq!(key["token"], true, "{key}");
}

#[test]
fn digest_random_and_mechanisms() {
    let home = Home::new();
    let token = token(&home);
    token
        .user("--hash --mechanism SHA256 -i message -o hashed")
        .ok();
    assert_eq!(home.read("hashed"), home.read("digest"));
    let random = |file: &str| {
        token.user(&format!("--generate-random 64 -o {file}")).ok();
        home.read(file)
    };
    let (a, b) = (random("random-a"), random("random-b"));
    assert_eq!((a.len(), b.len()), (64, 64));
    assert_ne!(a, b);
    let list = token.tool("--list-mechanisms").ok().text();
    // Name and what it must be able to do; the sizes are the module's own.
    let wanted = [
        ("SHA256-RSA-PKCS", "sign, verify"),
        ("SHA256-RSA-PKCS-PSS", "sign, verify"),
        ("RSA-PKCS-PSS", "sign, verify"),
        ("RSA-PKCS-KEY-PAIR-GEN", "generate_key_pair"),
        ("ECDSA-KEY-PAIR-GEN", "generate_key_pair"),
        ("ECDSA", "sign, verify"),
        ("AES-KEY-GEN", "generate"),
        ("AES-GCM", "encrypt, decrypt"),
        ("AES-CBC-PAD", "encrypt, decrypt"),
        ("SHA256", "digest"),
    ];
    for (name, can) in wanted {
        let line = list
            .lines()
            .find(|l| l.trim_start().split(',').next() == Some(name));
        assert!(
            line.is_some_and(|l| l.contains(can)),
            "{name}: {can}: {line:?} of\n{list}"
        );
    }
}

#[test]
fn objects_are_written_read_listed_and_deleted() {
    let home = Home::new();
    let (token, dir) = (token(&home), home.path(""));
    home.write("note", "some data\n");
    token
        .user("--write-object note --type data --label note --application-label app")
        .ok();
    token
        .user("--read-object --type data --label note -o note-back")
        .ok();
    assert_eq!(home.read("note-back"), home.read("note"));

    openssl(
        &dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=someone -outform DER -out c.der",
    )
    .ok();
    openssl(&dir, "rsa -in k.pem -outform DER -out k.der").ok();
    openssl(&dir, "rsa -in k.pem -pubout -outform DER -out p.der").ok();
    token
        .user("--write-object k.der --type privkey --id 05 --label imported --usage-sign")
        .ok();
    token
        .user("--write-object c.der --type cert --id 05 --label imported")
        .ok();
    token
        .user("--sign --mechanism SHA256-RSA-PKCS --id 05 -i message -o signed")
        .ok();
    accepts(&dir, "p.der", "message", "signed", "");
    token
        .user("--read-object --type cert --id 05 -o c-back.der")
        .ok();
    assert_eq!(home.read("c-back.der"), home.read("c.der"));

    let listed = token.user("--list-objects").ok();
    let listed = listed
        .says("Private Key Object; RSA")
        .says("Certificate Object")
        .says("imported");
    listed.says("CN=someone");
    let public = token.tool("--list-objects").ok();
    public
        .silent_about("Private Key Object")
        .silent_about("Secret Key Object");

    token.user("--delete-object --type cert --id 05").ok();
    let left = token
        .user("--list-objects")
        .ok()
        .silent_about("Certificate Object");
    left.says("Private Key Object; RSA");
    token.user("--delete-object --type privkey --id 05").ok();
    token
        .user("--list-objects")
        .ok()
        .silent_about("Private Key Object");
    token
        .user("--sign --mechanism SHA256-RSA-PKCS --id 05 -i message -o none")
        .fails();
}

#[test]
fn a_generated_key_cannot_be_read() {
    let home = Home::new();
    let token = token(&home);
    token
        .user("--keygen --key-type aes:32 --id 06 --label hidden --sensitive")
        .ok();
    let keys = token.secret_keys();
    assert_eq!(
        (keys.len(), keys[0]["value"].as_str()),
        (1, Some("sensitive")),
        "{keys:?}"
    );
    let read = token
        .user("--read-object --type secrkey --id 06 -o stolen")
        .done();
    let stolen = fs::read(home.path("stolen")).unwrap_or_default();
    assert!(
        stolen.is_empty(),
        "{} bytes of a sensitive key\n{}",
        stolen.len(),
        read.report()
    );
}

#[test]
fn pkcs11_tools_own_test_passes() {
    let home = Home::new();
    let token = token(&home);
    pair(&token, "EC:prime256v1", "02");
    if !peer() {
        // SoftHSM2 fails this one: it refuses an OAEP label, and pkcs11-tool tries one.
        pair(&token, "rsa:2048", "01");
    }
    token.user("--test").limit(120).ok().says("No errors");
}

#[test]
fn two_processes_see_each_others_keys_at_once() {
    let home = Home::new();
    let token = token(&home);
    // A process that was there before the key was made, and stays.
    let mut command = Command::new(tools::probe());
    command
        .arg(token.module())
        .args([&token.label, &token.pin, "watch"]);
    let mut watcher = token
        .surround(&mut command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the probe");
    let mut lines = BufReader::new(watcher.stdout.take().expect("stdout is piped")).lines();
    let mut ask = |watcher: &mut std::process::Child| {
        use std::io::Write;
        writeln!(watcher.stdin.as_mut().expect("stdin is piped")).expect("write to the probe");
        lines
            .next()
            .expect("an answer")
            .expect("read from the probe")
    };
    assert_eq!(ask(&mut watcher), "[]");
    token
        .user("--keygen --key-type aes:32 --id 07 --label first")
        .ok();
    assert_eq!(ask(&mut watcher), r#"["first"]"#);
    token
        .user("--keygen --key-type aes:32 --id 08 --label second")
        .ok();
    assert_eq!(ask(&mut watcher), r#"["first","second"]"#);
    token.user("--delete-object --type secrkey --id 07").ok();
    assert_eq!(ask(&mut watcher), r#"["second"]"#);
    drop(watcher.stdin.take());
    assert!(watcher.wait().expect("wait for the probe").success());
}

#[test]
fn many_processes_make_keys_at_the_same_time_and_none_is_lost() {
    if peer() {
        return; // SoftHSM2 2.6.1 loses sight of its token in this race.
    }
    let home = Home::new();
    let token = token(&home);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let token = &token;
            scope.spawn(move || {
                for i in 0..5 {
                    token
                        .user(&format!("--keygen --key-type aes:32 --label w{worker}-{i}"))
                        .ok();
                }
            });
        }
    });
    let mut labels: Vec<String> = token
        .secret_keys()
        .iter()
        .filter_map(|k| Some(k["label"].as_str()?.to_owned()))
        .collect();
    labels.sort();
    let wanted: Vec<String> = (0..4)
        .flat_map(|w| (0..5).map(move |i| format!("w{w}-{i}")))
        .collect();
    assert_eq!(labels, wanted);
}

#[test]
fn the_log_has_a_line_a_call_and_no_secret() {
    if peer() {
        return; // Our own setting.
    }
    let home = Home::new();
    let token = token(&home);
    let log = home.path("module.log");
    let token = token.with_env("KEYSTEAD_PKCS11_LOG", &log);
    token.user("--list-objects").ok();
    token
        .with_pin("secret-pin-9")
        .user("--list-objects")
        .fails();
    let text = fs::read_to_string(&log).expect("the log is written");
    for call in [
        "C_Initialize",
        "C_OpenSession",
        "C_Login",
        "C_FindObjects",
        "CKR_PIN_INCORRECT",
    ] {
        assert!(text.contains(call), "{call} is missing in\n{text}");
    }
    assert!(!text.contains("secret-pin-9"), "a PIN in the log:\n{text}");
}
