//! HOTP, of RFC 4226.

use super::super::mech::{Mech, Param, Template};
use super::super::raw::{Key, Token};
use super::super::tally::Tally;
use super::each_case;
use pkcs11_sys::*;

fn template(secret: &str) -> Template {
    Template::key(CKO_OTP_KEY, CKK_HOTP).bytes(CKA_VALUE, secret.as_bytes())
}

/// CK_OTP_SIGNATURE_INFO, whose pointers lead into the bytes themselves: its parameters by their kinds.
fn read(signature: &[u8]) -> Vec<(CK_ULONG, &[u8])> {
    const WORD: usize = size_of::<CK_ULONG>();
    let word = |at: usize| {
        let bytes = signature[at..at + WORD].try_into().expect("a word");
        CK_ULONG::from_ne_bytes(bytes)
    };
    let offset = |at: usize| word(at) as usize - signature.as_ptr() as usize;
    let (params, count) = (offset(0), word(WORD) as usize);
    assert!(count <= 8, "{count} parameters");
    (0..count)
        .map(|i| params + i * 3 * WORD)
        .map(|at| {
            (
                word(at),
                &signature[offset(at + WORD)..][..word(at + 2 * WORD) as usize],
            )
        })
        .collect()
}

#[test]
fn hotp() {
    let token = Token::new();
    let mut keys: Vec<(String, Key<'_>, Key<'_>)> = Vec::new();
    let mut tally = Tally::default();
    each_case("twofactor/rfc-4226.txt", |case| {
        let (secret, wanted) = (case.text("SECRET"), case.text("HOTP").as_bytes());
        let counter = case.number("COUNTER") as u64;
        if keys.iter().all(|(of, ..)| of != secret) {
            let [device, server] = [(); 2].map(|()| token.create(&template(secret)).unwrap());
            keys.push((secret.to_owned(), device, server));
        }
        let (_, device, server) = keys.iter().find(|(of, ..)| of == secret).unwrap();
        let counted: &[u8] = &counter.to_be_bytes();
        let given = Mech::with_param(CKM_HOTP, Param::Otp { counter });
        // The caller's counter, the key's own, and its own again without C_Sign.
        for (mech, parts) in [(&given, false), (&Mech::new(CKM_HOTP), counter % 2 == 1)] {
            let made = if parts {
                device.sign_final(mech)
            } else {
                device.sign(mech, b"")
            };
            let made = made.unwrap();
            let shown = [(CK_OTP_VALUE, wanted), (CK_OTP_COUNTER, counted)];
            assert_eq!(read(&made), shown, "{counter}");
            assert_eq!(server.verify(mech, b"", wanted), Ok(()), "{counter}");
        }
        let next = (counter + 1).to_be_bytes();
        assert_eq!(device.get(CKA_OTP_COUNTER).as_deref(), Ok(&next[..]));
        assert_eq!(server.get(CKA_OTP_COUNTER).as_deref(), Ok(&next[..]));
        let replay = server.verify(&Mech::new(CKM_HOTP), b"", wanted);
        assert_eq!(replay, Err(CKR_SIGNATURE_INVALID), "{counter}");
        tally.count();
    });
    tally.end("C API, RFC 4226, HOTP", 10);
}

#[test]
fn a_query_does_not_move_the_counter() {
    let token = Token::new();
    let key = token.create(&template("12345678901234567890")).unwrap();
    let asked = key.sign_asked(&Mech::new(CKM_HOTP), b"").unwrap();
    assert_eq!(read(&asked)[0], (CK_OTP_VALUE, &b"755224"[..]));
    assert_eq!(key.get(CKA_OTP_COUNTER), Ok(vec![0, 0, 0, 0, 0, 0, 0, 1]));
    let wrong = key.sign(&Mech::new(CKM_HOTP), b"data");
    assert_eq!(wrong, Err(CKR_DATA_LEN_RANGE));
}
