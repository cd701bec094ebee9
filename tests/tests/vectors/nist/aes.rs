//! AES: ECB, CBC, CTR, XTS, GCM, CCM, CMAC.

use super::super::mech::{Mech, Param, Template};
use super::super::raw::{Key, Token};
use super::super::tally::Tally;
use super::super::verdict::accepted;
use super::each_case;
use super::parse::Case;
use pkcs11_sys::*;

fn key<'a>(token: &'a Token, key_type: CK_KEY_TYPE, value: &[u8], what: &str) -> Key<'a> {
    let key = token.create(&Template::secret(key_type, value));
    key.unwrap_or_else(|rv| panic!("{what}: {rv:#x}"))
}

/// Both directions, whole and in parts.
fn both_ways(key: &Key<'_>, mech: &Mech, plain: &[u8], cipher: &[u8], what: &str) {
    assert_eq!(key.encrypt(mech, plain).as_deref(), Ok(cipher), "{what}");
    assert_eq!(key.decrypt(mech, cipher).as_deref(), Ok(plain), "{what}");
    let (there, back) = (
        key.encrypt_parts(mech, plain),
        key.decrypt_parts(mech, cipher),
    );
    assert_eq!(there.as_deref(), Ok(cipher), "{what}: in parts");
    assert_eq!(back.as_deref(), Ok(plain), "{what}: in parts");
}

#[test]
fn aes_ecb_cbc_ctr() {
    let token = Token::new();
    let mut tally = Tally::default();
    for bits in [128, 192, 256] {
        for mode in ["ECB", "CBC"] {
            for kind in ["GFSbox", "KeySbox", "VarKey", "VarTxt", "MMT"] {
                each_case(
                    &format!("ciphers/AES/{mode}/{mode}{kind}{bits}.rsp"),
                    |case| {
                        let what = format!("{mode}{kind}{bits} {}", case.describe());
                        let key = key(&token, CKK_AES, &case.hex("KEY"), &what);
                        let mech = match mode {
                            "ECB" => Mech::new(CKM_AES_ECB),
                            _ => Mech::bytes(CKM_AES_CBC, &case.hex("IV")),
                        };
                        both_ways(
                            &key,
                            &mech,
                            &case.hex("PLAINTEXT"),
                            &case.hex("CIPHERTEXT"),
                            &what,
                        );
                        tally.count();
                    },
                );
            }
        }
        each_case(&format!("ciphers/AES/CTR/aes-{bits}-ctr.txt"), |case| {
            let what = format!("CTR {bits} {}", case.describe());
            let key = key(&token, CKK_AES, &case.hex("KEY"), &what);
            let block = case.hex("IV").try_into().expect("16 bytes");
            let mech = Mech::with_param(CKM_AES_CTR, Param::Ctr(block));
            both_ways(
                &key,
                &mech,
                &case.hex("PLAINTEXT"),
                &case.hex("CIPHERTEXT"),
                &what,
            );
            tally.count();
        });
    }
    tally.end("C API, NIST, AES ECB, CBC, CTR", 3500);
}

#[test]
fn aes_xts() {
    let token = Token::new();
    let mut tally = Tally::default();
    for bits in [128, 256] {
        each_case(
            &format!("ciphers/AES/XTS/tweak-128hexstr/XTSGenAES{bits}.rsp"),
            |case| {
                let what = format!("XTS {bits} {}", case.describe());
                if case.number("DataUnitLen") % 8 != 0 {
                    tally.skip("data units that are no whole bytes", 1);
                    return;
                }
                let key = key(&token, CKK_AES_XTS, &case.hex("Key"), &what);
                let mech = Mech::bytes(CKM_AES_XTS, &case.hex("i"));
                both_ways(&key, &mech, &case.hex("PT"), &case.hex("CT"), &what);
                tally.count();
            },
        );
    }
    tally.end("C API, NIST, AES XTS", 1000);
}

fn gcm(case: &Case<'_>) -> Mech {
    let (iv, aad, tag) = (case.hex("IV"), case.hex("AAD"), case.number("Taglen") / 8);
    Mech::with_param(CKM_AES_GCM, Param::Gcm { iv, aad, tag })
}

#[test]
fn aes_gcm() {
    let token = Token::new();
    let mut tally = Tally::default();
    for bits in [128, 192, 256] {
        each_case(
            &format!("ciphers/AES/GCM/gcmEncryptExtIV{bits}.rsp"),
            |case| {
                // The files have 15 cases of each combination of lengths; a third of them sees every combination.
                if case.number("Count") % 3 != 0 {
                    tally.skip(
                        "two of three cases of each combination of lengths, for time",
                        1,
                    );
                    return;
                }
                let what = format!("GCM {bits} {}", case.describe());
                let key = key(&token, CKK_AES, &case.hex("Key"), &what);
                let sealed = [case.hex("CT"), case.hex("Tag")].concat();
                assert_eq!(
                    key.encrypt(&gcm(case), &case.hex("PT")),
                    Ok(sealed),
                    "{what}"
                );
                tally.count();
            },
        );
        each_case(&format!("ciphers/AES/GCM/gcmDecrypt{bits}.rsp"), |case| {
            if case.number("Count") % 3 != 0 {
                tally.skip(
                    "two of three cases of each combination of lengths, for time",
                    1,
                );
                return;
            }
            let what = format!("GCM {bits} {}", case.describe());
            let key = key(&token, CKK_AES, &case.hex("Key"), &what);
            let sealed = [case.hex("CT"), case.hex("Tag")].concat();
            let opened = accepted(key.decrypt(&gcm(case), &sealed), &what);
            let wanted = case.own("FAIL").is_none().then(|| case.hex("PT"));
            assert_eq!(opened, wanted, "{what}");
            tally.count();
        });
    }
    tally.end("C API, NIST, AES GCM", 15_000);
}

#[test]
fn aes_ccm() {
    let token = Token::new();
    let mut tally = Tally::default();
    for bits in [128, 192, 256] {
        for kind in ["DVPT", "VADT", "VNT", "VPT", "VTT"] {
            each_case(&format!("ciphers/AES/CCM/{kind}{bits}.rsp"), |case| {
                let Some(ct) = case.own("CT") else { return };
                let what = format!("CCM {kind}{bits} {}", case.describe());
                // What is empty is written as one zero byte.
                let mut aad = case.hex("Adata");
                aad.truncate(case.number("Alen"));
                let (len, tag) = (case.number("Plen"), case.number("Tlen"));
                let nonce = case.hex("Nonce");
                let mech = Mech::with_param(
                    CKM_AES_CCM,
                    Param::Ccm {
                        nonce,
                        aad,
                        tag,
                        len,
                    },
                );
                let key = key(&token, CKK_AES, &case.hex("Key"), &what);
                let sealed = super::parse::hex(ct);
                let opened = accepted(key.decrypt(&mech, &sealed), &what);
                let good = kind != "DVPT" || case.text("Result") == "Pass";
                let mut plain = if good {
                    case.hex("Payload")
                } else {
                    Vec::new()
                };
                plain.truncate(len);
                assert_eq!(opened, good.then(|| plain.clone()), "{what}");
                if good {
                    both_ways(&key, &mech, &plain, &sealed, &what);
                }
                tally.count();
            });
        }
    }
    tally.end("C API, NIST, AES CCM", 2500);
}

#[test]
fn cmac() {
    let token = Token::new();
    let mut tally = Tally::default();
    for bits in [128, 192, 256] {
        each_case(&format!("CMAC/nist-800-38b-aes{bits}.txt"), |case| {
            let what = format!("CMAC {bits} {}", case.describe());
            let key = key(&token, CKK_AES, &case.hex("KEY"), &what);
            let (mech, msg) = (Mech::new(CKM_AES_CMAC), case.hex("MESSAGE"));
            assert_eq!(key.sign(&mech, &msg), Ok(case.hex("OUTPUT")), "{what}");
            assert_eq!(
                key.sign_parts(&mech, &msg),
                Ok(case.hex("OUTPUT")),
                "{what}"
            );
            tally.count();
        });
    }
    // Two-key and three-key DES3, which this token has with `legacy = true`.
    each_case("CMAC/nist-800-38b-3des.txt", |case| {
        let what = format!("DES3 CMAC {}", case.describe());
        let [one, two, three] = ["KEY1", "KEY2", "KEY3"].map(|n| case.hex(n));
        let key = key(&token, CKK_DES3, &[one, two, three].concat(), &what);
        let mac = key.sign(&Mech::new(CKM_DES3_CMAC), &case.hex("MESSAGE"));
        assert_eq!(mac, Ok(case.hex("OUTPUT")), "{what}");
        tally.count();
    });
    tally.end("C API, NIST, CMAC", 16);
}
