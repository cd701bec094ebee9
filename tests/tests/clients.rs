//! Programs that people point a PKCS#11 module at, each doing its job with keys of our token: what they make is judged by
//! somebody else, and every exit status and every line on standard error is looked at, so a crash at exit shows.

mod dnssec;
mod java;
mod nginx;
mod nss;
mod openssl;
mod ssh;

use tests::p11::Token;
use tests::run::Done;
use tests::up::Home;

/// A token `web` that holds an RSA key pair 01 and an EC key pair 02.
fn token_with_keys(home: &Home) -> Token {
    let token = Token::under_test(home, "web", "1234");
    token.init("12345678");
    make_keys(&token);
    token
}

fn make_keys(token: &Token) {
    // On a cluster an object that is not private is refused.
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
    let pin = token.pin.replace(':', "%3A");
    format!(
        "pkcs11:token={};id=%{id};type=private;pin-value={pin}",
        token.label
    )
}

/// It said this on standard error and not a word more.
#[track_caller]
fn only_says(done: Done, stderr: &str) -> Done {
    assert_eq!(done.stderr.trim(), stderr, "\n{}", done.report());
    done
}
