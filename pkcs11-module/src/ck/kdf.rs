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

    pub(super) fn cbc_encrypt_data(self) -> Result<Params<'static>> {
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
            password: part(p.pPassword, p.ulPasswordLen)?,
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
