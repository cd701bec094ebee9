//! Ids and serial numbers in the patterns that the services document.

use rand::{Rng, RngExt, rng};

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// `cluster-`, `hsm-` and `backup-` ids: eleven characters of lower-case base 32.
pub fn base32(prefix: &str) -> String {
    let mut rng = rng();
    let tail: String = (0..11)
        .map(|_| char::from(BASE32[rng.random_range(0..32)]))
        .collect();
    format!("{prefix}-{tail}")
}

/// `subnet-`, `eni-`, `sg-` and `vpc-` ids: seventeen hexadecimal digits.
pub fn hex17(prefix: &str) -> String {
    let n = (u128::from(rng().next_u64()) << 64 | u128::from(rng().next_u64())) >> 60;
    format!("{prefix}-{n:017x}")
}

/// A serial number as the real HSMs print theirs.
pub fn serial() -> String {
    format!("{:08X}", rng().next_u32())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_documented_patterns() {
        for _ in 0..200 {
            let id = base32("cluster");
            let tail = id.strip_prefix("cluster-").expect("prefix");
            assert_eq!(tail.len(), 11, "{id}");
            assert!(
                tail.bytes()
                    .all(|c| c.is_ascii_lowercase() || (b'2'..=b'7').contains(&c)),
                "{id}"
            );
            let eni = hex17("eni");
            let tail = eni.strip_prefix("eni-").expect("prefix");
            assert!(
                tail.len() == 17 && tail.bytes().all(|c| c.is_ascii_hexdigit()),
                "{eni}"
            );
            assert_eq!(serial().len(), 8);
        }
    }
}
