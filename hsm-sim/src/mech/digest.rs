//! Digests (PKCS#11 3.2, "SHA-1" to "SHA-3").

use hsm_api::{MechId, Result, Rv};
use hsm_crypto::Hash;

use super::stream::HashThen;
use super::{Call, Mech, Output};

fn digest(call: &Call<'_>, data: &[u8], out: &mut [u8]) -> Result<usize> {
    let Some(hash) = call.mech.hash else {
        return Err(Rv::MECHANISM_INVALID.into());
    };
    hand_out(call, &hash.digest(data), out)
}

fn hand_out(_call: &Call<'_>, digest: &[u8], out: &mut [u8]) -> Result<usize> {
    out[..digest.len()].copy_from_slice(digest);
    Ok(digest.len())
}

const fn row(code: u64, name: &'static str, hash: Hash) -> Mech {
    Mech {
        id: MechId(code),
        name,
        hash: Some(hash),
        output: Output::Fixed(hash.len()),
        digest: Some(digest),
        stream: Some(|call, _op| {
            let Some(hash) = call.mech.hash else {
                return Err(Rv::MECHANISM_INVALID.into());
            };
            Ok(HashThen::open(hash, hand_out, |_, _, _| {
                Err(Rv::OPERATION_NOT_INITIALIZED.into())
            }))
        }),
        ..Mech::REFUSES
    }
}

static SHA_1: Mech = row(0x220, "CKM_SHA_1", Hash::Sha1);
static SHA256: Mech = row(0x250, "CKM_SHA256", Hash::Sha256);
static SHA224: Mech = row(0x255, "CKM_SHA224", Hash::Sha224);
static SHA384: Mech = row(0x260, "CKM_SHA384", Hash::Sha384);
static SHA512: Mech = row(0x270, "CKM_SHA512", Hash::Sha512);
static SHA512_224: Mech = row(0x48, "CKM_SHA512_224", Hash::Sha512_224);
static SHA512_256: Mech = row(0x4C, "CKM_SHA512_256", Hash::Sha512_256);
static SHA3_256: Mech = row(0x2B0, "CKM_SHA3_256", Hash::Sha3_256);
static SHA3_224: Mech = row(0x2B5, "CKM_SHA3_224", Hash::Sha3_224);
static SHA3_384: Mech = row(0x2C0, "CKM_SHA3_384", Hash::Sha3_384);
static SHA3_512: Mech = row(0x2D0, "CKM_SHA3_512", Hash::Sha3_512);

/// For checksums of old data only.
static MD5: Mech = Mech {
    legacy: true,
    ..row(0x210, "CKM_MD5", Hash::Md5)
};

pub(super) static ALL: &[&Mech] = &[
    &MD5,
    &SHA_1,
    &SHA256,
    &SHA224,
    &SHA384,
    &SHA512,
    &SHA512_224,
    &SHA512_256,
    &SHA3_256,
    &SHA3_224,
    &SHA3_384,
    &SHA3_512,
];
