//! The limit: AWS-LC called directly in this process, every key parsed and expanded before the windows begin. Where our
//! two backends both can, the faster one counts. Our own AES-GCM is no limit but what is measured: there AWS-LC's counts.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hsm_crypto::pq::{KemSet, MlDsaSet};
use hsm_crypto::{AesKey, Curve, EcKey, EdKey, EdMode, GcmKey, Hash, HmacKey, Oaep, RsaKey};
use ml_dsa::{ExpandedSigningKey, MlDsa65};

use rusqlite::{Connection, params};

use crate::rows::Kind;
use crate::window::Work;

/// The same work as a row's, without a module around it; nothing where a row has no such limit.
pub fn work(kind: Kind, threads: usize) -> Option<Vec<Work>> {
    Some(match kind {
        Kind::Gcm(size) => {
            let key = Arc::new(GcmKey::on_backend(&[7; 32]).ok()?);
            each(threads, || {
                let (key, data, mut out) = (key.clone(), vec![1; size], vec![0; size + 16]);
                Box::new(move || used(key.seal(&[3; 12], b"", &data, &mut out, 16).expect("seals")))
            })
        }
        Kind::CbcDecrypt(size) => {
            let key = Arc::new(AesKey::new(&[7; 32]).ok()?);
            each(threads, || {
                let (key, data, mut out) = (key.clone(), vec![1; size], vec![0; size]);
                Box::new(move || {
                    key.cbc_decrypt(&mut [0; 16], &data, &mut out)
                        .expect("whole blocks")
                })
            })
        }
        Kind::Ctr(size) => {
            let key = Arc::new(AesKey::new(&[7; 32]).ok()?);
            each(threads, || {
                let (key, data, mut out) = (key.clone(), vec![1; size], vec![0; size]);
                Box::new(move || {
                    key.ctr(&mut [0; 16], 128, &data, &mut out).expect("room");
                    used(&out);
                })
            })
        }
        Kind::RsaSign(bits) => {
            let key = Arc::new(RsaKey::generate(bits, &[1, 0, 1]).ok()?);
            each(threads, || {
                let (key, mut out) = (key.clone(), [0; 512]);
                Box::new(move || {
                    let digest = Hash::Sha256.digest(&[5; 64]);
                    black_box(
                        key.sign_pkcs1(Hash::Sha256, &digest, &mut out)
                            .expect("signs"),
                    );
                })
            })
        }
        Kind::Oaep(bits) => {
            let key = Arc::new(RsaKey::generate(bits, &[1, 0, 1]).ok()?);
            let mut cipher = vec![0; bits / 8];
            key.encrypt_oaep(&sha1(), &[1; 32], &mut cipher).ok()?;
            each(threads, || {
                let (key, cipher, mut out) = (key.clone(), cipher.clone(), [0; 512]);
                Box::new(move || {
                    used(
                        key.decrypt_oaep(&sha1(), &cipher, &mut out)
                            .expect("decrypts"),
                    )
                })
            })
        }
        Kind::RsaPair => each(threads, || {
            Box::new(|| used(RsaKey::generate(2048, &[1, 0, 1]).expect("generates")))
        }),
        Kind::EcSign(curve) => {
            let key = Arc::new(EcKey::generate(curve_of(curve)).ok()?);
            each(threads, || {
                let (key, mut out) = (key.clone(), [0; 160]);
                Box::new(move || used(key.sign(&[5; 32], &mut out).expect("signs")))
            })
        }
        Kind::EcVerify(curve) => {
            let key = Arc::new(EcKey::generate(curve_of(curve)).ok()?);
            let mut signature = vec![0; key.curve().signature_len()];
            key.sign(&[5; 32], &mut signature).ok()?;
            each(threads, || {
                let (key, signature) = (key.clone(), signature.clone());
                Box::new(move || key.verify(&[5; 32], &signature).expect("verifies"))
            })
        }
        Kind::EdSign => {
            let key = Arc::new(EdKey::generate().ok()?);
            each(threads, || {
                let key = key.clone();
                Box::new(move || used(key.sign(EdMode::Pure, &[5; 64]).expect("signs")))
            })
        }
        Kind::Ecdh => {
            let key = Arc::new(EcKey::generate(Curve::P256).ok()?);
            let peer = EcKey::generate(Curve::P256).ok()?.point().ok()?;
            each(threads, || {
                let (key, peer, mut out) = (key.clone(), peer.clone(), [0; 32]);
                Box::new(move || used(key.ecdh(&peer, &mut out).expect("agrees")))
            })
        }
        Kind::Hmac(size) => {
            let key = Arc::new(HmacKey::new(Hash::Sha256, &[7; 32]).ok()?);
            each(threads, || {
                let (key, data) = (key.clone(), vec![1; size]);
                Box::new(move || used(key.mac(&data)))
            })
        }
        Kind::Sha256(size) => each(threads, || {
            let data = vec![1; size];
            Box::new(move || used(Hash::Sha256.digest(&data)))
        }),
        Kind::MlDsa => {
            let key = Arc::new(hsm_crypto::pq::MlDsaKey::generate(MlDsaSet::MlDsa65).ok()?);
            let ours = || -> Work {
                let (key, mut out) = (key.clone(), vec![0; 3309]);
                Box::new(move || used(key.sign(b"", &[5; 64], &mut out).expect("signs")))
            };
            // Without fresh randomness, which is nothing beside the rest.
            let expanded = key.expanded().ok()?;
            let expanded = expanded[..].try_into().ok()?;
            #[allow(deprecated)]
            let other = Arc::new(ExpandedSigningKey::<MlDsa65>::from_expanded(&expanded));
            let theirs = || -> Work {
                let key = other.clone();
                Box::new(move || {
                    used(
                        key.sign_deterministic(&[5; 64], b"")
                            .expect("signs")
                            .encode(),
                    )
                })
            };
            let faster: &dyn Fn() -> Work = if is_faster(theirs(), ours()) {
                &theirs
            } else {
                &ours
            };
            each(threads, faster)
        }
        Kind::MlKem => {
            let key = Arc::new(hsm_crypto::pq::MlKemKey::generate(KemSet::MlKem768).ok()?);
            let mut cipher = vec![0; 1088];
            key.encapsulate(&mut cipher).ok()?;
            each(threads, || {
                let (key, cipher) = (key.clone(), cipher.clone());
                Box::new(move || used(key.decapsulate(&cipher).expect("decapsulates")))
            })
        }
        Kind::Create => each(threads, || {
            let sql = database();
            let mut n = 0_i64;
            Box::new(move || {
                sql.execute("INSERT INTO t VALUES (?1, ?2)", params![n, [7_u8; 200]])
                    .expect("inserts");
                sql.execute("DELETE FROM t WHERE n = ?1", [n])
                    .expect("deletes");
                n += 1;
            })
        }),
        Kind::Find(_) => return None,
    })
}

/// A database of its own that syncs at each commit, in the directory of the measurement.
fn database() -> Connection {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let home = std::env::var_os("HOME").expect("the rig has set it");
    let file = Path::new(&home).join(format!("bare-{}.sql", NEXT.fetch_add(1, Ordering::Relaxed)));
    let sql = Connection::open(file).expect("opens");
    sql.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (n INTEGER PRIMARY KEY, v BLOB);")
        .expect("makes the table");
    sql
}

fn each(threads: usize, make: impl Fn() -> Work) -> Vec<Work> {
    (0..threads).map(|_| make()).collect()
}

/// Whether one way to do the work takes less time than another, over as many acts as even out a signature's luck.
fn is_faster(mut one: Work, mut other: Work) -> bool {
    let time = |work: &mut Work| {
        let began = Instant::now();
        (0..200).for_each(|_| work());
        began.elapsed()
    };
    time(&mut one) < time(&mut other)
}

/// What was made is looked at, so that making it is not left out.
fn used<T>(made: T) {
    black_box(made);
}

fn sha1() -> Oaep<'static> {
    Oaep {
        hash: Hash::Sha1,
        mgf: Hash::Sha1,
        label: b"",
    }
}

fn curve_of(bits: usize) -> Curve {
    if bits == 256 {
        Curve::P256
    } else {
        Curve::P384
    }
}
