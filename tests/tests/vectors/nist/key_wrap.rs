//! SP 800-38F: KW and KWP, as encryption and as wrapping of keys.

use super::super::mech::{Mech, Template};
use super::super::raw::Token;
use super::super::tally::Tally;
use super::super::verdict::accepted;
use super::each_case;
use pkcs11_sys::*;

/// PKCS#11's padding is PKCS#7's before KW, of which NIST has the vectors.
#[test]
fn kw_with_pkcs7() {
    let token = Token::new();
    let mut tally = Tally::default();
    let (kw, pkcs7) = (
        Mech::new(CKM_AES_KEY_WRAP),
        Mech::new(super::super::mech::CKM_AES_KEY_WRAP_PKCS7),
    );
    for bits in [128, 192, 256] {
        each_case(&format!("keywrap/kwtestvectors/KW_AE_{bits}.txt"), |case| {
            let Some(key) = case.own("K") else { return };
            let what = format!("KW AE {bits} {}", case.describe());
            let key = token
                .create(&Template::secret(CKK_AES, &super::parse::hex(key)))
                .unwrap();
            let (plain, cut) = (case.hex("P"), case.number("COUNT") % 8);
            let plain = &plain[..plain.len() - cut];
            let pad = 8 - plain.len() % 8;
            let padded = [plain, &vec![pad as u8; pad]].concat();
            let wrapped = key.encrypt(&kw, &padded).unwrap();
            let ours = key.encrypt(&pkcs7, plain);
            assert_eq!(ours.as_deref(), Ok(&wrapped[..]), "{what}");
            assert_eq!(
                key.decrypt(&pkcs7, &wrapped).as_deref(),
                Ok(plain),
                "{what}"
            );
            let target = token
                .create(&Template::secret(CKK_GENERIC_SECRET, plain))
                .unwrap();
            assert_eq!(key.wrap(&pkcs7, &target), Ok(wrapped.clone()), "{what}");
            let back = key.unwrap(&pkcs7, &wrapped, &Template::made(None)).unwrap();
            assert_eq!(back.value().as_deref(), Ok(plain), "{what}");
            let mut wrong = padded;
            *wrong.last_mut().unwrap() = 9;
            let wrong = key.encrypt(&kw, &wrong).unwrap();
            let refused = key.decrypt(&pkcs7, &wrong);
            assert_eq!(refused, Err(CKR_ENCRYPTED_DATA_INVALID), "{what}");
            let refused = key.unwrap(&pkcs7, &wrong, &Template::made(None));
            assert_eq!(refused.err(), Some(CKR_WRAPPED_KEY_INVALID), "{what}");
            tally.count();
        });
    }
    tally.end("C API, KW with PKCS#7's padding", 1400);
}

#[test]
fn kw_and_kwp() {
    let token = Token::new();
    let mut tally = Tally::default();
    for (name, mech) in [
        ("KW", CKM_AES_KEY_WRAP),
        ("KWP", CKM_AES_KEY_WRAP_KWP),
        // The same under its older number.
        ("KWP", CKM_AES_KEY_WRAP_PAD),
    ] {
        let mech = Mech::new(mech);
        for bits in [128, 192, 256] {
            each_case(
                &format!("keywrap/kwtestvectors/{name}_AE_{bits}.txt"),
                |case| {
                    let Some(key) = case.own("K") else { return };
                    let what = format!("{name} AE {bits} {}", case.describe());
                    let key = token
                        .create(&Template::secret(CKK_AES, &super::parse::hex(key)))
                        .unwrap();
                    let (plain, wrapped) = (case.hex("P"), case.hex("C"));
                    assert_eq!(key.encrypt(&mech, &plain), Ok(wrapped.clone()), "{what}");
                    let target = token
                        .create(&Template::secret(CKK_GENERIC_SECRET, &plain))
                        .unwrap();
                    assert_eq!(key.wrap(&mech, &target), Ok(wrapped), "{what}: C_WrapKey");
                    tally.count();
                },
            );
            each_case(
                &format!("keywrap/kwtestvectors/{name}_AD_{bits}.txt"),
                |case| {
                    let Some(key) = case.own("K") else { return };
                    let what = format!("{name} AD {bits} {}", case.describe());
                    let key = token
                        .create(&Template::secret(CKK_AES, &super::parse::hex(key)))
                        .unwrap();
                    let wanted = case.own("FAIL").is_none().then(|| case.hex("P"));
                    let opened = accepted(key.decrypt(&mech, &case.hex("C")), &what);
                    assert_eq!(opened, wanted, "{what}");
                    let made = key.unwrap(&mech, &case.hex("C"), &Template::made(None));
                    let made = accepted(made, &what).map(|key| key.value().unwrap());
                    assert_eq!(made, wanted, "{what}: C_UnwrapKey");
                    tally.count();
                },
            );
        }
    }
    tally.end("C API, NIST, KW and KWP", 8900);
}
