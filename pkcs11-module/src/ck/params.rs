//! CK_MECHANISM into [`Mechanism`]: the row's shape says which structure the parameter is.
//!
//! A parameter is read once, when its operation begins, into memory of ours: callers may free theirs
//! as soon as an Init returns.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ptr::NonNull;

use hsm_api::mech::Bytes;
use hsm_api::{Error, MechId, Mechanism, ObjectId, Params, Result, Rv};
use hsm_sim::mech::{self, Shape};
use pkcs11_sys as ck;
use pkcs11_sys::{CK_MECHANISM, CK_ULONG};

use super::null;

/// Longer than any IV, label, shared data or context; additional data may be as long as this.
const MAX_BYTES: CK_ULONG = 16 << 20;
const CKZ_DATA_SPECIFIED: CK_ULONG = 1;
const CKM_AES_GCM: CK_ULONG = 0x1087;

/// A mechanism that the caller points to, not yet read.
#[derive(Clone, Copy)]
pub struct Given<'a>(NonNull<CK_MECHANISM>, PhantomData<&'a CK_MECHANISM>);

/// Buffers of parameters that are done with, for those that come: a session that encrypts message after message gets its
/// memory once.
#[derive(Default)]
pub struct Spare(Vec<Vec<u8>>);

impl Spare {
    /// An IV and additional data.
    const COUNT: usize = 2;
    /// What is longer is given back: a session shall not hold much for ever.
    const LENGTH: usize = 1024;

    /// Takes the buffers of a mechanism that is done with. They are public values: IVs and additional data.
    pub fn keep(&mut self, mech: Mechanism<'static>) {
        match mech.params {
            Params::Iv(iv) => self.put(iv),
            Params::Gcm { iv, aad, .. } => [iv, aad].into_iter().for_each(|b| self.put(b)),
            _ => {}
        }
    }

    fn put(&mut self, bytes: Bytes<'static>) {
        if let Cow::Owned(mut buffer) = bytes
            && buffer.capacity() <= Self::LENGTH
            && self.0.len() < Self::COUNT
        {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

/// A parameter block: where, and how long the caller says it is.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) at: *const u8,
    pub(super) len: CK_ULONG,
}

impl Given<'_> {
    /// # Safety
    /// `at` is null or leads to a CK_MECHANISM whose parameter is null or as long as it says, and so
    /// for every pointer within the parameter structure of that mechanism, until the call returns.
    pub unsafe fn new(at: *const CK_MECHANISM) -> Result<Self> {
        // SAFETY: this function's contract.
        unsafe { Given::or_null(at) }.ok_or_else(|| null("the mechanism is null"))
    }

    /// As [`Given::new`], where null has a meaning of its own.
    ///
    /// # Safety
    /// As for [`Given::new`].
    pub unsafe fn or_null(at: *const CK_MECHANISM) -> Option<Self> {
        NonNull::new(at.cast_mut()).map(|at| Given(at, PhantomData))
    }

    fn raw(&self) -> CK_MECHANISM {
        // SAFETY: `new`'s contract; alignment is not asked for.
        unsafe { self.0.as_ptr().read_unaligned() }
    }

    /// Which mechanism.
    pub fn id(&self) -> MechId {
        MechId(self.raw().mechanism)
    }

    /// The parameter, where it is that of a message.
    pub fn message(&self) -> super::message::Given<'_> {
        let raw = self.raw();
        // SAFETY: `new`'s contract says the same of the parameter.
        unsafe { super::message::Given::new(raw.pParameter, raw.ulParameterLen) }
    }

    /// Reads the parameters by the shape in the mechanism's row. `object` gives the object behind a
    /// handle, for parameters that name a key; `spare` holds buffers for what is copied.
    ///
    /// # Errors
    /// MECHANISM_INVALID without a row, MECHANISM_PARAM_INVALID where the parameter has another form.
    pub fn read(
        &self,
        object: &dyn Fn(u64) -> Option<ObjectId>,
        spare: &mut Spare,
    ) -> Result<Mechanism<'static>> {
        let raw = self.raw();
        let id = MechId(raw.mechanism);
        let row = mech::find(id).ok_or_else(|| {
            let why = format!("there is no mechanism {:#x} here", id.0);
            Error::new(Rv::MECHANISM_INVALID, why)
        })?;
        let block = Block::of(&raw);
        let params = match row.params {
            Shape::Nothing => block.nothing(),
            Shape::MaybeIv(_)
            | Shape::MaybeEdDsa
            | Shape::MaybeSignContext
            | Shape::MaybeOtp
            | Shape::Peer
                if block.len == 0 =>
            {
                Ok(Params::None)
            }
            Shape::Iv(_) | Shape::MaybeIv(_) => block.bytes_in(spare).map(Params::Iv),
            Shape::Ctr => block.ctr(),
            Shape::Gcm | Shape::GcmOwnIv => block.gcm(spare),
            Shape::Pss => block.pss(),
            Shape::Oaep => block.oaep(),
            Shape::Ecdh => block.ecdh(),
            Shape::MaybeEdDsa => block.eddsa(),
            Shape::MacLen => block.structure().map(Params::MacLen),
            Shape::Ccm => block.ccm(),
            Shape::ChaCha20 => block.chacha20(),
            Shape::ChaCha20Poly1305 => block.chacha20_poly1305(),
            Shape::RsaAesKeyWrap => block.rsa_aes(),
            Shape::MaybeSignContext => block.sign_context(),
            Shape::HashSignContext => block.hash_sign_context(),
            Shape::Hkdf => block.hkdf(object),
            Shape::Kbkdf => block.kbkdf(false, object),
            Shape::KbkdfFeedback => block.kbkdf(true, object),
            Shape::Pbkdf2 => block.pbkdf2(),
            Shape::Data => block.string_data(),
            Shape::CbcEncryptData(iv) => block.cbc_encrypt_data(iv),
            Shape::Bit => block.structure().map(Params::Bit),
            Shape::Key => block.key(object),
            Shape::MaybeOtp => block.otp(),
            Shape::Peer => block.bytes().map(Params::Data),
        };
        let named = |e: Error| Error::new(e.rv, format!("{}: {}", row.name, e.why));
        params.map(|params| Mechanism { id, params }).map_err(named)
    }

    /// Where the handles of keys go that a derivation makes beyond the first.
    ///
    /// # Errors
    /// MECHANISM_PARAM_INVALID.
    pub fn derived(&self) -> Result<Vec<super::Place<'_, u64>>> {
        let raw = self.raw();
        let block = Block::of(&raw);
        match mech::find(MechId(raw.mechanism)).map(|row| row.params) {
            Some(Shape::Kbkdf) => block.derived(false),
            Some(Shape::KbkdfFeedback) => block.derived(true),
            _ => Ok(Vec::new()),
        }
    }

    /// If this is CKM_AES_GCM, lets `make` fill in the IV where the caller keeps it.
    ///
    /// # Errors
    /// What `make` fails with, and MECHANISM_PARAM_INVALID for another form of parameter.
    pub fn make_iv(&self, make: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<()> {
        let raw = self.raw();
        if raw.mechanism != CKM_AES_GCM {
            return Ok(());
        }
        let gcm = Block::of(&raw).gcm_structure()?;
        let iv = Block {
            at: gcm.pIv,
            len: gcm.ulIvLen,
        };
        iv.check()?;
        if iv.len == 0 {
            return make(&mut []);
        }
        // SAFETY: checked not to be null; by `new`'s contract as long as it says, and the caller has
        // the HSM write here.
        make(unsafe { std::slice::from_raw_parts_mut(gcm.pIv, gcm.ulIvLen as usize) })
    }
}

impl Block {
    fn of(raw: &CK_MECHANISM) -> Block {
        Block {
            at: raw.pParameter.cast_const().cast(),
            len: raw.ulParameterLen,
        }
    }

    fn check(self) -> Result<()> {
        if self.at.is_null() && self.len != 0 {
            return Err(bad("a pointer is null and its length is not 0"));
        }
        if self.len > MAX_BYTES {
            return Err(bad("a length is greater than any parameter's"));
        }
        Ok(())
    }

    fn nothing(self) -> Result<Params<'static>> {
        // Several clients point at something they do not mean, with length 0.
        match self.len {
            0 => Ok(Params::None),
            _ => Err(bad("the mechanism takes no parameter")),
        }
    }

    pub(super) fn bytes(self) -> Result<Bytes<'static>> {
        self.bytes_in(&mut Spare::default())
    }

    fn bytes_in(self, spare: &mut Spare) -> Result<Bytes<'static>> {
        self.check()?;
        if self.len == 0 {
            return Ok(Cow::Borrowed(&[]));
        }
        // SAFETY: not null, and as long as it says by the contract of `Given::new`.
        let bytes = unsafe { std::slice::from_raw_parts(self.at, self.len as usize) };
        let mut copy = spare.0.pop().unwrap_or_default();
        copy.extend_from_slice(bytes);
        Ok(Cow::Owned(copy))
    }

    pub(super) fn structure<T: Plain>(self) -> Result<T> {
        self.check()?;
        if self.len as usize != size_of::<T>() {
            return Err(bad("the parameter has another size"));
        }
        // SAFETY: not null (the size is not 0) and as long as a T; `Plain` allows any bits.
        Ok(unsafe { self.at.cast::<T>().read_unaligned() })
    }

    fn ctr(self) -> Result<Params<'static>> {
        let p: ck::CK_AES_CTR_PARAMS = self.structure()?;
        Ok(Params::Ctr {
            bits: small(p.ulCounterBits)?,
            block: p.cb,
        })
    }

    /// CK_GCM_PARAMS, also in the form without ulIvBits that some clients were built with.
    fn gcm_structure(self) -> Result<ck::CK_GCM_PARAMS> {
        if self.len as usize != size_of::<OldGcm>() {
            return self.structure();
        }
        let old: OldGcm = self.structure()?;
        Ok(ck::CK_GCM_PARAMS {
            pIv: old.iv,
            ulIvLen: old.iv_len,
            ulIvBits: old.iv_len.saturating_mul(8),
            pAAD: old.aad,
            ulAADLen: old.aad_len,
            ulTagBits: old.tag_bits,
        })
    }

    fn gcm(self, spare: &mut Spare) -> Result<Params<'static>> {
        let p = self.gcm_structure()?;
        let mut copy = |at, len| Block { at, len }.bytes_in(spare);
        Ok(Params::Gcm {
            iv: copy(p.pIv, p.ulIvLen)?,
            aad: copy(p.pAAD, p.ulAADLen)?,
            tag_bits: small(p.ulTagBits)?,
        })
    }

    fn pss(self) -> Result<Params<'static>> {
        let p: ck::CK_RSA_PKCS_PSS_PARAMS = self.structure()?;
        Ok(Params::Pss {
            hash: MechId(p.hashAlg),
            mgf: p.mgf,
            salt_len: p.sLen,
        })
    }

    fn oaep(self) -> Result<Params<'static>> {
        let p: ck::CK_RSA_PKCS_OAEP_PARAMS = self.structure()?;
        let label = part(p.pSourceData.cast(), p.ulSourceDataLen)?;
        if p.source != CKZ_DATA_SPECIFIED && !(p.source == 0 && label.is_empty()) {
            return Err(bad("the label's source must be CKZ_DATA_SPECIFIED"));
        }
        Ok(Params::Oaep {
            hash: MechId(p.hashAlg),
            mgf: p.mgf,
            label,
        })
    }

    fn ecdh(self) -> Result<Params<'static>> {
        let p: ck::CK_ECDH1_DERIVE_PARAMS = self.structure()?;
        Ok(Params::Ecdh {
            kdf: p.kdf,
            shared: part(p.pSharedData, p.ulSharedDataLen)?,
            public: part(p.pPublicData, p.ulPublicDataLen)?,
        })
    }

    fn ccm(self) -> Result<Params<'static>> {
        let p: ck::CK_CCM_PARAMS = self.structure()?;
        Ok(Params::Ccm {
            data_len: p.ulDataLen,
            nonce: part(p.pNonce, p.ulNonceLen)?,
            aad: part(p.pAAD, p.ulAADLen)?,
            mac_len: small(p.ulMACLen)?,
        })
    }

    fn chacha20(self) -> Result<Params<'static>> {
        let p: ck::CK_CHACHA20_PARAMS = self.structure()?;
        if !matches!(p.blockCounterBits, 32 | 64) || !p.ulNonceBits.is_multiple_of(8) {
            return Err(bad(
                "the block counter has 32 or 64 bits, the nonce 64 or 96",
            ));
        }
        let counter = part(p.pBlockCounter, p.blockCounterBits / 8)?;
        let mut whole = [0; 8];
        whole[..counter.len()].copy_from_slice(&counter);
        Ok(Params::ChaCha20 {
            counter: u64::from_le_bytes(whole),
            nonce: part(p.pNonce, p.ulNonceBits / 8)?,
        })
    }

    fn chacha20_poly1305(self) -> Result<Params<'static>> {
        let p: ck::CK_SALSA20_CHACHA20_POLY1305_PARAMS = self.structure()?;
        Ok(Params::ChaCha20Poly1305 {
            nonce: part(p.pNonce, p.ulNonceLen)?,
            aad: part(p.pAAD, p.ulAADLen)?,
        })
    }

    fn rsa_aes(self) -> Result<Params<'static>> {
        let p: ck::CK_RSA_AES_KEY_WRAP_PARAMS = self.structure()?;
        let oaep = Block {
            at: p.pOAEPParams.cast_const().cast(),
            len: size_of::<ck::CK_RSA_PKCS_OAEP_PARAMS>() as CK_ULONG,
        };
        match oaep.oaep()? {
            Params::Oaep { hash, mgf, label } => Ok(Params::RsaAesKeyWrap {
                aes_bits: small(p.ulAESKeyBits)?,
                hash,
                mgf,
                label,
            }),
            other => Ok(other),
        }
    }

    fn sign_context(self) -> Result<Params<'static>> {
        let p: SignContext = self.structure()?;
        Ok(Params::SignContext {
            hedge: p.hedge,
            context: part(p.context, p.context_len)?,
            hash: None,
        })
    }

    fn hash_sign_context(self) -> Result<Params<'static>> {
        let p: HashSignContext = self.structure()?;
        Ok(Params::SignContext {
            hedge: p.of.hedge,
            context: part(p.of.context, p.of.context_len)?,
            hash: Some(MechId(p.hash)),
        })
    }

    fn eddsa(self) -> Result<Params<'static>> {
        let p: ck::CK_EDDSA_PARAMS = self.structure()?;
        Ok(Params::EdDsa {
            prehash: p.phFlag != 0,
            context: part(p.pContextData, p.ulContextDataLen)?,
        })
    }
}

/// Bytes that a parameter structure points to.
pub(super) fn part(at: *const u8, len: CK_ULONG) -> Result<Bytes<'static>> {
    Block { at, len }.bytes()
}

pub(super) fn small(n: CK_ULONG) -> Result<u32> {
    u32::try_from(n).map_err(|_| bad("a number is greater than any that has a meaning"))
}

pub(super) fn bad(why: &'static str) -> Error {
    Error::new(Rv::MECHANISM_PARAM_INVALID, why)
}

/// Structures of numbers and pointers, in which any bits are a value.
pub(super) trait Plain {}
impl Plain for CK_ULONG {}
impl Plain for OldGcm {}
impl Plain for ck::CK_AES_CTR_PARAMS {}
impl Plain for ck::CK_GCM_PARAMS {}
impl Plain for ck::CK_RSA_PKCS_PSS_PARAMS {}
impl Plain for ck::CK_RSA_PKCS_OAEP_PARAMS {}
impl Plain for ck::CK_ECDH1_DERIVE_PARAMS {}
impl Plain for ck::CK_EDDSA_PARAMS {}
impl Plain for ck::CK_CCM_PARAMS {}
impl Plain for ck::CK_CHACHA20_PARAMS {}
impl Plain for ck::CK_SALSA20_CHACHA20_POLY1305_PARAMS {}
impl Plain for ck::CK_RSA_AES_KEY_WRAP_PARAMS {}
impl Plain for ck::CK_DES_CBC_ENCRYPT_DATA_PARAMS {}
impl Plain for SignContext {}
impl Plain for HashSignContext {}

/// CK_SIGN_ADDITIONAL_CONTEXT of PKCS#11 3.2, which the headers that we build with lack.
#[repr(C)]
struct SignContext {
    hedge: CK_ULONG,
    context: *mut u8,
    context_len: CK_ULONG,
}

/// CK_HASH_SIGN_ADDITIONAL_CONTEXT, the same.
#[repr(C)]
struct HashSignContext {
    of: SignContext,
    hash: CK_ULONG,
}

#[repr(C)]
struct OldGcm {
    iv: *mut u8,
    iv_len: CK_ULONG,
    aad: *mut u8,
    aad_len: CK_ULONG,
    tag_bits: CK_ULONG,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(mechanism: CK_ULONG, params: &mut T, len: usize) -> Result<Mechanism<'static>> {
        let raw = CK_MECHANISM {
            mechanism,
            pParameter: (params as *mut T).cast(),
            ulParameterLen: len as CK_ULONG,
        };
        // SAFETY: a live mechanism whose parameter, where it is read, is live too.
        unsafe { Given::new(&raw) }?.read(&|_| None, &mut Spare::default())
    }

    #[test]
    fn gcm_in_both_forms_and_with_lies() {
        let (mut iv, mut aad) = ([7u8; 12], *b"aad");
        let mut gcm = ck::CK_GCM_PARAMS {
            pIv: iv.as_mut_ptr(),
            ulIvLen: 12,
            ulIvBits: 96,
            pAAD: aad.as_mut_ptr(),
            ulAADLen: 3,
            ulTagBits: 128,
        };
        let wanted = Params::Gcm {
            iv: iv.to_vec().into(),
            aad: aad.to_vec().into(),
            tag_bits: 128,
        };
        assert_eq!(read(CKM_AES_GCM, &mut gcm, 48).unwrap().params, wanted);
        let mut old = OldGcm {
            iv: iv.as_mut_ptr(),
            iv_len: 12,
            aad: aad.as_mut_ptr(),
            aad_len: 3,
            tag_bits: 128,
        };
        assert_eq!(read(CKM_AES_GCM, &mut old, 40).unwrap().params, wanted);
        for len in [0, 1, 47, 49, usize::MAX] {
            let rv = read(CKM_AES_GCM, &mut gcm, len).unwrap_err().rv;
            assert_eq!(rv, Rv::MECHANISM_PARAM_INVALID, "length {len}");
        }
        gcm.pIv = std::ptr::null_mut();
        let rv = read(CKM_AES_GCM, &mut gcm, 48).unwrap_err().rv;
        assert_eq!(rv, Rv::MECHANISM_PARAM_INVALID, "null IV of 12 bytes");
        gcm.pIv = iv.as_mut_ptr();
        gcm.ulAADLen = CK_ULONG::MAX;
        let rv = read(CKM_AES_GCM, &mut gcm, 48).unwrap_err().rv;
        assert_eq!(rv, Rv::MECHANISM_PARAM_INVALID, "huge AAD");
    }

    #[test]
    fn no_parameter_means_none() {
        const CKM_SHA256: CK_ULONG = 0x250;
        let mut something = 0u8;
        assert_eq!(
            read(CKM_SHA256, &mut something, 0).unwrap().params,
            Params::None
        );
        let rv = read(CKM_SHA256, &mut something, 1).unwrap_err().rv;
        assert_eq!(rv, Rv::MECHANISM_PARAM_INVALID);
        let rv = read(0x7FFF_FFFF, &mut something, 0).unwrap_err().rv;
        assert_eq!(rv, Rv::MECHANISM_INVALID);
        // SAFETY: null is what is tested.
        let none = unsafe { Given::new(std::ptr::null()) };
        assert_eq!(none.err().map(|e| e.rv), Some(Rv::ARGUMENTS_BAD));
    }
}
