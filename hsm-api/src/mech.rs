//! A mechanism with typed parameters. What each mechanism does is a row in `hsm-sim`, `mech/`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::ObjectId;

/// CK_MECHANISM_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MechId(pub u64);

/// A mechanism as the caller named it, its parameter block parsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mechanism<'a> {
    /// Which.
    pub id: MechId,
    /// Its parameters.
    #[serde(borrow)]
    pub params: Params<'a>,
}

/// Bytes within parameters: borrowed from the caller, or kept between an Init and its call.
pub type Bytes<'a> = Cow<'a, [u8]>;

/// A password within parameters: shown as a length only, compared in constant time, and wiped where the bytes are our own.
#[derive(Clone, Eq, Serialize, Deserialize)]
pub struct Phrase<'a>(#[serde(borrow)] Bytes<'a>);

impl PartialEq for Phrase<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<'a> From<Bytes<'a>> for Phrase<'a> {
    fn from(bytes: Bytes<'a>) -> Self {
        Phrase(bytes)
    }
}

impl Deref for Phrase<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Phrase<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Drop for Phrase<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(bytes) = &mut self.0 {
            bytes.zeroize();
        }
    }
}

/// Parameters by shape. A new shape costs a variant here and its reader in the module's `ck/params.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Params<'a> {
    /// No parameter.
    None,
    /// An initialization vector or counter block by itself.
    Iv(#[serde(borrow)] Bytes<'a>),
    /// CK_AES_CTR_PARAMS.
    #[allow(missing_docs)]
    Ctr { bits: u32, block: [u8; 16] },
    /// CK_GCM_PARAMS. An empty `iv` asks the HSM to make one, which it writes before the ciphertext.
    #[allow(missing_docs)]
    Gcm {
        #[serde(borrow)]
        iv: Bytes<'a>,
        #[serde(borrow)]
        aad: Bytes<'a>,
        tag_bits: u32,
    },
    /// CK_CCM_PARAMS.
    #[allow(missing_docs)]
    Ccm {
        data_len: u64,
        #[serde(borrow)]
        nonce: Bytes<'a>,
        #[serde(borrow)]
        aad: Bytes<'a>,
        mac_len: u32,
    },
    /// CK_CHACHA20_PARAMS.
    #[allow(missing_docs)]
    ChaCha20 {
        counter: u64,
        #[serde(borrow)]
        nonce: Bytes<'a>,
    },
    /// CK_SALSA20_CHACHA20_POLY1305_PARAMS.
    #[allow(missing_docs)]
    ChaCha20Poly1305 {
        #[serde(borrow)]
        nonce: Bytes<'a>,
        #[serde(borrow)]
        aad: Bytes<'a>,
    },
    /// CK_RSA_PKCS_PSS_PARAMS; `mgf` is the CK_RSA_PKCS_MGF_TYPE.
    #[allow(missing_docs)]
    Pss {
        hash: MechId,
        mgf: u64,
        salt_len: u64,
    },
    /// CK_RSA_PKCS_OAEP_PARAMS.
    #[allow(missing_docs)]
    Oaep {
        hash: MechId,
        mgf: u64,
        #[serde(borrow)]
        label: Bytes<'a>,
    },
    /// CK_RSA_AES_KEY_WRAP_PARAMS.
    #[allow(missing_docs)]
    RsaAesKeyWrap {
        aes_bits: u32,
        hash: MechId,
        mgf: u64,
        #[serde(borrow)]
        label: Bytes<'a>,
    },
    /// CK_ECDH1_DERIVE_PARAMS; `kdf` is the CK_EC_KDF_TYPE.
    #[allow(missing_docs)]
    Ecdh {
        kdf: u64,
        #[serde(borrow)]
        shared: Bytes<'a>,
        #[serde(borrow)]
        public: Bytes<'a>,
    },
    /// CK_MAC_GENERAL_PARAMS: bytes of output.
    MacLen(u64),
    /// CK_EDDSA_PARAMS.
    #[allow(missing_docs)]
    EdDsa {
        prehash: bool,
        #[serde(borrow)]
        context: Bytes<'a>,
    },
    /// CK_SIGN_ADDITIONAL_CONTEXT; `hash` from CK_HASH_SIGN_ADDITIONAL_CONTEXT.
    #[allow(missing_docs)]
    SignContext {
        hedge: u64,
        #[serde(borrow)]
        context: Bytes<'a>,
        hash: Option<MechId>,
    },
    /// CK_HKDF_PARAMS.
    #[allow(missing_docs)]
    Hkdf {
        extract: bool,
        expand: bool,
        prf: MechId,
        #[serde(borrow)]
        salt: HkdfSalt<'a>,
        #[serde(borrow)]
        info: Bytes<'a>,
    },
    /// CK_SP800_108_KDF_PARAMS and its feedback form.
    Kbkdf(#[serde(borrow)] Box<Kbkdf<'a>>),
    /// CK_PKCS5_PBKD2_PARAMS2.
    #[allow(missing_docs)]
    Pbkdf2 {
        prf: u64,
        #[serde(borrow)]
        salt: Bytes<'a>,
        iterations: u64,
        #[serde(borrow)]
        password: Phrase<'a>,
    },
    /// CK_KEY_DERIVATION_STRING_DATA, IV-less encrypt-data derivation, the other side's value in Diffie-Hellman.
    Data(#[serde(borrow)] Bytes<'a>),
    /// CK_AES_CBC_ENCRYPT_DATA_PARAMS.
    #[allow(missing_docs)]
    CbcEncryptData {
        #[serde(borrow)]
        iv: Bytes<'a>,
        #[serde(borrow)]
        data: Bytes<'a>,
    },
    /// CK_EXTRACT_PARAMS: the first bit to take.
    Bit(u64),
    /// A second base key (CKM_CONCATENATE_BASE_AND_KEY).
    Key(ObjectId),
    /// CK_OTP_PARAMS, as far as HOTP heeds them. Without a counter the key's own is used, without `digits` its CKA_OTP_LENGTH;
    /// `friendly` is CKF_USER_FRIENDLY_OTP.
    #[allow(missing_docs)]
    Otp {
        counter: Option<u64>,
        digits: Option<u32>,
        friendly: bool,
    },
}

/// Where HKDF's salt comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum HkdfSalt<'a> {
    Null,
    Data(#[serde(borrow)] Bytes<'a>),
    Key(ObjectId),
}

/// Parameters of the SP 800-108 derivations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kbkdf<'a> {
    /// The pseudo-random function.
    pub prf: MechId,
    /// What is fed to it, in order.
    #[serde(borrow)]
    pub data: Vec<KbkdfField<'a>>,
    /// The initial value of the feedback form.
    #[serde(borrow)]
    pub iv: Bytes<'a>,
    /// Keys beyond the first: object id and template of each.
    pub more: Vec<(ObjectId, crate::Template)>,
}

/// One CK_PRF_DATA_PARAM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum KbkdfField<'a> {
    /// The iteration variable; `bits` is 0 where the mode has its own.
    Iteration {
        little_endian: bool,
        bits: u32,
    },
    Counter {
        little_endian: bool,
        bits: u32,
    },
    /// The length of the derived keying material; `segments` counts whole blocks instead of keys.
    Length {
        little_endian: bool,
        bits: u32,
        segments: bool,
    },
    Bytes(#[serde(borrow)] Bytes<'a>),
    Key(ObjectId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let params = Params::Pbkdf2 {
            prf: 1,
            salt: Cow::Borrowed(b"salt"),
            iterations: 1000,
            password: Bytes::Borrowed(&[0x41; 7]).into(),
        };
        let shown = format!("{params:?}");
        assert!(
            shown.contains("password: 7 bytes") && !shown.contains("65"),
            "{shown}"
        );
    }
}
