//! `keystead token` on keys of every kind that a token can have: what one command makes, no other calls damaged or nameless.

use crate::token_tool::tool;
use serde_json::Value;
use tests::openssl::openssl;
use tests::p11::Token;
use tests::up::Home;

const PIN: &str = crate::token_tool::PIN;

/// A token `t` of a user who still has triple DES.
fn home() -> Home {
    let home = Home::new();
    std::fs::create_dir_all(home.path("xdg/keystead")).expect("make a directory");
    home.write("xdg/keystead/pkcs11.toml", "legacy = true\n");
    tool(&home, "init --label t").ok();
    home
}

/// What openssl 3.0 makes: a name, and how.
const OPENSSL: [(&str, &str); 9] = [
    ("rsa", "genpkey -algorithm RSA"),
    (
        "ec",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384",
    ),
    (
        "brainpool",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1",
    ),
    ("ed25519", "genpkey -algorithm ED25519"),
    ("ed448", "genpkey -algorithm ED448"),
    ("x25519", "genpkey -algorithm X25519"),
    ("x448", "genpkey -algorithm X448"),
    ("dsa", "genpkey -paramfile dsa.params"),
    ("dh", "genpkey -algorithm DH -pkeyopt group:ffdhe2048"),
];

/// What it does not know.
const LATER: [&str; 3] = ["mldsa", "mlkem", "slhdsa"];

fn rows(answer: &Value) -> &[Value] {
    answer.as_array().expect("a list")
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or("-")
}

#[test]
fn a_key_of_every_kind_is_sound_named_and_has_its_public_half_written() {
    let home = home();
    let dir = home.path("");
    openssl(
        &dir,
        "genpkey -genparam -algorithm DSA -pkeyopt dsa_paramgen_bits:2048 -out dsa.params",
    )
    .ok();
    for (name, how) in OPENSSL {
        openssl(&dir, &format!("{how} -out {name}.pem")).ok();
        let leaves = "--extractable --not-sensitive";
        tool(&home, &format!("import --token t {leaves} {name}.pem")).ok();
    }
    Token::ours(&home, "t", PIN).probe("kinds").ok();

    tool(&home, "check --token t").ok().says("\nsound");

    let list = tool(&home, "list --token t --output json").ok().json();
    assert_eq!(
        rows(&list).len(),
        2 * (OPENSSL.len() + LATER.len()) + 7,
        "{list}"
    );
    let mut kinds: Vec<_> = rows(&list)
        .iter()
        .map(|row| {
            let curve = row.get("curve").map_or("", |_| text(row, "curve"));
            format!("{} {} {curve}", text(row, "label"), text(row, "type"))
        })
        .collect();
    kinds.sort();
    kinds.dedup();
    let expected = [
        "aes AES ",
        "brainpool EC BrainpoolP256r1",
        "chacha CHACHA20 ",
        "des3 DES3 ",
        "dh DH ",
        "dsa DSA ",
        "ec EC P384",
        "ed25519 EC_EDWARDS Ed25519",
        "ed448 EC_EDWARDS Ed448",
        "generic GENERIC_SECRET ",
        "hmac SHA384_HMAC ",
        "hotp HOTP ",
        "mldsa ML_DSA ",
        "mlkem ML_KEM ",
        "rsa RSA ",
        "slhdsa SLH_DSA ",
        "x25519 EC_MONTGOMERY X25519",
        "x448 EC_MONTGOMERY X448",
        "xts AES_XTS ",
    ];
    assert_eq!(kinds, expected);
    tool(&home, "list --token t")
        .ok()
        .says("one-time password key")
        .silent_about("another class");

    for (name, _) in OPENSSL {
        let export = format!("export --token t --label {name} --class");
        let public = tool(&home, &format!("{export} public")).ok().text();
        let theirs = openssl(&dir, &format!("pkey -in {name}.pem -pubout"))
            .ok()
            .text();
        let read = |words: &str| openssl(&dir, &format!("pkey {words}"));
        assert_eq!(
            read("-pubin").stdin(&public).ok().text(),
            theirs,
            "{name}: the public half"
        );
        let private = tool(&home, &format!("{export} private")).ok().text();
        assert_eq!(
            read("-pubout").stdin(&private).ok().text(),
            theirs,
            "{name}: the private half"
        );
    }
    // Where openssl 3.0 cannot judge: what was written goes in again, and is the same key.
    for name in LATER {
        for class in ["public", "private"] {
            let export = |label: &str, class: &str, file: &str| {
                let words = format!("export --token t --label {label} --class {class}");
                tool(&home, &format!("{words} --format der --out {file}")).ok();
                home.read(file)
            };
            let file = format!("{name}.{class}");
            let written = export(name, class, &file);
            let again = format!("{name}-{class}");
            let import = format!("import --token t --extractable --not-sensitive --label {again}");
            tool(&home, &format!("{import} {file}")).ok();
            assert_eq!(export(&again, class, &format!("{again}.der")), written);
            let public = export(&again, "public", &format!("{again}.public"));
            assert_eq!(public, home.read(&format!("{name}.public")), "{again}");
        }
    }
    tool(&home, "check --token t").ok().says("\nsound");
    // A kind without a file says so, and what has none is no damage.
    tool(&home, "export --token t --label hotp --out hotp.bin")
        .fails()
        .says("has no form outside of a token");
}

#[test]
fn a_bare_certificate_is_imported_and_json_answers_everything() {
    let home = home();
    let dir = home.path("");
    openssl(
        &dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.der -outform DER -subj /CN=Bare",
    )
    .ok();
    tool(&home, "import --token t --label bare --id 07 cert.der").ok();
    let export = "export --token t --label bare --format der --out back.der";
    tool(&home, export).ok();
    assert_eq!(home.read("back.der"), home.read("cert.der"));

    let refused = |words: &str, says: &str, code: i32| {
        let done = tool(&home, &format!("{words} --output json")).fails();
        assert_eq!(done.code, Some(code), "{}", done.report());
        let answer = done.json();
        let why = answer["error"].as_str().expect("a sentence");
        assert!(why.contains(says), "{why}");
        done.says(&format!("keystead: {why}"));
    };
    refused("delete --token t --label gone --yes", "no such object", 1);
    refused("delete --token t --label bare", "say --yes", 2);
    refused("import --token t gone.pem", "gone.pem", 2);
    refused("list --token nobody", "there are: t", 1);

    let words = "delete --token t --label bare --yes --output json";
    let deleted = tool(&home, words).ok().json();
    let [row] = rows(&deleted["deleted"]) else {
        panic!("one object: {deleted}")
    };
    assert_eq!(
        ["class", "label", "id"].map(|name| text(row, name)),
        ["certificate", "bare", "07"]
    );
}

#[test]
fn check_finds_halves_that_are_no_pair() {
    let home = home();
    let dir = home.path("");
    for curve in ["ed25519", "ed448"] {
        for half in ["private", "public"] {
            let words = format!("genpkey -algorithm {curve} -out {half}.pem");
            openssl(&dir, &words).ok();
        }
        openssl(&dir, "pkey -in public.pem -pubout -out other.pem").ok();
        tool(&home, "import --token t --id 01 private.pem").ok();
        tool(&home, "check --token t").ok();
        tool(&home, "delete --token t --id 01 --class public --yes").ok();
        tool(&home, "import --token t --id 01 other.pem").ok();
        tool(&home, "check --token t")
            .fails()
            .says("they are no pair");
        tool(&home, "delete --token t --id 01 --all --yes").ok();
    }
}
