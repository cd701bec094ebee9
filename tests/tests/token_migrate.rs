//! `keystead token migrate`: from SoftHSM2's directory, and from any module.

use crate::token_tool::{PIN, SO_PIN, tool};
use tests::openssl::{accepts, openssl};
use tests::p11::Token;
use tests::tools;
use tests::up::Home;

#[test]
fn a_softhsm_token_comes_over_with_its_pins_and_its_hidden_keys() {
    let home = Home::new();
    let dir = home.path("");
    home.write("message", [0x42; 500]);
    let theirs = Token::softhsm(&home, "old", PIN);
    theirs.init(SO_PIN);
    theirs
        .user("--keypairgen --key-type rsa:2048 --id 01 --label rsa")
        .ok()
        .says("never extractable");
    theirs
        .user("--keypairgen --key-type EC:secp384r1 --id 02 --label ec")
        .ok();
    theirs
        .user("--keygen --key-type aes:32 --id 03 --label aes --sensitive --private")
        .ok();
    theirs
        .user("--read-object --type pubkey --id 01 -o rsa.der")
        .ok();
    // pkcs11-tool 0.23 cannot read SoftHSM2's P-384 keys.
    tool(
        &home,
        "export --token old --class public --id 02 --format der --out ec.der",
    )
    .arg("--module")
    .arg(tools::softhsm())
    .env("SOFTHSM2_CONF", home.path("softhsm2.conf"))
    .ok();
    let cipher = "--mechanism AES-CBC-PAD --iv 000102030405060708090a0b0c0d0e0f --id 03";
    theirs
        .user(&format!("--encrypt {cipher} -i message -o sealed"))
        .ok();

    let migrate = "migrate --from softhsm-tokens";
    // A wrong PIN makes nothing.
    tool(&home, migrate)
        .env("KEYSTEAD_PIN", "99999")
        .fails()
        .says("does not open");
    tool(&home, migrate)
        .env("KEYSTEAD_SO_PIN", "99999999")
        .fails()
        .says("not the security officer's PIN");
    tool(&home, "list").ok().silent_about("old");
    let done = tool(&home, &format!("{migrate} --output json")).ok();
    let answer = done.silent_about(PIN).silent_about(SO_PIN).json();
    assert_eq!(
        (&answer["created"], &answer["left"]),
        (&true.into(), &serde_json::json!([])),
        "{answer}"
    );
    assert_eq!(
        answer["carried"].as_array().map(Vec::len),
        Some(5),
        "{answer}"
    );

    // A PIN of its own for the new token is the one that is named.
    let own = format!("--directory other {migrate} --from-pin {PIN}");
    tool(&home, &own)
        .env("KEYSTEAD_PIN", "246802")
        .ok()
        .says("its user's PIN is the one of --pin or KEYSTEAD_PIN")
        .silent_about("246802");
    tool(&home, "--directory other list --token old")
        .env("KEYSTEAD_PIN", "246802")
        .ok();

    // The same keys: what SoftHSM2 sealed opens here, and what is signed here verifies under what SoftHSM2 showed.
    let ours = Token::ours(&home, "old", PIN);
    ours.user(&format!("--decrypt {cipher} -i sealed -o opened"))
        .ok();
    assert_eq!(home.read("opened"), home.read("message"));
    ours.user("--sign --mechanism SHA256-RSA-PKCS --id 01 -i message -o signature")
        .ok();
    accepts(&dir, "rsa.der", "message", "signature", "");
    openssl(&dir, "dgst -sha256 -binary -out digest message").ok();
    ours.user(
        "--sign --mechanism ECDSA --signature-format openssl --id 02 -i digest -o signature2",
    )
    .ok();
    accepts(&dir, "ec.der", "message", "signature2", "");
    // Both PINs, and the secrecy.
    ours.tool("--login --login-type so --so-pin")
        .args([SO_PIN, "--init-pin", "--new-pin", PIN])
        .ok();
    for object in answer["carried"].as_array().expect("a list") {
        if object["class"] == "private key" || object["label"] == "aes" {
            assert_eq!(object["extractable"], false, "{object}");
            assert_eq!(object["sensitive"], true, "{object}");
        }
    }
    // Repeated, it changes nothing; and the source still works.
    let again = tool(&home, &format!("{migrate} --output json")).ok().json();
    assert_eq!(again["there"].as_array().map(Vec::len), Some(5), "{again}");
    theirs.user("--list-objects").ok().says("label:      rsa");
    tool(&home, "check --token old").ok().says("sound");
}

#[test]
fn certificates_data_and_keys_that_look_alike_come_over_too() {
    let home = Home::new();
    let dir = home.path("");
    let theirs = Token::softhsm(&home, "old", PIN);
    theirs.init(SO_PIN);
    openssl(
        &dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.der -outform DER -subj /CN=old",
    )
    .ok();
    home.write("content", "some data");
    theirs
        .user("--write-object c.der --type cert --id 01 --label cert")
        .ok();
    theirs
        .user("--write-object content --type data --private --label notes --application-label app")
        .ok();
    theirs
        .user("--keypairgen --key-type EC:edwards25519 --id 02 --label ed")
        .ok();
    let limited = "--keypairgen --key-type EC:prime256v1 --id 03 --label limited";
    theirs
        .user(&format!("{limited} --allowed-mechanisms ECDSA"))
        .ok();
    for _ in 0..2 {
        theirs.user("--keygen --key-type aes:16 --label same").ok();
    }
    let migrate = "migrate --from softhsm2.conf --output json";
    let answer = tool(&home, migrate).ok().json();
    let count = |answer: &serde_json::Value, list: &str| answer[list].as_array().map(Vec::len);
    assert_eq!(count(&answer, "carried"), Some(8), "{answer}");
    let ours = Token::ours(&home, "old", PIN);
    ours.user("--read-object --type cert --id 01 -o back.der")
        .ok();
    assert_eq!(home.read("back.der"), home.read("c.der"));
    ours.user("--read-object --type data --label notes -o back")
        .ok();
    assert_eq!(home.read("back"), home.read("content"));
    // A key that may do one thing still may do nothing else.
    let sign = "--sign --id 03 -i content -o signature --mechanism";
    ours.user(&format!("{sign} ECDSA")).ok();
    ours.user(&format!("{sign} ECDSA-SHA256"))
        .fails()
        .says("CKR_MECHANISM_INVALID");
    ours.user("--keypairgen --key-type EC:prime256v1 --id 04 --label free")
        .ok();
    ours.user("--sign --id 04 -i content -o signature --mechanism ECDSA-SHA256")
        .ok();
    let again = tool(&home, migrate).ok().json();
    assert_eq!(count(&again, "there"), Some(8), "{again}");
    // One more of those that look alike is one more.
    theirs.user("--keygen --key-type aes:16 --label same").ok();
    let again = tool(&home, migrate).ok().json();
    assert_eq!(count(&again, "carried"), Some(1), "{again}");
}

#[test]
fn another_module_gives_what_it_lets_out_and_the_rest_is_named() {
    let home = Home::new();
    let theirs = Token::softhsm(&home, "source", PIN);
    theirs.init(SO_PIN);
    theirs
        .user(
            "--keygen --key-type aes:32 --id 01 --label leaves --sensitive --private --extractable",
        )
        .ok();
    theirs
        .user("--keygen --key-type aes:16 --id 02 --label stays --sensitive --private")
        .ok();
    theirs
        .user("--keypairgen --key-type rsa:2048 --id 03 --label pair")
        .ok();
    home.write("message", [7; 64]);
    let cipher = "--mechanism AES-CBC-PAD --iv 000102030405060708090a0b0c0d0e0f --id 01";
    theirs
        .user(&format!("--encrypt {cipher} -i message -o sealed"))
        .ok();

    let module = tools::softhsm();
    let done = tool(
        &home,
        &format!("migrate --from-module {} --output json", module.display()),
    )
    .env("SOFTHSM2_CONF", home.path("softhsm2.conf"))
    .fails();
    assert_eq!(done.code, Some(1), "something stayed behind");
    let answer = done.json();
    let names = |list: &str| -> Vec<String> {
        let all = answer[list].as_array().expect("a list");
        all.iter()
            .filter_map(|o| o["name"].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!(
        names("carried").len(),
        2,
        "the sensitive key by wrapping, and the public one: {answer}"
    );
    assert!(
        names("left").iter().any(|n| n.contains("stays"))
            && names("left").iter().any(|n| n.contains("private key")),
        "{answer}"
    );
    let ours = Token::ours(&home, "source", PIN);
    ours.user(&format!("--decrypt {cipher} -i sealed -o opened"))
        .ok();
    assert_eq!(home.read("opened"), home.read("message"));

    // And into another module, which the tool serves as well.
    openssl(&home.path(""), "genrsa -out rsa.pem 2048").ok();
    let run = |words: &str| {
        tool(&home, words)
            .arg("--module")
            .arg(&module)
            .env("SOFTHSM2_CONF", home.path("softhsm2.conf"))
    };
    run("import --token source --id 09 --label ours rsa.pem").ok();
    run("check --token source").ok().says("sound");
    theirs
        .user("--sign --mechanism SHA256-RSA-PKCS --id 09 -i message -o signature")
        .ok();
    openssl(
        &home.path(""),
        "rsa -in rsa.pem -pubout -outform DER -out rsa.der",
    )
    .ok();
    accepts(&home.path(""), "rsa.der", "message", "signature", "");
}

#[test]
fn what_stays_behind_without_a_label_is_named_by_its_place() {
    let home = Home::new();
    let theirs = Token::softhsm(&home, "source", PIN);
    theirs.init(SO_PIN);
    theirs.user("--keypairgen --key-type EC:prime192v1").ok();
    // A curve that no token here has: the target refuses one half, and both are named.
    let left = |words: &str| {
        let done = tool(&home, &format!("migrate {words} --output json"))
            .env("SOFTHSM2_CONF", home.path("softhsm2.conf"))
            .fails();
        assert_eq!(done.code, Some(1), "{}", done.report());
        let answer = done.json();
        let all = answer["left"].as_array().expect("a list");
        assert_eq!(all.len(), 2, "{answer}");
        all.iter()
            .map(|left| left["name"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    for name in left("--from softhsm-tokens") {
        assert!(
            name.contains(" key without a label (softhsm-tokens/") && name.ends_with(".object)"),
            "{name}"
        );
    }
    for name in left(&format!("--from-module {}", tools::softhsm().display())) {
        assert!(name.contains(" key without a label (handle "), "{name}");
    }
}
