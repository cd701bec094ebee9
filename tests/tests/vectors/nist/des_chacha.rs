//! Triple DES in ECB and CBC, which this token has with `legacy = true`; ChaCha20, alone and with Poly1305.

use super::super::mech::{Mech, Param, Template};
use super::super::raw::Token;
use super::super::tally::Tally;
use super::super::verdict::accepted;
use super::each_case;
use pkcs11_sys::*;

#[test]
fn des3() {
    let token = Token::new();
    let mut tally = Tally::default();
    for mode in ["ECB", "CBC"] {
        for kind in [
            "MMT1", "MMT2", "MMT3", "invperm", "permop", "subtab", "varkey", "vartext",
        ] {
            let file = format!("ciphers/3DES/{mode}/T{mode}{kind}.rsp");
            each_case(&file, |case| {
                let what = format!("{file} {}", case.describe());
                let value = match case.own("KEYs") {
                    Some(same) => super::parse::hex(same).repeat(3),
                    None => ["KEY1", "KEY2", "KEY3"].map(|n| case.hex(n)).concat(),
                };
                let mut keys = vec![(CKK_DES3, value.clone())];
                if value[..8] == value[16..] {
                    keys.push((CKK_DES2, value[..16].to_vec()));
                }
                let single = value[..8] == value[8..16] && value[..8] == value[16..];
                if single {
                    keys.push((CKK_DES, value[..8].to_vec()));
                }
                let (plain, cipher) = (case.hex("PLAINTEXT"), case.hex("CIPHERTEXT"));
                for (key_type, value) in keys {
                    let mech = match (mode, key_type) {
                        ("ECB", CKK_DES) => Mech::new(CKM_DES_ECB),
                        ("ECB", _) => Mech::new(CKM_DES3_ECB),
                        (_, CKK_DES) => Mech::bytes(CKM_DES_CBC, &case.hex("IV")),
                        _ => Mech::bytes(CKM_DES3_CBC, &case.hex("IV")),
                    };
                    let key = token
                        .create(&Template::secret(key_type, &value))
                        .expect(&what);
                    assert_eq!(key.encrypt(&mech, &plain).as_ref(), Ok(&cipher), "{what}");
                    assert_eq!(
                        key.decrypt_parts(&mech, &cipher).as_ref(),
                        Ok(&plain),
                        "{what}"
                    );
                    tally.count();
                }
            });
        }
    }
    tally.end("C API, NIST, triple DES", 1000);
}

#[test]
fn chacha20() {
    let token = Token::new();
    let mut tally = Tally::default();
    each_case("ciphers/ChaCha20/rfc7539.txt", |case| {
        let what = format!("ChaCha20 {}", case.describe());
        let key = token
            .create(&Template::secret(CKK_CHACHA20, &case.hex("KEY")))
            .unwrap();
        let (nonce, counter) = (
            case.hex("NONCE"),
            case.number("INITIAL_BLOCK_COUNTER") as u32,
        );
        let mech = Mech::with_param(CKM_CHACHA20, Param::ChaCha { nonce, counter });
        let (plain, cipher) = (case.hex("PLAINTEXT"), case.hex("CIPHERTEXT"));
        assert_eq!(key.encrypt(&mech, &plain).as_ref(), Ok(&cipher), "{what}");
        assert_eq!(
            key.decrypt_parts(&mech, &cipher).as_ref(),
            Ok(&plain),
            "{what}"
        );
        tally.count();
    });
    each_case("ciphers/ChaCha20Poly1305/openssl.txt", |case| {
        let what = format!("ChaCha20-Poly1305 {}", case.describe());
        let key = token
            .create(&Template::secret(CKK_CHACHA20, &case.hex("Key")))
            .unwrap();
        let (nonce, aad) = (case.hex("IV"), case.hex("AAD"));
        let mech = Mech::with_param(CKM_CHACHA20_POLY1305, Param::ChaChaPoly { nonce, aad });
        let (plain, sealed) = (
            case.hex("Plaintext"),
            [case.hex("Ciphertext"), case.hex("Tag")].concat(),
        );
        let good = case.own("Result").is_none();
        let opened = accepted(key.decrypt(&mech, &sealed), &what);
        assert_eq!(opened, good.then(|| plain.clone()), "{what}");
        if good {
            assert_eq!(key.encrypt(&mech, &plain), Ok(sealed), "{what}");
        }
        tally.count();
    });
    tally.end("C API, RFC 7539, ChaCha20", 5);
}
