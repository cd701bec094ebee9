//! Known answers: what OpenSSL made must come out of (or go into) the public functions of whichever backend is built.

mod asymmetric;
#[cfg(feature = "aws-lc")]
mod pq;
mod symmetric;

use std::collections::HashMap;
use std::sync::LazyLock;

static ANSWERS: LazyLock<HashMap<&str, Vec<u8>>> = LazyLock::new(|| {
    include_str!("testdata/openssl.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, hex) = line.split_once(' ').expect("a name, a space, hex");
            (name, hex::decode(hex).expect("hex"))
        })
        .collect()
});

/// The value by its name.
fn answer(name: &str) -> &'static [u8] {
    ANSWERS
        .get(name)
        .unwrap_or_else(|| panic!("no vector is called {name}"))
}
