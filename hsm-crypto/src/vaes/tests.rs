//! The code here against the backends, wherever this machine can run it.

use proptest::collection::vec;
use proptest::prelude::*;

use super::Key;
use super::cipher::Counter;
use super::lanes::store;
use crate::backend::gcm as other;
use crate::{Error, GcmKey};

/// The key of this code, or nothing, said aloud, on a processor that cannot run it.
fn own(key: &[u8]) -> Option<Box<Key>> {
    let own = Key::forced(key);
    if own.is_none() {
        eprintln!("left out: this processor has no 256-bit AES");
    }
    own
}

/// Sealed and opened by both; and refused when any one bit is wrong.
fn agree(key: &[u8], iv: &[u8], aad: &[u8], data: &[u8], tag_len: usize) {
    let Some(own) = own(key) else { return };
    let other = other::Key::new(key).unwrap();
    let (mut a, mut b) = (vec![0; data.len()], vec![0; data.len()]);
    let (mut tag, mut tag_b) = ([0; 16], [0; 16]);
    own.seal(iv, aad, data, &mut a, &mut tag);
    other.seal(iv, aad, data, &mut b, &mut tag_b).unwrap();
    let at = || format!("{} bytes, IV {}, AAD {}", data.len(), iv.len(), aad.len());
    assert!(a == b, "ciphertext of {}", at());
    assert_eq!(tag, tag_b, "tag of {}", at());
    let mut plain = vec![1; data.len()];
    let short = &tag[..tag_len];
    own.open(iv, aad, &a, short, &mut plain).unwrap();
    assert!(plain == data, "plaintext of {}", at());
    let mut wrong = tag;
    wrong[data.len() % tag_len] ^= 1 << (data.len() % 8);
    let wrong = &wrong[..tag_len];
    let refused = own.open(iv, aad, &a, wrong, &mut plain);
    assert_eq!(refused, Err(Error::Mismatch), "{}", at());
    assert!(plain.iter().all(|&b| b == 0), "left by {}", at());
    if let Some(byte) = a.last_mut() {
        *byte ^= 0x80;
        assert!(own.open(iv, aad, &a, short, &mut plain).is_err());
    }
}

fn bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (i * 31 + seed * 17 + i / 251) as u8)
        .collect()
}

#[test]
fn every_length_up_to_five_batches() {
    for len in 0..1300 {
        let key = bytes([16, 24, 32][len % 3], len);
        let iv = bytes(if len % 5 == 0 { 1 + len % 70 } else { 12 }, len);
        let aad = bytes([0, 13, len % 300, 256, 257, 700][len % 6], len + 1);
        agree(&key, &iv, &aad, &bytes(len, 3), 4 + len % 13);
    }
}

#[test]
fn long_messages_and_data() {
    for (aad, data) in [(0, 1 << 20), (1 << 20, 0), (70_001, 70_001), (527, 16_640)] {
        agree(&[9; 32], &[5; 12], &bytes(aad, 1), &bytes(data, 2), 16);
    }
}

#[test]
fn other_keys_than_aes_has_are_none() {
    for len in [0, 15, 17, 31, 33] {
        assert!(Key::forced(&vec![1; len]).is_none());
    }
}

/// No tag at all is no right tag, and one that is longer than tags are is a wrong one.
#[test]
fn a_tag_has_a_length() {
    let Some(own) = own(&[1; 16]) else { return };
    let (mut sealed, mut tag) = ([0; 3], [0; 16]);
    own.seal(&[2; 12], b"", b"abc", &mut sealed, &mut tag);
    let long = [&tag[..], &[0]].concat();
    for tag in [&[][..], &long] {
        let refused = own.open(&[2; 12], b"", &sealed, tag, &mut [0; 3]);
        assert_eq!(refused, Err(Error::Mismatch));
    }
}

/// The last 32 bits count, wrap, and leave the others alone. (That a message comes through a wrap Wycheproof's vectors show.)
#[test]
fn counters_wrap() {
    #[target_feature(enable = "avx2")]
    fn pairs(first: u32) -> Vec<[u8; 16]> {
        let mut block = [0xEE; 16];
        block[12..].copy_from_slice(&first.to_be_bytes());
        let mut counter = Counter::after(&block);
        let mut seen = Vec::new();
        for _ in 0..3 {
            let mut two = [0; 32];
            store(&mut two, counter.next());
            seen.extend(two.as_chunks::<16>().0);
        }
        seen
    }
    if !super::possible() {
        return;
    }
    for first in [0, 1, 0xFF, 0x00FF_FFFE, 0xFFFF_FFFA, 0xFFFF_FFFD, u32::MAX] {
        // SAFETY: `possible` has found every feature that the function requires.
        let seen = unsafe { pairs(first) };
        for (n, block) in seen.iter().enumerate() {
            let mut want = [0xEE; 16];
            want[12..].copy_from_slice(&first.wrapping_add(n as u32 + 1).to_be_bytes());
            assert_eq!(*block, want, "{first:#x} and {n}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn as_the_backend(
        key in prop_oneof![vec(any::<u8>(), 16), vec(any::<u8>(), 24), vec(any::<u8>(), 32)],
        iv in prop_oneof![vec(any::<u8>(), 12), vec(any::<u8>(), 1..200)],
        aad in vec(any::<u8>(), 0..1500),
        data in vec(any::<u8>(), 0..5000),
        tag_len in 4..=16_usize,
        off in 0..32_usize,
    ) {
        // Whatever the buffers are aligned to.
        let off = off.min(data.len());
        agree(&key, &iv, &aad[off.min(aad.len())..], &data[off..], tag_len);
    }

    /// The public type has one answer, whichever code is behind it; streams mix with it.
    #[test]
    fn streams_open_what_one_shot_seals(key in vec(any::<u8>(), 32), data in vec(any::<u8>(), 0..3000)) {
        let (fast, plain) = (GcmKey::new(&key).unwrap(), GcmKey::on_backend(&key).unwrap());
        let (mut a, mut b) = (vec![0; data.len() + 16], vec![0; data.len() + 16]);
        fast.seal(&[4; 12], b"aad", &data, &mut a, 16).unwrap();
        plain.seal(&[4; 12], b"aad", &data, &mut b, 16).unwrap();
        prop_assert_eq!(&a, &b);
        let mut back = vec![0; data.len()];
        plain.open(&[4; 12], b"aad", &a, &mut back, 16).unwrap();
        prop_assert_eq!(&back, &data);
        fast.open(&[4; 12], b"aad", &b, &mut back, 16).unwrap();
        prop_assert_eq!(&back, &data);
    }
}
