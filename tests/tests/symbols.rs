//! The module lives in foreign processes: it may show them PKCS#11's functions and nothing else.

use tests::run::Run;
use tests::tools;

#[test]
fn only_the_c_functions_are_exported() {
    let done = Run::new(tools::need("nm"))
        .words("-D --defined-only")
        .arg(tools::module())
        .ok();
    let text = done.text();
    // "address type name[@@VERSION]"; a line without an address is the definition of a version.
    let names: Vec<&str> = text
        .lines()
        .filter_map(|l| l.split_whitespace().nth(2))
        .collect();
    let foreign: Vec<&&str> = names.iter().filter(|n| !n.starts_with("C_")).collect();
    assert!(foreign.is_empty(), "exported besides C_*: {foreign:?}");
    for name in [
        "C_GetFunctionList",
        "C_GetInterface",
        "C_GetInterfaceList",
        "C_Initialize",
        "C_Sign",
    ] {
        assert!(
            names.contains(&name),
            "{name} is not exported\n{}",
            done.report()
        );
    }
}

#[test]
fn nothing_of_a_crypto_library_is_wanted_from_the_host() {
    let text = Run::new(tools::need("nm"))
        .words("-D --undefined-only")
        .arg(tools::module())
        .ok()
        .text();
    let names = text.lines().filter_map(|l| l.split_whitespace().last());
    let crypto: Vec<&str> = names
        .filter(|n| {
            [
                "OPENSSL_", "EVP_", "RSA_", "EC_", "AES_", "CRYPTO_", "sqlite3",
            ]
            .iter()
            .any(|p| n.starts_with(p))
        })
        .collect();
    assert!(crypto.is_empty(), "would bind to the host's: {crypto:?}");
}
