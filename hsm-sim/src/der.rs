//! As much DER as key attributes need; whole keys are `hsm_crypto::pkcs8`'s.

use hsm_api::{Error, Rv};

/// An octet string.
pub(crate) fn octet_string(body: &[u8]) -> Vec<u8> {
    let mut out = vec![4];
    if body.len() < 0x80 {
        out.push(body.len() as u8);
    } else {
        let len = body.len().to_be_bytes();
        let skip = len.iter().take_while(|&&b| b == 0).count();
        out.push(0x80 | (len.len() - skip) as u8);
        out.extend_from_slice(&len[skip..]);
    }
    out.extend_from_slice(body);
    out
}

/// Reads one value with this tag off the front.
pub(crate) fn take<'a>(tag: u8, input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&seen, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (bytes.iter().fold(0, |n, &b| n << 8 | usize::from(b)), rest)
        }
        _ => return None,
    };
    let (body, rest) = rest.split_at_checked(len)?;
    if seen != tag {
        return None;
    }
    *input = rest;
    Some(body)
}

/// The content of an octet string and nothing else.
pub(crate) fn unwrap_octet_string(mut input: &[u8]) -> Option<&[u8]> {
    let body = take(4, &mut input)?;
    input.is_empty().then_some(body)
}

/// A point as clients send it: in an octet string, or bare.
pub(crate) fn point(input: &[u8]) -> &[u8] {
    unwrap_octet_string(input).unwrap_or(input)
}

/// What is wrong with CKA_EC_PARAMS that name no curve of the key's type: their form, or only that nobody has this curve here.
pub(crate) fn no_curve(params: &[u8]) -> Error {
    // An object identifier, a curve's name, explicit parameters, or "implicitly CA" (6.3, "EC mechanism parameters").
    let form = [6, 0x13, 0x30, 5].iter().any(|&tag| {
        let mut rest = params;
        take(tag, &mut rest).is_some_and(|body| {
            // The last byte of an identifier's last number has no continuation bit.
            rest.is_empty() && (tag != 6 || body.last().is_some_and(|b| b & 0x80 == 0))
        })
    });
    if form {
        Error::new(
            Rv::CURVE_NOT_SUPPORTED,
            "CKA_EC_PARAMS names no curve of this key type here",
        )
    } else {
        Error::new(
            Rv::DOMAIN_PARAMS_INVALID,
            "CKA_EC_PARAMS is no DER of a curve's object identifier or name",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_round_trip() {
        for len in [0, 1, 127, 128, 255, 256, 70_000] {
            let body = vec![7; len];
            assert_eq!(
                unwrap_octet_string(&octet_string(&body)),
                Some(&body[..]),
                "{len}"
            );
        }
        assert_eq!(unwrap_octet_string(&[4, 3, 1, 2]), None, "truncated");
        assert_eq!(
            unwrap_octet_string(&[4, 1, 1, 2]),
            None,
            "something follows"
        );
        assert_eq!(
            unwrap_octet_string(&[4, 0x84, 255, 255, 255, 255, 1]),
            None,
            "a lie"
        );
    }

    #[test]
    fn a_curve_nobody_has_is_told_from_bytes_that_name_none() {
        let rv = |params: &[u8]| no_curve(params).rv;
        for named in [
            &b"\x06\x05\x2b\x81\x04\x00\x0f"[..],
            b"\x13\x05P-999",
            b"\x30\x00",
            b"\x05\x00",
        ] {
            assert_eq!(rv(named), Rv::CURVE_NOT_SUPPORTED, "{named:02x?}");
        }
        for garbage in [
            &b""[..],
            b"\x06\x00",
            b"\x06\x05\x2b\x81\x04\x00",
            b"\x06\x02\x2b\x81",
            b"\x13\x05P-256x",
            b"\x04\x01a",
        ] {
            assert_eq!(rv(garbage), Rv::DOMAIN_PARAMS_INVALID, "{garbage:02x?}");
        }
    }
}
