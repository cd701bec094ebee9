//! One backend held against the other on random inputs: neither can be wrong alone.

use crate::ed::EdMode;
use crate::rsa::{Oaep, Pss};
use crate::{Curve, Error, Hash, aws_lc, rustcrypto};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::LazyLock;

fn any_hash() -> impl Strategy<Value = Hash> {
    (0..Hash::ALL.len()).prop_map(|i| Hash::ALL[i])
}

fn aes_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 16),
        vec(any::<u8>(), 24),
        vec(any::<u8>(), 32)
    ]
}

fn any_curve() -> impl Strategy<Value = Curve> {
    let both: Vec<Curve> = Curve::all().filter(|&c| aws_lc::ec::supports(c)).collect();
    assert_eq!(both.len(), 5);
    (0..both.len()).prop_map(move |i| both[i])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn hashes(hash in any_hash(), data in vec(any::<u8>(), 0..600), cut in any::<prop::sample::Index>()) {
        let (mut a, mut b) = ([0; 64], [0; 64]);
        aws_lc::hash::digest(hash, &data, &mut a);
        rustcrypto::hash::digest(hash, &data, &mut b);
        prop_assert_eq!(a, b);
        let cut = cut.index(data.len() + 1);
        let mut a = aws_lc::hash::State::new(hash);
        let mut b = rustcrypto::hash::State::new(hash);
        a.update(&data[..cut]);
        b.update(&data[..cut]);
        let (mut a, mut b) = (a.clone(), b.clone());
        a.update(&data[cut..]);
        b.update(&data[cut..]);
        let (mut out_a, mut out_b) = ([0; 64], [0; 64]);
        a.finish(&mut out_a);
        b.finish(&mut out_b);
        prop_assert_eq!(out_a, out_b);
    }

    #[test]
    fn hmacs(hash in any_hash(), key in vec(any::<u8>(), 0..200), data in vec(any::<u8>(), 0..300)) {
        let mut a = aws_lc::mac::Hmac::new(hash, &key).unwrap();
        let mut b = rustcrypto::mac::Hmac::new(hash, &key).unwrap();
        a.update(&data);
        b.update(&data);
        let (mut out_a, mut out_b) = ([0; 64], [0; 64]);
        a.clone().finish(&mut out_a);
        b.clone().finish(&mut out_b);
        prop_assert_eq!(out_a, out_b);
    }

    #[test]
    fn block_modes(key in aes_key(), iv: [u8; 16], data in vec(any::<u8>(), 0..100), left in 0..90_u32, bits in 1..=128_u32) {
        use crate::aes::BLOCK;
        let data = data.repeat(BLOCK);
        let blocks = rustcrypto::modes::Blocks::new(&key).unwrap();
        let ours = aws_lc::modes::Modes::new(&key).unwrap();
        let oracle = rustcrypto::modes::Modes::new(&key).unwrap();
        let (mut iv_a, mut iv_b) = (iv, iv);
        let (mut a, mut b) = (vec![0; data.len()], vec![0; data.len()]);
        ours.cbc_encrypt(&blocks, &mut iv_a, &data, &mut a);
        oracle.cbc_encrypt(&blocks, &mut iv_b, &data, &mut b);
        prop_assert_eq!(&a, &b);
        prop_assert_eq!(iv_a, iv_b);
        for decrypts in [true, false] {
            let mut back = vec![0; data.len()];
            let mut iv = iv;
            if decrypts {
                ours.cbc_decrypt(&blocks, &mut iv, &a, &mut back);
            } else {
                oracle.cbc_decrypt(&blocks, &mut iv, &a, &mut back);
            }
            prop_assert_eq!(&back, &data);
            prop_assert_eq!(iv, iv_a);
        }
        // Counters close to where 32 bits, or all of them, begin again, which the assembler treats apart.
        for top in [u128::from(u32::MAX), u128::MAX, u128::from_be_bytes(iv)] {
            let start = (top - u128::from(left)).to_be_bytes();
            let cut = data.len() - data.len() / 33;
            let (mut ctr_a, mut ctr_b) = (start, start);
            ours.ctr(&blocks, &mut ctr_a, &data[..cut], &mut a[..cut]);
            oracle.ctr(&blocks, &mut ctr_b, &data[..cut], &mut b[..cut]);
            prop_assert_eq!(&a[..cut], &b[..cut]);
            prop_assert_eq!(ctr_a, ctr_b);
            // Fewer bits that count, block by block.
            let mask = if bits == 128 { u128::MAX } else { (1 << bits) - 1 };
            let key = crate::AesKey::new(&key).unwrap();
            let mut counter = start;
            let whole = key.ctr(&mut counter, bits, &data[..cut], &mut a[..cut]);
            if cut.div_ceil(BLOCK) as u128 > mask.saturating_add(1) {
                prop_assert_eq!(whole, Err(Error::TooLarge));
                continue;
            }
            let mut value = u128::from_be_bytes(start);
            for (n, part) in data[..cut].chunks(BLOCK).enumerate() {
                let mut stream = value.to_be_bytes();
                key.encrypt_block(&mut stream);
                let expected: Vec<u8> = part.iter().zip(stream).map(|(d, s)| d ^ s).collect();
                prop_assert_eq!(&a[n * BLOCK..n * BLOCK + part.len()], &expected[..]);
                value = (value & !mask) | (value.wrapping_add(1) & mask);
            }
            prop_assert_eq!(counter, value.to_be_bytes());
        }
    }

    #[test]
    fn gcm(
        key in aes_key(),
        iv in vec(any::<u8>(), 1..80),
        aad in vec(any::<u8>(), 0..80),
        data in vec(any::<u8>(), 0..400),
        tag_len in 4..=16usize,
        cut in any::<prop::sample::Index>(),
        flip in any::<prop::sample::Index>(),
    ) {
        let a = aws_lc::gcm::Key::new(&key).unwrap();
        let b = rustcrypto::gcm::Key::new(&key).unwrap();
        let (mut out_a, mut out_b) = (vec![0; data.len()], vec![0; data.len()]);
        let (mut tag_a, mut tag_b) = ([0; 16], [0; 16]);
        a.seal(&iv, &aad, &data, &mut out_a, &mut tag_a).unwrap();
        b.seal(&iv, &aad, &data, &mut out_b, &mut tag_b).unwrap();
        prop_assert_eq!(&out_a, &out_b);
        prop_assert_eq!(tag_a, tag_b);
        let mut back = vec![0; data.len()];
        prop_assert_eq!(a.open(&iv, &aad, &out_a, &tag_a[..tag_len], &mut back), Ok(()));
        prop_assert_eq!(&back, &data);
        prop_assert_eq!(b.open(&iv, &aad, &out_a, &tag_a[..tag_len], &mut back), Ok(()));
        prop_assert_eq!(&back, &data);
        // In two parts, cut anywhere, in both directions.
        let cut = cut.index(data.len() + 1);
        let mut encrypt = (a.stream(&iv, true).unwrap(), b.stream(&iv, true).unwrap());
        let mut decrypt = (a.stream(&iv, false).unwrap(), b.stream(&iv, false).unwrap());
        encrypt.0.aad(&aad).unwrap();
        encrypt.1.aad(&aad).unwrap();
        decrypt.0.aad(&aad).unwrap();
        decrypt.1.aad(&aad).unwrap();
        for part in [0..cut, cut..data.len()] {
            encrypt.0.update(&data[part.clone()], &mut out_b[part.clone()]).unwrap();
            prop_assert_eq!(&out_a[part.clone()], &out_b[part.clone()]);
            encrypt.1.update(&data[part.clone()], &mut out_b[part.clone()]).unwrap();
            prop_assert_eq!(&out_a[part.clone()], &out_b[part.clone()]);
            decrypt.0.update(&out_a[part.clone()], &mut back[part.clone()]).unwrap();
            prop_assert_eq!(&back[part.clone()], &data[part.clone()]);
            decrypt.1.update(&out_a[part.clone()], &mut back[part.clone()]).unwrap();
            prop_assert_eq!(&back[part.clone()], &data[part.clone()]);
        }
        prop_assert_eq!(encrypt.0.tag().unwrap(), tag_a);
        prop_assert_eq!(encrypt.1.tag().unwrap(), tag_a);
        prop_assert_eq!(decrypt.0.verify(&tag_a[..tag_len]), Ok(()));
        prop_assert_eq!(decrypt.1.verify(&tag_a[..tag_len]), Ok(()));
        // One bit of the tag that counts.
        let mut bad = tag_a;
        let bit = flip.index(tag_len * 8);
        bad[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(a.open(&iv, &aad, &out_a, &bad[..tag_len], &mut back), Err(Error::Mismatch));
        prop_assert_eq!(b.open(&iv, &aad, &out_a, &bad[..tag_len], &mut back), Err(Error::Mismatch));
    }

    #[test]
    fn edwards_and_montgomery(
        seed: [u8; 32],
        other: [u8; 32],
        message in vec(any::<u8>(), 0..200),
        context in vec(any::<u8>(), 0..20),
        scheme in 0..3,
        bit in 0..512usize,
    ) {
        let public = aws_lc::ed::ed_public(&seed);
        prop_assert_eq!(public, rustcrypto::ed::ed_public(&seed));
        let mut pair = [0; 64];
        pair[..32].copy_from_slice(&seed);
        pair[32..].copy_from_slice(&public);
        let mode = match scheme {
            0 => EdMode::Pure,
            1 => EdMode::Context(&context),
            _ => EdMode::Prehash(&context),
        };
        let signature = aws_lc::ed::ed_sign(&pair, mode, &message).unwrap();
        prop_assert_eq!(signature, rustcrypto::ed::ed_sign(&pair, mode, &message).unwrap());
        prop_assert_eq!(aws_lc::ed::ed_verify(&public, mode, &message, &signature), Ok(()));
        prop_assert_eq!(rustcrypto::ed::ed_verify(&public, mode, &message, &signature), Ok(()));
        let mut bad = signature;
        bad[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(aws_lc::ed::ed_verify(&public, mode, &message, &bad), Err(Error::Mismatch));
        prop_assert_eq!(rustcrypto::ed::ed_verify(&public, mode, &message, &bad), Err(Error::Mismatch));

        let peer = aws_lc::ed::x_public(&other);
        prop_assert_eq!(peer, rustcrypto::ed::x_public(&other));
        let secret = aws_lc::ed::x_agree(&seed, &peer).unwrap();
        prop_assert_eq!(secret, rustcrypto::ed::x_agree(&seed, &peer).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn curves(curve in any_curve(), digest in vec(any::<u8>(), 1..80), bit in any::<prop::sample::Index>()) {
        let a = aws_lc::ec::Key::generate(curve).unwrap();
        let scalar = a.scalar().unwrap();
        let b = rustcrypto::ec::Key::private(curve, &scalar).unwrap();
        prop_assert_eq!(a.point().unwrap(), b.point().unwrap());
        let mut signature = vec![0; curve.signature_len()];
        for by_a in [true, false] {
            if by_a {
                a.sign(&digest, &mut signature).unwrap();
            } else {
                b.sign(&digest, &mut signature).unwrap();
            }
            prop_assert_eq!(a.verify(&digest, &signature), Ok(()));
            prop_assert_eq!(b.verify(&digest, &signature), Ok(()));
        }
        let bit = bit.index(signature.len() * 8);
        signature[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(a.verify(&digest, &signature), Err(Error::Mismatch));
        prop_assert_eq!(b.verify(&digest, &signature), Err(Error::Mismatch));

        let peer = rustcrypto::ec::Key::generate(curve).unwrap();
        let (mut x, mut y) = (vec![0; curve.field_len()], vec![0; curve.field_len()]);
        a.ecdh(&peer.point().unwrap(), &mut x).unwrap();
        peer.ecdh(&a.point().unwrap(), &mut y).unwrap();
        prop_assert_eq!(x, y);
    }
}

/// Random digests rarely are longer than the order; `ecdsa` 0.17 alone would get P-521 wrong.
#[test]
fn digests_longer_than_any_order() {
    for curve in Curve::all().filter(|&c| aws_lc::ec::supports(c)) {
        let a = aws_lc::ec::Key::generate(curve).unwrap();
        let b = rustcrypto::ec::Key::private(curve, &a.scalar().unwrap()).unwrap();
        let mut signature = vec![0; curve.signature_len()];
        for len in [65, 66, 67, 100] {
            let digest = vec![0x5b; len];
            a.sign(&digest, &mut signature).unwrap();
            assert_eq!(
                b.verify(&digest, &signature),
                Ok(()),
                "{curve:?}, {len} bytes"
            );
            b.sign(&digest, &mut signature).unwrap();
            assert_eq!(
                a.verify(&digest, &signature),
                Ok(()),
                "{curve:?}, {len} bytes"
            );
        }
    }
}

/// One key of an odd length in bytes' bits, so that PSS's unused bits are not always the same.
static RSA: LazyLock<[(aws_lc::rsa::Key, rustcrypto::rsa::Key); 2]> = LazyLock::new(|| {
    [1024, 1152].map(|bits| {
        let a = crate::RsaKey::generate(bits, &[1, 0, 1])
            .unwrap()
            .parts()
            .unwrap();
        let b = rustcrypto::rsa::Key::private(&a).unwrap();
        (aws_lc::rsa::Key::private(&a).unwrap(), b)
    })
});

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn rsa(
        which in 0..2usize,
        hash in any_hash(),
        mgf in any_hash(),
        data in vec(any::<u8>(), 0..60),
        label in vec(any::<u8>(), 0..20),
        salt_len in 0..=50usize,
        bit in 0..1024usize,
    ) {
        let (a, b) = &RSA[which];
        let size = a.size();
        prop_assert_eq!(size, b.size());
        prop_assert_eq!(a.n(), b.n());
        prop_assert_eq!(a.d().unwrap(), b.d().unwrap());
        prop_assert_eq!(a.crt().unwrap(), b.crt().unwrap());
        let (mut x, mut y) = (vec![0; size], vec![0; size]);

        a.sign_pkcs1(&data, &mut x).unwrap();
        b.sign_pkcs1(&data, &mut y).unwrap();
        prop_assert_eq!(&x, &y);
        let (mut p, mut q) = (vec![0; size], vec![0; size]);
        let len = a.recover_pkcs1(&x, &mut p).unwrap();
        prop_assert_eq!(&p[..len], &data);
        let len = b.recover_pkcs1(&x, &mut q).unwrap();
        prop_assert_eq!(&q[..len], &data);

        a.encrypt_pkcs1(&data, &mut x).unwrap();
        b.encrypt_pkcs1(&data, &mut y).unwrap();
        for block in [&x, &y] {
            a.private_raw(block, &mut p).unwrap();
            b.private_raw(block, &mut q).unwrap();
            prop_assert_eq!(&p, &q);
            prop_assert_eq!(&p[size - data.len()..], &data);
        }

        let digest = hash.digest(&data);
        let pss = Pss { hash, mgf, salt_len };
        if hash.len() + salt_len + 2 <= size {
            a.sign_pss(&pss, &digest, &mut x).unwrap();
            b.sign_pss(&pss, &digest, &mut y).unwrap();
            for signature in [&mut x, &mut y] {
                prop_assert_eq!(a.verify_pss(&pss, &digest, signature), Ok(()));
                prop_assert_eq!(b.verify_pss(&pss, &digest, signature), Ok(()));
                signature[bit / 8] ^= 1 << (bit % 8);
                prop_assert_eq!(a.verify_pss(&pss, &digest, signature), Err(Error::Mismatch));
                prop_assert_eq!(b.verify_pss(&pss, &digest, signature), Err(Error::Mismatch));
            }
        }

        let oaep = Oaep { hash, mgf, label: &label };
        if data.len() + 2 * hash.len() + 2 <= size {
            a.encrypt_oaep(&oaep, &data, &mut x).unwrap();
            b.encrypt_oaep(&oaep, &data, &mut y).unwrap();
            for cipher in [&mut x, &mut y] {
                let len = a.decrypt_oaep(&oaep, cipher, &mut p).unwrap();
                prop_assert_eq!(&p[..len], &data);
                let len = b.decrypt_oaep(&oaep, cipher, &mut q).unwrap();
                prop_assert_eq!(&q[..len], &data);
                cipher[bit / 8] ^= 1 << (bit % 8);
                prop_assert_eq!(a.decrypt_oaep(&oaep, cipher, &mut p), Err(Error::BadPadding));
                prop_assert_eq!(b.decrypt_oaep(&oaep, cipher, &mut q), Err(Error::BadPadding));
            }
        }
    }
}

#[test]
fn the_second_generator_makes_keys_that_the_first_accepts() {
    let key = rustcrypto::rsa::Key::generate(1024, &[1, 0, 1]).unwrap();
    let [p, q, dp, dq, qinv] = key.crt().unwrap().unwrap();
    let parts = crate::rsa::Parts {
        n: key.n().unwrap(),
        e: key.e().unwrap(),
        d: key.d().unwrap(),
        crt: Some(crate::rsa::Crt { p, q, dp, dq, qinv }),
    };
    assert_eq!(
        aws_lc::rsa::Key::private(&parts).unwrap().n().unwrap(),
        parts.n
    );
}

#[test]
fn cmac_agrees_with_the_cmac_crate() {
    use cmac::{KeyInit, Mac};
    let key = [9; 32];
    let data: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for len in [0, 1, 15, 16, 17, 1024, 1040, 1041, 5000] {
        let mut ours = crate::Cmac::new(std::sync::Arc::new(crate::AesKey::new(&key).unwrap()));
        ours.update(&data[..len]);
        let mut theirs = cmac::Cmac::<aes::Aes256>::new_from_slice(&key).unwrap();
        theirs.update(&data[..len]);
        assert_eq!(
            ours.finish()[..],
            theirs.finalize().into_bytes()[..],
            "{len} bytes"
        );
    }
}

/// Which backend is faster where both can: `cargo test -p hsm-crypto -- --ignored --nocapture speeds`.
#[test]
#[ignore = "prints timings; asserts nothing"]
fn speeds_of_the_curves() {
    fn time(name: String, mut run: impl FnMut()) {
        let start = std::time::Instant::now();
        let mut runs = 0;
        while start.elapsed().as_millis() < 300 {
            run();
            runs += 1;
        }
        println!(
            "{name:30} {:8.1} us",
            start.elapsed().as_secs_f64() * 1e6 / f64::from(runs)
        );
    }
    let digest = [7; 32];
    for curve in Curve::all().filter(|&c| aws_lc::ec::supports(c)) {
        let a = aws_lc::ec::Key::generate(curve).unwrap();
        let b = rustcrypto::ec::Key::private(curve, &a.scalar().unwrap()).unwrap();
        let mut out = vec![0; curve.signature_len()];
        let mut secret = vec![0; curve.field_len()];
        let peer = a.point().unwrap();
        time(format!("{curve:?} sign, AWS-LC"), || {
            a.sign(&digest, &mut out).unwrap()
        });
        time(format!("{curve:?} sign, RustCrypto"), || {
            b.sign(&digest, &mut out).unwrap()
        });
        time(format!("{curve:?} verify, AWS-LC"), || {
            a.verify(&digest, &out).unwrap()
        });
        time(format!("{curve:?} verify, RustCrypto"), || {
            b.verify(&digest, &out).unwrap()
        });
        time(format!("{curve:?} ECDH, AWS-LC"), || {
            a.ecdh(&peer, &mut secret).unwrap()
        });
        time(format!("{curve:?} ECDH, RustCrypto"), || {
            b.ecdh(&peer, &mut secret).unwrap()
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn modular(mut n in vec(any::<u8>(), 2..200), a in vec(any::<u8>(), 1..200), b in vec(any::<u8>(), 1..200)) {
        n[0] |= 1;
        let last = n.len() - 1;
        n[last] |= 1;
        let (a, b) = (aws_lc::modular::div_rem(&a, &n).unwrap(), aws_lc::modular::div_rem(&b, &n).unwrap());
        let (x, y) = (aws_lc::modular::Modulus::new(&n).unwrap(), rustcrypto::modular::Modulus::new(&n).unwrap());
        prop_assert_eq!(x.pow(&a.1, &b.1), y.pow(&a.1, &b.1));
        prop_assert_eq!(x.mul(&a.1, &b.1), y.mul(&a.1, &b.1));
        prop_assert_eq!(x.add(&a.1, &b.1), y.add(&a.1, &b.1));
    }

    #[test]
    fn division(a in vec(any::<u8>(), 1..300), d in vec(any::<u8>(), 1..100)) {
        prop_assert_eq!(aws_lc::modular::div_rem(&a, &d), rustcrypto::modular::div_rem(&a, &d));
    }

    #[test]
    fn primes(n in vec(any::<u8>(), 1..12)) {
        prop_assert_eq!(aws_lc::modular::is_prime(&n, 16), rustcrypto::modular::is_prime(&n, 16));
    }
}
