//! The parameters of one message (CK_GCM_MESSAGE_PARAMS and its sisters; PKCS#11 3.2, "Additional AES
//! Mechanisms" and "ChaCha20Poly1305"). They go both ways: the IV that the module makes and the tag
//! are written back to where the caller keeps them.

use std::marker::PhantomData;
use std::ptr::NonNull;

use hsm_api::{Error, MechId, Mechanism, Params, Result, Rv};
use hsm_sim::mech::{self, Mech};
use pkcs11_sys as ck;
use pkcs11_sys::CK_ULONG;

use super::null;
use super::v3_2::{CK_CCM_WRAP_PARAMS, CK_GCM_WRAP_PARAMS};

/// No AEAD here takes a longer nonce, nor makes a longer tag than 16 bytes.
const MAX_IV: CK_ULONG = 256;
const MAX_TAG: CK_ULONG = 16;

/// The AEAD mechanisms: those that have message parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aead {
    Gcm,
    Ccm,
    ChaCha20Poly1305,
}

fn aead(id: MechId) -> Option<Aead> {
    match id.0 {
        ck::CKM_AES_GCM => Some(Aead::Gcm),
        ck::CKM_AES_CCM => Some(Aead::Ccm),
        ck::CKM_CHACHA20_POLY1305 => Some(Aead::ChaCha20Poly1305),
        _ => None,
    }
}

/// Whether messages can be encrypted by this mechanism.
pub fn encrypts_messages(mech: &Mech) -> bool {
    mech.encrypt.is_some() && aead(mech.id).is_some()
}

/// Who makes the part of the IV that is not fixed (CK_GENERATOR_FUNCTION).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generator {
    /// CKG_NO_GENERATE: the caller.
    Caller,
    /// CKG_GENERATE and CKG_GENERATE_RANDOM.
    Random,
    /// CKG_GENERATE_COUNTER.
    Counter,
    /// CKG_GENERATE_COUNTER_XOR.
    CounterXor,
}

/// A parameter block for a message that the caller points to, not yet read.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    at: *mut u8,
    len: CK_ULONG,
    life: PhantomData<&'a mut [u8]>,
}

/// The parameters of one message.
pub struct Message<'a> {
    kind: Aead,
    /// The IV or nonce as the caller gave it.
    pub iv: Vec<u8>,
    /// How many of its leading bits the caller fixes.
    pub fixed_bits: usize,
    /// Who makes the others. Without a meaning in decryption.
    pub generator: Generator,
    data_len: u64,
    tag_bits: u32,
    iv_at: NonNull<u8>,
    tag_at: Option<NonNull<u8>>,
    life: PhantomData<&'a mut [u8]>,
}

impl<'a> Given<'a> {
    /// # Safety
    /// `at` is null, or leads to `len` bytes, which for an AEAD mechanism are its message parameters,
    /// whose pointers are null or may be read and written as far as their lengths say, until the call
    /// returns.
    pub unsafe fn new(at: *mut std::ffi::c_void, len: CK_ULONG) -> Self {
        let (at, life) = (at.cast(), PhantomData);
        Given { at, len, life }
    }

    /// Refuses parameters where the mechanism has none for its messages (signatures and MACs).
    ///
    /// # Errors
    /// MECHANISM_PARAM_INVALID.
    pub fn nothing(self) -> Result<()> {
        match self.len {
            0 => Ok(()),
            _ => Err(bad("the mechanism takes no parameter for a message")),
        }
    }

    /// Refuses what is neither absent nor as long as an AEAD mechanism's message parameters: whoever passes them with
    /// the mechanism, where they say nothing, passes those.
    ///
    /// # Errors
    /// MECHANISM_INVALID for another mechanism, MECHANISM_PARAM_INVALID.
    pub fn is_a_shape_of(&self, id: MechId) -> Result<()> {
        let size = match aead(id).ok_or_else(|| not_aead(id))? {
            Aead::Gcm => size_of::<ck::CK_GCM_MESSAGE_PARAMS>(),
            Aead::Ccm => size_of::<ck::CK_CCM_MESSAGE_PARAMS>(),
            Aead::ChaCha20Poly1305 => size_of::<ck::CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS>(),
        };
        if self.len == 0 || (!self.at.is_null() && self.len as usize == size) {
            return Ok(());
        }
        Err(bad("the mechanism's parameter is not that of a message"))
    }

    /// Reads the parameters of an AEAD mechanism. Who makes the IV, and of how many bits, is ignored unless one may be made
    /// (`makes_iv`): whoever decrypts may pass on the structure that came back from the encryption.
    ///
    /// # Errors
    /// MECHANISM_INVALID for another mechanism, MECHANISM_PARAM_INVALID.
    pub fn read(self, id: MechId, makes_iv: bool) -> Result<Message<'a>> {
        let kind = aead(id).ok_or_else(|| not_aead(id))?;
        let fixed = |bits, generator| making(makes_iv, bits, generator);
        match kind {
            Aead::Gcm => {
                let p: ck::CK_GCM_MESSAGE_PARAMS = self.structure()?;
                let tag_bits = (p.pTag, p.ulTagBits);
                let fixed = fixed(p.ulIvFixedBits, p.ivGenerator);
                Message::new(kind, (p.pIv, p.ulIvLen), fixed, 0, tag_bits)
            }
            Aead::Ccm => {
                let p: ck::CK_CCM_MESSAGE_PARAMS = self.structure()?;
                let tag_bits = (p.pMAC, p.ulMACLen.saturating_mul(8));
                let fixed = fixed(p.ulNonceFixedBits, p.nonceGenerator);
                let nonce = (p.pNonce, p.ulNonceLen);
                Message::new(kind, nonce, fixed, p.ulDataLen, tag_bits)
            }
            Aead::ChaCha20Poly1305 => {
                let p: ck::CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS = self.structure()?;
                let fixed = (0, ck::CKG_NO_GENERATE);
                let nonce = (p.pNonce, p.ulNonceLen);
                Message::new(kind, nonce, fixed, 0, (p.pTag, 128))
            }
        }
    }

    /// Reads the parameters that C_WrapKey and C_UnwrapKey have for an AEAD mechanism, and the associated data in
    /// them; nothing where these are not of such a shape, for these functions take the parameters of C_EncryptInit
    /// too. Who makes the IV is ignored unless one is made (`makes_iv`). There is no tag: it stands behind the key.
    ///
    /// # Errors
    /// MECHANISM_PARAM_INVALID.
    pub fn of_wrapping(self, id: MechId, makes_iv: bool) -> Result<Option<(Message<'a>, Vec<u8>)>> {
        let fixed = |bits, generator| making(makes_iv, bits, generator);
        let (kind, iv, fixed, data_len, tag_bits, aad) = match aead(id) {
            Some(kind @ Aead::Gcm) if self.len as usize == size_of::<CK_GCM_WRAP_PARAMS>() => {
                let p: CK_GCM_WRAP_PARAMS = self.structure()?;
                let fixed = fixed(p.ulIvFixedBits, p.ivGenerator);
                let (iv, aad) = ((p.pIv, p.ulIvLen), (p.pAAD, p.ulAADLen));
                (kind, iv, fixed, 0, p.ulTagBits, aad)
            }
            Some(kind @ Aead::Ccm) if self.len as usize == size_of::<CK_CCM_WRAP_PARAMS>() => {
                let p: CK_CCM_WRAP_PARAMS = self.structure()?;
                let fixed = fixed(p.ulNonceFixedBits, p.nonceGenerator);
                let (iv, aad) = ((p.pNonce, p.ulNonceLen), (p.pAAD, p.ulAADLen));
                let tag_bits = p.ulMACLen.saturating_mul(8);
                (kind, iv, fixed, p.ulDataLen, tag_bits, aad)
            }
            _ => return Ok(None),
        };
        // SAFETY: by `new`'s contract null or readable as far as its length says.
        let aad = unsafe { associated(aad.0, aad.1) };
        let aad = aad.map_err(|_| bad("the associated data are null, or longer than any"))?;
        let message = Message::of(kind, iv, fixed, data_len, (None, tag_bits))?;
        Ok(Some((message, aad)))
    }

    fn structure<T: Plain>(self) -> Result<T> {
        if self.at.is_null() || self.len as usize != size_of::<T>() {
            return Err(bad("the message's parameter is null or has another size"));
        }
        // SAFETY: not null and as long as a T by `new`'s contract; `Plain` allows any bits.
        Ok(unsafe { self.at.cast::<T>().read_unaligned() })
    }
}

/// How the IV is made, as the caller has it; or not at all, where none is made.
fn making(makes_iv: bool, bits: CK_ULONG, generator: CK_ULONG) -> (CK_ULONG, CK_ULONG) {
    match makes_iv {
        true => (bits, generator),
        false => (0, ck::CKG_NO_GENERATE),
    }
}

impl Message<'_> {
    fn new(
        kind: Aead,
        (iv, iv_len): (*mut u8, CK_ULONG),
        (fixed, generator): (CK_ULONG, CK_ULONG),
        data_len: CK_ULONG,
        (tag, tag_bits): (*mut u8, CK_ULONG),
    ) -> Result<Self> {
        let tag_at = NonNull::new(tag).ok_or_else(|| bad("the pointer to the tag is null"))?;
        let tag = (Some(tag_at), tag_bits);
        Message::of(kind, (iv, iv_len), (fixed, generator), data_len, tag)
    }

    fn of(
        kind: Aead,
        (iv, iv_len): (*mut u8, CK_ULONG),
        (fixed, generator): (CK_ULONG, CK_ULONG),
        data_len: CK_ULONG,
        (tag_at, tag_bits): (Option<NonNull<u8>>, CK_ULONG),
    ) -> Result<Self> {
        let iv_at = NonNull::new(iv).ok_or_else(|| bad("the pointer to the IV is null"))?;
        if !(1..=MAX_IV).contains(&iv_len) {
            return Err(bad("the IV has 1 to 256 bytes"));
        }
        if tag_bits % 8 != 0 || !(1..=MAX_TAG * 8).contains(&tag_bits) {
            return Err(bad("the tag has whole bytes, and at most 16"));
        }
        if fixed > iv_len * 8 {
            return Err(bad("more bits of the IV are fixed than it has"));
        }
        let generator = match generator {
            ck::CKG_NO_GENERATE => Generator::Caller,
            ck::CKG_GENERATE | ck::CKG_GENERATE_RANDOM => Generator::Random,
            ck::CKG_GENERATE_COUNTER => Generator::Counter,
            ck::CKG_GENERATE_COUNTER_XOR => Generator::CounterXor,
            _ => return Err(bad("there is no such generator of IVs")),
        };
        // SAFETY: not null, and by the contract of `Given::new` readable for `iv_len` bytes.
        let iv = unsafe { std::slice::from_raw_parts(iv_at.as_ptr(), iv_len as usize) };
        Ok(Message {
            kind,
            iv: iv.to_vec(),
            fixed_bits: fixed as usize,
            generator,
            data_len,
            tag_bits: tag_bits as u32,
            iv_at,
            tag_at,
            life: PhantomData,
        })
    }

    /// How many bytes the tag has.
    pub fn tag_len(&self) -> usize {
        self.tag_bits as usize / 8
    }

    /// The tag that came with the message; empty where it has no place of its own.
    pub fn tag(&self) -> Vec<u8> {
        let Some(at) = self.tag_at else {
            return Vec::new();
        };
        // SAFETY: not null, and by the contract of `Given::new` readable for the tag's length.
        unsafe { std::slice::from_raw_parts(at.as_ptr(), self.tag_len()) }.to_vec()
    }

    /// Hands out the tag, cut to its length.
    pub fn give_tag(&self, tag: &[u8]) {
        if let Some(at) = self.tag_at {
            self.give(at, &tag[..tag.len().min(self.tag_len())]);
        }
    }

    /// Hands out the IV that the message was encrypted with.
    pub fn give_iv(&self, iv: &[u8]) {
        self.give(self.iv_at, &iv[..iv.len().min(self.iv.len())]);
    }

    fn give(&self, at: NonNull<u8>, bytes: &[u8]) {
        for (i, byte) in bytes.iter().enumerate() {
            // SAFETY: the callers cut `bytes` to the length that `Given::new`'s contract makes writable.
            unsafe { at.as_ptr().add(i).write(*byte) }
        }
    }

    /// The mechanism that encrypts or decrypts this message with this IV.
    pub fn mechanism(&self, id: MechId, iv: &[u8], aad: &[u8]) -> Mechanism<'static> {
        let (iv, aad) = (iv.to_vec().into(), aad.to_vec().into());
        let params = match self.kind {
            Aead::Gcm => {
                let tag_bits = self.tag_bits;
                Params::Gcm { iv, aad, tag_bits }
            }
            Aead::Ccm => Params::Ccm {
                data_len: self.data_len,
                nonce: iv,
                aad,
                mac_len: self.tag_bits / 8,
            },
            Aead::ChaCha20Poly1305 => Params::ChaCha20Poly1305 { nonce: iv, aad },
        };
        Mechanism { id, params }
    }
}

/// The mechanism with parameters that are good, for checks before any message has come.
///
/// # Errors
/// MECHANISM_INVALID where it has no message parameters, or no row at all.
pub fn specimen(id: MechId) -> Result<Mechanism<'static>> {
    mech::find(id)
        .filter(|m| encrypts_messages(m))
        .ok_or_else(|| not_aead(id))?;
    let (iv, aad) = (vec![0; 12].into(), Vec::new().into());
    let params = match aead(id) {
        Some(Aead::Gcm) => Params::Gcm {
            iv,
            aad,
            tag_bits: 128,
        },
        Some(Aead::Ccm) => Params::Ccm {
            data_len: 0,
            nonce: iv,
            aad,
            mac_len: 16,
        },
        Some(Aead::ChaCha20Poly1305) => Params::ChaCha20Poly1305 { nonce: iv, aad },
        None => return Err(not_aead(id)),
    };
    Ok(Mechanism { id, params })
}

fn not_aead(id: MechId) -> Error {
    let why = format!("mechanism {:#x} encrypts no messages here", id.0);
    Error::new(Rv::MECHANISM_INVALID, why)
}

fn bad(why: &'static str) -> Error {
    Error::new(Rv::MECHANISM_PARAM_INVALID, why)
}

/// Associated data, copied: the caller's buffers may lie over it.
///
/// # Safety
/// `at` is null or may be read for `len` bytes until the call returns.
pub unsafe fn associated(at: *const u8, len: CK_ULONG) -> Result<Vec<u8>> {
    if len > 16 << 20 {
        return Err(null("the associated data is longer than any"));
    }
    // SAFETY: this function's contract.
    Ok(unsafe { super::In::new(at, len) }?.to_vec())
}

/// Structures of numbers and pointers, in which any bits are a value.
trait Plain {}
impl Plain for ck::CK_GCM_MESSAGE_PARAMS {}
impl Plain for ck::CK_CCM_MESSAGE_PARAMS {}
impl Plain for CK_GCM_WRAP_PARAMS {}
impl Plain for CK_CCM_WRAP_PARAMS {}
impl Plain for ck::CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS {}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// GCM parameters over a test's own bytes.
    pub(crate) fn gcm(
        iv: &mut [u8],
        tag: &mut [u8],
        fixed: CK_ULONG,
        generator: CK_ULONG,
    ) -> ck::CK_GCM_MESSAGE_PARAMS {
        ck::CK_GCM_MESSAGE_PARAMS {
            pIv: iv.as_mut_ptr(),
            ulIvLen: iv.len() as CK_ULONG,
            ulIvFixedBits: fixed,
            ivGenerator: generator,
            pTag: tag.as_mut_ptr(),
            ulTagBits: tag.len() as CK_ULONG * 8,
        }
    }

    fn read(p: &mut ck::CK_GCM_MESSAGE_PARAMS, len: usize) -> Result<Message<'_>> {
        // SAFETY: a live structure whose pointers are null or live.
        let given = unsafe { Given::new((&raw mut *p).cast(), len as CK_ULONG) };
        given.read(MechId(ck::CKM_AES_GCM), true)
    }

    #[test]
    fn what_is_read_and_given_back() {
        let (mut iv, mut tag) = ([7u8; 12], [9u8; 16]);
        let mut p = gcm(&mut iv, &mut tag, 32, ck::CKG_GENERATE);
        p.ulTagBits = 96;
        let m = read(&mut p, 48).unwrap();
        assert_eq!(
            (&m.iv[..], m.fixed_bits, m.generator, m.tag_len()),
            (&[7u8; 12][..], 32, Generator::Random, 12)
        );
        m.give_iv(&[1; 40]);
        m.give_tag(&[2; 16]);
        assert_eq!(iv, [1; 12], "no further than the IV reaches");
        assert_eq!((&tag[..12], &tag[12..]), (&[2u8; 12][..], &[9u8; 4][..]));
    }

    #[test]
    fn who_makes_no_iv_need_not_say_how() {
        let (mut iv, mut tag) = ([7u8; 12], [9u8; 16]);
        let mut p = gcm(&mut iv, &mut tag, 97, 5);
        assert!(read(&mut p, 48).is_err());
        // SAFETY: a live structure whose pointers are live.
        let given = unsafe { Given::new((&raw mut p).cast(), 48) };
        let message = given.read(MechId(ck::CKM_AES_GCM), false).unwrap();
        assert_eq!(
            (message.fixed_bits, message.generator),
            (0, Generator::Caller)
        );
    }

    #[test]
    fn lies_are_refused() {
        let (mut iv, mut tag) = ([7u8; 12], [9u8; 16]);
        let good = gcm(&mut iv, &mut tag, 0, 0);
        type Lie = fn(&mut ck::CK_GCM_MESSAGE_PARAMS);
        let lies: [Lie; 9] = [
            |p| p.pIv = std::ptr::null_mut(),
            |p| p.pTag = std::ptr::null_mut(),
            |p| p.ulIvLen = 0,
            |p| p.ulIvLen = CK_ULONG::MAX,
            |p| p.ulTagBits = 136,
            |p| p.ulTagBits = 0,
            |p| p.ulTagBits = 100,
            |p| p.ulIvFixedBits = 97,
            |p| p.ivGenerator = 5,
        ];
        assert!(read(&mut { good }, 48).is_ok());
        for (i, lie) in lies.iter().enumerate() {
            let mut p = good;
            lie(&mut p);
            let rv = read(&mut p, 48).err().map(|e| e.rv);
            assert_eq!(rv, Some(Rv::MECHANISM_PARAM_INVALID), "lie {i}");
        }
        for len in [0, 47, 49, usize::MAX] {
            let rv = read(&mut { good }, len).err().map(|e| e.rv);
            assert_eq!(rv, Some(Rv::MECHANISM_PARAM_INVALID), "length {len}");
        }
    }
}
