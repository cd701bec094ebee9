//! Mechanisms: one static row each, in the file of its family, plus its name in [`ALL`]
//! (PKCS#11 3.2, "Mechanisms"). Flags, parameter checks, length queries, the list that
//! C_GetMechanismList shows and the engine's own dispatch read the row, so they cannot disagree.
//!
//! The pure functions here need no HSM: the module asks them before it sends anything, and the
//! engine asks them again.

mod aead;
mod aes;
mod aes_mac;
mod chacha;
mod check;
mod cloudhsm;
mod derive;
mod des;
mod digest;
mod ec;
mod eddsa;
pub(crate) mod fault;
mod feedback;
pub(crate) mod field;
mod kdf;
mod length;
mod mac;
pub(crate) mod otp;
pub(crate) mod pq;
mod public;
mod row;
pub(crate) mod rsa;
mod rsa_aes;
mod secret;
pub(crate) mod slh;
mod stream;

use std::sync::LazyLock;

use hsm_api::{MechId, Op};
use hsm_crypto::{Hash, PreHash};

pub use check::{check, check_init, offered};
pub(crate) use derive::DATA_FIRST;
pub use length::{Step, encapsulated, max_output, slack};
pub use row::{
    Call, Check, Cut, Decapsulate, Derive, Encapsulate, Func, Generate, GeneratePair, Mech,
    OpenStream, Output, Publish, Shape, Stream, Transform, Unit, Wanted,
};

/// Every mechanism, by code.
pub static ALL: LazyLock<Vec<&'static Mech>> = LazyLock::new(|| {
    let mut all: Vec<&'static Mech> = [
        aead::ALL,
        aes::ALL,
        aes_mac::ALL,
        chacha::ALL,
        cloudhsm::ALL,
        derive::ALL,
        des::ALL,
        digest::ALL,
        ec::ALL,
        eddsa::ALL,
        feedback::ALL,
        field::ALL,
        kdf::ALL,
        mac::ALL,
        otp::ALL,
        pq::ALL,
        public::ALL,
        rsa::ALL,
        rsa_aes::ALL,
        secret::ALL,
        slh::ALL,
    ]
    .concat();
    all.sort_by_key(|m| m.id);
    all
});

/// The row of a mechanism.
pub fn find(id: MechId) -> Option<&'static Mech> {
    let mut at = place(id);
    // A fifth of the places is taken, so a free one ends every search soon.
    while let Some(mech) = BY_CODE[at] {
        if mech.id == id {
            return Some(mech);
        }
        at = (at + 1) % PLACES;
    }
    None
}

/// Places of the table that [`find`] looks into: several times the number of rows.
const PLACES: usize = 1024;

/// The rows by their codes, each at its place or the next free one: a call asks for its row several
/// times, and halving its way through the list cost a tenth of a short call's instructions.
static BY_CODE: LazyLock<Box<[Option<&'static Mech>; PLACES]>> = LazyLock::new(|| {
    let mut places = Box::new([None; PLACES]);
    assert!(
        ALL.len() * 2 < PLACES,
        "the table of mechanisms is too full"
    );
    for mech in ALL.iter() {
        let mut at = place(mech.id);
        while places[at].is_some() {
            at = (at + 1) % PLACES;
        }
        places[at] = Some(*mech);
    }
    places
});

/// Where a code's row is looked for first.
const fn place(id: MechId) -> usize {
    (id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % PLACES
}

/// Whether a mechanism cannot be fed in parts (C_SignUpdate and the like must refuse).
pub fn one_shot_only(_op: Op, id: MechId) -> bool {
    find(id).is_none_or(|m| m.stream.is_none())
}

/// The hash that a CKM_ digest code names.
pub fn hash_of(id: MechId) -> Option<Hash> {
    find(id)
        .filter(|m| m.digest.is_some() && !m.legacy)
        .and_then(|m| m.hash)
}

/// The function that a message is hashed with before ML-DSA or SLH-DSA, by its CKM_ code; the two
/// SHAKEs, which PKCS#11 has no digest for, by their derivation's.
pub fn prehash_of(id: MechId) -> Option<PreHash> {
    find(id)
        .filter(|m| m.digest.is_some() || m.prehash.is_some())
        .and_then(|m| m.prehash.or(hash_of(id).map(PreHash::Hash)))
        .filter(|h| !matches!(h, PreHash::Hash(Hash::Sha1 | Hash::Md5)))
}

/// The hash that a CKG_MGF1_ code names.
pub fn mgf_hash(mgf: u64) -> Option<Hash> {
    Some(match mgf {
        1 => Hash::Sha1,
        2 => Hash::Sha256,
        3 => Hash::Sha384,
        4 => Hash::Sha512,
        5 => Hash::Sha224,
        6 => Hash::Sha3_224,
        7 => Hash::Sha3_256,
        8 => Hash::Sha3_384,
        9 => Hash::Sha3_512,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use hsm_api::{Mechanism, Params};

    use super::*;

    /// AES-GCM with a whole tag, for the tests of this module's files.
    pub fn gcm(iv: &'static [u8]) -> Mechanism<'static> {
        Mechanism {
            id: MechId(0x1087),
            params: Params::Gcm {
                iv: Cow::Borrowed(iv),
                aad: Cow::Borrowed(&[]),
                tag_bits: 128,
            },
        }
    }

    #[test]
    fn rows_are_unique_and_can_do_something() {
        assert!(ALL.windows(2).all(|w| w[0].id < w[1].id));
        for m in ALL.iter() {
            assert!(m.flags() & 0x300F_FF00 != 0, "{} has no function", m.name);
            assert_eq!(find(m.id).map(|f| f.name), Some(m.name));
            assert!(m.sizes.0 <= m.sizes.1, "{}", m.name);
        }
    }
}
