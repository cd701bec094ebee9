use crate::answer;
use hsm_crypto::kdf::{self, Chain, Field, Prf};
use hsm_crypto::{
    AesKey, AesStream, ChaCha20, ChaChaPolyKey, Digest, Error, GcmKey, Hash, HmacKey, Mode, ccm,
};
use std::sync::Arc;

fn name(hash: Hash) -> String {
    format!("{hash:?}").to_lowercase()
}

#[test]
fn every_hash_in_one_shot_in_parts_and_cloned() {
    let data = answer("data");
    for hash in Hash::ALL {
        let want = answer(&format!("hash.{}", name(hash)));
        assert_eq!(&*hash.digest(data), want, "{hash:?}");
        assert_eq!(hash.len(), want.len(), "{hash:?}");
        let mut parts = Digest::new(hash);
        parts.update(&data[..100]);
        let mut copy = parts.clone();
        parts.update(b"another end");
        copy.update(&data[100..]);
        assert_eq!(&*copy.finish(), want, "{hash:?}, the clone");
        assert_ne!(&*parts.finish(), want, "{hash:?}, the original");
    }
}

#[test]
fn every_hmac_and_its_verification() {
    let data = answer("data");
    let key: Vec<u8> = (0..200).collect();
    for hash in Hash::ALL {
        let want = answer(&format!("hmac.{}", name(hash)));
        let key = HmacKey::new(hash, &key).unwrap();
        assert_eq!(&*key.mac(data), want, "{hash:?}");
        let mut parts = key.start();
        for part in data.chunks(7) {
            parts.update(part);
        }
        assert_eq!(parts.clone().verify(want), Ok(()), "{hash:?}");
        assert_eq!(parts.clone().verify(&want[..10]), Ok(()), "{hash:?}");
        assert_eq!(
            parts.clone().verify(&want[1..]),
            Err(Error::Mismatch),
            "{hash:?}"
        );
        assert_eq!(parts.clone().verify(&[]), Err(Error::BadLength), "{hash:?}");
        assert_eq!(parts.verify(&[0; 65]), Err(Error::BadLength), "{hash:?}");
        assert_eq!(HmacKey::new(hash, b"").unwrap().mac(b"").len(), hash.len());
    }
}

const IV: [u8; 16] = [
    100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115,
];

fn keys() -> impl Iterator<Item = (usize, Vec<u8>)> {
    [16usize, 24, 32]
        .into_iter()
        .map(|len| (len * 8, (0..len as u8).collect()))
}

#[test]
fn aes_block_modes() {
    let data = answer("data");
    let whole = &data[..768];
    let counter = (u128::MAX - 1).to_be_bytes();
    for (bits, key) in keys() {
        let key = AesKey::new(&key).unwrap();
        let want = |mode: &str| answer(&format!("aes{bits}.{mode}"));
        let mut out = vec![0; 800];
        let mut back = vec![0; 800];

        key.ecb_encrypt(whole, &mut out).unwrap();
        assert_eq!(&out[..768], want("ecb"), "{bits}");
        key.ecb_decrypt(want("ecb"), &mut back).unwrap();
        assert_eq!(&back[..768], whole, "{bits}");

        // The IV carries on: two calls make one message.
        let mut iv = IV;
        key.cbc_encrypt(&mut iv, &whole[..32], &mut out).unwrap();
        key.cbc_encrypt(&mut iv, &whole[32..], &mut out[32..])
            .unwrap();
        assert_eq!(&out[..768], want("cbc"), "{bits}");
        let mut iv = IV;
        key.cbc_decrypt(&mut iv, &want("cbc")[..48], &mut back)
            .unwrap();
        key.cbc_decrypt(&mut iv, &want("cbc")[48..], &mut back[48..])
            .unwrap();
        assert_eq!(&back[..768], whole, "{bits}");

        let padded = want("cbc-pad");
        assert_eq!(key.cbc_pad_encrypt(&IV, data, &mut out), Ok(padded.len()));
        assert_eq!(&out[..padded.len()], padded, "{bits}");
        assert_eq!(key.cbc_pad_decrypt(&IV, padded, &mut back), Ok(data.len()));
        assert_eq!(&back[..data.len()], data, "{bits}");

        let mut at = counter;
        key.ctr(&mut at, 128, data, &mut out).unwrap();
        assert_eq!(&out[..data.len()], want("ctr"), "{bits}");
    }
    assert_eq!(AesKey::new(&[0; 15]).unwrap_err(), Error::BadKey);
}

#[test]
fn aes_streams_agree_with_one_shot_whatever_the_cuts() {
    let data = answer("data");
    for (bits, key) in keys() {
        let key = Arc::new(AesKey::new(&key).unwrap());
        let counter = (u128::MAX - 1).to_be_bytes();
        for (mode, name, len) in [
            (Mode::Ecb, "ecb", 768),
            (Mode::Cbc { iv: IV }, "cbc", 768),
            (Mode::CbcPad { iv: IV }, "cbc-pad", data.len()),
            (
                Mode::Ctr {
                    counter,
                    counter_bits: 128,
                },
                "ctr",
                data.len(),
            ),
        ] {
            let cipher = answer(&format!("aes{bits}.{name}"));
            for cut in [1, 5, 15, 16, 17, 32, 100, 768, 800] {
                for (encrypt, from, to) in
                    [(true, &data[..len], cipher), (false, cipher, &data[..len])]
                {
                    let mut stream = AesStream::new(key.clone(), mode, encrypt).unwrap();
                    let mut out = vec![0; from.len() + 32];
                    let mut done = 0;
                    for part in from.chunks(cut) {
                        let expected = stream.update_len(part.len());
                        let wrote = stream.update(part, &mut out[done..]).unwrap();
                        assert_eq!(wrote, expected);
                        done += wrote;
                    }
                    done += stream.finish(&mut out[done..]).unwrap();
                    assert_eq!(
                        &out[..done],
                        to,
                        "{name} {bits}, parts of {cut}, encrypt {encrypt}"
                    );
                }
            }
        }
    }
}

#[test]
fn paddings_and_lengths_that_are_refused() {
    let key = AesKey::new(&[1; 16]).unwrap();
    let mut out = [0; 64];
    let mut cipher = [0; 32];
    // A plaintext whose last block is the given one, encrypted without padding.
    for (last, good) in [
        ([16u8; 16], true),
        ([0; 16], false),
        ([17; 16], false),
        ([255; 16], false),
        ([9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 2, 2], true),
        ([9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 3, 2], false),
        ([9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 1], true),
        (
            [
                9, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
            ],
            false,
        ),
    ] {
        let mut plain = [7; 32];
        plain[16..].copy_from_slice(&last);
        key.cbc_encrypt(&mut IV.clone(), &plain, &mut cipher)
            .unwrap();
        let got = key.cbc_pad_decrypt(&IV, &cipher, &mut out);
        if good {
            assert_eq!(got, Ok(32 - usize::from(last[15])), "{last:?}");
        } else {
            assert_eq!(got, Err(Error::BadPadding), "{last:?}");
            assert_eq!(out[..32], [0; 32], "nothing is left in the caller's buffer");
        }
    }
    assert_eq!(key.ecb_encrypt(&[0; 17], &mut out), Err(Error::BadLength));
    assert_eq!(
        key.ecb_encrypt(&[0; 32], &mut out[..31]),
        Err(Error::BadLength)
    );
    assert_eq!(
        key.cbc_pad_decrypt(&IV, &[], &mut out),
        Err(Error::BadLength)
    );
    // Two bits of counter: four blocks, not five.
    let start = [0xff; 16];
    assert_eq!(key.ctr(&mut start.clone(), 2, &[0; 64], &mut out), Ok(()));
    assert_eq!(
        key.ctr(&mut start.clone(), 2, &[0; 65], &mut [0; 65]),
        Err(Error::TooLarge)
    );
    assert_eq!(
        key.ctr(&mut start.clone(), 0, &[0; 1], &mut out),
        Err(Error::BadLength)
    );
    // The counter wraps within its bits: the second block uses ff..fc, not 00..00.
    let mut block = [0xff; 16];
    block[15] = 0xfc;
    key.encrypt_block(&mut block);
    assert_eq!(out[16..32], block);
    let mode = Mode::Ctr {
        counter: start,
        counter_bits: 2,
    };
    let mut stream = AesStream::new(Arc::new(key), mode, true).unwrap();
    assert_eq!(stream.update(&[0; 63], &mut out), Ok(63));
    assert_eq!(stream.update(&[0; 1], &mut out), Ok(1));
    assert_eq!(stream.update(&[0; 1], &mut out), Err(Error::TooLarge));
}

#[test]
fn gcm_with_short_and_long_ivs_short_tags_and_streams() {
    let data = answer("data");
    for (bits, key) in keys() {
        let key = GcmKey::new(&key).unwrap();
        for iv_len in [8u8, 12, 16, 60] {
            let iv: Vec<u8> = (0..iv_len).collect();
            let want = answer(&format!("aes{bits}.gcm.iv{iv_len}"));
            let mut out = vec![0; want.len()];
            assert_eq!(
                key.seal(&iv, b"additional", data, &mut out, 16),
                Ok(want.len())
            );
            assert_eq!(out, want, "{bits}, IV of {iv_len}");
            for tag_len in [4, 8, 12, 13, 14, 15, 16] {
                let sealed = &want[..data.len() + tag_len];
                let mut back = vec![0xee; data.len()];
                assert_eq!(
                    key.open(&iv, b"additional", sealed, &mut back, tag_len),
                    Ok(data.len())
                );
                assert_eq!(back, data, "{bits}, tag of {tag_len}");
                let mut bad = sealed.to_vec();
                *bad.last_mut().unwrap() ^= 0x80;
                back.fill(0xee);
                let got = key.open(&iv, b"additional", &bad, &mut back, tag_len);
                assert_eq!(got, Err(Error::Mismatch), "{bits}, tag of {tag_len}");
                assert!(back.iter().all(|&b| b == 0), "no plaintext is left");
                let got = key.open(&iv, b"additionaL", sealed, &mut back, tag_len);
                assert_eq!(got, Err(Error::Mismatch));
            }
            for cut in [1, 15, 16, 33, 1000] {
                let mut stream = key.encryptor(&iv).unwrap();
                stream.aad(b"addi").unwrap();
                stream.aad(b"tional").unwrap();
                let mut at = 0;
                for part in data.chunks(cut) {
                    at += stream.update(part, &mut out[at..]).unwrap();
                }
                assert_eq!(out[..at], want[..at], "{bits}, parts of {cut}");
                assert_eq!(stream.clone().finish().unwrap(), want[at..]);
                assert_eq!(stream.aad(b"late"), Err(Error::BadLength));

                let mut stream = key.decryptor(&iv).unwrap();
                stream.aad(b"additional").unwrap();
                let mut at = 0;
                for part in want[..data.len()].chunks(cut) {
                    at += stream.update(part, &mut out[at..]).unwrap();
                }
                assert_eq!(&out[..at], data, "{bits}, parts of {cut}");
                assert_eq!(stream.clone().finish(&want[at..]), Ok(()));
                assert_eq!(stream.clone().finish(&want[at..at + 12]), Ok(()));
                assert_eq!(stream.finish(&[0; 16]), Err(Error::Mismatch));
            }
        }
        let mut out = [0; 64];
        assert_eq!(
            key.seal(&[], b"", b"x", &mut out, 16),
            Err(Error::BadLength)
        );
        assert_eq!(
            key.seal(&[1], b"", b"x", &mut out, 17),
            Err(Error::BadLength)
        );
        assert_eq!(
            key.seal(&[1], b"", b"x", &mut out[..16], 16),
            Err(Error::BadLength)
        );
        assert_eq!(
            key.open(&[1], b"", &[0; 15], &mut out, 16),
            Err(Error::BadLength)
        );
        // GMAC: nothing but additional data.
        let sealed = key.seal(&[1; 12], data, b"", &mut out, 16).unwrap();
        let mut mac = key.encryptor(&[1; 12]).unwrap();
        mac.aad(data).unwrap();
        assert_eq!(mac.finish().unwrap(), out[..sealed]);
    }
}

#[test]
fn ccm_and_chacha() {
    let data = answer("data");
    let mut out = vec![0; data.len() + 16];
    let mut back = vec![0xee; data.len()];
    for (bits, key) in keys() {
        let key = AesKey::new(&key).unwrap();
        for (nonce_len, tag_len, aad) in [(13u8, 8, &b"additional"[..]), (7, 16, b"")] {
            let nonce: Vec<u8> = (0..nonce_len).collect();
            let want = answer(&format!("aes{bits}.ccm.iv{nonce_len}.tag{tag_len}"));
            assert_eq!(
                ccm::seal(&key, &nonce, aad, data, &mut out, tag_len),
                Ok(want.len())
            );
            assert_eq!(&out[..want.len()], want, "{bits} {nonce_len}");
            assert_eq!(
                ccm::open(&key, &nonce, aad, want, &mut back, tag_len),
                Ok(data.len())
            );
            assert_eq!(back, data);
            let got = ccm::open(&key, &nonce, b"other", want, &mut back, tag_len);
            assert_eq!(got, Err(Error::Mismatch));
            assert!(back.iter().all(|&b| b == 0), "no plaintext is left");
        }
        assert_eq!(
            ccm::seal(&key, &[0; 13], b"", &[0; 65536], &mut [0; 65552], 16),
            Err(Error::TooLarge)
        );
        assert_eq!(
            ccm::seal(&key, &[0; 6], b"", b"", &mut out, 16),
            Err(Error::BadLength)
        );
        assert_eq!(
            ccm::seal(&key, &[0; 12], b"", b"", &mut out, 5),
            Err(Error::BadLength)
        );
    }
    let key: Vec<u8> = (0..32).collect();
    let nonce: Vec<u8> = (0..12).collect();
    let poly = ChaChaPolyKey::new(&key).unwrap();
    let want = answer("chacha20poly1305");
    assert_eq!(
        poly.seal(&nonce, b"additional", data, &mut out),
        Ok(want.len())
    );
    assert_eq!(&out[..want.len()], want);
    assert_eq!(
        poly.open(&nonce, b"additional", want, &mut back),
        Ok(data.len())
    );
    assert_eq!(back, data);
    assert_eq!(
        poly.open(&nonce, b"", want, &mut back),
        Err(Error::Mismatch)
    );
    assert!(back.iter().all(|&b| b == 0), "no plaintext is left");
    let mut stream = ChaCha20::new(&key, &nonce, 7).unwrap();
    stream.apply(&data[..100], &mut out).unwrap();
    stream.apply(&data[100..], &mut out[100..]).unwrap();
    assert_eq!(&out[..data.len()], answer("chacha20.counter7"));
    let mut last = ChaCha20::new(&key, &nonce, u64::from(u32::MAX)).unwrap();
    assert_eq!(last.apply(&[0; 65], &mut out), Err(Error::TooLarge));
    assert_eq!(
        ChaCha20::new(&key, &nonce, 1 << 32).unwrap_err(),
        Error::TooLarge
    );
    let mut original = ChaCha20::new(&key, &nonce[..8], 1 << 40).unwrap();
    assert_eq!(original.apply(&[0; 65], &mut out), Ok(()));
}

#[test]
fn key_derivation() {
    // RFC 5869, A.1.
    let (salt, info) = (
        hex::decode("000102030405060708090a0b0c").unwrap(),
        hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap(),
    );
    let prk = kdf::hkdf_extract(Hash::Sha256, &salt, &[0x0b; 22]).unwrap();
    assert_eq!(
        hex::encode(&**prk),
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"
    );
    let mut okm = [0; 42];
    kdf::hkdf_expand(Hash::Sha256, &prk, &info, &mut okm).unwrap();
    assert_eq!(
        hex::encode(okm),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    );
    assert_eq!(
        kdf::hkdf_expand(Hash::Sha1, &prk, b"", &mut [0; 5101]),
        Err(Error::TooLarge)
    );
    // From OpenSSL, by its own names of the parameters.
    for hash in Hash::ALL {
        let mut out = [0; 100];
        kdf::pbkdf2(hash, b"password", b"salt", 7, &mut out).unwrap();
        assert_eq!(out, answer(&format!("pbkdf2.{}", name(hash))), "{hash:?}");
    }
    assert_eq!(
        kdf::pbkdf2(Hash::Sha1, b"", b"", 0, &mut [0]),
        Err(Error::BadLength)
    );
    let secret: Vec<u8> = (0..32).collect();
    let mut out = [0; 100];
    kdf::x963(Hash::Sha256, &secret, b"shared info", &mut out).unwrap();
    assert_eq!(out, answer("x963.sha256"));
    kdf::sp800_56c(Hash::Sha256, &secret, b"shared info", &mut out).unwrap();
    assert_eq!(out, answer("concat.sha256"));
    let bits = 800u32.to_be_bytes();
    let counter = Field::Counter {
        bytes: 4,
        little_endian: false,
    };
    let fields = [
        counter,
        Field::Fixed(b"label"),
        Field::Fixed(&[0]),
        Field::Fixed(b"context"),
        Field::Fixed(&bits),
    ];
    let hmac = Prf::Hmac(Arc::new(HmacKey::new(Hash::Sha256, &secret).unwrap()));
    kdf::sp800_108(&hmac, Chain::Counter, &fields, &mut out).unwrap();
    assert_eq!(out, answer("sp800-108.counter.hmac-sha256"));
    let cmac = Prf::Cmac(Arc::new(AesKey::new(&secret).unwrap()));
    kdf::sp800_108(&cmac, Chain::Counter, &fields, &mut out).unwrap();
    assert_eq!(out, answer("sp800-108.counter.cmac-aes256"));
    // The other chains against the standard's formulas, written out.
    let key = HmacKey::new(Hash::Sha256, &secret).unwrap();
    let fields = [
        Field::Chain,
        Field::Counter {
            bytes: 1,
            little_endian: true,
        },
        Field::Fixed(b"fixed"),
    ];
    let mut out = [0; 64];
    kdf::sp800_108(&hmac, Chain::Feedback(b"iv"), &fields, &mut out).unwrap();
    let one = key.mac(b"iv\x01fixed");
    let two = key.mac(&[&one[..], b"\x02fixed"].concat());
    assert_eq!(out, *[&one[..], &two].concat());
    kdf::sp800_108(&hmac, Chain::DoublePipeline, &fields, &mut out).unwrap();
    let a1 = key.mac(b"fixed");
    let a2 = key.mac(&a1);
    let one = key.mac(&[&a1[..], b"\x01fixed"].concat());
    let two = key.mac(&[&a2[..], b"\x02fixed"].concat());
    assert_eq!(out, *[&one[..], &two].concat());
    let short = [Field::Counter {
        bytes: 1,
        little_endian: false,
    }];
    assert_eq!(
        kdf::sp800_108(&hmac, Chain::Counter, &short, &mut [0; 8192]),
        Err(Error::TooLarge)
    );
    assert_eq!(
        kdf::sp800_108(&hmac, Chain::Counter, &[], &mut out),
        Err(Error::BadLength)
    );
    assert_eq!(
        kdf::sp800_108(&hmac, Chain::DoublePipeline, &short, &mut out),
        Err(Error::BadLength)
    );
}
