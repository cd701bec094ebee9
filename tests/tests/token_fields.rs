//! `keystead token` and keys of finite fields: what openssl made goes in and comes out the same, and SoftHSM2's come over.

use crate::token_tool::{PIN, SO_PIN, tool};
use tests::openssl::openssl;
use tests::p11::Token;
use tests::tools;
use tests::up::Home;

/// A directory with `dsa.pem`, OpenSSL's old form of it, `dh.pem`, and the public halves.
fn keys() -> Home {
    let home = Home::new();
    let dir = home.path("");
    for words in [
        "dsaparam -out dsaparam.pem 2048",
        "genpkey -paramfile dsaparam.pem -out dsa.pem",
        "pkey -in dsa.pem -traditional -out dsa-old.pem",
        "pkey -in dsa.pem -pubout -out dsa-public.pem",
        "genpkey -algorithm DH -pkeyopt group:ffdhe2048 -out dh.pem",
        "pkey -in dh.pem -pubout -out dh-public.pem",
    ] {
        openssl(&dir, words).ok();
    }
    home
}

fn read(home: &Home, file: &str) -> String {
    let text = std::fs::read_to_string(home.path(file));
    text.unwrap_or_else(|e| panic!("{file}: {e}"))
}

#[test]
fn keys_go_in_and_come_out_as_openssl_has_them() {
    let home = keys();
    tool(&home, "init --label t").ok();
    for (file, same) in [("dsa.pem", "dsa"), ("dsa-old.pem", "dsa"), ("dh.pem", "dh")] {
        assert!(!file.contains("old") || read(&home, file).contains("BEGIN DSA PRIVATE KEY"));
        let import = format!("import --label {file} --not-sensitive --extractable {file}");
        tool(&home, &import).ok().says("private key");
        for (class, wanted) in [("private", ""), ("public", "-public")] {
            let export = format!("export --label {file} --class {class} --format pem");
            let came = tool(&home, &export).ok().text();
            let wanted = read(&home, &format!("{same}{wanted}.pem"));
            assert_eq!(came.trim(), wanted.trim(), "{file}, {class}");
        }
    }
    // A public value that is not the private one's.
    let old = pem_body(&read(&home, "dsa-old.pem"));
    let mut wrong = old.clone();
    let at = wrong.len() - 40;
    wrong[at] ^= 1;
    home.write("wrong.der", &wrong);
    home.write("right.der", &old);
    tool(&home, "import --label right right.der").ok();
    tool(&home, "import --label wrong wrong.der").fails();
}

/// What stands between the lines of a PEM.
fn pem_body(text: &str) -> Vec<u8> {
    use base64::Engine;
    let lines = text.lines().filter(|line| !line.starts_with('-'));
    let engine = base64::engine::general_purpose::STANDARD;
    engine.decode(lines.collect::<String>()).expect("base64")
}

#[test]
fn a_softhsm_token_with_dsa_comes_over() {
    let home = keys();
    let theirs = Token::softhsm(&home, "old", PIN);
    theirs.init(SO_PIN);
    let words = format!("--import dsa.pem --token old --label dsa --id 0a --pin {PIN}");
    theirs
        .run("softhsm2-util")
        .words(&words)
        .dir(&home.path(""))
        .ok();
    tool(&home, "migrate --from softhsm-tokens")
        .ok()
        .says("carried DSA private key")
        .says("carried DSA public key")
        .says("0 left behind")
        .silent_about("not carried");
    let public = tool(
        &home,
        "export --token old --label dsa --class public --format pem",
    );
    let public = public.ok().text();
    assert_eq!(public.trim(), read(&home, "dsa-public.pem").trim());
}

/// Made in SoftHSM2 by C_CreateObject: one that shows its value, and one that hides it.
#[test]
fn a_softhsm_token_with_diffie_hellman_comes_over() {
    let home = keys();
    let theirs = Token::softhsm(&home, "old", PIN);
    theirs.init(SO_PIN);
    for (label, how) in [("shown", "--not-sensitive --extractable"), ("hidden", "")] {
        tool(
            &home,
            &format!("import --token old --label {label} {how} dh.pem"),
        )
        .arg("--module")
        .arg(tools::softhsm())
        .env("SOFTHSM2_CONF", home.path("softhsm2.conf"))
        .ok();
    }
    let answer = tool(&home, "migrate --from softhsm-tokens --output json");
    let answer = answer.ok().json();
    let carried = answer["carried"].as_array().expect("a list");
    assert_eq!(carried.len(), 4, "{answer}");
    assert_eq!(answer["left"], serde_json::json!([]), "{answer}");
    let is = |label: &str, class: &str, member: &str| {
        let of = |o: &&serde_json::Value| o["label"] == label && o["class"] == class;
        carried.iter().find(of).map(|o| o[member].clone())
    };
    assert_eq!(is("hidden", "private key", "sensitive"), Some(true.into()));
    assert_eq!(is("shown", "private key", "sensitive"), Some(false.into()));
    for (label, class, same) in [
        ("shown", "private", "dh.pem"),
        ("shown", "public", "dh-public.pem"),
        ("hidden", "public", "dh-public.pem"),
    ] {
        let export = format!("export --token old --label {label} --class {class} --format pem");
        let came = tool(&home, &export).ok().text();
        assert_eq!(came.trim(), read(&home, same).trim(), "{label} {class}");
    }
    tool(
        &home,
        "export --token old --label hidden --class private --format pem",
    )
    .fails();
    tool(&home, "check --token old").ok().says("sound");
}
