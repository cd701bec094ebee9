//! pkcs11-tool: `--test` in all its forms on a token with every kind of key, and the verbs that `token.rs` leaves.

use super::{PIN, embedded, on_cluster};
use tests::boto::Boto;
use tests::openssl::openssl;
use tests::p11::Token;
use tests::up::{Home, Up};

/// Keys of every kind that pkcs11-tool 0.23 can ask for.
fn filled(token: &Token) {
    for (i, kind) in [
        "rsa:2048",
        "rsa:3072",
        "EC:prime256v1",
        "EC:secp384r1",
        "EC:secp521r1",
        "EC:edwards25519",
    ]
    .iter()
    .enumerate()
    {
        let pair = format!("--keypairgen --key-type {kind} --id 0{i} --label k{i}");
        token.user(&pair).limit(120).ok();
    }
    token
        .user("--keygen --key-type aes:32 --id 11 --label s1")
        .ok();
    token
        .user("--keygen --key-type GENERIC:32 --id 12 --label s2")
        .ok();
}

fn tested(token: &Token) {
    filled(token);
    token.user("--test").limit(300).ok().says("No errors");
    // It makes its own pairs, on its own list of curves, and deletes them.
    token
        .user("--test-ec --id 7f --key-type EC:prime256v1")
        .limit(120)
        .ok()
        .says("==> OK");
    token.user("--test-fork").ok();
    token.tool("--list-interfaces").ok().says("PKCS 11");
    token.tool("--show-info").ok().says("Keystead");
}

#[test]
fn pkcs11_tools_tests_pass_with_every_kind_of_key() {
    let home = Home::new();
    tested(&embedded(&home));
}

#[test]
fn pkcs11_tools_tests_pass_on_a_cluster() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    tested(&on_cluster(&home, &boto));
}

#[test]
fn wrap_unwrap_derive_and_the_rest() {
    let home = Home::new();
    let (token, dir) = (embedded(&home), home.path(""));
    // One key wrapped under another, opened again under a third name: the same key.
    token
        .user("--keygen --key-type aes:32 --id 01 --label wrapping --usage-wrap")
        .ok();
    token
        .user("--keygen --key-type aes:16 --id 02 --label inner --extractable --usage-decrypt")
        .ok();
    token
        .user("--wrap --mechanism AES-KEY-WRAP --id 01 --application-id 02 -o wrapped")
        .ok();
    token
        .user("--unwrap --mechanism AES-KEY-WRAP --id 01 -i wrapped --key-type AES: --application-id 03 --application-label back --usage-decrypt")
        .ok();
    home.write("text", [9; 48]);
    token.user("--encrypt --mechanism AES-CBC --iv 000102030405060708090a0b0c0d0e0f --id 02 -i text -o one").ok();
    token.user("--encrypt --mechanism AES-CBC --iv 000102030405060708090a0b0c0d0e0f --id 03 -i text -o two").ok();
    assert_eq!(home.read("one"), home.read("two"));

    // ECDH with openssl on the other side.
    token
        .user("--keypairgen --key-type EC:prime256v1 --id 04 --label dh --usage-derive")
        .ok();
    token
        .user("--read-object --type pubkey --id 04 -o dh.der")
        .ok();
    openssl(
        &dir,
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out peer.pem",
    )
    .ok();
    openssl(&dir, "pkey -in peer.pem -pubout -outform DER -out peer.der").ok();
    openssl(
        &dir,
        "pkeyutl -derive -inkey peer.pem -peerkey dh.der -peerform DER -out theirs",
    )
    .ok();
    token
        .user("--derive --mechanism ECDH1-DERIVE --id 04 -i peer.der -o ours")
        .ok();
    assert_eq!(home.read("ours"), home.read("theirs"));

    // RSA decryption of what openssl encrypted, both paddings.
    token
        .user("--keypairgen --key-type rsa:2048 --id 05 --label dec --usage-decrypt")
        .ok();
    token
        .user("--read-object --type pubkey --id 05 -o dec.der")
        .ok();
    home.write("short", "a secret");
    openssl(
        &dir,
        "pkeyutl -encrypt -pubin -keyform DER -inkey dec.der -in short -out pkcs1",
    )
    .ok();
    token
        .user("--decrypt --mechanism RSA-PKCS --id 05 -i pkcs1 -o short1")
        .ok();
    openssl(&dir, "pkeyutl -encrypt -pubin -keyform DER -inkey dec.der -in short -out oaep -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256").ok();
    token.user("--decrypt --mechanism RSA-PKCS-OAEP --hash-algorithm SHA256 --mgf MGF1-SHA256 --id 05 -i oaep -o short2").ok();
    assert_eq!(
        (home.read("short1"), home.read("short2")),
        (home.read("short"), home.read("short"))
    );

    // HMAC, an id changed, a key that may not be destroyed, a mechanism list that binds.
    token
        .user("--keygen --key-type GENERIC:32 --id 06 --label mac --usage-sign")
        .ok();
    token
        .user("--sign --mechanism SHA256-HMAC --id 06 -i text -o mac")
        .ok();
    assert_eq!(home.read("mac").len(), 32);
    token.user("--set-id 0a --type secrkey --id 06").ok();
    token
        .user("--sign --mechanism SHA256-HMAC --id 06 -i text -o mac")
        .fails();
    token
        .user("--sign --mechanism SHA256-HMAC --id 0a -i text -o mac")
        .ok();
    token.user("--keypairgen --key-type rsa:2048 --id 07 --label bound --usage-sign --allowed-mechanisms SHA256-RSA-PKCS").ok();
    token
        .user("--sign --mechanism SHA256-RSA-PKCS --id 07 -i text -o bound")
        .ok();
    token
        .user("--sign --mechanism SHA384-RSA-PKCS --id 07 -i text -o bound")
        .fails()
        .says("CKR_MECHANISM_INVALID");

    // A key that asks for the PIN each time.
    token
        .user(
            "--keypairgen --key-type EC:prime256v1 --id 08 --label asks --usage-sign --always-auth",
        )
        .ok();
    token
        .user("--sign --mechanism ECDSA-SHA256 --id 08 -i text -o asked")
        .ok();
    token
        .user("--list-objects --type privkey --id 08")
        .ok()
        .says("always authenticate");

    token.bare_tool("--list-token-slots").ok().says("suite");
    token.user("--change-pin --new-pin another-pin").ok();
    token
        .user("--list-objects")
        .fails()
        .says("CKR_PIN_INCORRECT");
    token
        .with_pin("another-pin")
        .user(&format!("--change-pin --new-pin {PIN}"))
        .ok();
    token.user("--list-objects").ok();
}
