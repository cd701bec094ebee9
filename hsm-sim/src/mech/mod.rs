//! Mechanisms: one static row each, in the file of its family, plus its name in [`ALL`]
//! (PKCS#11 3.2, "Mechanisms"). Flags, parameter checks, length queries, the list that
//! C_GetMechanismList shows and the engine's own dispatch read the row, so they cannot disagree.
//!
//! The pure functions here need no HSM: the module asks them before it sends anything, and the
//! engine asks them again.

mod aead;
mod aes;
mod chacha;
mod cloudhsm;
mod derive;
mod des;
mod digest;
mod ec;
mod eddsa;
pub(crate) mod fault;
mod kdf;
mod length;
mod mac;
pub(crate) mod pq;
pub(crate) mod rsa;
mod rsa_aes;
mod secret;
pub(crate) mod slh;
mod stream;

use std::sync::{Arc, LazyLock};

use hsm_api::{
    Class, Error, KeyFacts, KeyType, MechId, Mechanism, ObjectId, Op, Params, Result, Rv, Secret,
    Uses,
};
use hsm_crypto::{Hash, PreHash};

pub use length::{Step, max_output};

use crate::code::{class, key_type};
use crate::material::Material;
use crate::object::{Attrs, Object};

/// One mechanism.
pub struct Mech {
    /// CKM_ code.
    pub id: MechId,
    /// The name, with CKM_.
    pub name: &'static str,
    /// Key types that it takes, or makes (the first is what it makes unless the template says).
    pub keys: &'static [KeyType],
    /// Smallest and largest key, in [`Mech::unit`].
    pub sizes: (u32, u32),
    /// What sizes are counted in.
    pub unit: Unit,
    /// Form of the parameter.
    pub params: Shape,
    /// How long results are.
    pub output: Output,
    /// The hash inside, where the row has a fixed one.
    pub hash: Option<Hash>,
    /// The same for what also may be an extendable-output function.
    pub prehash: Option<PreHash>,
    /// Broken or too old for new data: offered by tokens that were told to (`legacy`).
    pub legacy: bool,
    /// One-shot functions. Each gets the row itself, so that one serves a family.
    pub encrypt: Option<Transform>,
    /// See `encrypt`; the same for those below.
    pub decrypt: Option<Transform>,
    #[allow(missing_docs)]
    pub sign: Option<Transform>,
    #[allow(missing_docs)]
    pub verify: Option<Check>,
    #[allow(missing_docs)]
    pub sign_recover: Option<Transform>,
    #[allow(missing_docs)]
    pub verify_recover: Option<Transform>,
    #[allow(missing_docs)]
    pub digest: Option<Transform>,
    /// Opens a multi-part operation; without it the mechanism works in one shot only.
    pub stream: Option<OpenStream>,
    /// Makes a secret key's value.
    pub generate: Option<Generate>,
    /// Makes a key pair's values: public, private.
    pub generate_pair: Option<GeneratePair>,
    /// Encrypts a key's encoding.
    pub wrap: Option<Transform>,
    /// The reverse.
    pub unwrap: Option<Transform>,
    /// Computes a shared or derived secret.
    pub derive: Option<Derive>,
    /// Which end of a secret goes when the derived key is shorter.
    pub cut: Cut,
    /// The derived key is as sensitive and as little extractable as what it comes from.
    pub inherits: bool,
    /// What a derivation makes.
    pub makes: Class,
    /// Makes a shared secret and the ciphertext that carries it.
    pub encapsulate: Option<Encapsulate>,
    /// The shared secret of a ciphertext.
    pub decapsulate: Option<Decapsulate>,
}

/// Which end of a secret goes when the derived key is shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Cut {
    Leading,
    Trailing,
}

/// What sizes are counted in (the specification has both).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unit {
    Bits,
    Bytes,
    /// There is no key.
    Nothing,
}

/// The form of a mechanism's parameter, that is, which variants of [`Params`] it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// None.
    Nothing,
    /// An IV of so many bytes.
    Iv(usize),
    /// An IV of so many bytes, or none.
    MaybeIv(usize),
    /// CK_AES_CTR_PARAMS.
    Ctr,
    /// CK_GCM_PARAMS.
    Gcm,
    /// CK_GCM_PARAMS without an IV, which the HSM makes.
    GcmOwnIv,
    /// CK_RSA_PKCS_PSS_PARAMS.
    Pss,
    /// CK_RSA_PKCS_OAEP_PARAMS.
    Oaep,
    /// CK_ECDH1_DERIVE_PARAMS.
    Ecdh,
    /// CK_EDDSA_PARAMS, or none for pure Ed25519.
    MaybeEdDsa,
    /// CK_MAC_GENERAL_PARAMS.
    MacLen,
    /// CK_CCM_PARAMS.
    Ccm,
    /// CK_CHACHA20_PARAMS.
    ChaCha20,
    /// CK_SALSA20_CHACHA20_POLY1305_PARAMS.
    ChaCha20Poly1305,
    /// CK_RSA_AES_KEY_WRAP_PARAMS.
    RsaAesKeyWrap,
    /// CK_SIGN_ADDITIONAL_CONTEXT, or none.
    MaybeSignContext,
    /// CK_HASH_SIGN_ADDITIONAL_CONTEXT.
    HashSignContext,
    /// CK_HKDF_PARAMS.
    Hkdf,
    /// CK_SP800_108_KDF_PARAMS.
    Kbkdf,
    /// CK_SP800_108_FEEDBACK_KDF_PARAMS.
    KbkdfFeedback,
    /// CK_PKCS5_PBKD2_PARAMS2.
    Pbkdf2,
    /// CK_KEY_DERIVATION_STRING_DATA.
    Data,
    /// CK_AES_CBC_ENCRYPT_DATA_PARAMS or its DES form, whose IV has so many bytes.
    CbcEncryptData(usize),
    /// CK_EXTRACT_PARAMS.
    Bit,
    /// CK_OBJECT_HANDLE.
    Key,
}

/// How long a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The mechanism only makes keys.
    Nothing,
    /// A hash value or MAC of so many bytes.
    Fixed(usize),
    /// A MAC as long as the parameter says.
    MacLen,
    /// As long as the RSA modulus; decryption gives less.
    Modulus,
    /// Two numbers of the curve's order.
    Signature,
    /// As long as the input.
    Same,
    /// Whole blocks of 16.
    Block,
    /// Whole blocks with PKCS#7 padding.
    Padded,
    /// Whole blocks of 8.
    Block8,
    /// Whole blocks of 8 with PKCS#7 padding.
    Padded8,
    /// The input and a tag.
    Gcm,
    /// As long as the input, but at the end only.
    Late,
    /// The input and a tag, at the end only.
    Sealed,
    /// A tag alone.
    Tag,
    /// An RSA ciphertext and a padded key wrap.
    RsaAes,
    /// As long as the parameter set says.
    OfSet,
    /// Whole semiblocks of 8 and one more.
    KeyWrap,
    /// The input padded up to semiblocks, and one more.
    KeyWrapPadded,
    /// The input with PKCS#5 padding to semiblocks, and one more.
    KeyWrapPkcs5,
}

/// What a mechanism can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Func {
    Crypt(Op),
    Generate,
    GeneratePair,
    Wrap,
    Unwrap,
    Derive,
    Encapsulate,
    Decapsulate,
}

/// The row, the key and the parameters of one operation.
pub struct Call<'a> {
    /// The row that holds the function called.
    pub mech: &'static Mech,
    /// The key, expanded.
    pub key: &'a Material,
    /// The parameters, checked against the row's shape.
    pub params: &'a Params<'a>,
}

/// Input to output; how many bytes were written.
pub type Transform = fn(&Call<'_>, &[u8], &mut [u8]) -> Result<usize>;
/// Data, signature.
pub type Check = fn(&Call<'_>, &[u8], &[u8]) -> Result<()>;
/// Opens a multi-part operation.
pub type OpenStream = fn(&Call<'_>, Op) -> Result<Box<dyn Stream>>;
/// Fills in a new secret key's value.
pub type Generate = fn(&'static Mech, &Params<'_>, &mut Attrs) -> Result<()>;
/// Fills in the values of a new pair.
pub type GeneratePair = fn(&'static Mech, &Params<'_>, &mut Attrs, &mut Attrs) -> Result<()>;
/// A secret: at least as long as wanted, or as the mechanism makes it where nothing is said.
pub type Derive = fn(&Call<'_>, &Wanted<'_>) -> Result<Secret>;
/// Ciphertext into the buffer; its length, and the secret.
pub type Encapsulate = fn(&Call<'_>, &mut [u8]) -> Result<(usize, Secret)>;
/// Ciphertext to secret.
pub type Decapsulate = fn(&Call<'_>, &[u8]) -> Result<Secret>;

/// What a derivation is asked for.
pub struct Wanted<'a> {
    /// Bytes of the key, if its template or type says.
    pub len: Option<usize>,
    /// Bytes of each key beyond the first (SP 800-108 alone makes more than one).
    pub more: &'a [usize],
    /// Another key that the parameters name, if it may be derived from.
    pub key: &'a dyn Fn(ObjectId) -> Result<Arc<Object>>,
}

/// A multi-part operation under way. `out` is never shorter than [`max_output`] says.
pub trait Stream: Send {
    /// Feeds input.
    ///
    /// # Errors
    /// What the algorithm refuses.
    fn update(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize>;
    /// Ends it: the rest of the output, the digest or the signature. The call is the one it was
    /// opened with.
    ///
    /// # Errors
    /// What the algorithm refuses.
    fn finish(self: Box<Self>, call: &Call<'_>, out: &mut [u8]) -> Result<usize>;
    /// The operation as it stands, to go on from later; only digests can be copied.
    fn copy(&self) -> Option<Box<dyn Stream>> {
        None
    }
    /// Ends a verification.
    ///
    /// # Errors
    /// SIGNATURE_INVALID, SIGNATURE_LEN_RANGE.
    fn verify(self: Box<Self>, _call: &Call<'_>, _signature: &[u8]) -> Result<()> {
        Err(Rv::OPERATION_NOT_INITIALIZED.into())
    }
}

impl Mech {
    /// A row that does nothing yet: families fill in the rest.
    pub(crate) const REFUSES: Mech = Mech {
        id: MechId(0),
        name: "",
        keys: &[],
        sizes: (0, 0),
        unit: Unit::Nothing,
        params: Shape::Nothing,
        output: Output::Nothing,
        hash: None,
        prehash: None,
        legacy: false,
        encrypt: None,
        decrypt: None,
        sign: None,
        verify: None,
        sign_recover: None,
        verify_recover: None,
        digest: None,
        stream: None,
        generate: None,
        generate_pair: None,
        wrap: None,
        unwrap: None,
        derive: None,
        cut: Cut::Trailing,
        inherits: false,
        makes: class::SECRET,
        encapsulate: None,
        decapsulate: None,
    };

    /// Whether the row has the function.
    pub const fn can(&self, func: Func) -> bool {
        match func {
            Func::Crypt(Op::Encrypt) => self.encrypt.is_some(),
            Func::Crypt(Op::Decrypt) => self.decrypt.is_some(),
            Func::Crypt(Op::Sign) => self.sign.is_some(),
            Func::Crypt(Op::Verify) => self.verify.is_some(),
            Func::Crypt(Op::SignRecover) => self.sign_recover.is_some(),
            Func::Crypt(Op::VerifyRecover) => self.verify_recover.is_some(),
            Func::Crypt(Op::Digest) => self.digest.is_some(),
            Func::Generate => self.generate.is_some(),
            Func::GeneratePair => self.generate_pair.is_some(),
            Func::Wrap => self.wrap.is_some(),
            Func::Unwrap => self.unwrap.is_some(),
            Func::Derive => self.derive.is_some(),
            Func::Encapsulate => self.encapsulate.is_some(),
            Func::Decapsulate => self.decapsulate.is_some(),
        }
    }

    /// The CKF_ flags of CK_MECHANISM_INFO.
    pub fn flags(&self) -> u64 {
        const FLAGS: [(Func, u64); 14] = [
            (Func::Crypt(Op::Encrypt), 0x100),
            (Func::Crypt(Op::Decrypt), 0x200),
            (Func::Crypt(Op::Digest), 0x400),
            (Func::Crypt(Op::Sign), 0x800),
            (Func::Crypt(Op::SignRecover), 0x1000),
            (Func::Crypt(Op::Verify), 0x2000),
            (Func::Crypt(Op::VerifyRecover), 0x4000),
            (Func::Generate, 0x8000),
            (Func::GeneratePair, 0x1_0000),
            (Func::Wrap, 0x2_0000),
            (Func::Unwrap, 0x4_0000),
            (Func::Derive, 0x8_0000),
            (Func::Encapsulate, 0x1000_0000),
            (Func::Decapsulate, 0x2000_0000),
        ];
        // CKF_EC_F_P, CKF_EC_NAMEDCURVE, CKF_EC_UNCOMPRESS
        const CURVE: u64 = 0x10_0000 | 0x80_0000 | 0x100_0000;
        let on_curve = [key_type::EC, key_type::EC_EDWARDS, key_type::EC_MONTGOMERY]
            .iter()
            .any(|t| self.keys.contains(t));
        FLAGS
            .iter()
            .filter(|(f, _)| self.can(*f))
            .fold(if on_curve { CURVE } else { 0 }, |flags, (_, bit)| {
                flags | bit
            })
    }

    /// Smallest and largest key size as CK_MECHANISM_INFO has them.
    pub const fn key_sizes(&self) -> (u64, u64) {
        (self.sizes.0 as u64, self.sizes.1 as u64)
    }

    fn takes_size(&self, bits: u32) -> bool {
        let size = match self.unit {
            Unit::Bits => bits,
            Unit::Bytes => bits.div_ceil(8),
            Unit::Nothing => return true,
        };
        (self.sizes.0..=self.sizes.1).contains(&size)
    }
}

/// Every mechanism, by code.
pub static ALL: LazyLock<Vec<&'static Mech>> = LazyLock::new(|| {
    let mut all: Vec<&'static Mech> = [
        aead::ALL,
        aes::ALL,
        chacha::ALL,
        cloudhsm::ALL,
        derive::ALL,
        des::ALL,
        digest::ALL,
        ec::ALL,
        eddsa::ALL,
        kdf::ALL,
        mac::ALL,
        pq::ALL,
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

/// What C_SignInit and its sisters check; see [`check`].
///
/// # Errors
/// As [`check`].
pub fn check_init(
    op: Op,
    mechanism: &Mechanism<'_>,
    key: Option<&KeyFacts>,
) -> Result<&'static Mech> {
    check(Func::Crypt(op), mechanism, key)
}

/// Whether this mechanism, with these parameters, may be asked to do this with this key. The answer
/// is the row.
///
/// # Errors
/// MECHANISM_INVALID, KEY_HANDLE_INVALID (no key), KEY_TYPE_INCONSISTENT,
/// KEY_FUNCTION_NOT_PERMITTED, KEY_SIZE_RANGE, MECHANISM_PARAM_INVALID.
pub fn check(
    func: Func,
    mechanism: &Mechanism<'_>,
    key: Option<&KeyFacts>,
) -> Result<&'static Mech> {
    let Some(mech) = find(mechanism.id).filter(|m| m.can(func)) else {
        return Err(Error::new(
            Rv::MECHANISM_INVALID,
            format!("mechanism {:#x} cannot {func:?} here", mechanism.id.0),
        ));
    };
    if let Some(facts) = key {
        check_key(func, mech, facts)?;
    }
    check_params(mech, func, &mechanism.params)?;
    Ok(mech)
}

fn check_key(func: Func, mech: &Mech, facts: &KeyFacts) -> Result<()> {
    if facts.key_type == key_type::NONE {
        return Err(Error::new(
            Rv::KEY_HANDLE_INVALID,
            "the object is not a key",
        ));
    }
    if !mech.keys.contains(&facts.key_type) {
        return Err(Error::new(
            Rv::KEY_TYPE_INCONSISTENT,
            format!(
                "{} does not take a key of type {:#x}",
                mech.name, facts.key_type.0
            ),
        ));
    }
    let needs = match func {
        Func::Crypt(op) => op.uses(),
        Func::Wrap => Uses::WRAP,
        Func::Unwrap => Uses::UNWRAP,
        Func::Derive => Uses::DERIVE,
        Func::Encapsulate => Uses::ENCAPSULATE,
        Func::Decapsulate => Uses::DECAPSULATE,
        Func::Generate | Func::GeneratePair => Uses(0),
    };
    if !facts.uses.allows(needs) {
        return Err(Error::new(
            Rv::KEY_FUNCTION_NOT_PERMITTED,
            format!("the key's attributes do not allow it to {func:?}"),
        ));
    }
    if facts
        .allowed
        .as_ref()
        .is_some_and(|a| !a.contains(&mech.id.0))
    {
        return Err(Error::new(
            Rv::MECHANISM_INVALID,
            format!(
                "{} is not among the key's CKA_ALLOWED_MECHANISMS",
                mech.name
            ),
        ));
    }
    if !mech.takes_size(facts.bits) {
        return Err(Error::new(
            Rv::KEY_SIZE_RANGE,
            format!("{} does not take a key of {} bits", mech.name, facts.bits),
        ));
    }
    Ok(())
}

fn check_params(mech: &Mech, func: Func, params: &Params<'_>) -> Result<()> {
    let good = match (mech.params, params) {
        (
            Shape::Nothing | Shape::MaybeIv(_) | Shape::MaybeEdDsa | Shape::MaybeSignContext,
            Params::None,
        ) => true,
        (Shape::Iv(n) | Shape::MaybeIv(n), Params::Iv(iv)) => iv.len() == n,
        (Shape::Ctr, Params::Ctr { bits, .. }) => (1..=128).contains(bits),
        (Shape::Gcm, Params::Gcm { iv, tag_bits, .. }) => {
            // Nobody could tell the signer's IV to the verifier.
            let has_iv = !iv.is_empty() || mech.output != Output::Tag;
            has_iv && iv.len() <= 256 && matches!(tag_bits, 32 | 64 | 96 | 104 | 112 | 120 | 128)
        }
        (Shape::GcmOwnIv, Params::Gcm { iv, tag_bits, .. }) => {
            iv.is_empty() && matches!(tag_bits, 32 | 64 | 96 | 104 | 112 | 120 | 128)
        }
        (Shape::Ccm, Params::Ccm { nonce, mac_len, .. }) => {
            (7..=13).contains(&nonce.len()) && matches!(mac_len, 4 | 6 | 8 | 10 | 12 | 14 | 16)
        }
        (Shape::ChaCha20, Params::ChaCha20 { counter, nonce }) => match nonce.len() {
            8 => true,
            12 => u32::try_from(*counter).is_ok(),
            _ => false,
        },
        (Shape::ChaCha20Poly1305, Params::ChaCha20Poly1305 { nonce, .. }) => nonce.len() == 12,
        (Shape::Pss, Params::Pss { hash, mgf, .. }) => {
            mgf_hash(*mgf).is_some()
                && hash_of(*hash).is_some_and(|h| mech.hash.is_none_or(|own| own == h))
        }
        (Shape::Oaep, Params::Oaep { hash, mgf, .. }) => {
            hash_of(*hash).is_some() && mgf_hash(*mgf).is_some()
        }
        (
            Shape::RsaAesKeyWrap,
            Params::RsaAesKeyWrap {
                aes_bits,
                hash,
                mgf,
                ..
            },
        ) => {
            matches!(aes_bits, 128 | 192 | 256)
                && hash_of(*hash).is_some()
                && mgf_hash(*mgf).is_some()
        }
        (Shape::Ecdh, Params::Ecdh { public, .. }) => !public.is_empty(),
        (Shape::MaybeEdDsa, Params::EdDsa { context, .. }) => context.len() <= 255,
        (
            Shape::MaybeSignContext,
            Params::SignContext {
                hedge,
                context,
                hash,
            },
        ) => *hedge <= 2 && context.len() <= 255 && hash.is_none(),
        (
            Shape::HashSignContext,
            Params::SignContext {
                hedge,
                context,
                hash,
            },
        ) => *hedge <= 2 && context.len() <= 255 && hash.is_some_and(|h| prehash_of(h).is_some()),
        (Shape::MacLen, Params::MacLen(n)) => {
            let most = match mech.output {
                Output::MacLen if mech.legacy && mech.hash.is_none() => 8,
                _ => mech.hash.map_or(16, |h| h.len() as u64),
            };
            (1..=most).contains(n)
        }
        (
            Shape::Hkdf,
            Params::Hkdf {
                extract,
                expand,
                prf,
                ..
            },
        ) => (*extract || *expand) && hash_of(*prf).is_some(),
        (Shape::Kbkdf | Shape::KbkdfFeedback, Params::Kbkdf(_))
        | (Shape::Pbkdf2, Params::Pbkdf2 { .. })
        | (Shape::Data, Params::Data(_))
        | (Shape::Bit, Params::Bit(_))
        | (Shape::Key, Params::Key(_)) => true,
        (Shape::CbcEncryptData(n), Params::CbcEncryptData { iv, .. }) => iv.len() == n,
        _ => false,
    };
    if good {
        return Ok(());
    }
    Err(Error::new(
        Rv::MECHANISM_PARAM_INVALID,
        format!("{} does not take these parameters to {func:?}", mech.name),
    ))
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

    use super::*;

    fn gcm(iv: &'static [u8]) -> Mechanism<'static> {
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

    #[test]
    fn gcm_tag_lengths_and_ivs() {
        assert!(check_init(Op::Encrypt, &gcm(&[]), None).is_ok());
        let mut odd = gcm(&[1; 12]);
        odd.params = Params::Gcm {
            iv: Cow::Borrowed(&[1; 12]),
            aad: Cow::Borrowed(&[]),
            tag_bits: 12,
        };
        let refused = check_init(Op::Encrypt, &odd, None).err().map(|e| e.rv);
        assert_eq!(refused, Some(Rv::MECHANISM_PARAM_INVALID));
        let refused = check_init(Op::Sign, &gcm(&[1; 12]), None)
            .err()
            .map(|e| e.rv);
        assert_eq!(refused, Some(Rv::MECHANISM_INVALID));
    }
}
