//! NIST's vectors, from PyPI's `cryptography-vectors`, which `./check setup` puts into the venv.

mod aes;
mod derive;
mod des_chacha;
mod digest;
mod ecdsa;
mod eddsa;
mod field;
mod hmac;
mod key_wrap;
mod otp;
mod parse;
mod pq;
mod rsa;
mod shared;

use super::tally::Tally;
use parse::{Case, cases};
use std::path::PathBuf;
use std::sync::OnceLock;
use tests::run::Run;
use tests::tools;

/// The package's directory, asked of the venv's Python.
pub fn directory() -> &'static PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let python = "import cryptography_vectors, os; print(os.path.dirname(cryptography_vectors.__file__))";
        let found = Run::new(tools::python()).arg("-c").arg(python).done();
        assert!(
            found.code == Some(0),
            "cryptography-vectors is missing: run `./check setup`\n{}",
            found.report()
        );
        PathBuf::from(found.text().trim())
    })
}

/// A file of the package.
fn read(file: &str) -> String {
    super::tally::read(file);
    let path = directory().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every third case on the always-run path, which sees each combination of lengths that the files have; or all.
fn chosen(nth: usize, all: bool, tally: &mut Tally) -> bool {
    let chosen = all || nth.is_multiple_of(3);
    if !chosen {
        tally.skip("two of three cases: ./check full", 1);
    }
    chosen
}

/// Calls with each case of a file of the package.
fn each_case(file: &str, each: impl FnMut(&Case<'_>)) {
    cases(&read(file), each);
}
