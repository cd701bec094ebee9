//! Whoever comes from SoftHSM2 finds its mechanisms here: both lists as pkcs11-tool prints them.

use std::collections::BTreeSet;
use tests::p11::Token;
use tests::up::Home;

/// What SoftHSM2 2.6.1 has and Keystead has not: finite-field Diffie-Hellman and DSA. Whoever adds one
/// takes it out here: the lists must be equal.
const ABSENT: [&str; 11] = [
    "DH-PKCS-DERIVE",
    "DH-PKCS-KEY-PAIR-GEN",
    "DH-PKCS-PARAMETER-GEN",
    "DSA",
    "DSA-KEY-PAIR-GEN",
    "DSA-PARAMETER-GEN",
    "DSA-SHA1",
    "DSA-SHA224",
    "DSA-SHA256",
    "DSA-SHA384",
    "DSA-SHA512",
];

fn listed(token: &Token) -> BTreeSet<String> {
    let text = token.tool("--list-mechanisms").ok().text();
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(',').next())
        .map(str::to_owned);
    names.collect()
}

#[test]
fn softhsms_are_all_here_but_for_these() {
    let home = Home::new();
    let theirs = Token::softhsm(&home, "t", "1234");
    theirs.init("12345678");
    let theirs = listed(&theirs);
    assert!(theirs.len() >= 60, "{theirs:?}");
    let config = home.write(
        "pkcs11.toml",
        "legacy = true\n[[token]]\ndirectory = \"tokens\"\n",
    );
    let ours = Token::configured(&home, &config, "t", "1234");
    ours.init("12345678");
    let ours = listed(&ours);
    let absent: Vec<&str> = theirs.difference(&ours).map(String::as_str).collect();
    assert_eq!(absent, ABSENT, "of {} in theirs", theirs.len());
}
