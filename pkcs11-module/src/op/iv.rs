//! The IVs of messages, by the CKG_ generators (PKCS#11 3.2, "AES-GCM Authenticated Encryption"). An
//! IV must never come twice under one key, so what cannot keep that promise is refused.

use hsm_api::{Error, Result, Rv};

use crate::ck::message::Generator;

/// Bits that must not be fixed: fewer random ones would meet again too soon,
const LEAST_RANDOM: usize = 64;
/// and fewer counted ones would run out.
const LEAST_COUNTED: usize = 32;

/// The generators' memory over one message-based encryption process.
#[derive(Default)]
pub struct Ivs {
    counter: u64,
    /// What CKG_GENERATE_COUNTER_XOR was given first. It must not change, or two IVs may be the same.
    base: Option<Vec<u8>>,
}

impl Ivs {
    /// The next IV: `given` with its bits after the first `fixed` made by `generator`.
    ///
    /// # Errors
    /// MECHANISM_PARAM_INVALID where the generator has too few bits to work with, or another base than
    /// before; FUNCTION_FAILED where a counter has run out; what `random` fails with.
    pub fn next(
        &mut self,
        generator: Generator,
        given: &[u8],
        fixed: usize,
        random: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<Vec<u8>> {
        let free = (given.len() * 8).saturating_sub(fixed);
        let least = match generator {
            Generator::Caller => return Ok(given.to_vec()),
            Generator::Random => LEAST_RANDOM,
            Generator::Counter | Generator::CounterXor => LEAST_COUNTED,
        };
        if free < least {
            let why = format!("{free} bits of the IV are free, and the generator needs {least}");
            return Err(Error::new(Rv::MECHANISM_PARAM_INVALID, why));
        }
        let mut made = vec![0; given.len()];
        if generator == Generator::Random {
            random(&mut made)?;
            return Ok(merge(given, &made, fixed));
        }
        let count = self.counter;
        if free < 64 && count >> free != 0 {
            let why = "the counter of the IVs has run out: begin anew, with another fixed part";
            return Err(Error::new(Rv::FUNCTION_FAILED, why));
        }
        put_right(&mut made, count);
        if generator == Generator::CounterXor {
            let base = self.base.get_or_insert_with(|| given.to_vec());
            if base != given {
                let why = "the IV that the counter is xored into is not that of the first message";
                return Err(Error::new(Rv::MECHANISM_PARAM_INVALID, why));
            }
            made.iter_mut().zip(given).for_each(|(m, g)| *m ^= g);
        }
        let spent = "the counter of the IVs has run out";
        self.counter = count
            .checked_add(1)
            .ok_or_else(|| Error::new(Rv::FUNCTION_FAILED, spent))?;
        Ok(merge(given, &made, fixed))
    }
}

/// The number, right-aligned.
fn put_right(bytes: &mut [u8], n: u64) {
    let digits = n.to_be_bytes();
    for (to, from) in bytes.iter_mut().rev().zip(digits.iter().rev()) {
        *to = *from;
    }
}

/// The first `fixed` bits of one, the others of the other.
fn merge(head: &[u8], tail: &[u8], fixed: usize) -> Vec<u8> {
    let byte = |(i, (h, t)): (usize, (&u8, &u8))| match fixed.saturating_sub(i * 8) {
        0 => *t,
        bits @ 1..8 => {
            let mask = 0xFFu8 << (8 - bits);
            h & mask | t & !mask
        }
        _ => *h,
    };
    head.iter().zip(tail).enumerate().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ones(to: &mut [u8]) -> Result<()> {
        to.fill(0xFF);
        Ok(())
    }

    fn next(ivs: &mut Ivs, generator: Generator, given: &[u8], fixed: usize) -> Result<Vec<u8>> {
        ivs.next(generator, given, fixed, ones)
    }

    #[test]
    fn the_fixed_bits_stay() {
        let given = [0u8; 12];
        let iv = next(&mut Ivs::default(), Generator::Random, &given, 29).unwrap();
        assert_eq!(iv[..5], [0, 0, 0, 0b111, 0xFF]);
        let iv = next(&mut Ivs::default(), Generator::Random, &given, 32).unwrap();
        assert_eq!(iv[..5], [0, 0, 0, 0, 0xFF]);
        let iv = next(&mut Ivs::default(), Generator::Random, &given, 0).unwrap();
        assert_eq!(iv, [0xFF; 12]);
        let iv = next(&mut Ivs::default(), Generator::Caller, &[3; 12], 0).unwrap();
        assert_eq!(iv, [3; 12]);
    }

    #[test]
    fn counters_begin_at_zero_and_count() {
        let mut ivs = Ivs::default();
        for n in 0..300u16 {
            let iv = next(&mut ivs, Generator::Counter, &[0xAA; 12], 64).unwrap();
            assert_eq!(iv[..8], [0xAA; 8]);
            assert_eq!(iv[8..], u32::from(n).to_be_bytes());
        }
    }

    #[test]
    fn a_xored_base_must_stay_the_same() {
        let mut ivs = Ivs::default();
        let base = [0x55; 12];
        let mut given = base;
        for n in 0..4u8 {
            let iv = next(&mut ivs, Generator::CounterXor, &base, 32).unwrap();
            assert_eq!(iv[11], 0x55 ^ n);
            given.copy_from_slice(&iv);
        }
        let again = next(&mut ivs, Generator::CounterXor, &given, 32);
        assert_eq!(again.unwrap_err().rv, Rv::MECHANISM_PARAM_INVALID);
    }

    #[test]
    fn too_few_free_bits() {
        for (generator, fixed) in [
            (Generator::Random, 33),
            (Generator::Random, 96),
            (Generator::Counter, 65),
            (Generator::CounterXor, 96),
        ] {
            let refused = next(&mut Ivs::default(), generator, &[0; 12], fixed);
            assert_eq!(refused.unwrap_err().rv, Rv::MECHANISM_PARAM_INVALID);
        }
        let mut ivs = Ivs {
            counter: u64::from(u32::MAX),
            base: None,
        };
        assert!(next(&mut ivs, Generator::Counter, &[0; 12], 64).is_ok());
        let out = next(&mut ivs, Generator::Counter, &[0; 12], 64);
        assert_eq!(out.unwrap_err().rv, Rv::FUNCTION_FAILED);
    }
}
