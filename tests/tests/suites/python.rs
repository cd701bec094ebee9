//! python-pkcs11's own suite.

use super::{SO_PIN, embedded, on_cluster, only_judged, prepared};
use std::collections::BTreeSet;
use tests::boto::Boto;
use tests::p11::Token;
use tests::up::{Home, Up};

const JUDGED: &[&str] = &[
    "test_ecc.py::ECCTests::test_derive_key",
    "test_x509.py::X509Tests::test_verify_certificate_rsa",
];

/// How many of its tests pass, on an embedded token with the setting `legacy` and on a cluster without FIPS mode.
const PASS: usize = 152;

#[track_caller]
fn run(token: &Token, judged: &[&str]) {
    let dir = prepared("python");
    let done = token
        .run(dir.join("bin/python"))
        .words("-m pytest -q -rf --tb=short -p no:cacheprovider tests")
        .dir(&dir.join("suite"))
        .env("PKCS11_MODULE", token.module())
        .env("PKCS11_TOKEN_LABEL", &token.label)
        .env("PKCS11_TOKEN_PIN", &token.pin)
        .env("PKCS11_TOKEN_SO_PIN", SO_PIN)
        .limit(900)
        .done();
    let text = done.text();
    let failed: BTreeSet<String> = text
        .lines()
        .filter_map(|l| {
            l.strip_prefix("FAILED tests/")
                .or_else(|| l.strip_prefix("ERROR tests/"))
        })
        .map(|l| l.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    only_judged(&failed, judged, "python-pkcs11's suite", &done.report());
    let last = text.lines().last().unwrap_or_default();
    println!("python-pkcs11's suite: {last}");
    let passed = last
        .split(", ")
        .find_map(|w| {
            w.strip_suffix(" passed")
                .or_else(|| w.split(" passed").next().filter(|_| w.contains(" passed")))
        })
        .and_then(|n| n.trim().parse::<usize>().ok());
    assert!(
        passed >= Some(PASS),
        "only {passed:?} passed\n{}",
        done.report()
    );
}

#[test]
#[ignore = "long: ./check full"]
fn python_pkcs11s_own_suite_on_an_embedded_token() {
    let home = Home::new();
    run(&embedded(&home), JUDGED);
}

#[test]
#[ignore = "long: ./check full"]
fn python_pkcs11s_own_suite_on_a_cluster() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    run(&on_cluster(&home, &boto), JUDGED);
}
