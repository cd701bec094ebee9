//! Secret keys from random bytes (PKCS#11 3.2, "Generic secret key", "AES").

use hsm_api::{Error, MechId, Params, Result, Rv, Value};

use super::{Mech, Unit};
use crate::attr;
use crate::code::key_type as kt;
use crate::object::Attrs;

/// VALUE_LEN random bytes.
fn generate(mech: &'static Mech, _params: &Params<'_>, key: &mut Attrs) -> Result<()> {
    let len = key.ulong(attr::VALUE_LEN).ok_or_else(|| {
        Error::new(
            Rv::TEMPLATE_INCOMPLETE,
            format!("{} needs CKA_VALUE_LEN", mech.name),
        )
    })?;
    let fits = u32::try_from(len).is_ok_and(|n| (mech.sizes.0..=mech.sizes.1).contains(&n));
    let aes = mech.keys.contains(&kt::AES) && !matches!(len, 16 | 24 | 32);
    if !fits || aes {
        return Err(Error::new(
            Rv::KEY_SIZE_RANGE,
            format!("{} does not make keys of {len} bytes", mech.name),
        ));
    }
    let mut value = vec![0; len as usize];
    hsm_crypto::rng::fill(&mut value).map_err(|e| Error::new(Rv::RANDOM_NO_RNG, e.to_string()))?;
    key.set(attr::VALUE, Value::Bytes(value));
    Ok(())
}

static AES_KEY_GEN: Mech = Mech {
    id: MechId(0x1080),
    name: "CKM_AES_KEY_GEN",
    keys: &[kt::AES],
    sizes: (16, 32),
    unit: Unit::Bytes,
    generate: Some(generate),
    ..Mech::REFUSES
};

static GENERIC_SECRET_KEY_GEN: Mech = Mech {
    id: MechId(0x350),
    name: "CKM_GENERIC_SECRET_KEY_GEN",
    keys: &[
        kt::GENERIC_SECRET,
        kt::SHA_1_HMAC,
        kt::SHA224_HMAC,
        kt::SHA256_HMAC,
        kt::SHA384_HMAC,
        kt::SHA512_HMAC,
        kt::SHA3_224_HMAC,
        kt::SHA3_256_HMAC,
        kt::SHA3_384_HMAC,
        kt::SHA3_512_HMAC,
    ],
    sizes: (1, 4096),
    unit: Unit::Bytes,
    generate: Some(generate),
    ..Mech::REFUSES
};

pub(super) static ALL: &[&Mech] = &[&AES_KEY_GEN, &GENERIC_SECRET_KEY_GEN];
