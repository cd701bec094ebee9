//! Secret keys from random bytes (PKCS#11 3.2, "Generic secret key", "AES", and each family's own).

use hsm_api::{Error, KeyType, MechId, Params, Result, Rv, Value};

use super::{Mech, Unit};
use crate::attr;
use crate::code::key_type as kt;
use crate::object::Attrs;

/// VALUE_LEN random bytes, or as many as the type has.
pub(super) fn generate(mech: &'static Mech, _params: &Params<'_>, key: &mut Attrs) -> Result<()> {
    let said = key.ulong(attr::VALUE_LEN);
    let fixed = match key.key_type() {
        // RFC 4226, R6, recommends 160 bits.
        kt::HOTP => Some(20),
        of => kt::fixed_len(of).map(|n| n as u64),
    };
    let len = said.or(fixed).ok_or_else(|| {
        Error::new(
            Rv::TEMPLATE_INCOMPLETE,
            format!("{} needs CKA_VALUE_LEN", mech.name),
        )
    })?;
    let size = match mech.unit {
        Unit::Bits => len.saturating_mul(8),
        _ => len,
    };
    let fits = u32::try_from(size).is_ok_and(|n| (mech.sizes.0..=mech.sizes.1).contains(&n));
    if !fits || !kt::takes_len(key.key_type(), len as usize) {
        return Err(Error::new(
            Rv::ATTRIBUTE_VALUE_INVALID,
            format!("{} does not make keys of {len} bytes", mech.name),
        ));
    }
    let mut value = vec![0; len as usize];
    hsm_crypto::rng::fill(&mut value).map_err(|e| Error::new(Rv::RANDOM_NO_RNG, e.to_string()))?;
    if matches!(key.key_type(), kt::DES | kt::DES2 | kt::DES3) {
        hsm_crypto::des::set_parity(&mut value);
    }
    key.set(attr::VALUE, Value::Bytes(value));
    Ok(())
}

const fn row(code: u64, name: &'static str, keys: &'static [KeyType], sizes: (u32, u32)) -> Mech {
    Mech {
        id: MechId(code),
        name,
        keys,
        sizes,
        unit: Unit::Bytes,
        generate: Some(generate),
        ..Mech::REFUSES
    }
}

static GENERIC_SECRET_KEY_GEN: Mech = row(
    0x350,
    "CKM_GENERIC_SECRET_KEY_GEN",
    &[
        kt::GENERIC_SECRET,
        kt::SHA_1_HMAC,
        kt::SHA224_HMAC,
        kt::SHA256_HMAC,
        kt::SHA384_HMAC,
        kt::SHA512_HMAC,
        kt::SHA512_224_HMAC,
        kt::SHA512_256_HMAC,
        kt::SHA3_224_HMAC,
        kt::SHA3_256_HMAC,
        kt::SHA3_384_HMAC,
        kt::SHA3_512_HMAC,
        kt::HKDF,
    ],
    (1, 4096),
);

static CHACHA20_KEY_GEN: Mech = Mech {
    unit: Unit::Bits,
    ..row(0x1225, "CKM_CHACHA20_KEY_GEN", &[kt::CHACHA20], (256, 256))
};

macro_rules! rows {
    ($($id:ident $code:literal $key:ident $least:literal $most:literal $legacy:literal;)*) => {
        $(static $id: Mech = Mech {
            legacy: $legacy,
            ..row($code, concat!("CKM_", stringify!($id)), &[kt::$key], ($least, $most))
        };)*
        pub(super) static ALL: &[&Mech] =
            &[&GENERIC_SECRET_KEY_GEN, &CHACHA20_KEY_GEN, $(&$id),*];
    };
}

rows! {
    AES_KEY_GEN 0x1080 AES 16 32 false;
    AES_XTS_KEY_GEN 0x1072 AES_XTS 32 64 false;
    HKDF_KEY_GEN 0x402C HKDF 1 4096 false;
    SHA_1_KEY_GEN 0x4003 SHA_1_HMAC 1 4096 false;
    SHA224_KEY_GEN 0x4004 SHA224_HMAC 1 4096 false;
    SHA256_KEY_GEN 0x4005 SHA256_HMAC 1 4096 false;
    SHA384_KEY_GEN 0x4006 SHA384_HMAC 1 4096 false;
    SHA512_KEY_GEN 0x4007 SHA512_HMAC 1 4096 false;
    SHA512_224_KEY_GEN 0x4008 SHA512_224_HMAC 1 4096 false;
    SHA512_256_KEY_GEN 0x4009 SHA512_256_HMAC 1 4096 false;
    SHA3_256_KEY_GEN 0x2B3 SHA3_256_HMAC 1 4096 false;
    SHA3_224_KEY_GEN 0x2B8 SHA3_224_HMAC 1 4096 false;
    SHA3_384_KEY_GEN 0x2C3 SHA3_384_HMAC 1 4096 false;
    SHA3_512_KEY_GEN 0x2D3 SHA3_512_HMAC 1 4096 false;
    DES_KEY_GEN 0x120 DES 8 8 true;
    DES2_KEY_GEN 0x130 DES2 16 16 true;
    DES3_KEY_GEN 0x131 DES3 24 24 true;
}
