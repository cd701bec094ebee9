//! Named curves over prime fields: sizes, object identifiers, and how CKA_EC_PARAMS and SubjectPublicKeyInfo name them.

use crate::{Error, Result};

/// A curve y² = x³ + ax + b that ECDSA and ECDH run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Curve {
    P224,
    P256,
    P384,
    P521,
    Secp256k1,
    BrainpoolP256r1,
    BrainpoolP384r1,
    BrainpoolP512r1,
}

/// One fact, one place: the curve, its field's bits, its OID in DER, its names.
const ROWS: [(Curve, usize, &[u8], &[&str]); 8] = [
    (
        Curve::P224,
        224,
        b"\x06\x05\x2b\x81\x04\x00\x21",
        &["secp224r1", "P-224"],
    ),
    (
        Curve::P256,
        256,
        b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
        &["secp256r1", "P-256", "prime256v1"],
    ),
    (
        Curve::P384,
        384,
        b"\x06\x05\x2b\x81\x04\x00\x22",
        &["secp384r1", "P-384"],
    ),
    (
        Curve::P521,
        521,
        b"\x06\x05\x2b\x81\x04\x00\x23",
        &["secp521r1", "P-521"],
    ),
    (
        Curve::Secp256k1,
        256,
        b"\x06\x05\x2b\x81\x04\x00\x0a",
        &["secp256k1"],
    ),
    (
        Curve::BrainpoolP256r1,
        256,
        b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x07",
        &["brainpoolP256r1"],
    ),
    (
        Curve::BrainpoolP384r1,
        384,
        b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x0b",
        &["brainpoolP384r1"],
    ),
    (
        Curve::BrainpoolP512r1,
        512,
        b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x0d",
        &["brainpoolP512r1"],
    ),
];

impl Curve {
    /// Every curve there is.
    pub fn all() -> impl Iterator<Item = Curve> {
        ROWS.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (Curve, usize, &'static [u8], &'static [&'static str]) {
        &ROWS[self as usize]
    }

    /// Bits of the field, by which PKCS#11 counts key sizes.
    pub fn bits(self) -> usize {
        self.row().1
    }

    /// Bytes of a coordinate, and of an ECDH secret.
    pub fn field_len(self) -> usize {
        self.bits().div_ceil(8)
    }

    /// Bytes of a private scalar; an ECDSA signature is two of them. (Equal to the field's on all these curves.)
    pub fn scalar_len(self) -> usize {
        self.field_len()
    }

    /// Bytes of an ECDSA signature as PKCS#11 has it: r and s, each of a scalar's length.
    pub fn signature_len(self) -> usize {
        2 * self.scalar_len()
    }

    /// The object identifier with its DER header: what CKA_EC_PARAMS holds.
    pub fn oid_der(self) -> &'static [u8] {
        self.row().2
    }

    /// The name under which SECG or the RFC knows it.
    pub fn name(self) -> &'static str {
        self.row().3[0]
    }

    /// From a name, in any of its spellings.
    pub fn from_name(name: &str) -> Option<Self> {
        ROWS.iter()
            .find(|row| row.3.iter().any(|n| n.eq_ignore_ascii_case(name)))
            .map(|r| r.0)
    }

    /// From CKA_EC_PARAMS: an OID or a PrintableString with the curve's name. (Explicit parameters are refused: they let a
    /// stranger choose the curve.)
    ///
    /// # Errors
    /// `Unsupported` for everything else.
    pub fn from_ec_params(der: &[u8]) -> Result<Self> {
        if let Some(row) = ROWS.iter().find(|row| row.2 == der) {
            return Ok(row.0);
        }
        match der {
            [0x13, len, name @ ..] if usize::from(*len) == name.len() && *len < 0x80 => {
                std::str::from_utf8(name).ok().and_then(Self::from_name)
            }
            _ => None,
        }
        .ok_or(Error::Unsupported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_found_by_its_params_and_names() {
        for (i, curve) in Curve::all().enumerate() {
            assert_eq!(i, curve as usize, "rows stand in the order of the enum");
            assert_eq!(Curve::from_ec_params(curve.oid_der()), Ok(curve));
            let mut named = vec![0x13, curve.name().len() as u8];
            named.extend(curve.name().as_bytes());
            assert_eq!(Curve::from_ec_params(&named), Ok(curve));
            named.pop();
            assert_eq!(Curve::from_ec_params(&named), Err(Error::Unsupported));
        }
        assert_eq!(Curve::from_ec_params(b""), Err(Error::Unsupported));
        assert_eq!(Curve::from_ec_params(b"\x30\x00"), Err(Error::Unsupported));
    }
}
