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
    pub const MECHANISM: Class = Class(7);
    pub const PROFILE: Class = Class(9);
    pub const VALIDATION: Class = Class(10);
}

/// CKK_* values.
pub mod key_type {
    use hsm_api::KeyType;
    pub const RSA: KeyType = KeyType(0);
    pub const EC: KeyType = KeyType(3);
    pub const GENERIC_SECRET: KeyType = KeyType(0x10);
    pub const AES: KeyType = KeyType(0x1F);
    pub const SHA_1_HMAC: KeyType = KeyType(0x28);
    pub const SHA256_HMAC: KeyType = KeyType(0x2B);
    pub const SHA384_HMAC: KeyType = KeyType(0x2C);
    pub const SHA512_HMAC: KeyType = KeyType(0x2D);
    pub const SHA224_HMAC: KeyType = KeyType(0x2E);
    pub const SHA3_224_HMAC: KeyType = KeyType(0x36);
    pub const SHA3_256_HMAC: KeyType = KeyType(0x37);
    pub const SHA3_384_HMAC: KeyType = KeyType(0x38);
    pub const SHA3_512_HMAC: KeyType = KeyType(0x39);
    pub const EC_EDWARDS: KeyType = KeyType(0x40);
    pub const EC_MONTGOMERY: KeyType = KeyType(0x41);
    /// What an object that is no key has in its facts.
    pub const NONE: KeyType = KeyType(u64::MAX);
}

/// CKC_* values.
pub mod cert_type {
    pub const X_509: u64 = 0;
}

/// CK_UNAVAILABLE_INFORMATION.
pub const UNAVAILABLE: u64 = u64::MAX;
