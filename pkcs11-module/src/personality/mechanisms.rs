//! The mechanisms of CloudHSM's library: what each may be asked to do, and how much data it takes in
//! one call.

use hsm_api::{AttrType, MechId, Mechanism, Params, Result, Rv, Template};
use hsm_sim::mech::{hash_of, mgf_hash};
use pkcs11_sys as ck;

use super::{Personality, refuse};

/// CKF_ bits of CK_MECHANISM_INFO.
pub type Functions = u64;

const ENCRYPT: Functions = ck::CKF_ENCRYPT | ck::CKF_DECRYPT;
const SIGN: Functions = ck::CKF_SIGN | ck::CKF_VERIFY;
const WRAP: Functions = ck::CKF_WRAP | ck::CKF_UNWRAP;
const NO_LIMIT: usize = usize::MAX;

/// The vendor numbers among them are CloudHSM's own (cloudhsm_pkcs11_vendor_defs.h).
const CLOUDHSM: &[(u64, Functions, usize)] = &[
    (ck::CKM_RSA_PKCS_KEY_PAIR_GEN, PAIR, NO_LIMIT),
    (ck::CKM_RSA_X9_31_KEY_PAIR_GEN, PAIR, NO_LIMIT),
    (ck::CKM_EC_KEY_PAIR_GEN, PAIR, NO_LIMIT),
    (ck::CKM_GENERIC_SECRET_KEY_GEN, ck::CKF_GENERATE, NO_LIMIT),
    (ck::CKM_AES_KEY_GEN, ck::CKF_GENERATE, NO_LIMIT),
    (ck::CKM_DES3_KEY_GEN, ck::CKF_GENERATE, NO_LIMIT),
    (ck::CKM_RSA_X_509, ENCRYPT | SIGN, NO_LIMIT),
    (ck::CKM_RSA_PKCS, ENCRYPT | SIGN | WRAP, NO_LIMIT),
    (ck::CKM_RSA_PKCS_OAEP, ENCRYPT | WRAP, NO_LIMIT),
    (ck::CKM_AES_ECB, ENCRYPT, NO_LIMIT),
    (ck::CKM_AES_CTR, ENCRYPT, NO_LIMIT),
    (ck::CKM_AES_CBC, ENCRYPT, 16_272),
    (ck::CKM_AES_CBC_PAD, ENCRYPT, NO_LIMIT),
    (ck::CKM_AES_GCM, ENCRYPT | WRAP, 16_224),
    (0x8000_1087, ENCRYPT | WRAP, 16_224),
    (ck::CKM_DES3_ECB, ENCRYPT, NO_LIMIT),
    (ck::CKM_DES3_CBC, ENCRYPT, 16_280),
    (ck::CKM_DES3_CBC_PAD, ENCRYPT, NO_LIMIT),
    (ck::CKM_RSA_PKCS_PSS, SIGN, NO_LIMIT),
    (ck::CKM_SHA1_RSA_PKCS, SIGN, NO_LIMIT),
    (ck::CKM_SHA224_RSA_PKCS, SIGN, NO_LIMIT),
    (ck::CKM_SHA256_RSA_PKCS, SIGN, NO_LIMIT),
    (ck::CKM_SHA384_RSA_PKCS, SIGN, NO_LIMIT),
    (ck::CKM_SHA512_RSA_PKCS, SIGN, NO_LIMIT),
    (ck::CKM_SHA1_RSA_PKCS_PSS, SIGN, NO_LIMIT),
    (ck::CKM_SHA224_RSA_PKCS_PSS, SIGN, NO_LIMIT),
    (ck::CKM_SHA256_RSA_PKCS_PSS, SIGN, NO_LIMIT),
    (ck::CKM_SHA384_RSA_PKCS_PSS, SIGN, NO_LIMIT),
    (ck::CKM_SHA512_RSA_PKCS_PSS, SIGN, NO_LIMIT),
    (ck::CKM_ECDSA, SIGN, NO_LIMIT),
    (ck::CKM_ECDSA_SHA1, SIGN, NO_LIMIT),
    (ck::CKM_ECDSA_SHA224, SIGN, NO_LIMIT),
    (ck::CKM_ECDSA_SHA256, SIGN, NO_LIMIT),
    (ck::CKM_ECDSA_SHA384, SIGN, NO_LIMIT),
    (ck::CKM_ECDSA_SHA512, SIGN, NO_LIMIT),
    (ck::CKM_SHA_1_HMAC, SIGN, 16_288),
    (ck::CKM_SHA224_HMAC, SIGN, 16_256),
    (ck::CKM_SHA256_HMAC, SIGN, 16_288),
    (ck::CKM_SHA384_HMAC, SIGN, 16_224),
    (ck::CKM_SHA512_HMAC, SIGN, 16_224),
    (ck::CKM_AES_CMAC, SIGN, NO_LIMIT),
    (ck::CKM_SHA_1, ck::CKF_DIGEST, NO_LIMIT),
    (ck::CKM_SHA224, ck::CKF_DIGEST, NO_LIMIT),
    (ck::CKM_SHA256, ck::CKF_DIGEST, NO_LIMIT),
    (ck::CKM_SHA384, ck::CKF_DIGEST, NO_LIMIT),
    (ck::CKM_SHA512, ck::CKF_DIGEST, NO_LIMIT),
    (ck::CKM_ECDH1_DERIVE, ck::CKF_DERIVE, NO_LIMIT),
    (0x8000_0001, ck::CKF_DERIVE, NO_LIMIT),
    (ck::CKM_RSA_AES_KEY_WRAP, WRAP, NO_LIMIT),
    (0x8000_2109, WRAP, NO_LIMIT),
    (0x8000_210A, WRAP, NO_LIMIT),
    (0x8000_216F, WRAP, NO_LIMIT),
];
const PAIR: Functions = ck::CKF_GENERATE_KEY_PAIR;

/// CK_EC_KDF_TYPE: X9.63 with SHA-1, 224, 256, 384, 512. (The guide speaks of types of the vendor's header; their names
/// and, as far as is known, their numbers are those that PKCS#11 has had since 3.0.)
const KDFS: [u64; 5] = [2, 5, 6, 7, 8];

/// The curves' object identifiers: P-224, P-256, P-384, P-521, secp256k1.
const CURVES: [&[u8]; 5] = [
    &[6, 5, 0x2B, 0x81, 4, 0, 0x21],
    &[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7],
    &[6, 5, 0x2B, 0x81, 4, 0, 0x22],
    &[6, 5, 0x2B, 0x81, 4, 0, 0x23],
    &[6, 5, 0x2B, 0x81, 4, 0, 0x0A],
];

impl Personality {
    /// What this personality lets the mechanism do; all of its row's functions where it is `None`.
    fn row(self, id: MechId) -> Option<(Functions, usize)> {
        if self == Personality::Standard {
            return Some((Functions::MAX, NO_LIMIT));
        }
        let found = CLOUDHSM.iter().find(|(m, ..)| *m == id.0)?;
        Some((found.1, found.2))
    }

    /// The functions that the mechanism has here, of those that its row has.
    pub fn functions(self, id: MechId, of: Functions) -> Functions {
        self.row(id).map_or(0, |(functions, _)| functions & of)
    }

    /// Whether the mechanism is there at all.
    pub fn has(self, id: MechId) -> bool {
        self.row(id).is_some()
    }

    /// Refuses a mechanism, or a use of it, that is not there.
    ///
    /// # Errors
    /// MECHANISM_INVALID; MECHANISM_PARAM_INVALID for OAEP with two hashes, ECDH with another KDF.
    pub fn offers(self, mech: &Mechanism<'_>, wanted: Functions) -> Result<()> {
        if self == Personality::Standard {
            return Ok(());
        }
        let id = mech.id.0;
        match self.row(mech.id) {
            None => {
                let rule = format!("the library has no mechanism {id:#x}");
                return Err(refuse(Rv::MECHANISM_INVALID, &rule));
            }
            Some((functions, _)) if functions & wanted == 0 => {
                let rule = format!("mechanism {id:#x} is not for this function");
                return Err(refuse(Rv::MECHANISM_INVALID, &rule));
            }
            Some(_) => {}
        }
        match &mech.params {
            Params::Oaep { hash, mgf, .. } if hash_of(*hash) != mgf_hash(*mgf) => {
                let rule = "OAEP takes the MGF of its own hash only";
                Err(refuse(Rv::MECHANISM_PARAM_INVALID, rule))
            }
            Params::Ecdh { kdf, .. } if !KDFS.contains(kdf) => {
                let rule = "ECDH derives by X9.63 with SHA-1 or SHA-2 only";
                Err(refuse(Rv::MECHANISM_PARAM_INVALID, rule))
            }
            _ => Ok(()),
        }
    }

    /// Refuses more data than the mechanism takes in one call.
    ///
    /// # Errors
    /// DATA_LEN_RANGE.
    pub fn takes(self, id: MechId, len: usize) -> Result<()> {
        match self.row(id) {
            Some((_, most)) if len > most => {
                let rule = format!("mechanism {:#x} takes at most {most} bytes", id.0);
                Err(refuse(Rv::DATA_LEN_RANGE, &rule))
            }
            _ => Ok(()),
        }
    }

    /// Refuses keys of sizes that the library does not make.
    ///
    /// # Errors
    /// ATTRIBUTE_VALUE_INVALID, CURVE_NOT_SUPPORTED.
    pub fn makes(self, id: MechId, template: &Template) -> Result<()> {
        if self == Personality::Standard {
            return Ok(());
        }
        let value = |ty| template.iter().find(|a| a.ty == AttrType(ty));
        let number = |ty| value(ty).and_then(|a| a.value.as_ulong());
        match id.0 {
            ck::CKM_RSA_PKCS_KEY_PAIR_GEN | ck::CKM_RSA_X9_31_KEY_PAIR_GEN => {
                number(ck::CKA_MODULUS_BITS).map_or(Ok(()), rsa_bits)
            }
            ck::CKM_GENERIC_SECRET_KEY_GEN => {
                number(ck::CKA_VALUE_LEN).map_or(Ok(()), secret_bytes)
            }
            ck::CKM_EC_KEY_PAIR_GEN => {
                let curve = value(ck::CKA_EC_PARAMS).and_then(|a| a.value.as_bytes());
                curve.map_or(Ok(()), known_curve)
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn rsa_bits(bits: u64) -> Result<()> {
    if (2048..=4096).contains(&bits) && bits.is_multiple_of(256) {
        return Ok(());
    }
    let rule = "RSA keys have 2048 to 4096 bits, in steps of 256";
    Err(refuse(Rv::ATTRIBUTE_VALUE_INVALID, rule))
}

pub(super) fn secret_bytes(len: u64) -> Result<()> {
    if (1..=800).contains(&len) {
        return Ok(());
    }
    let rule = "generic secrets have 1 to 800 bytes";
    Err(refuse(Rv::ATTRIBUTE_VALUE_INVALID, rule))
}

pub(super) fn known_curve(params: &[u8]) -> Result<()> {
    if CURVES.contains(&params) {
        return Ok(());
    }
    let rule = "the curves are P-224, P-256, P-384, P-521 and secp256k1";
    Err(refuse(Rv::CURVE_NOT_SUPPORTED, rule))
}

#[cfg(test)]
mod tests {
    use hsm_api::{Attr, Value};

    use super::*;

    #[test]
    fn a_mechanism_stands_once_and_does_what_the_table_says() {
        for (i, (id, functions, _)) in CLOUDHSM.iter().enumerate() {
            assert!(CLOUDHSM[..i].iter().all(|(m, ..)| m != id), "{id:#x}");
            let mech = Mechanism {
                id: MechId(*id),
                params: Params::None,
            };
            for bit in (8..20).map(|b| 1 << b) {
                let offered = Personality::CloudHsm.offers(&mech, bit);
                assert_eq!(offered.is_ok(), functions & bit != 0, "{id:#x} {bit:#x}");
                assert!(Personality::Standard.offers(&mech, bit).is_ok());
            }
        }
        let none = MechId(ck::CKM_SHA3_256);
        assert!(!Personality::CloudHsm.has(none) && Personality::Standard.has(none));
        let gcm = MechId(ck::CKM_AES_GCM);
        assert!(Personality::CloudHsm.takes(gcm, 16_224).is_ok());
        assert!(Personality::CloudHsm.takes(gcm, 16_225).is_err());
        assert!(Personality::Standard.takes(gcm, 16_225).is_ok());
    }

    #[test]
    fn sizes_of_keys() {
        let rv = |id, ty, value| {
            let ty = AttrType(ty);
            let template = vec![Attr { ty, value }];
            let made = Personality::CloudHsm.makes(MechId(id), &template);
            assert!(Personality::Standard.makes(MechId(id), &template).is_ok());
            made.err().map(|e| e.rv)
        };
        for (bits, good) in [
            (2048, true),
            (2304, true),
            (2560, true),
            (2100, false),
            (1024, false),
        ] {
            let refused = rv(
                ck::CKM_RSA_PKCS_KEY_PAIR_GEN,
                ck::CKA_MODULUS_BITS,
                Value::Ulong(bits),
            );
            assert_eq!(refused.is_none(), good, "{bits}");
        }
        let len = |n| {
            rv(
                ck::CKM_GENERIC_SECRET_KEY_GEN,
                ck::CKA_VALUE_LEN,
                Value::Ulong(n),
            )
        };
        assert_eq!(
            (len(800), len(801)),
            (None, Some(Rv::ATTRIBUTE_VALUE_INVALID))
        );
        let ed25519 = vec![6, 3, 0x2B, 0x65, 0x70];
        let curve = |c| rv(ck::CKM_EC_KEY_PAIR_GEN, ck::CKA_EC_PARAMS, Value::Bytes(c));
        assert_eq!(curve(ed25519), Some(Rv::CURVE_NOT_SUPPORTED));
        assert_eq!(curve(CURVES[1].to_vec()), None);
    }
}
