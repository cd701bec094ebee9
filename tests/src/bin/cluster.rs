//! A cluster of two HSMs with a crypto user, for programs that are none of this crate's tests (tests/conformance.py).
//!
//! `cluster` makes it without FIPS mode, says where the module's configuration is, and ends it when its standard input ends.

use std::io::Read;
use tests::boto::Boto;
use tests::story::token_on_cluster;
use tests::up::{Home, Up};

fn main() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    token_on_cluster(&home, &boto, "check");
    println!("{}", home.path("pkcs11.toml").display());
    let mut rest = Vec::new();
    std::io::stdin()
        .read_to_end(&mut rest)
        .expect("read standard input");
}
