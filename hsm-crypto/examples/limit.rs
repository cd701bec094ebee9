//! How near we are to AWS-LC's own limit: `cargo run --release -p hsm-crypto --example limit`.

use hsm_crypto::{AesKey, Curve, EcKey, GcmKey, Hash, HmacKey, RsaKey};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Runs for about half a second and prints what one run costs: the best of many short windows, since others may be at work.
fn time(name: &str, mut run: impl FnMut()) {
    let mut window = |runs: u32| {
        let start = Instant::now();
        (0..runs).for_each(|_| run());
        start.elapsed()
    };
    let once = window(1).max(Duration::from_nanos(20));
    let runs = (Duration::from_millis(3).div_duration_f64(once) as u32).max(1);
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while start.elapsed() < Duration::from_millis(500) {
        best = best.min(window(runs));
    }
    let each = best.as_secs_f64() / f64::from(runs);
    println!("{name:34} {:12.0}/s {:10.0} ns", 1.0 / each, each * 1e9);
}

fn main() -> hsm_crypto::Result<()> {
    let gcm = GcmKey::new(&[7; 32])?;
    let data = vec![1u8; 1 << 20];
    let mut out = vec![0u8; (1 << 20) + 16];
    let mut back = vec![0u8; 1 << 20];
    let plain = GcmKey::on_backend(&[7; 32])?;
    for (name, len) in [
        ("16 B", 16),
        ("1 KiB", 1024),
        ("16 KiB", 1 << 14),
        ("1 MiB", 1 << 20),
    ] {
        for (of, gcm) in [("", &gcm), (", backend", &plain)] {
            time(&format!("AES-256-GCM seal {name}{of}"), || {
                black_box(gcm.seal(&[3; 12], b"", &data[..len], &mut out, 16)).expect("seals");
            });
            gcm.seal(&[3; 12], b"", &data[..len], &mut out, 16)?;
            time(&format!("AES-256-GCM open {name}{of}"), || {
                black_box(gcm.open(&[3; 12], b"", &out[..len + 16], &mut back, 16)).expect("opens");
            });
        }
    }
    let aes = AesKey::new(&[7; 32])?;
    time("AES-256-CBC encrypt 1 KiB", || {
        aes.cbc_encrypt(&mut [0; 16], &data[..1024], &mut out)
            .expect("whole blocks");
    });
    time("AES-256-CBC decrypt 1 MiB", || {
        aes.cbc_decrypt(&mut [0; 16], &data, &mut out)
            .expect("whole blocks");
    });
    time("AES-256-CTR 1 MiB", || {
        aes.ctr(&mut [0; 16], 128, &data, &mut out).expect("room");
    });
    time("SHA-256 1 KiB", || {
        black_box(Hash::Sha256.digest(&data[..1024]));
    });
    let hmac = HmacKey::new(Hash::Sha256, &[7; 32])?;
    time("HMAC-SHA-256 64 B", || {
        black_box(hmac.mac(&data[..64]));
    });

    let digest = Hash::Sha256.digest(b"digest");
    for bits in [2048, 4096] {
        let rsa = RsaKey::generate(bits, &[1, 0, 1])?;
        time(&format!("RSA-{bits} sign PKCS#1"), || {
            rsa.sign_pkcs1(Hash::Sha256, &digest, &mut out)
                .expect("signs");
        });
        time(&format!("RSA-{bits} verify PKCS#1"), || {
            rsa.verify_pkcs1(Hash::Sha256, &digest, &out[..bits / 8])
                .expect("verifies");
        });
    }
    for curve in [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1] {
        let key = EcKey::generate(curve)?;
        let len = curve.signature_len();
        time(&format!("ECDSA {curve:?} sign"), || {
            key.sign(&digest, &mut out).expect("signs");
        });
        time(&format!("ECDSA {curve:?} verify"), || {
            key.verify(&digest, &out[..len]).expect("verifies");
        });
    }
    Ok(())
}
