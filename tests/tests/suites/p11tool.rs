//! GnuTLS's p11tool: initialise, generate, list, export, write, sign, delete.

use super::{PIN, SO_PIN, embedded};
use tests::openssl::openssl;
use tests::p11::Token;
use tests::run::Run;
use tests::up::Home;

fn p11tool(token: &Token, words: &str) -> Run {
    let tool = token.run("p11tool").arg("--provider").arg(token.module());
    tool.words("--batch --login --set-pin")
        .arg(PIN)
        .words(words)
        .limit(120)
}

#[test]
fn p11tool_initialises_a_token_and_its_pins() {
    let home = Home::new();
    let token = Token::ours(&home, "gnutls", PIN);
    let tool = |words: &str| {
        token
            .run("p11tool")
            .arg("--provider")
            .arg(token.module())
            .arg("--batch")
            .words(words)
    };
    // It lists no token that it can open no session on, so the URL of a new one is made of what the token says of itself.
    let url = "pkcs11:manufacturer=Keystead";
    tool("--initialize --label gnutls --set-so-pin")
        .args([SO_PIN, url])
        .ok();
    tool("--initialize-pin --set-so-pin")
        .args([SO_PIN, "--set-pin", PIN, "pkcs11:token=gnutls"])
        .ok();
    tool("--list-tokens").ok().says("gnutls").says("Keystead");
    tool("--list-mechanisms pkcs11:token=gnutls")
        .ok()
        .says("CKM_ECDSA");
    token.user("--list-objects").ok();
}

#[test]
fn p11tool_makes_lists_exports_and_signs() {
    let home = Home::new();
    let (token, dir) = (embedded(&home), home.path(""));
    for (label, id, kind) in [
        ("rsa", "01", "--generate-privkey=rsa --bits=2048"),
        ("p256", "02", "--generate-privkey=ecdsa --curve=secp256r1"),
        ("p384", "03", "--generate-privkey=ecdsa --curve=secp384r1"),
        ("p521", "04", "--generate-privkey=ecdsa --curve=secp521r1"),
    ] {
        p11tool(
            &token,
            &format!("{kind} --label {label} --id {id} --outfile {label}.pem pkcs11:token=suite"),
        )
        .ok();
        let url = format!("pkcs11:token=suite;object={label};type=private");
        p11tool(&token, &format!("--test-sign {url}"))
            .ok()
            .says("ok");
        // What it exported is a key that openssl reads, and the same as the one exported now.
        openssl(
            &dir,
            &format!("pkey -pubin -in {label}.pem -outform DER -out {label}.der"),
        )
        .ok();
        p11tool(
            &token,
            &format!("--export-pubkey --outfile {label}-again.pem {url}"),
        )
        .ok();
        openssl(
            &dir,
            &format!("pkey -pubin -in {label}-again.pem -outform DER -out {label}-again.der"),
        )
        .ok();
        assert_eq!(
            home.read(&format!("{label}.der")),
            home.read(&format!("{label}-again.der"))
        );
    }
    // p11tool 3.7 asks for an Ed25519 pair by CKM_EDDSA, which makes none: it gets one from elsewhere.
    token
        .user("--keypairgen --key-type EC:edwards25519 --id 05 --label ed")
        .ok();
    p11tool(
        &token,
        "--test-sign --hash=SHA512 pkcs11:token=suite;object=ed;type=private",
    )
    .ok()
    .says("ok");
    p11tool(&token, "--test-sign --sign-params=RSA-PSS --hash=SHA256 pkcs11:token=suite;object=rsa;type=private")
        .ok()
        .says("ok");
    let listed = p11tool(&token, "--list-all-privkeys pkcs11:token=suite").ok();
    let listed = listed.says("CKA_NEVER_EXTRACTABLE").says("CKA_SENSITIVE");
    assert_eq!(
        listed.text().matches("type=private").count(),
        5,
        "{}",
        listed.report()
    );

    openssl(
        &dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=someone -out c.pem",
    )
    .ok();
    p11tool(
        &token,
        "--write --load-privkey k.pem --label given --id 06 pkcs11:token=suite",
    )
    .ok();
    p11tool(
        &token,
        "--write --load-certificate c.pem --label given --id 06 pkcs11:token=suite",
    )
    .ok();
    p11tool(
        &token,
        "--write --secret-key 000102030405060708090a0b0c0d0e0f --label raw pkcs11:token=suite",
    )
    .ok();
    p11tool(&token, "--list-certs pkcs11:token=suite")
        .ok()
        .says("given");
    p11tool(
        &token,
        "--test-sign pkcs11:token=suite;object=given;type=private",
    )
    .ok()
    .says("ok");
    p11tool(
        &token,
        "--export --outfile back.pem pkcs11:token=suite;object=given;type=cert",
    )
    .ok();
    openssl(&dir, "x509 -in c.pem -outform DER -out c.der").ok();
    openssl(&dir, "x509 -in back.pem -outform DER -out back.der").ok();
    assert_eq!(home.read("c.der"), home.read("back.der"));
    p11tool(
        &token,
        "--set-label renamed pkcs11:token=suite;object=given;type=cert",
    )
    .ok();
    p11tool(&token, "--list-all pkcs11:token=suite")
        .ok()
        .says("object=renamed")
        .says("object=raw");
    p11tool(&token, "--delete pkcs11:token=suite;object=renamed").ok();
    p11tool(&token, "--list-all-certs pkcs11:token=suite")
        .done()
        .silent_about("renamed");
    let random = p11tool(&token, "--generate-random=32 pkcs11:token=suite").ok();
    assert!(random.stdout.len() >= 32, "{}", random.report());
}
