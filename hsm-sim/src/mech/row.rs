//! What a mechanism's row holds (PKCS#11 3.2, "Mechanisms"): the settings, the forms that parameters and
//! results have, the functions. The rows themselves stand in the files of their families.

use std::sync::Arc;

use hsm_api::{Class, KeyType, MechId, ObjectId, Op, Params, Result, Rv, Secret};
use hsm_crypto::{Hash, PreHash};

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
    /// FIPS mode lets it sign and verify, and nothing else (since 2024: the padding of PKCS#1 v1.5 does not
    /// keep a key or a message secret well enough).
    pub fips_signs_only: bool,
    /// FIPS mode has it not at all: FIPS 186-5 has given it up, or CloudHSM's HSMs never had it.
    pub never_fips: bool,
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
    /// Makes a secret key's value, or a domain's.
    pub generate: Option<Generate>,
    /// Makes a key pair's values: public, private.
    pub generate_pair: Option<GeneratePair>,
    /// Encrypts a key's encoding.
    pub wrap: Option<Transform>,
    /// The reverse.
    pub unwrap: Option<Transform>,
    /// Computes a shared or derived secret.
    pub derive: Option<Derive>,
    /// Computes the public half of a private key: a derivation of its own kind.
    pub publish: Option<Publish>,
    /// Which end of a secret goes when the derived key is shorter.
    pub cut: Cut,
    /// The derived key is as sensitive and as little extractable as what it comes from.
    pub inherits: bool,
    /// What a derivation or a generation makes.
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
    /// CK_OTP_PARAMS, or none.
    MaybeOtp,
    /// The other side's public value, a big integer; nothing to encapsulate.
    Peer,
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
    /// Two numbers of the order of the curve or of DSA's base.
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
    /// A counter and a one-time password, which the module lays out as CK_OTP_SIGNATURE_INFO.
    Otp,
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
/// Private key and its attributes; the attributes of the public key, to be filled in.
pub type Publish = fn(&Material, &Attrs, &mut Attrs) -> Result<()>;
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

/// A multi-part operation under way. `out` is never shorter than [`max_output`](super::max_output) says.
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
        fips_signs_only: false,
        never_fips: false,
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
        publish: None,
        cut: Cut::Trailing,
        inherits: false,
        makes: class::SECRET,
        encapsulate: None,
        decapsulate: None,
    };

    /// A row for AES keys of all sizes.
    pub(super) const AES: Mech = Mech {
        keys: &[key_type::AES],
        sizes: (16, 32),
        unit: Unit::Bytes,
        ..Mech::REFUSES
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
            Func::Derive => self.derive.is_some() || self.publish.is_some(),
            Func::Encapsulate => self.encapsulate.is_some(),
            Func::Decapsulate => self.decapsulate.is_some(),
        }
    }

    /// The CKF_ flags of CK_MECHANISM_INFO.
    pub fn flags(&self) -> u64 {
        self.flags_of(|f| self.can(f))
    }

    /// The same in FIPS mode.
    pub fn fips_flags(&self) -> u64 {
        const HIDING: [Func; 4] = [
            Func::Crypt(Op::Encrypt),
            Func::Crypt(Op::Decrypt),
            Func::Wrap,
            Func::Unwrap,
        ];
        self.flags_of(|f| self.can(f) && !(self.fips_signs_only && HIDING.contains(&f)))
    }

    fn flags_of(&self, can: impl Fn(Func) -> bool) -> u64 {
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
            .filter(|(f, _)| can(*f))
            .fold(if on_curve { CURVE } else { 0 }, |flags, (_, bit)| {
                flags | bit
            })
    }

    /// Smallest and largest key size as CK_MECHANISM_INFO has them.
    pub const fn key_sizes(&self) -> (u64, u64) {
        (self.sizes.0 as u64, self.sizes.1 as u64)
    }

    pub(super) fn takes_size(&self, bits: u32) -> bool {
        let size = match self.unit {
            Unit::Bits => bits,
            Unit::Bytes => bits.div_ceil(8),
            Unit::Nothing => return true,
        };
        (self.sizes.0..=self.sizes.1).contains(&size)
    }
}
