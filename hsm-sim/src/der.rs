//! As much DER as key attributes need; whole keys are `hsm_crypto::pkcs8`'s.

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
}
