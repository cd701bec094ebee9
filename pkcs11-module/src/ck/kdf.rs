//! The parameters of derivations, some of which lead to structures within structures.

use std::marker::PhantomData;
use std::ptr::NonNull;

use hsm_api::mech::{HkdfSalt, Kbkdf, KbkdfField};
use hsm_api::{MechId, ObjectId, Params, Result};
use pkcs11_sys as ck;
use pkcs11_sys::CK_ULONG;

use super::Place;
use super::params::{Block, Plain, bad, part, small};
use crate::module::new_id;

/// More fields or keys than one derivation has.
const MAX_ENTRIES: CK_ULONG = 64;

/// What a handle stands for.
type Objects<'a> = &'a dyn Fn(u64) -> Option<ObjectId>;

fn object(objects: Objects<'_>, handle: u64) -> Result<ObjectId> {
    objects(handle).ok_or_else(|| {
        let why = "the parameter names a key that there is not";
        hsm_api::Error::new(hsm_api::Rv::KEY_HANDLE_INVALID, why)
    })
}

impl Block {
    pub(super) fn key(self, objects: Objects<'_>) -> Result<Params<'static>> {
        let handle: CK_ULONG = self.structure()?;
        Ok(Params::Key(object(objects, handle)?))
    }

    pub(super) fn string_data(self) -> Result<Params<'static>> {
        let p: ck::CK_KEY_DERIVATION_STRING_DATA = self.structure()?;
        Ok(Params::Data(part(p.pData, p.ulLen)?))
    }

    /// The structures of AES and of DES, which differ in the IV's length.
    pub(super) fn cbc_encrypt_data(self, iv_len: usize) -> Result<Params<'static>> {
        if iv_len == 8 {
            let p: ck::CK_DES_CBC_ENCRYPT_DATA_PARAMS = self.structure()?;
            return Ok(Params::CbcEncryptData {
                iv: p.iv.to_vec().into(),
                data: part(p.pData, p.length)?,
            });
        }
        let p: ck::CK_AES_CBC_ENCRYPT_DATA_PARAMS = self.structure()?;
        Ok(Params::CbcEncryptData {
            iv: p.iv.to_vec().into(),
            data: part(p.pData, p.length)?,
        })
    }

    pub(super) fn hkdf(self, objects: Objects<'_>) -> Result<Params<'static>> {
        let p: ck::CK_HKDF_PARAMS = self.structure()?;
        let salt = match p.ulSaltType {
            _ if p.bExtract == 0 => HkdfSalt::Null,
            ck::CKF_HKDF_SALT_NULL => HkdfSalt::Null,
            ck::CKF_HKDF_SALT_DATA => HkdfSalt::Data(part(p.pSalt, p.ulSaltLen)?),
            ck::CKF_HKDF_SALT_KEY => HkdfSalt::Key(object(objects, p.hSaltKey)?),
            _ => return Err(bad("the salt has an unknown type")),
        };
        let info = match p.bExpand {
            0 => Vec::new().into(),
            _ => part(p.pInfo, p.ulInfoLen)?,
        };
        Ok(Params::Hkdf {
            extract: p.bExtract != 0,
            expand: p.bExpand != 0,
            prf: MechId(p.prfHashMechanism),
            salt,
            info,
        })
    }

    pub(super) fn pbkdf2(self) -> Result<Params<'static>> {
        let p: ck::CK_PKCS5_PBKD2_PARAMS2 = self.structure()?;
        if p.saltSource != ck::CKZ_SALT_SPECIFIED {
            return Err(bad("the salt's source must be CKZ_SALT_SPECIFIED"));
        }
        if p.ulPrfDataLen != 0 {
            return Err(bad("no pseudo-random function here takes data"));
        }
        Ok(Params::Pbkdf2 {
            prf: p.prf,
            salt: part(p.pSaltSourceData.cast(), p.ulSaltSourceDataLen)?,
            iterations: p.iterations,
            password: part(p.pPassword, p.ulPasswordLen)?.into(),
        })
    }

    /// Both forms of SP 800-108's parameters as the greater one.
    fn kbkdf_structure(self, feedback: bool) -> Result<ck::CK_SP800_108_FEEDBACK_KDF_PARAMS> {
        if feedback {
            return self.structure();
        }
        let p: ck::CK_SP800_108_KDF_PARAMS = self.structure()?;
        Ok(ck::CK_SP800_108_FEEDBACK_KDF_PARAMS {
            prfType: p.prfType,
            ulNumberOfDataParams: p.ulNumberOfDataParams,
            pDataParams: p.pDataParams,
            ulIVLen: 0,
            pIV: std::ptr::null_mut(),
            ulAdditionalDerivedKeys: p.ulAdditionalDerivedKeys,
            pAdditionalDerivedKeys: p.pAdditionalDerivedKeys,
        })
    }

    pub(super) fn kbkdf(self, feedback: bool, objects: Objects<'_>) -> Result<Params<'static>> {
        let p = self.kbkdf_structure(feedback)?;
        let fields = entries::<ck::CK_PRF_DATA_PARAM>(p.pDataParams, p.ulNumberOfDataParams)?;
        let data = fields.iter().map(|raw| field(raw, objects));
        let data = data.collect::<Result<Vec<_>>>()?;
        let mut more = Vec::new();
        for raw in
            entries::<ck::CK_DERIVED_KEY>(p.pAdditionalDerivedKeys, p.ulAdditionalDerivedKeys)?
        {
            // SAFETY: the contract of `Given::new` holds for all that the parameter leads to.
            let template = unsafe { super::read_template(raw.pTemplate, raw.ulAttributeCount) }?;
            more.push((new_id()?, template));
        }
        Ok(Params::Kbkdf(Box::new(Kbkdf {
            prf: MechId(p.prfType),
            data,
            iv: part(p.pIV, p.ulIVLen)?,
            more,
        })))
    }

    /// Where the handles of the keys beyond the first go.
    pub(super) fn derived<'a>(self, feedback: bool) -> Result<Vec<Place<'a, u64>>> {
        let p = self.kbkdf_structure(feedback)?;
        entries::<ck::CK_DERIVED_KEY>(p.pAdditionalDerivedKeys, p.ulAdditionalDerivedKeys)?
            .iter()
            .map(|raw| {
                NonNull::new(raw.phKey)
                    .map(|at| Place(at, PhantomData))
                    .ok_or_else(|| bad("an additional key's handle has no place"))
            })
            .collect()
    }
}

/// An array of structures.
fn entries<T: Plain>(at: *const T, count: CK_ULONG) -> Result<Vec<T>> {
    if count > MAX_ENTRIES {
        return Err(bad("the array is longer than any"));
    }
    if at.is_null() && count != 0 {
        return Err(bad("an array is null and its count is not 0"));
    }
    (0..count as usize)
        // SAFETY: below the count, which `Given::new`'s contract says is true; `Plain` allows any bits.
        .map(|i| Ok(unsafe { at.add(i).read_unaligned() }))
        .collect()
}

fn field(raw: &ck::CK_PRF_DATA_PARAM, objects: Objects<'_>) -> Result<KbkdfField<'static>> {
    /// Not yet in the headers that we build with.
    const KEY_HANDLE: CK_ULONG = 5;
    let block = Block {
        at: raw.pValue.cast_const().cast(),
        len: raw.ulValueLen,
    };
    let counter = || -> Result<(bool, u32)> {
        let p: ck::CK_SP800_108_COUNTER_FORMAT = block.structure()?;
        Ok((p.bLittleEndian != 0, small(p.ulWidthInBits)?))
    };
    Ok(match raw.type_ {
        ck::CK_SP800_108_ITERATION_VARIABLE if block.len == 0 => KbkdfField::Iteration {
            little_endian: false,
            bits: 0,
        },
        ck::CK_SP800_108_ITERATION_VARIABLE => {
            let (little_endian, bits) = counter()?;
            KbkdfField::Iteration {
                little_endian,
                bits,
            }
        }
        ck::CK_SP800_108_COUNTER => {
            let (little_endian, bits) = counter()?;
            KbkdfField::Counter {
                little_endian,
                bits,
            }
        }
        ck::CK_SP800_108_DKM_LENGTH => {
            let p: ck::CK_SP800_108_DKM_LENGTH_FORMAT = block.structure()?;
            KbkdfField::Length {
                little_endian: p.bLittleEndian != 0,
                bits: small(p.ulWidthInBits)?,
                segments: match p.dkmLengthMethod {
                    ck::CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS => false,
                    ck::CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS => true,
                    _ => return Err(bad("the length is counted in an unknown way")),
                },
            }
        }
        ck::CK_SP800_108_BYTE_ARRAY => KbkdfField::Bytes(block.bytes()?),
        KEY_HANDLE => {
            let handle: CK_ULONG = block.structure()?;
            KbkdfField::Key(object(objects, handle)?)
        }
        _ => return Err(bad("a field has an unknown type")),
    })
}

impl Plain for ck::CK_KEY_DERIVATION_STRING_DATA {}
impl Plain for ck::CK_AES_CBC_ENCRYPT_DATA_PARAMS {}
impl Plain for ck::CK_HKDF_PARAMS {}
impl Plain for ck::CK_PKCS5_PBKD2_PARAMS2 {}
impl Plain for ck::CK_SP800_108_KDF_PARAMS {}
impl Plain for ck::CK_SP800_108_FEEDBACK_KDF_PARAMS {}
impl Plain for ck::CK_PRF_DATA_PARAM {}
impl Plain for ck::CK_DERIVED_KEY {}
impl Plain for ck::CK_SP800_108_COUNTER_FORMAT {}
impl Plain for ck::CK_SP800_108_DKM_LENGTH_FORMAT {}

#[cfg(test)]
mod tests {
    use hsm_api::Mechanism;

    use super::*;
    use crate::ck::Given;

    fn given<T>(mechanism: CK_ULONG, params: &mut T) -> ck::CK_MECHANISM {
        ck::CK_MECHANISM {
            mechanism,
            pParameter: (params as *mut T).cast(),
            ulParameterLen: size_of::<T>() as CK_ULONG,
        }
    }

    fn read<T>(mechanism: CK_ULONG, params: &mut T) -> Result<Mechanism<'static>> {
        let raw = given(mechanism, params);
        // SAFETY: a live mechanism whose parameter and what it leads to are live too.
        unsafe { Given::new(&raw) }?.read(
            &|handle| (handle == 7).then_some(ObjectId(70)),
            &mut crate::ck::Spare::default(),
        )
    }

    #[test]
    fn a_derivation_of_two_keys_with_every_kind_of_field() {
        let mut counter = ck::CK_SP800_108_COUNTER_FORMAT {
            bLittleEndian: 0,
            ulWidthInBits: 16,
        };
        let mut length = ck::CK_SP800_108_DKM_LENGTH_FORMAT {
            dkmLengthMethod: ck::CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS,
            bLittleEndian: 1,
            ulWidthInBits: 32,
        };
        let (mut label, mut handle, mut made): ([u8; 3], CK_ULONG, CK_ULONG) = (*b"abc", 7, 0);
        let field = |type_, at: *mut u8, len: usize| ck::CK_PRF_DATA_PARAM {
            type_,
            pValue: at.cast(),
            ulValueLen: len as CK_ULONG,
        };
        let mut fields = [
            field(
                ck::CK_SP800_108_ITERATION_VARIABLE,
                (&raw mut counter).cast(),
                size_of_val(&counter),
            ),
            field(ck::CK_SP800_108_BYTE_ARRAY, label.as_mut_ptr(), 3),
            field(5, (&raw mut handle).cast(), 8),
            field(
                ck::CK_SP800_108_DKM_LENGTH,
                (&raw mut length).cast(),
                size_of_val(&length),
            ),
        ];
        let mut len: CK_ULONG = 16;
        let mut template = [ck::CK_ATTRIBUTE {
            type_: ck::CKA_VALUE_LEN,
            pValue: (&raw mut len).cast(),
            ulValueLen: 8,
        }];
        let mut more = [ck::CK_DERIVED_KEY {
            pTemplate: template.as_mut_ptr(),
            ulAttributeCount: 1,
            phKey: &raw mut made,
        }];
        let mut params = ck::CK_SP800_108_KDF_PARAMS {
            prfType: ck::CKM_SHA256_HMAC,
            ulNumberOfDataParams: 4,
            pDataParams: fields.as_mut_ptr(),
            ulAdditionalDerivedKeys: 1,
            pAdditionalDerivedKeys: more.as_mut_ptr(),
        };
        let read_back = read(ck::CKM_SP800_108_COUNTER_KDF, &mut params).unwrap();
        let Params::Kbkdf(kbkdf) = read_back.params else {
            panic!("{read_back:?}");
        };
        let wanted = [
            KbkdfField::Iteration {
                little_endian: false,
                bits: 16,
            },
            KbkdfField::Bytes(b"abc".to_vec().into()),
            KbkdfField::Key(ObjectId(70)),
            KbkdfField::Length {
                little_endian: true,
                bits: 32,
                segments: true,
            },
        ];
        assert_eq!(kbkdf.data, wanted);
        assert_eq!(kbkdf.more.len(), 1);
        assert_eq!(kbkdf.more[0].1[0].value.as_ulong(), Some(16));
        let raw = given(ck::CKM_SP800_108_COUNTER_KDF, &mut params);
        // SAFETY: live, and all that it leads to.
        let given = unsafe { Given::new(&raw) }.unwrap();
        for place in given.derived().unwrap() {
            place.set(99);
        }
        assert_eq!(made, 99);

        // Lies: a count that is too great, an array that is null, a key that there is not.
        for lie in [
            |p: &mut ck::CK_SP800_108_KDF_PARAMS| p.ulNumberOfDataParams = CK_ULONG::MAX,
            |p: &mut ck::CK_SP800_108_KDF_PARAMS| p.pDataParams = std::ptr::null_mut(),
            |p: &mut ck::CK_SP800_108_KDF_PARAMS| p.ulAdditionalDerivedKeys = 1 << 40,
        ] {
            let mut params = params;
            lie(&mut params);
            let refused = read(ck::CKM_SP800_108_COUNTER_KDF, &mut params);
            assert_eq!(
                refused.unwrap_err().rv,
                hsm_api::Rv::MECHANISM_PARAM_INVALID
            );
        }
        handle = 8;
        assert_eq!(handle, 8);
        let refused = read(ck::CKM_SP800_108_COUNTER_KDF, &mut params);
        assert_eq!(refused.unwrap_err().rv, hsm_api::Rv::KEY_HANDLE_INVALID);
    }

    #[test]
    fn hkdf_reads_only_what_it_uses() {
        let mut info = *b"info";
        let mut params = ck::CK_HKDF_PARAMS {
            bExtract: 0,
            bExpand: 1,
            prfHashMechanism: ck::CKM_SHA256,
            ulSaltType: ck::CKF_HKDF_SALT_DATA,
            // Not looked at without bExtract.
            pSalt: std::ptr::null_mut(),
            ulSaltLen: 1 << 40,
            hSaltKey: 0,
            pInfo: info.as_mut_ptr(),
            ulInfoLen: 4,
        };
        let wanted = Params::Hkdf {
            extract: false,
            expand: true,
            prf: MechId(ck::CKM_SHA256),
            salt: HkdfSalt::Null,
            info: b"info".to_vec().into(),
        };
        assert_eq!(
            read(ck::CKM_HKDF_DERIVE, &mut params).unwrap().params,
            wanted
        );
        params.bExtract = 1;
        let refused = read(ck::CKM_HKDF_DERIVE, &mut params).unwrap_err().rv;
        assert_eq!(refused, hsm_api::Rv::MECHANISM_PARAM_INVALID);
    }

    #[test]
    fn the_other_shapes() {
        let mut key: CK_ULONG = 7;
        let key = read(ck::CKM_CONCATENATE_BASE_AND_KEY, &mut key).unwrap();
        assert_eq!(key.params, Params::Key(ObjectId(70)));
        let mut counter = 5u32.to_le_bytes();
        let mut nonce = [1u8; 12];
        let mut chacha = ck::CK_CHACHA20_PARAMS {
            pBlockCounter: counter.as_mut_ptr(),
            blockCounterBits: 32,
            pNonce: nonce.as_mut_ptr(),
            ulNonceBits: 96,
        };
        let wanted = Params::ChaCha20 {
            counter: 5,
            nonce: vec![1; 12].into(),
        };
        assert_eq!(read(ck::CKM_CHACHA20, &mut chacha).unwrap().params, wanted);
        chacha.blockCounterBits = 1 << 20;
        assert!(read(ck::CKM_CHACHA20, &mut chacha).is_err());
        let mut wrap = ck::CK_RSA_AES_KEY_WRAP_PARAMS {
            ulAESKeyBits: 256,
            pOAEPParams: std::ptr::null_mut(),
        };
        let refused = read(ck::CKM_RSA_AES_KEY_WRAP, &mut wrap).unwrap_err().rv;
        assert_eq!(refused, hsm_api::Rv::MECHANISM_PARAM_INVALID);
    }
}
