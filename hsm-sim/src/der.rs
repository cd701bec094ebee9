//! As much DER as key attributes and key encodings need.

/// One value with its header.
pub(crate) fn tlv(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
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

pub(crate) fn octet_string(body: &[u8]) -> Vec<u8> {
    tlv(4, body)
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// An unsigned number.
pub(crate) fn integer(number: &[u8]) -> Vec<u8> {
    let skip = number.iter().take_while(|&&b| b == 0).count();
    let number = &number[skip..];
    let mut body = Vec::with_capacity(number.len() + 1);
    if number.first().is_none_or(|b| b & 0x80 != 0) {
        body.push(0);
    }
    body.extend_from_slice(number);
    tlv(2, &body)
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

/// An unsigned number without leading zeros.
pub(crate) fn take_integer<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let body = take(2, input)?;
    let skip = body.iter().take_while(|&&b| b == 0).count();
    Some(&body[skip..])
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
    }

    #[test]
    fn integers_stay_positive() {
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[]), [2, 1, 0]);
        let mut input = &[2, 2, 0, 0x80][..];
        assert_eq!(take_integer(&mut input), Some(&[0x80][..]));
    }
}
