//! The rows of the table, each with its targets, and the work of a row on a module: everything is made before the windows
//! begin, and every call writes into buffers that are there.

use std::hint::black_box;
use std::time::Duration;

use pkcs11_sys::*;

use crate::raw::{self, Session, Value};
use crate::rig::Peer;
use crate::window::{Plan, Work};
use Value::{Bytes, Flag, Number};

/// What a row does; sizes in bytes, keys in bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Kind {
    Gcm(usize),
    CbcDecrypt(usize),
    Ctr(usize),
    RsaSign(usize),
    Oaep(usize),
    RsaPair,
    EcSign(usize),
    EcVerify(usize),
    EdSign,
    Ecdh,
    Hmac(usize),
    Sha256(usize),
    MlDsa,
    MlKem,
    /// A token key, then its end: two durable commits.
    Create,
    /// By label, among so many token objects.
    Find(usize),
}

/// One row: its name, what it does, what must be true.
pub struct Row {
    /// For the table and the filter.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// At least this much of the limit.
    pub limit: Option<f64>,
    /// At least so many times the best peer.
    pub peers: Option<f64>,
}

const fn row(name: &'static str, kind: Kind, limit: f64, peers: f64) -> Row {
    Row {
        name,
        kind,
        limit: if limit > 0.0 { Some(limit) } else { None },
        peers: if peers > 0.0 { Some(peers) } else { None },
    }
}

/// Every row that is measured in turns with the peers. A target of 0 is none.
pub const ROWS: &[Row] = &[
    row("AES-256-GCM 1 KiB", Kind::Gcm(1 << 10), 0.5, 5.0),
    row("AES-256-GCM 16 KiB", Kind::Gcm(16 << 10), 0.85, 3.0),
    row("AES-256-GCM 1 MiB", Kind::Gcm(1 << 20), 0.95, 2.0),
    row(
        "AES-256-CBC decrypt 1 MiB",
        Kind::CbcDecrypt(1 << 20),
        0.9,
        1.0,
    ),
    row("AES-256-CTR 1 MiB", Kind::Ctr(1 << 20), 0.9, 1.0),
    row("RSA-2048 sign", Kind::RsaSign(2048), 0.95, 1.5),
    row("RSA-3072 sign", Kind::RsaSign(3072), 0.95, 1.5),
    row("RSA-4096 sign", Kind::RsaSign(4096), 0.95, 1.5),
    row("RSA-2048 OAEP decrypt", Kind::Oaep(2048), 0.95, 1.5),
    row("ECDSA P-256 sign", Kind::EcSign(256), 0.9, 2.0),
    row("ECDSA P-256 verify", Kind::EcVerify(256), 0.9, 0.0),
    row("ECDSA P-384 sign", Kind::EcSign(384), 0.9, 0.0),
    row("ECDSA P-384 verify", Kind::EcVerify(384), 0.9, 0.0),
    row("Ed25519 sign", Kind::EdSign, 0.9, 0.0),
    row("ECDH P-256", Kind::Ecdh, 0.9, 0.0),
    row("HMAC-SHA256 1 KiB", Kind::Hmac(1 << 10), 0.8, 2.0),
    row("SHA-256 1 MiB", Kind::Sha256(1 << 20), 0.8, 0.0),
    row("RSA-2048 key pair", Kind::RsaPair, 0.9, 1.5),
    row("ML-DSA-65 sign", Kind::MlDsa, 0.9, 1.0),
    row("ML-KEM-768 decapsulate", Kind::MlKem, 0.9, 1.0),
    row("token key create + destroy", Kind::Create, 0.7, 2.0),
    row("find by label among 5,000", Kind::Find(5000), 0.0, 1000.0),
];

impl Kind {
    /// How it is measured.
    pub fn plan(self) -> Plan {
        let (rounds, window, luck) = match self {
            Kind::RsaPair => (25, 1, true),
            Kind::Create => (15, 60, false),
            Kind::Find(_) => (9, 20, false),
            _ => (21, 15, false),
        };
        Plan {
            rounds,
            window: Duration::from_millis(window),
            luck,
        }
    }
}

/// CKA_PARAMETER_SET, CKA_ENCAPSULATE and CKA_DECAPSULATE of 3.2.
const PARAMETER_SET: CK_ATTRIBUTE_TYPE = 0x61d;
const ENCAPSULATE: CK_ATTRIBUTE_TYPE = 0x633;
const DECAPSULATE: CK_ATTRIBUTE_TYPE = 0x634;

const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const IV: [u8; 16] = [3; 16];

/// The label of the `n`th object of a filled token.
pub fn label(n: usize) -> Vec<u8> {
    format!("label-{n}").into_bytes()
}

/// A row's work on a module, one piece for each thread, each in a session of its own.
///
/// # Errors
/// What the module refuses: the row is then empty for it.
pub fn work(kind: Kind, peer: &Peer, threads: usize) -> raw::Answer<Vec<Work>> {
    let session = peer.open_session();
    let make: Box<dyn Fn(Session) -> Work> = match kind {
        Kind::Gcm(size) => {
            let key = aes(session)?;
            let mut probe = vec![0; size + 16];
            let mut iv = [0; 12];
            session.encrypt(
                &raw::mechanism(CKM_AES_GCM, Some(&raw::gcm(&mut iv))),
                key,
                &vec![1; size],
                &mut probe,
            )?;
            Box::new(move |s| seal(s, key, size))
        }
        Kind::CbcDecrypt(size) => {
            let key = aes(session)?;
            Box::new(move |s| {
                let (data, mut out) = (vec![1; size], vec![0; size + 16]);
                Box::new(move || {
                    let mechanism = raw::mechanism(CKM_AES_CBC, Some(&IV));
                    s.decrypt(&mechanism, key, &data, &mut out)
                        .expect("decrypts");
                })
            })
        }
        Kind::Ctr(size) => {
            let key = aes(session)?;
            let params = CK_AES_CTR_PARAMS {
                ulCounterBits: 128,
                cb: IV,
            };
            session.encrypt(
                &raw::mechanism(CKM_AES_CTR, Some(&params)),
                key,
                &[1; 16],
                &mut [0; 32],
            )?;
            Box::new(move |s| {
                let (data, mut out) = (vec![1; size], vec![0; size + 16]);
                Box::new(move || {
                    let mechanism = raw::mechanism(CKM_AES_CTR, Some(&params));
                    s.encrypt(&mechanism, key, &data, &mut out)
                        .expect("encrypts");
                })
            })
        }
        Kind::RsaSign(bits) => {
            let (_, key) = rsa(session, bits)?;
            signer(CKM_SHA256_RSA_PKCS, key, 64)
        }
        Kind::Oaep(bits) => {
            let (public, key) = rsa(session, bits)?;
            let params = raw::oaep();
            let mut cipher = vec![0; bits / 8];
            session.encrypt(
                &raw::mechanism(CKM_RSA_PKCS_OAEP, Some(&params)),
                public,
                &[1; 32],
                &mut cipher,
            )?;
            Box::new(move |s| {
                let (cipher, mut out) = (cipher.clone(), [0; 512]);
                Box::new(move || {
                    let params = raw::oaep();
                    let mechanism = raw::mechanism(CKM_RSA_PKCS_OAEP, Some(&params));
                    s.decrypt(&mechanism, key, &cipher, &mut out)
                        .expect("decrypts");
                })
            })
        }
        Kind::RsaPair => Box::new(|s| {
            Box::new(move || {
                let (public, private) = rsa(s, 2048).expect("generates");
                s.destroy(public)
                    .and_then(|()| s.destroy(private))
                    .expect("destroys");
            })
        }),
        Kind::EcSign(bits) => {
            let (_, key) = ec(session, bits)?;
            signer(CKM_ECDSA, key, 32)
        }
        Kind::EcVerify(bits) => {
            let (public, key) = ec(session, bits)?;
            let mut signature = vec![0; 160];
            let len = session.sign(&raw::plain(CKM_ECDSA), key, &[5; 32], &mut signature)?;
            signature.truncate(len);
            Box::new(move |s| {
                let signature = signature.clone();
                Box::new(move || {
                    s.verify(&raw::plain(CKM_ECDSA), public, &[5; 32], &signature)
                        .expect("verifies")
                })
            })
        }
        Kind::EdSign => {
            let public = [(CKA_EC_PARAMS, Bytes(ED25519)), (CKA_VERIFY, Flag(true))];
            let mechanism = raw::plain(CKM_EC_EDWARDS_KEY_PAIR_GEN);
            let (_, key) = session.generate_pair(&mechanism, &public, &[(CKA_SIGN, Flag(true))])?;
            session.sign(&raw::plain(CKM_EDDSA), key, &[5; 64], &mut [0; 64])?;
            signer(CKM_EDDSA, key, 64)
        }
        Kind::Ecdh => {
            let (_, key) = ec(session, 256)?;
            let (public, _) = ec(session, 256)?;
            let der = session.attribute(public, CKA_EC_POINT)?;
            // An octet string of DER around the point, or the bare point: modules differ.
            let point = if der.len() == 67 {
                der[2..].to_vec()
            } else {
                der
            };
            let agree = move |s: Session, point: &[u8]| -> raw::Answer {
                let params = raw::ecdh(point);
                let template = [
                    (CKA_CLASS, Number(CKO_SECRET_KEY)),
                    (CKA_KEY_TYPE, Number(CKK_GENERIC_SECRET)),
                    (CKA_VALUE_LEN, Number(32)),
                    (CKA_TOKEN, Flag(false)),
                ];
                let made = s.derive(
                    &raw::mechanism(CKM_ECDH1_DERIVE, Some(&params)),
                    key,
                    &template,
                )?;
                s.destroy(made)
            };
            agree(session, &point)?;
            Box::new(move |s| {
                let point = point.clone();
                Box::new(move || agree(s, &point).expect("agrees"))
            })
        }
        Kind::Hmac(size) => {
            let template = [
                (CKA_VALUE_LEN, Number(32)),
                (CKA_SIGN, Flag(true)),
                (CKA_TOKEN, Flag(false)),
            ];
            let key = session.generate(&raw::plain(CKM_GENERIC_SECRET_KEY_GEN), &template)?;
            signer(CKM_SHA256_HMAC, key, size)
        }
        Kind::Sha256(size) => Box::new(move |s| {
            let (data, mut out) = (vec![1; size], [0; 32]);
            Box::new(move || {
                s.digest(&raw::plain(CKM_SHA256), &data, &mut out)
                    .expect("digests");
            })
        }),
        Kind::MlDsa => {
            let public = [(PARAMETER_SET, Number(2)), (CKA_VERIFY, Flag(true))];
            let (_, key) =
                session.generate_pair(&raw::plain(0x1c), &public, &[(CKA_SIGN, Flag(true))])?;
            signer(0x1d, key, 64)
        }
        Kind::MlKem => {
            let public = [(PARAMETER_SET, Number(2)), (ENCAPSULATE, Flag(true))];
            let (public, key) =
                session.generate_pair(&raw::plain(0xf), &public, &[(DECAPSULATE, Flag(true))])?;
            let template = [
                (CKA_CLASS, Number(CKO_SECRET_KEY)),
                (CKA_KEY_TYPE, Number(CKK_GENERIC_SECRET)),
                (CKA_TOKEN, Flag(false)),
            ];
            let mut cipher = vec![0; 1088];
            session.encapsulate(&raw::plain(0x17), public, &template, &mut cipher)?;
            Box::new(move |s| {
                let cipher = cipher.clone();
                Box::new(move || {
                    let template = [
                        (CKA_CLASS, Number(CKO_SECRET_KEY)),
                        (CKA_KEY_TYPE, Number(CKK_GENERIC_SECRET)),
                        (CKA_TOKEN, Flag(false)),
                    ];
                    let made = s
                        .decapsulate(&raw::plain(0x17), key, &template, &cipher)
                        .expect("decapsulates");
                    s.destroy(made).expect("destroys");
                })
            })
        }
        Kind::Create => Box::new(|s| {
            Box::new(move || {
                let template = [
                    (CKA_VALUE_LEN, Number(32)),
                    (CKA_TOKEN, Flag(true)),
                    (CKA_ENCRYPT, Flag(true)),
                ];
                let made = s
                    .generate(&raw::plain(CKM_AES_KEY_GEN), &template)
                    .expect("generates");
                s.destroy(made).expect("destroys");
            })
        }),
        Kind::Find(count) => Box::new(move |s| {
            let label = label(count / 2);
            Box::new(move || assert_eq!(s.find(&[(CKA_LABEL, Bytes(&label))]).expect("finds"), 1))
        }),
    };
    Ok((0..threads).map(|_| make(peer.open_session())).collect())
}

/// Puts small token objects into the token, each under a label of its own: `label-0`, `label-1`, ...
///
/// # Errors
/// What the module refuses.
pub fn fill(session: Session, range: std::ops::Range<usize>) -> raw::Answer {
    for n in range {
        session.create(&[
            (CKA_CLASS, Number(CKO_SECRET_KEY)),
            (CKA_KEY_TYPE, Number(CKK_AES)),
            (CKA_TOKEN, Flag(true)),
            (CKA_LABEL, Bytes(&label(n))),
            (CKA_ID, Bytes(&(n as u64).to_be_bytes())),
            (CKA_VALUE, Bytes(&[7; 32])),
            (CKA_ENCRYPT, Flag(true)),
        ])?;
    }
    Ok(())
}

/// As [`fill`], by many threads: where these share commits it takes a fraction of the time.
///
/// # Errors
/// What the module refuses.
pub fn fill_by_many(peer: &Peer, range: std::ops::Range<usize>) -> raw::Answer {
    const THREADS: usize = 16;
    if range.len() < 10 * THREADS {
        return fill(peer.session, range);
    }
    let share = range.len().div_ceil(THREADS);
    std::thread::scope(|scope| {
        let shares = (range.start..range.end).step_by(share).map(|from| {
            let session = peer.open_session();
            let to = range.end.min(from + share);
            scope.spawn(move || fill(session, from..to).and_then(|()| session.close()))
        });
        let threads: Vec<_> = shares.collect();
        threads
            .into_iter()
            .try_for_each(|t| t.join().expect("a creator does not panic"))
    })
}

fn signer(
    code: CK_MECHANISM_TYPE,
    key: CK_OBJECT_HANDLE,
    size: usize,
) -> Box<dyn Fn(Session) -> Work> {
    Box::new(move |s| {
        let (data, mut out) = (vec![5; size], vec![0; 4096]);
        Box::new(move || {
            s.sign(&raw::plain(code), key, &data, &mut out)
                .map(black_box)
                .expect("signs");
        })
    })
}

/// AES-256-GCM over `size` bytes in a session.
pub fn seal(session: Session, key: CK_OBJECT_HANDLE, size: usize) -> Work {
    let (data, mut out) = (vec![1; size], vec![0; size + 16]);
    Box::new(move || {
        // Zeros, for where the HSM makes the IV.
        let mut iv = [0; 12];
        let params = raw::gcm(&mut iv);
        let mechanism = raw::mechanism(CKM_AES_GCM, Some(&params));
        session
            .encrypt(&mechanism, key, &data, &mut out)
            .map(black_box)
            .expect("seals");
    })
}

/// An AES-256 session key.
///
/// # Errors
/// What the module refuses.
pub fn aes(session: Session) -> raw::Answer<CK_OBJECT_HANDLE> {
    let template = [
        (CKA_VALUE_LEN, Number(32)),
        (CKA_ENCRYPT, Flag(true)),
        (CKA_DECRYPT, Flag(true)),
        (CKA_TOKEN, Flag(false)),
    ];
    session.generate(&raw::plain(CKM_AES_KEY_GEN), &template)
}

fn rsa(session: Session, bits: usize) -> raw::Answer<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
    let public = [
        (CKA_MODULUS_BITS, Number(bits as CK_ULONG)),
        (CKA_PUBLIC_EXPONENT, Bytes(&[1, 0, 1])),
        (CKA_ENCRYPT, Flag(true)),
        (CKA_VERIFY, Flag(true)),
        (CKA_TOKEN, Flag(false)),
    ];
    let private = [
        (CKA_SIGN, Flag(true)),
        (CKA_DECRYPT, Flag(true)),
        (CKA_TOKEN, Flag(false)),
    ];
    session.generate_pair(&raw::plain(CKM_RSA_PKCS_KEY_PAIR_GEN), &public, &private)
}

fn ec(session: Session, bits: usize) -> raw::Answer<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
    let curve = if bits == 256 { P256 } else { P384 };
    let public = [
        (CKA_EC_PARAMS, Bytes(curve)),
        (CKA_VERIFY, Flag(true)),
        (CKA_TOKEN, Flag(false)),
    ];
    let private = [
        (CKA_SIGN, Flag(true)),
        (CKA_DERIVE, Flag(true)),
        (CKA_TOKEN, Flag(false)),
    ];
    session.generate_pair(&raw::plain(CKM_EC_KEY_PAIR_GEN), &public, &private)
}
