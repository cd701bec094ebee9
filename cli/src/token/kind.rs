//! Kinds of keys by their number, CKA_KEY_TYPE: the client library has no name for some, which it sends and cannot read, and
//! it takes three of the HMAC keys for SHA-256's.

use std::fmt;

use cryptoki::object::{Attribute, AttributeType, KeyType};

use super::template::unnamed;

/// CKK_*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(pub u64);

/// CKA_KEY_TYPE under no name, for kinds that have none.
pub const KEY_TYPE: AttributeType = AttributeType::VendorDefined(0x100);

/// Those of our own tokens that the library gets wrong.
const UNNAMED: [(u64, &str); 11] = [
    (0x2C, "SHA384_HMAC"),
    (0x2D, "SHA512_HMAC"),
    (0x2E, "SHA224_HMAC"),
    (0x33, "CHACHA20"),
    (0x35, "AES_XTS"),
    (0x36, "SHA3_224_HMAC"),
    (0x37, "SHA3_256_HMAC"),
    (0x38, "SHA3_384_HMAC"),
    (0x39, "SHA3_512_HMAC"),
    (0x43, "SHA512_224_HMAC"),
    (0x44, "SHA512_256_HMAC"),
];

impl Kind {
    /// Kinds that only a search tells.
    pub fn unnamed() -> impl Iterator<Item = Kind> {
        UNNAMED.iter().map(|(code, _)| Kind(*code))
    }

    /// The kind that an attribute says.
    pub fn of(attribute: &Attribute) -> Option<Kind> {
        match attribute {
            Attribute::KeyType(known) => Some(Kind(**known)),
            Attribute::VendorDefined((KEY_TYPE, code)) => {
                Some(Kind(u64::from_ne_bytes(code.as_slice().try_into().ok()?)))
            }
            _ => None,
        }
    }

    /// The attribute that says it.
    pub fn attribute(self) -> Attribute {
        match self.known() {
            Some(known) => Attribute::KeyType(known),
            None => unnamed(KEY_TYPE, &self.0.to_ne_bytes()),
        }
    }

    /// The library's own name for it.
    pub fn known(self) -> Option<KeyType> {
        KeyType::try_from(self.0)
            .ok()
            .filter(|known| **known == self.0)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name)) = UNNAMED.iter().find(|(code, _)| *code == self.0) {
            return f.write_str(name);
        }
        let known = self.known().map(|known| known.to_string());
        match known.as_ref().and_then(|name| name.strip_prefix("CKK_")) {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_number_and_name() {
        for (code, name) in UNNAMED {
            let kind = Kind(code);
            assert_eq!(kind.to_string(), name);
            assert_eq!(Kind::of(&kind.attribute()), Some(kind), "{name}");
        }
        assert_eq!(Kind(*KeyType::AES).to_string(), "AES");
        assert_eq!(
            Kind(*KeyType::AES).attribute(),
            Attribute::KeyType(KeyType::AES)
        );
        assert_eq!(Kind(0x7777).to_string(), "0x7777");
        // A vendor's.
        assert_eq!(Kind(0x8000_0001).to_string(), "0x80000001");
    }
}
