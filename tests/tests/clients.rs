//! Programs that people point a PKCS#11 module at, each doing its job with keys of our token: what they make is judged by
//! somebody else, and every exit status and every line on standard error is looked at, so a crash at exit shows.

/// A test of a client, twice: with the token embedded, and on a cluster.
macro_rules! both {
    ($body:ident, $label:literal: $embedded:ident, $cluster:ident) => {
        #[test]
        fn $embedded() {
            let home = tests::up::Home::new();
            let token = tests::p11::Token::under_test(&home, $label, "1234");
            token.init("12345678");
            $body(&home, &token);
        }

        #[test]
        fn $cluster() {
            let home = tests::up::Home::new();
            let up = tests::up::Up::bare(&home);
            let boto = tests::boto::Boto::new(&up);
            $body(&home, &tests::story::token_on_cluster(&home, &boto, $label));
        }
    };
}

mod dnssec;
mod document;
mod java;
mod nginx;
mod nss;
mod openssl;
mod ssh;

use tests::p11::Token;
use tests::run::Done;

/// An RSA key pair 01 and an EC key pair 02.
fn make_keys(token: &Token) {
    for (kind, id, label) in [("rsa:2048", "01", "rsa"), ("EC:prime256v1", "02", "ec")] {
        token
            .user(&format!(
                "--keypairgen --key-type {kind} --id {id} --label {label}"
            ))
            .ok();
    }
}

/// The key's address for the openssl engine, its PIN in it.
fn uri(token: &Token, id: &str) -> String {
    format!(
        "pkcs11:token={};id=%{id};type=private;pin-value={}",
        token.label,
        pin_value(token)
    )
}

/// The PIN as a URI has it: a cluster's has a colon.
fn pin_value(token: &Token) -> String {
    token.pin.replace(':', "%3A")
}

/// It said this on standard error and not a word more.
#[track_caller]
fn only_says(done: Done, stderr: &str) -> Done {
    assert_eq!(done.stderr.trim(), stderr, "\n{}", done.report());
    done
}
