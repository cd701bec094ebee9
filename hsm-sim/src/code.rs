//! Object classes and key types that the tables speak of (PKCS#11 3.2, "General data types").

#![allow(missing_docs)]

/// CKO_* values.
pub mod class {
    use hsm_api::Class;
    pub const DATA: Class = Class(0);
    pub const CERTIFICATE: Class = Class(1);
    pub const PUBLIC: Class = Class(2);
    pub const PRIVATE: Class = Class(3);
    pub const SECRET: Class = Class(4);
    pub const HW_FEATURE: Class = Class(5);
    pub const DOMAIN: Class = Class(6);
    pub const MECHANISM: Class = Class(7);
    pub const OTP: Class = Class(8);
    pub const PROFILE: Class = Class(9);
    pub const VALIDATION: Class = Class(10);
    pub const TRUST: Class = Class(11);

    /// Keys that are bytes and nothing else.
    pub fn is_secret(class: Class) -> bool {
        class == SECRET || class == OTP
    }
}

/// CKK_* values.
pub mod key_type {
    use hsm_api::KeyType;
    pub const RSA: KeyType = KeyType(0);
    pub const DSA: KeyType = KeyType(1);
    pub const DH: KeyType = KeyType(2);
    pub const EC: KeyType = KeyType(3);
    pub const GENERIC_SECRET: KeyType = KeyType(0x10);
    pub const DES: KeyType = KeyType(0x13);
    pub const DES2: KeyType = KeyType(0x14);
    pub const DES3: KeyType = KeyType(0x15);
    pub const AES: KeyType = KeyType(0x1F);
    pub const HOTP: KeyType = KeyType(0x23);
    pub const MD5_HMAC: KeyType = KeyType(0x27);
    pub const SHA_1_HMAC: KeyType = KeyType(0x28);
    pub const SHA256_HMAC: KeyType = KeyType(0x2B);
    pub const SHA384_HMAC: KeyType = KeyType(0x2C);
    pub const SHA512_HMAC: KeyType = KeyType(0x2D);
    pub const SHA224_HMAC: KeyType = KeyType(0x2E);
    pub const CHACHA20: KeyType = KeyType(0x33);
    pub const AES_XTS: KeyType = KeyType(0x35);
    pub const SHA3_224_HMAC: KeyType = KeyType(0x36);
    pub const SHA3_256_HMAC: KeyType = KeyType(0x37);
    pub const SHA3_384_HMAC: KeyType = KeyType(0x38);
    pub const SHA3_512_HMAC: KeyType = KeyType(0x39);
    pub const EC_EDWARDS: KeyType = KeyType(0x40);
    pub const EC_MONTGOMERY: KeyType = KeyType(0x41);
    pub const HKDF: KeyType = KeyType(0x42);
    pub const SHA512_224_HMAC: KeyType = KeyType(0x43);
    pub const SHA512_256_HMAC: KeyType = KeyType(0x44);
    pub const ML_KEM: KeyType = KeyType(0x49);
    pub const ML_DSA: KeyType = KeyType(0x4A);
    pub const SLH_DSA: KeyType = KeyType(0x4B);

    /// Secret keys: bytes and nothing else.
    pub const SECRETS: &[KeyType] = &[
        GENERIC_SECRET,
        AES,
        SHA_1_HMAC,
        SHA224_HMAC,
        SHA256_HMAC,
        SHA384_HMAC,
        SHA512_HMAC,
        SHA512_224_HMAC,
        SHA512_256_HMAC,
        SHA3_224_HMAC,
        SHA3_256_HMAC,
        SHA3_384_HMAC,
        SHA3_512_HMAC,
        MD5_HMAC,
        HKDF,
        CHACHA20,
        AES_XTS,
        DES,
        DES2,
        DES3,
    ];

    /// How long a secret key of this type is, where there is but one length.
    pub const fn fixed_len(key_type: KeyType) -> Option<usize> {
        match key_type {
            CHACHA20 => Some(32),
            DES => Some(8),
            DES2 => Some(16),
            DES3 => Some(24),
            _ => None,
        }
    }

    /// Whether a secret key of this type may have so many bytes.
    pub const fn takes_len(key_type: KeyType, len: usize) -> bool {
        match key_type {
            AES => matches!(len, 16 | 24 | 32),
            AES_XTS => matches!(len, 32 | 64),
            _ => match fixed_len(key_type) {
                Some(n) => len == n,
                None => len > 0,
            },
        }
    }

    /// What an object that is no key has in its facts.
    pub const NONE: KeyType = KeyType(u64::MAX);
}

/// CKC_* values.
pub mod cert_type {
    pub const X_509: u64 = 0;
    pub const X_509_ATTR_CERT: u64 = 1;
    pub const WTLS: u64 = 2;
}

/// CK_UNAVAILABLE_INFORMATION.
pub const UNAVAILABLE: u64 = u64::MAX;
