//! Suites and client libraries that other people wrote, pointed at the module, embedded and on a cluster.
//!
//! `tests/suites/prepare.sh` (a part of `./check setup`) fetches them into .cache/suites. A test of theirs that fails must be in
//! the list of its file here, and docs/conformance-suites.md must say why, against the specification's text; a listed test that
//! passes is a failure too, so the lists cannot grow stale.

mod crypto11;
mod cryptoki;
mod graphene;
mod p11kit;
mod p11tool;
mod pkcs11_tool;
mod python;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tests::boto::Boto;
use tests::p11::Token;
use tests::story::{CU_PIN as PIN, token_on_cluster};
use tests::tools::root;
use tests::up::Home;

const SO_PIN: &str = "admin:adminPswd1";

/// What prepare.sh put under this name.
fn prepared(name: &str) -> PathBuf {
    let dir = root().join(".cache/suites").join(name);
    assert!(
        dir.join(".prepared").is_file(),
        "{} is not prepared: run `./check setup`",
        dir.display()
    );
    dir
}

/// An embedded token whose PINs have the form of a cluster's, so that both are used alike. Legacy mechanisms are on: the suites
/// test them too.
fn embedded(home: &Home) -> Token {
    let text = format!(
        "legacy = true\n[[token]]\ndirectory = {:?}\n",
        home.path("tokens")
    );
    let file = home.write("pkcs11.toml", text);
    let token = Token::configured(home, &file, "suite", PIN);
    token.init(SO_PIN);
    token
}

/// The token that the suites have on a cluster.
fn on_cluster(home: &Home, boto: &Boto) -> Token {
    token_on_cluster(home, boto, "suite")
}

/// The failures are exactly those that are judged, and each judgement is written down in `section` of the document.
#[track_caller]
fn only_judged(failed: &BTreeSet<String>, judged: &[&str], section: &str, report: &str) {
    let judged: BTreeSet<String> = judged.iter().map(|s| (*s).to_owned()).collect();
    let new: Vec<_> = failed.difference(&judged).collect();
    let stale: Vec<_> = judged.difference(failed).collect();
    assert!(
        new.is_empty() && stale.is_empty(),
        "failed and not judged: {new:?}\njudged, but not failed: {stale:?}\n{report}"
    );
    let path: &Path = &root().join("docs/conformance-suites.md");
    let text = std::fs::read_to_string(path).expect("read docs/conformance-suites.md");
    let part = text
        .split("\n## ")
        .find(|p| p.starts_with(section))
        .unwrap_or_else(|| panic!("docs/conformance-suites.md has no section {section:?}"));
    for name in &judged {
        assert!(
            part.contains(&format!("`{name}`")),
            "{name} is not judged in docs/conformance-suites.md, {section:?}"
        );
    }
}
