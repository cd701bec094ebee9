//! Mechanisms and templates as owned values, made into C's structures for the time of one call.

use pkcs11_sys::*;
use std::ptr::null_mut;

/// Of 3.2, which `pkcs11-sys` lacks.
pub const CKM_PUB_KEY_FROM_PRIV_KEY: CK_MECHANISM_TYPE = 0x403A;
/// The same.
pub const CKM_AES_KEY_WRAP_PKCS7: CK_MECHANISM_TYPE = 0x210C;
/// CKH_DETERMINISTIC_REQUIRED of 3.2.
pub const DETERMINISTIC: CK_ULONG = 2;

/// A mechanism and its parameter.
pub struct Mech {
    id: CK_MECHANISM_TYPE,
    param: Param,
}

/// The parameters that the vectors need; byte strings are owned.
#[derive(Clone)]
pub enum Param {
    None,
    Bytes(Vec<u8>),
    Ulong(CK_ULONG),
    Ctr([u8; 16]),
    Gcm {
        iv: Vec<u8>,
        aad: Vec<u8>,
        tag: usize,
    },
    Ccm {
        nonce: Vec<u8>,
        aad: Vec<u8>,
        tag: usize,
        len: usize,
    },
    /// The counter has 32 bits, the nonce what is left of a block.
    ChaCha {
        nonce: Vec<u8>,
        counter: u32,
    },
    ChaChaPoly {
        nonce: Vec<u8>,
        aad: Vec<u8>,
    },
    Pss {
        hash: CK_MECHANISM_TYPE,
        mgf: CK_ULONG,
        salt: usize,
    },
    Oaep {
        hash: CK_MECHANISM_TYPE,
        mgf: CK_ULONG,
        label: Vec<u8>,
    },
    /// RSA-OAEP around an AES key of so many bits.
    RsaAes {
        bits: usize,
        hash: CK_MECHANISM_TYPE,
        mgf: CK_ULONG,
        label: Vec<u8>,
    },
    Ecdh {
        public: Vec<u8>,
    },
    EdDsa {
        prehash: bool,
        context: Vec<u8>,
    },
    Hkdf {
        hash: CK_MECHANISM_TYPE,
        salt: Vec<u8>,
        info: Vec<u8>,
    },
    Pbkdf2 {
        prf: CK_ULONG,
        salt: Vec<u8>,
        rounds: usize,
        password: Vec<u8>,
    },
    /// ML-DSA's and SLH-DSA's; with the hash for the mechanisms that are given a digest.
    Context {
        hedge: CK_ULONG,
        context: Vec<u8>,
        hash: Option<CK_MECHANISM_TYPE>,
    },
    /// HOTP with a counter of the caller's.
    Otp {
        counter: u64,
    },
    /// SP 800-108 in counter mode: the counter stands between the two strings.
    Counter {
        prf: CK_MECHANISM_TYPE,
        bits: CK_ULONG,
        before: Vec<u8>,
        after: Vec<u8>,
    },
}

/// CK_SIGN_ADDITIONAL_CONTEXT.
#[repr(C)]
struct SignContext {
    hedge: CK_ULONG,
    context: CK_BYTE_PTR,
    context_len: CK_ULONG,
}

/// CK_HASH_SIGN_ADDITIONAL_CONTEXT.
#[repr(C)]
struct HashSignContext {
    of: SignContext,
    hash: CK_MECHANISM_TYPE,
}

/// Where C finds bytes; null when there are none, as most callers have it.
fn at(bytes: &[u8]) -> CK_BYTE_PTR {
    if bytes.is_empty() {
        null_mut()
    } else {
        bytes.as_ptr().cast_mut()
    }
}

fn len(bytes: &[u8]) -> CK_ULONG {
    bytes.len() as CK_ULONG
}

fn oaep(hash: CK_MECHANISM_TYPE, mgf: CK_ULONG, label: &[u8]) -> CK_RSA_PKCS_OAEP_PARAMS {
    CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: hash,
        mgf,
        source: CKZ_DATA_SPECIFIED,
        pSourceData: at(label).cast(),
        ulSourceDataLen: len(label),
    }
}

impl Mech {
    pub fn new(id: CK_MECHANISM_TYPE) -> Mech {
        Mech::with_param(id, Param::None)
    }

    pub fn bytes(id: CK_MECHANISM_TYPE, bytes: &[u8]) -> Mech {
        Mech::with_param(id, Param::Bytes(bytes.to_vec()))
    }

    pub fn with_param(id: CK_MECHANISM_TYPE, param: Param) -> Mech {
        Mech { id, param }
    }

    /// Calls with CK_MECHANISM; it and all it leads to live until `call` returns.
    pub fn with<R>(&self, call: impl FnOnce(CK_MECHANISM_PTR) -> R) -> R {
        super::tally::used(self.id);
        let pass = |parameter: CK_VOID_PTR, size: usize| {
            let mut mechanism = CK_MECHANISM {
                mechanism: self.id,
                pParameter: parameter,
                ulParameterLen: size as CK_ULONG,
            };
            call(&mut mechanism)
        };
        /// A structure on the stack of this call.
        macro_rules! structure {
            ($value:expr) => {{
                let mut value = $value;
                let size = size_of_val(&value);
                pass((&raw mut value).cast(), size)
            }};
        }
        match &self.param {
            Param::None => pass(null_mut(), 0),
            Param::Bytes(bytes) => pass(at(bytes).cast(), bytes.len()),
            Param::Ulong(n) => structure!(*n),
            Param::Ctr(block) => structure!(CK_AES_CTR_PARAMS {
                ulCounterBits: 128,
                cb: *block,
            }),
            Param::Gcm { iv, aad, tag } => structure!(CK_GCM_PARAMS {
                pIv: at(iv),
                ulIvLen: len(iv),
                ulIvBits: len(iv) * 8,
                pAAD: at(aad),
                ulAADLen: len(aad),
                ulTagBits: *tag as CK_ULONG * 8,
            }),
            Param::Ccm {
                nonce,
                aad,
                tag,
                len: data,
            } => structure!(CK_CCM_PARAMS {
                ulDataLen: *data as CK_ULONG,
                pNonce: at(nonce),
                ulNonceLen: len(nonce),
                pAAD: at(aad),
                ulAADLen: len(aad),
                ulMACLen: *tag as CK_ULONG,
            }),
            Param::ChaCha { nonce, counter } => {
                let mut counter = counter.to_le_bytes();
                structure!(CK_CHACHA20_PARAMS {
                    pBlockCounter: counter.as_mut_ptr(),
                    blockCounterBits: 32,
                    pNonce: at(nonce),
                    ulNonceBits: len(nonce) * 8,
                })
            }
            Param::ChaChaPoly { nonce, aad } => structure!(CK_SALSA20_CHACHA20_POLY1305_PARAMS {
                pNonce: at(nonce),
                ulNonceLen: len(nonce),
                pAAD: at(aad),
                ulAADLen: len(aad),
            }),
            Param::Pss { hash, mgf, salt } => structure!(CK_RSA_PKCS_PSS_PARAMS {
                hashAlg: *hash,
                mgf: *mgf,
                sLen: *salt as CK_ULONG,
            }),
            Param::Oaep { hash, mgf, label } => structure!(oaep(*hash, *mgf, label)),
            Param::RsaAes {
                bits,
                hash,
                mgf,
                label,
            } => structure!(CK_RSA_AES_KEY_WRAP_PARAMS {
                ulAESKeyBits: *bits as CK_ULONG,
                pOAEPParams: &mut oaep(*hash, *mgf, label),
            }),
            Param::Ecdh { public } => structure!(CK_ECDH1_DERIVE_PARAMS {
                kdf: CKD_NULL,
                ulSharedDataLen: 0,
                pSharedData: null_mut(),
                ulPublicDataLen: len(public),
                pPublicData: at(public),
            }),
            Param::EdDsa { prehash, context } => structure!(CK_EDDSA_PARAMS {
                phFlag: CK_BBOOL::from(*prehash),
                ulContextDataLen: len(context),
                pContextData: at(context),
            }),
            Param::Hkdf { hash, salt, info } => structure!(CK_HKDF_PARAMS {
                bExtract: CK_TRUE,
                bExpand: CK_TRUE,
                prfHashMechanism: *hash,
                ulSaltType: if salt.is_empty() {
                    CKF_HKDF_SALT_NULL
                } else {
                    CKF_HKDF_SALT_DATA
                },
                pSalt: at(salt),
                ulSaltLen: len(salt),
                hSaltKey: 0,
                pInfo: at(info),
                ulInfoLen: len(info),
            }),
            Param::Pbkdf2 {
                prf,
                salt,
                rounds,
                password,
            } => structure!(CK_PKCS5_PBKD2_PARAMS2 {
                saltSource: CKZ_SALT_SPECIFIED,
                pSaltSourceData: at(salt).cast(),
                ulSaltSourceDataLen: len(salt),
                iterations: *rounds as CK_ULONG,
                prf: *prf,
                pPrfData: null_mut(),
                ulPrfDataLen: 0,
                pPassword: at(password),
                ulPasswordLen: len(password),
            }),
            Param::Context {
                hedge,
                context,
                hash,
            } => {
                let of = SignContext {
                    hedge: *hedge,
                    context: at(context),
                    context_len: len(context),
                };
                match *hash {
                    None => structure!(of),
                    Some(hash) => structure!(HashSignContext { of, hash }),
                }
            }
            Param::Otp { counter } => {
                let mut counter = counter.to_be_bytes();
                let mut one = CK_OTP_PARAM {
                    type_: CK_OTP_COUNTER,
                    pValue: counter.as_mut_ptr().cast(),
                    ulValueLen: len(&counter),
                };
                structure!(CK_OTP_PARAMS {
                    pParams: &mut one,
                    ulCount: 1,
                })
            }
            Param::Counter {
                prf,
                bits,
                before,
                after,
            } => {
                let mut counter = CK_SP800_108_COUNTER_FORMAT {
                    bLittleEndian: CK_FALSE,
                    ulWidthInBits: *bits,
                };
                let string = |bytes: &[u8]| CK_PRF_DATA_PARAM {
                    type_: CK_SP800_108_BYTE_ARRAY,
                    pValue: at(bytes).cast(),
                    ulValueLen: len(bytes),
                };
                let mut fields = vec![CK_PRF_DATA_PARAM {
                    type_: CK_SP800_108_ITERATION_VARIABLE,
                    pValue: (&raw mut counter).cast(),
                    ulValueLen: size_of_val(&counter) as CK_ULONG,
                }];
                if !before.is_empty() {
                    fields.insert(0, string(before));
                }
                if !after.is_empty() {
                    fields.push(string(after));
                }
                structure!(CK_SP800_108_KDF_PARAMS {
                    prfType: *prf,
                    ulNumberOfDataParams: fields.len() as CK_ULONG,
                    pDataParams: fields.as_mut_ptr(),
                    ulAdditionalDerivedKeys: 0,
                    pAdditionalDerivedKeys: null_mut(),
                })
            }
        }
    }
}

/// Attributes of an object to be made.
#[derive(Clone, Default)]
pub struct Template(Vec<(CK_ATTRIBUTE_TYPE, Vec<u8>)>);

impl Template {
    /// A key of this class and type.
    pub fn key(class: CK_OBJECT_CLASS, key_type: CK_KEY_TYPE) -> Template {
        Template::default()
            .ulong(CKA_CLASS, class)
            .ulong(CKA_KEY_TYPE, key_type)
    }

    /// A secret key with its value that may do everything that its type allows.
    pub fn secret(key_type: CK_KEY_TYPE, value: &[u8]) -> Template {
        Template::key(CKO_SECRET_KEY, key_type)
            .bytes(CKA_VALUE, value)
            .may(&[
                CKA_ENCRYPT,
                CKA_DECRYPT,
                CKA_SIGN,
                CKA_VERIFY,
                CKA_WRAP,
                CKA_UNWRAP,
                CKA_DERIVE,
            ])
            .readable()
    }

    /// A secret key that a function makes, whose value can be read; with its length, where the function must be told.
    pub fn made(value_len: Option<usize>) -> Template {
        let made = Template::key(CKO_SECRET_KEY, CKK_GENERIC_SECRET).readable();
        match value_len {
            Some(n) => made.ulong(CKA_VALUE_LEN, n as CK_ULONG),
            None => made,
        }
    }

    /// Not sensitive, extractable.
    pub fn readable(self) -> Template {
        self.bytes(CKA_SENSITIVE, &[CK_FALSE])
            .bytes(CKA_EXTRACTABLE, &[CK_TRUE])
    }

    pub fn may(self, usages: &[CK_ATTRIBUTE_TYPE]) -> Template {
        usages
            .iter()
            .fold(self, |t, usage| t.bytes(*usage, &[CK_TRUE]))
    }

    pub fn ulong(self, attribute: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> Template {
        self.bytes(attribute, &value.to_ne_bytes())
    }

    pub fn bytes(mut self, attribute: CK_ATTRIBUTE_TYPE, value: &[u8]) -> Template {
        self.0.push((attribute, value.to_vec()));
        self
    }

    /// CK_ATTRIBUTEs that point into this value, and how many.
    pub fn raw(&self) -> (Vec<CK_ATTRIBUTE>, CK_ULONG) {
        let attributes = self.0.iter().map(|(attribute, value)| CK_ATTRIBUTE {
            type_: *attribute,
            pValue: at(value).cast(),
            ulValueLen: len(value),
        });
        (attributes.collect(), self.0.len() as CK_ULONG)
    }
}
