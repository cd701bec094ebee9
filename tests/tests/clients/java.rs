//! Java's SunPKCS11: keytool and jarsigner, and a program that uses KeyStore, Signature, Cipher, Mac, KeyAgreement,
//! SecureRandom and TLS with keys of the token, from several threads.

use std::path::Path;
use tests::p11::Token;
use tests::run::Run;
use tests::tools::root;
use tests::up::Home;

/// A tool of the JDK on the token as a key store.
fn jdk(token: &Token, program: &str, words: &str) -> Run {
    let run = token.run(program).words(words).limit(120);
    run.words(
        "-keystore NONE -storetype PKCS11 -providerClass sun.security.pkcs11.SunPKCS11 -providerArg p11.cfg",
    )
    .args(["-storepass", &token.pin])
}

fn configure(home: &Home, token: &Token) {
    let module: &Path = token.module();
    // Keystead's tokens are slots from 0. Keys that Java brings are not extractable, and pairs that it makes derive
    // nothing, unless one asks for it; the program wraps one of the former, agrees on secrets with the latter, and reads those.
    let text = format!(
        "name = Keystead\nlibrary = {}\nslotListIndex = 0\n\
         attributes(import, CKO_SECRET_KEY, *) = {{\n  CKA_EXTRACTABLE = true\n}}\n\
         attributes(generate, CKO_PRIVATE_KEY, CKK_EC) = {{\n  CKA_DERIVE = true\n}}\n\
         attributes(generate, CKO_SECRET_KEY, CKK_GENERIC_SECRET) = {{\n  CKA_SENSITIVE = false\n  CKA_EXTRACTABLE = true\n}}\n",
        module.display()
    );
    home.write("p11.cfg", text);
}

both!(every_service, "java": a_program_uses_every_service_of_the_provider, a_program_uses_every_service_on_a_cluster);

fn every_service(home: &Home, token: &Token) {
    configure(home, token);
    jdk(
        token,
        "keytool",
        "-genkeypair -alias tls -keyalg RSA -keysize 2048 -dname CN=localhost",
    )
    .ok();
    token
        .run("keytool")
        .words("-genkeypair -alias soft -keyalg RSA -keysize 2048 -dname CN=soft -keystore soft.p12 -storepass 123456")
        .ok();
    let done = token
        .run("java")
        .arg(root().join("tests/java/Clients.java"))
        .args(["p11.cfg", &token.pin, "soft.p12"])
        .limit(180)
        .ok();
    let parts =
        "KeyStore Signature Cipher Mac KeyAgreement SecureRandom threads TLSv1.2 TLSv1.3 all";
    let said: Vec<String> = done.text().lines().map(str::to_owned).collect();
    assert_eq!(said.join(" "), parts, "{}", done.report());
    assert_eq!(done.stderr, "", "{}", done.report());
}

both!(signs_jars, "java": keytool_makes_keys_and_jarsigner_signs, jarsigner_signs_with_keys_of_a_cluster);

fn signs_jars(home: &Home, token: &Token) {
    configure(home, token);
    home.write("hello.txt", "hello");
    for (alias, kind, algorithm) in [
        ("rsa", "RSA -keysize 2048", "SHA256withRSA"),
        ("ec", "EC -groupname secp256r1", "SHA256withECDSA"),
    ] {
        jdk(
            token,
            "keytool",
            &format!("-genkeypair -alias {alias} -dname CN={alias} -keyalg {kind}"),
        )
        .ok();
        jdk(token, "keytool", "-list")
            .ok()
            .says(&format!("{alias}, PrivateKeyEntry"));
        jdk(
            token,
            "keytool",
            &format!("-certreq -alias {alias} -file {alias}.csr"),
        )
        .ok();
        token
            .run("openssl")
            .words(&format!("req -in {alias}.csr -noout -verify"))
            .ok()
            .says("verify OK");
        token.run("jar").words("cf hello.jar hello.txt").ok();
        let sign = format!("-sigalg {algorithm} hello.jar {alias}");
        jdk(token, "jarsigner", "")
            .words(&sign)
            .ok()
            .says("jar signed");
        token
            .run("jarsigner")
            .words("-verify hello.jar")
            .limit(120)
            .ok()
            .says("jar verified");
        jdk(token, "keytool", &format!("-delete -alias {alias}")).ok();
        jdk(token, "keytool", "-list")
            .ok()
            .silent_about(&format!("{alias}, PrivateKeyEntry"));
    }
}
