//! DNSSEC: Knot's keymgr makes many keys in the token, kzonesign signs with them, and Knot's and BIND's own checkers judge.
//!
//! BIND's dnssec-keyfromlabel 9.18.49 of Debian 12 says "no engine" to `-E pkcs11`, with SoftHSM2 2.6.1 too.

use super::pin_value;
use std::path::Path;
use tests::p11::Token;
use tests::up::Home;

/// Zones, and the algorithms that they take turns with.
const ZONES: usize = 20;
const ALGORITHMS: [(&str, &str); 4] = [
    ("ecdsap256sha256", ""),
    ("ecdsap384sha384", ""),
    ("rsasha256", "size=2048"),
    ("ecdsap256sha256", ""),
];

fn name(zone: usize) -> String {
    format!("zone{zone}.example")
}

fn config(dir: &Path, token: &Token) -> String {
    let (at, module) = (dir.display(), token.module().display());
    let pin = pin_value(token);
    let mut text = format!(
        "database:\n    storage: {at}/keys\nkeystore:\n  - id: hsm\n    backend: pkcs11\n\
         \x20   config: \"pkcs11:token=dns;pin-value={pin} {module}\"\n"
    );
    text += "policy:\n";
    for (i, (algorithm, _)) in ALGORITHMS.iter().enumerate() {
        text += &format!(
            "  - id: p{i}\n    keystore: hsm\n    algorithm: {algorithm}\n    manual: on\n"
        );
    }
    text += "zone:\n";
    for zone in 0..ZONES {
        let (zone, policy) = (name(zone), zone % ALGORITHMS.len());
        text += &format!(
            "  - domain: {zone}\n    storage: {at}\n    file: {zone}\n    dnssec-signing: on\n    dnssec-policy: p{policy}\n"
        );
    }
    text
}

both!(sign_zones, "dns": many_zones_are_signed_with_keys_of_the_token, many_zones_are_signed_with_keys_of_a_cluster);

fn sign_zones(home: &Home, token: &Token) {
    let dir = home.path("");
    std::fs::create_dir(home.path("keys")).expect("make a directory");
    home.write("knot.conf", config(&dir, token));
    let mut keys = 0;
    for zone in 0..ZONES {
        let (algorithm, size) = ALGORITHMS[zone % ALGORITHMS.len()];
        let zone = name(zone);
        home.write(
            &zone,
            "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 300\n@ NS ns\nns A 127.0.0.1\nwww A 127.0.0.2\n",
        );
        // A second zone-signing key, as during a rollover.
        for role in ["ksk=yes", "zsk=yes", "zsk=yes"] {
            let words = format!("-c knot.conf {zone} generate algorithm={algorithm} {role} {size}");
            let made = token.run("keymgr").words(&words).ok();
            assert_eq!(made.stderr, "", "{}", made.report());
            assert_eq!(made.text().trim().len(), 40, "{}", made.report());
            keys += 1;
        }
    }
    assert!(keys >= 50);
    let listed = token.user("--list-objects --type privkey").ok();
    assert_eq!(listed.text().matches("Private Key Object").count(), keys);
    for zone in 0..ZONES {
        let zone = name(zone);
        let signed = token
            .run("kzonesign")
            .words(&format!("-c knot.conf -o signed {zone}"))
            .ok();
        assert_eq!(signed.stderr, "", "{}", signed.report());
        token
            .run("kzonecheck")
            .words(&format!("-d on -o {zone} signed/{zone}"))
            .ok();
        token
            .run("dnssec-verify")
            .words(&format!("-o {zone} signed/{zone}"))
            .ok()
            .says("Zone fully signed")
            .says("KSKs: 1 active");
        // A signed zone that was changed is not accepted.
        let text = String::from_utf8(home.read(&format!("signed/{zone}"))).expect("a text");
        let changed = text.replace("127.0.0.2", "127.0.0.3");
        assert_ne!(text, changed);
        home.write("changed", changed);
        token
            .run("dnssec-verify")
            .words(&format!("-o {zone} changed"))
            .fails();
    }
}
