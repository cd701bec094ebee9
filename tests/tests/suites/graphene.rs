//! Node: graphene-pk11 over pkcs11js. What it does is in tests/suites/node/client.js.

use super::{embedded, on_cluster, prepared};
use serde_json::json;
use tests::boto::Boto;
use tests::p11::Token;
use tests::tools::root;
use tests::up::{Home, Up};

#[track_caller]
fn works(token: &Token) {
    let done = token
        .run("node")
        .arg(root().join("tests/suites/node/client.js"))
        .arg(token.module())
        .args([&token.label, &token.pin])
        .env("NODE_PATH", prepared("node").join("node_modules"))
        .limit(120)
        .ok();
    let found = json!(["node-aes", "node-ec", "node-ec", "node-rsa", "node-rsa"]);
    assert_eq!(done.json()["found"], found, "{}", done.report());
}

#[test]
fn node_makes_keys_signs_encrypts_and_finds() {
    let home = Home::new();
    works(&embedded(&home));
}

#[test]
fn node_does_the_same_on_a_cluster() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    works(&on_cluster(&home, &boto));
}
