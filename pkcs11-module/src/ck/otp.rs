//! One-time passwords: CK_OTP_PARAMS read, CK_OTP_SIGNATURE_INFO written (PKCS#11 3.2, "OTP mechanism parameters").
//!
//! The signature is a structure whose pointers lead into the caller's own buffer, behind it.

use hsm_api::{Params, Result};
use pkcs11_sys as ck;
use pkcs11_sys::CK_ULONG;

use super::params::{Block, Plain, bad, part, small};

/// As many as there are kinds, twice.
const MOST_PARAMS: CK_ULONG = 16;
const CKF_EXCLUDE_TIME: CK_ULONG = 2;
const CKF_EXCLUDE_CHALLENGE: CK_ULONG = 8;
const CKF_EXCLUDE_PIN: CK_ULONG = 16;
const CKF_USER_FRIENDLY_OTP: CK_ULONG = 32;
/// What of the flags HOTP can heed, or has no cause to.
const FLAGS: CK_ULONG =
    CKF_EXCLUDE_TIME | CKF_EXCLUDE_CHALLENGE | CKF_EXCLUDE_PIN | CKF_USER_FRIENDLY_OTP;

const WORD: usize = size_of::<CK_ULONG>();
const HEAD: usize = size_of::<ck::CK_OTP_PARAMS>();
const ENTRY: usize = size_of::<ck::CK_OTP_PARAM>();
/// The counter, as the HSM writes it before the password.
const COUNTER: usize = 8;

impl Plain for ck::CK_OTP_PARAMS {}
impl Plain for ck::CK_OTP_PARAM {}

impl Block {
    pub(super) fn otp(self) -> Result<Params<'static>> {
        let all: ck::CK_OTP_PARAMS = self.structure()?;
        if all.ulCount > MOST_PARAMS {
            return Err(bad("there are more parameters than kinds of them"));
        }
        let (mut counter, mut digits, mut friendly) = (None, None, false);
        for i in 0..all.ulCount as usize {
            let entry = Block {
                at: all.pParams.cast_const().wrapping_add(i).cast(),
                len: if all.pParams.is_null() {
                    0
                } else {
                    ENTRY as CK_ULONG
                },
            };
            let one: ck::CK_OTP_PARAM = entry.structure()?;
            let value = part(one.pValue.cast_const().cast(), one.ulValueLen)?;
            let number = || {
                let bytes = value.as_ref().try_into().map(CK_ULONG::from_ne_bytes);
                bytes.map_err(|_| bad("a number has the size of CK_ULONG"))
            };
            match one.type_ {
                ck::CK_OTP_COUNTER => {
                    let bytes = value.as_ref().try_into().map(u64::from_be_bytes);
                    counter = Some(bytes.map_err(|_| bad("the counter has 8 bytes"))?);
                }
                ck::CK_OTP_OUTPUT_LENGTH => digits = Some(small(number()?)?),
                ck::CK_OTP_OUTPUT_FORMAT if number()? == ck::CK_OTP_FORMAT_DECIMAL => {}
                ck::CK_OTP_FLAGS if number()? & !FLAGS == 0 => {
                    friendly |= number()? & CKF_USER_FRIENDLY_OTP != 0;
                }
                // Nothing of these goes into an HOTP, whose keys say so (CK_OTP_PARAM_IGNORED).
                ck::CK_OTP_PIN | ck::CK_OTP_CHALLENGE | ck::CK_OTP_TIME => {}
                _ => return Err(bad("HOTP has no such parameter, format or flag")),
            }
        }
        Ok(Params::Otp {
            counter,
            digits,
            friendly,
        })
    }
}

/// Bytes of a signature whose HSM's output has `len`.
pub fn signature_len(len: usize) -> usize {
    HEAD + 2 * ENTRY + len
}

/// Lays out what the HSM gave, the counter and then the password, as CK_OTP_SIGNATURE_INFO with CK_OTP_VALUE and
/// CK_OTP_COUNTER, in a buffer of [`signature_len`]. Returns how much of it is used.
pub fn lay_out(made: &[u8], buf: &mut [u8]) -> usize {
    let at = buf.as_mut_ptr().expose_provenance();
    let (counter, password) = made.split_at(COUNTER.min(made.len()));
    let entries = at + HEAD;
    let values = entries + 2 * ENTRY;
    let words = [
        // CK_OTP_SIGNATURE_INFO
        entries,
        2,
        // CK_OTP_PARAM twice
        ck::CK_OTP_VALUE as usize,
        values,
        password.len(),
        ck::CK_OTP_COUNTER as usize,
        values + password.len(),
        counter.len(),
    ];
    let mut used = 0;
    for word in words {
        buf[used..used + WORD].copy_from_slice(&(word as CK_ULONG).to_ne_bytes());
        used += WORD;
    }
    for value in [password, counter] {
        buf[used..used + value.len()].copy_from_slice(value);
        used += value.len();
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ck::{Given, Spare};
    use hsm_api::{Mechanism, Rv};

    fn read(params: &mut [ck::CK_OTP_PARAM]) -> Result<Mechanism<'static>> {
        let mut all = ck::CK_OTP_PARAMS {
            pParams: params.as_mut_ptr(),
            ulCount: params.len() as CK_ULONG,
        };
        let raw = ck::CK_MECHANISM {
            mechanism: 0x291,
            pParameter: (&raw mut all).cast(),
            ulParameterLen: HEAD as CK_ULONG,
        };
        // SAFETY: a live mechanism with live parameters.
        unsafe { Given::new(&raw) }?.read(&|_| None, &mut Spare::default())
    }

    fn param<T>(type_: CK_ULONG, value: &mut T) -> ck::CK_OTP_PARAM {
        ck::CK_OTP_PARAM {
            type_,
            pValue: (value as *mut T).cast(),
            ulValueLen: size_of::<T>() as CK_ULONG,
        }
    }

    #[test]
    fn what_hotp_heeds_ignores_and_refuses() {
        let mut counter = 7u64.to_be_bytes();
        let (mut digits, mut flags, mut pin) = (8 as CK_ULONG, FLAGS, *b"1234");
        let mut params = [
            param(ck::CK_OTP_COUNTER, &mut counter),
            param(ck::CK_OTP_OUTPUT_LENGTH, &mut digits),
            param(ck::CK_OTP_FLAGS, &mut flags),
            param(ck::CK_OTP_PIN, &mut pin),
        ];
        let heeded = Params::Otp {
            counter: Some(7),
            digits: Some(8),
            friendly: true,
        };
        assert_eq!(read(&mut params).unwrap().params, heeded);
        let none = Params::Otp {
            counter: None,
            digits: None,
            friendly: false,
        };
        assert_eq!(read(&mut []).unwrap().params, none);
        let mut short = [0u8; 7];
        let (mut next, mut binary) = (1 as CK_ULONG, ck::CK_OTP_FORMAT_BINARY);
        let mut value = *b"755224";
        for wrong in [
            param(ck::CK_OTP_COUNTER, &mut short),
            param(ck::CK_OTP_FLAGS, &mut next),
            param(ck::CK_OTP_OUTPUT_FORMAT, &mut binary),
            param(ck::CK_OTP_OUTPUT_LENGTH, &mut pin),
            param(ck::CK_OTP_VALUE, &mut value),
            param(99, &mut value),
        ] {
            let rv = read(&mut [wrong]).unwrap_err().rv;
            assert_eq!(rv, Rv::MECHANISM_PARAM_INVALID, "{wrong:?}");
        }
        let mut many = [param(ck::CK_OTP_PIN, &mut pin); 17];
        let rv = read(&mut many).unwrap_err().rv;
        assert_eq!(rv, Rv::MECHANISM_PARAM_INVALID, "17 of them");
    }

    #[test]
    fn the_pointers_lead_into_the_buffer() {
        let made = [&9u64.to_be_bytes()[..], b"520489"].concat();
        // One byte off every alignment: callers' buffers are bytes.
        let mut whole = vec![0u8; 1 + signature_len(made.len())];
        let buf = &mut whole[1..];
        assert_eq!(lay_out(&made, buf), buf.len());
        let at = buf.as_ptr() as usize;
        let word = |i: usize| {
            let bytes = buf[i * WORD..(i + 1) * WORD].try_into().unwrap();
            CK_ULONG::from_ne_bytes(bytes) as usize
        };
        let value = |i: usize| &buf[word(i) - at..][..word(i + 1)];
        assert_eq!((word(0), word(1)), (at + HEAD, 2));
        assert_eq!(
            (word(2), value(3)),
            (ck::CK_OTP_VALUE as usize, &b"520489"[..])
        );
        let counter = (word(5), value(6));
        assert_eq!(
            counter,
            (ck::CK_OTP_COUNTER as usize, &9u64.to_be_bytes()[..])
        );
    }
}
