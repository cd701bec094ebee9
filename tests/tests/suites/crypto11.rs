//! Go: crypto11 as Debian packages it. What it does is in tests/suites/go/client.go.

use super::{embedded, on_cluster};
use std::path::PathBuf;
use tests::boto::Boto;
use tests::p11::Token;
use tests::run::Run;
use tests::tools::{need, root};
use tests::up::{Home, Up};

/// Compile the client. Debian's Go packages are sources below one GOPATH, so no module proxy is asked.
fn client(home: &Home) -> PathBuf {
    let program = home.path("go-client");
    Run::new(need("go"))
        .args(["build", "-o"])
        .arg(&program)
        .arg(root().join("tests/suites/go/client.go"))
        .envs([("GO111MODULE", "off"), ("GOFLAGS", ""), ("GOPROXY", "off")])
        .env("GOPATH", "/usr/share/gocode")
        .env("GOCACHE", root().join(".cache/go-build"))
        .limit(300)
        .ok();
    program
}

#[track_caller]
fn works(home: &Home, token: &Token) {
    token
        .run(client(home))
        .arg(token.module())
        .args([&token.label, &token.pin])
        .limit(120)
        .ok()
        .says("all done");
}

#[test]
fn go_makes_keys_signs_and_serves_tls() {
    let home = Home::new();
    works(&home, &embedded(&home));
}

#[test]
fn go_does_the_same_on_a_cluster() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    works(&home, &on_cluster(&home, &boto));
}
