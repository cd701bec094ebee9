//! ECDSA signatures out of DER. The vectors through the C API use this file too.

/// r and s of a fixed length out of DER, strictly: what a caller of PKCS#11 must do by himself.
pub fn fixed(der: &[u8], len: usize) -> Option<Vec<u8>> {
    fn take(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
        let (head, rest) = input.split_first_chunk::<2>()?;
        let (n, rest) = match head[1] {
            n @ 0..=0x7F => (usize::from(n), rest),
            0x81 => (
                usize::from(*rest.first().filter(|n| **n > 0x7F)?),
                &rest[1..],
            ),
            _ => return None,
        };
        let (body, rest) = rest.split_at_checked(n)?;
        (head[0] == tag).then_some((body, rest))
    }
    let (both, rest) = take(0x30, der)?;
    let (r, tail) = take(2, both)?;
    let (s, end) = take(2, tail)?;
    if !rest.is_empty() || !end.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    for number in [r, s] {
        let (first, tail) = number.split_first()?;
        let minimal = tail
            .first()
            .is_none_or(|next| *first != 0 || next & 0x80 != 0);
        if first & 0x80 != 0 || !minimal {
            return None;
        }
        let number = if *first == 0 { tail } else { number };
        let pad = len.checked_sub(number.len())?;
        out.resize(out.len() + pad, 0);
        out.extend_from_slice(number);
    }
    Some(out)
}
