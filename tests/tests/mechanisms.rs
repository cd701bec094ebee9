//! Whoever comes from SoftHSM2 finds its mechanisms here: both lists as pkcs11-tool prints them.

use std::collections::BTreeSet;
use tests::p11::Token;
use tests::up::Home;

fn listed(token: &Token) -> BTreeSet<String> {
    let text = token.tool("--list-mechanisms").ok().text();
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(',').next())
        .map(str::to_owned);
    names.collect()
}

#[test]
fn softhsms_are_all_here() {
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
    let absent: Vec<&String> = theirs.difference(&ours).collect();
    assert!(absent.is_empty(), "{absent:?} of {}", theirs.len());
}
