//! HOTP, the one-time passwords of RFC 4226: HMAC-SHA-1 of a counter, cut down to a few decimal digits.

use crate::mac::verify_tag;
use crate::{Error, Hash, HmacKey, Result};
use std::ops::RangeInclusive;

/// How many digits a password may have (RFC 4226, 5.3).
pub const DIGITS: RangeInclusive<usize> = 6..=8;

/// Writes the password of a counter into `out`, whose length says how many digits it has.
///
/// # Errors
/// `BadLength` for another number of digits, `BadKey` if the key is for another hash than SHA-1.
pub fn password(key: &HmacKey, counter: u64, out: &mut [u8]) -> Result<()> {
    if !DIGITS.contains(&out.len()) {
        return Err(Error::BadLength);
    }
    if key.hash() != Hash::Sha1 {
        return Err(Error::BadKey);
    }
    let mac = key.mac(&counter.to_be_bytes());
    // Dynamic truncation, RFC 4226, 5.3: the last half byte says where to take 31 bits.
    let at = usize::from(mac[mac.len() - 1] & 0xF);
    let mut rest = u32::from_be_bytes([mac[at] & 0x7F, mac[at + 1], mac[at + 2], mac[at + 3]]);
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    Ok(())
}

/// Compares a password with that of a counter, in constant time.
///
/// # Errors
/// `BadLength`, `Mismatch`, and what [`password`] refuses.
pub fn verify(key: &HmacKey, counter: u64, digits: usize, given: &[u8]) -> Result<()> {
    let mut own = [0; *DIGITS.end()];
    let own = own.get_mut(..digits).ok_or(Error::BadLength)?;
    password(key, counter, own)?;
    if given.len() != digits {
        return Err(Error::BadLength);
    }
    verify_tag(own, given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4226_d() {
        let key = HmacKey::new(Hash::Sha1, b"12345678901234567890").unwrap();
        for (counter, (truncated, wanted)) in [
            (1_284_755_224u32, "755224"),
            (1_094_287_082, "287082"),
            (137_359_152, "359152"),
            (1_726_969_429, "969429"),
            (1_640_338_314, "338314"),
            (868_254_676, "254676"),
            (1_918_287_922, "287922"),
            (82_162_583, "162583"),
            (673_399_871, "399871"),
            (645_520_489, "520489"),
        ]
        .into_iter()
        .enumerate()
        {
            let counter = counter as u64;
            let mut otp = [0; 6];
            password(&key, counter, &mut otp).unwrap();
            assert_eq!(otp, wanted.as_bytes(), "{counter}");
            let mut long = [0; 8];
            password(&key, counter, &mut long).unwrap();
            let eight = format!("{:08}", truncated % 100_000_000);
            assert_eq!(long, eight.as_bytes(), "{counter}");
            assert_eq!(verify(&key, counter, 6, wanted.as_bytes()), Ok(()));
            assert_eq!(verify(&key, counter, 8, &long), Ok(()));
            assert_eq!(
                verify(&key, counter + 1, 6, wanted.as_bytes()),
                Err(Error::Mismatch)
            );
        }
        assert_eq!(verify(&key, 0, 6, b"75522"), Err(Error::BadLength));
        assert_eq!(password(&key, 0, &mut [0; 5]), Err(Error::BadLength));
        assert_eq!(password(&key, 0, &mut [0; 9]), Err(Error::BadLength));
        let other = HmacKey::new(Hash::Sha256, b"12345678901234567890").unwrap();
        assert_eq!(password(&other, 0, &mut [0; 6]), Err(Error::BadKey));
    }
}
