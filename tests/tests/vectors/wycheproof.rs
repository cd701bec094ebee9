//! Google's Wycheproof vectors. A valid one must be taken, an invalid one refused; what Wycheproof calls acceptable is
//! decided in its family, with the reason.

mod aead;
mod cipher;
mod curves;
mod derive;
mod dsa;
mod mac;
mod ml_dsa;
mod ml_kem;
mod rsa;

use super::mech::Template;
use pkcs11_sys::*;
use wycheproof::EllipticCurve;

/// A curve: CKA_EC_PARAMS, bytes of a coordinate, bytes of a scalar.
#[derive(Clone, Copy)]
pub struct Curve {
    pub params: &'static [u8],
    pub len: usize,
}

const fn curve(params: &'static [u8], len: usize) -> Curve {
    Curve { params, len }
}

pub const P224: Curve = curve(&[6, 5, 0x2b, 0x81, 4, 0, 0x21], 28);
pub const P256: Curve = curve(&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], 32);
pub const P384: Curve = curve(&[6, 5, 0x2b, 0x81, 4, 0, 0x22], 48);
pub const P521: Curve = curve(&[6, 5, 0x2b, 0x81, 4, 0, 0x23], 66);
pub const K256: Curve = curve(&[6, 5, 0x2b, 0x81, 4, 0, 0x0a], 32);
pub const BP256: Curve = curve(&[6, 9, 0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7], 32);
pub const BP384: Curve = curve(&[6, 9, 0x2b, 0x24, 3, 3, 2, 8, 1, 1, 11], 48);
pub const BP512: Curve = curve(&[6, 9, 0x2b, 0x24, 3, 3, 2, 8, 1, 1, 13], 64);

/// CKA_EC_PARAMS of the Edwards curves, by their object identifiers.
pub const ED25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];
pub const ED448: &[u8] = &[6, 3, 0x2b, 0x65, 0x71];
/// The same of the Montgomery curves.
pub const X25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x6e];
pub const X448: &[u8] = &[6, 3, 0x2b, 0x65, 0x6f];

impl Curve {
    pub fn of(name: EllipticCurve) -> Option<Curve> {
        Some(match name {
            EllipticCurve::Secp224r1 => P224,
            EllipticCurve::Secp256r1 => P256,
            EllipticCurve::Secp384r1 => P384,
            EllipticCurve::Secp521r1 => P521,
            EllipticCurve::Secp256k1 => K256,
            EllipticCurve::Brainpool256r1 => BP256,
            EllipticCurve::Brainpool384r1 => BP384,
            EllipticCurve::Brainpool512r1 => BP512,
            _ => return None,
        })
    }

    /// A public key that verifies.
    pub fn public(&self, point: &[u8]) -> Template {
        Template::key(CKO_PUBLIC_KEY, CKK_EC)
            .bytes(CKA_EC_PARAMS, self.params)
            .bytes(CKA_EC_POINT, &octet_string(point))
            .may(&[CKA_VERIFY])
    }

    /// A private key that signs and derives; leading zeros of the number are taken off or put on to its length.
    pub fn private(&self, number: &[u8]) -> Template {
        Template::key(CKO_PRIVATE_KEY, CKK_EC)
            .bytes(CKA_EC_PARAMS, self.params)
            .bytes(CKA_VALUE, &padded(number, self.len))
            .may(&[CKA_SIGN, CKA_DERIVE])
    }
}

/// DER's OCTET STRING, as CKA_EC_POINT is.
pub fn octet_string(bytes: &[u8]) -> Vec<u8> {
    let n = u8::try_from(bytes.len()).expect("a point");
    let head: &[u8] = if n < 0x80 { &[4, n] } else { &[4, 0x81, n] };
    [head, bytes].concat()
}

/// A number as so many bytes, big-endian; longer where it does not fit.
pub fn padded(number: &[u8], len: usize) -> Vec<u8> {
    let first = number.iter().position(|b| *b != 0).unwrap_or(number.len());
    let number = &number[first..];
    let mut out = vec![0; len.saturating_sub(number.len())];
    out.extend_from_slice(number);
    out
}
