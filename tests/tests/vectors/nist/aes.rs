//! AES: ECB, CBC, CTR, OFB, CFB, XTS, GCM, CCM, CMAC, CBC-MAC.

use super::super::mech::{Mech, Param, Template};
use super::super::raw::{Key, Token};
use super::super::tally::Tally;
use super::super::verdict::accepted;
use super::parse::Case;
use super::{chosen, each_case};
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
fn aes_ofb_cfb() {
    let token = Token::new();
    let mut tally = Tally::default();
    for bits in [128, 192, 256] {
        for (folder, mode, mech) in [
            ("OFB", "OFB", CKM_AES_OFB),
            ("CFB", "CFB8", CKM_AES_CFB8),
            ("CFB", "CFB128", CKM_AES_CFB128),
        ] {
            for kind in ["GFSbox", "KeySbox", "VarKey", "VarTxt", "MMT"] {
                let file = format!("ciphers/AES/{folder}/{mode}{kind}{bits}.rsp");
                each_case(&file, |case| {
                    let what = format!("{mode}{kind}{bits} {}", case.describe());
                    let key = key(&token, CKK_AES, &case.hex("KEY"), &what);
                    let mech = Mech::bytes(mech, &case.hex("IV"));
                    let (plain, cipher) = (case.hex("PLAINTEXT"), case.hex("CIPHERTEXT"));
                    both_ways(&key, &mech, &plain, &cipher, &what);
                    tally.count();
                });
            }
        }
    }
    tally.end("C API, NIST, AES OFB, CFB8, CFB128", 5000);
}

/// These files count bits. What follows a message's bits in its last byte does not reach back into them.
#[test]
fn aes_cfb1() {
    fn bits(text: &str) -> Vec<u8> {
        let byte = |bits: &str| u8::from_str_radix(&format!("{bits:0<8}"), 2).expect("bits");
        let starts = (0..text.len()).step_by(8);
        starts
            .map(|at| byte(&text[at..text.len().min(at + 8)]))
            .collect()
    }
    let token = Token::new();
    let mut tally = Tally::default();
    for len in [128, 192, 256] {
        for kind in ["GFSbox", "KeySbox", "VarKey", "VarTxt", "MMT"] {
            each_case(&format!("ciphers/AES/CFB/CFB1{kind}{len}.rsp"), |case| {
                let what = format!("CFB1{kind}{len} {}", case.describe());
                let key = key(&token, CKK_AES, &case.hex("KEY"), &what);
                let mech = Mech::bytes(CKM_AES_CFB1, &case.hex("IV"));
                let (plain, cipher) = (case.text("PLAINTEXT"), case.text("CIPHERTEXT"));
                for (from, to, made) in [
                    (plain, cipher, key.encrypt(&mech, &bits(plain))),
                    (cipher, plain, key.decrypt(&mech, &bits(cipher))),
                    (plain, cipher, key.encrypt_parts(&mech, &bits(plain))),
                    (cipher, plain, key.decrypt_parts(&mech, &bits(cipher))),
                ] {
                    let made: String = made.unwrap().iter().map(|b| format!("{b:08b}")).collect();
                    assert_eq!(&made[..from.len()], to, "{what}");
                }
                tally.count();
            });
        }
    }
    tally.end("C API, NIST, AES CFB1", 1700);
}

/// Ciphertext stealing in NIST's first variant (the addendum of SP 800-38A), by what CBC makes of the message filled up
/// with zeros: of the last block but one only the beginning is kept.
#[test]
fn cbc_cts() {
    let token = Token::new();
    let mut tally = Tally::default();
    for bits in [128, 192, 256] {
        each_case(&format!("ciphers/AES/CBC/CBCMMT{bits}.rsp"), |case| {
            let (plain, iv) = (case.hex("PLAINTEXT"), case.hex("IV"));
            let what = format!("CTS {bits} {}", case.describe());
            let key = key(&token, CKK_AES, &case.hex("KEY"), &what);
            let cts = Mech::bytes(CKM_AES_CTS, &iv);
            both_ways(&key, &cts, &plain, &case.hex("CIPHERTEXT"), &what);
            for cut in [1, 7, 15].into_iter().filter(|_| plain.len() > 16) {
                let kept = plain.len() - cut;
                let filled = [&plain[..kept], &vec![0; cut][..]].concat();
                let cbc = key
                    .encrypt(&Mech::bytes(CKM_AES_CBC, &iv), &filled)
                    .unwrap();
                let last = cbc.len() - 16;
                let stolen = [&cbc[..last - cut], &cbc[last..]].concat();
                both_ways(&key, &cts, &plain[..kept], &stolen, &what);
            }
            tally.count();
        });
    }
    tally.end("C API, NIST, AES CBC with ciphertext stealing", 60);
}

/// CFB in eight bytes, which NIST has no files of for AES, by what ECB makes of the register.
#[test]
fn cfb64() {
    let token = Token::new();
    let mut tally = Tally::default();
    for bits in [128, 192, 256] {
        each_case(&format!("ciphers/AES/CBC/CBCMMT{bits}.rsp"), |case| {
            let (plain, iv) = (case.hex("PLAINTEXT"), case.hex("IV"));
            let what = format!("CFB64 {bits} {}", case.describe());
            let key = key(&token, CKK_AES, &case.hex("KEY"), &what);
            let (mut register, mut cipher) = (iv.clone(), Vec::new());
            for eight in plain.chunks(8) {
                let stream = key.encrypt(&Mech::new(CKM_AES_ECB), &register).unwrap();
                let made = eight.iter().zip(stream).map(|(p, s)| p ^ s);
                cipher.extend(made);
                register = [&register[8..], &cipher[cipher.len() - 8..]].concat();
            }
            let mech = Mech::bytes(CKM_AES_CFB64, &iv);
            both_ways(&key, &mech, &plain, &cipher, &what);
            tally.count();
        });
    }
    tally.end("C API, NIST, AES CFB64 by ECB", 60);
}

/// The last block of a CBC encryption is the MAC of its plaintext, the IV drawn into the first block.
#[test]
fn cbc_mac() {
    let token = Token::new();
    let mut tally = Tally::default();
    for bits in [128, 192, 256] {
        each_case(&format!("ciphers/AES/CBC/CBCMMT{bits}.rsp"), |case| {
            let what = format!("CBC-MAC {bits} {}", case.describe());
            let key = key(&token, CKK_AES, &case.hex("KEY"), &what);
            let (mut message, cipher) = (case.hex("PLAINTEXT"), case.hex("CIPHERTEXT"));
            let iv = case.hex("IV");
            message.iter_mut().zip(iv).for_each(|(m, iv)| *m ^= iv);
            let mac = &cipher[cipher.len() - 16..];
            let half = Mech::new(CKM_AES_MAC);
            assert_eq!(
                key.sign(&half, &message).as_deref(),
                Ok(&mac[..8]),
                "{what}"
            );
            assert_eq!(key.verify(&half, &message, &mac[..8]), Ok(()), "{what}");
            let refused = key.verify(&half, &message, mac);
            assert_eq!(refused, Err(CKR_SIGNATURE_LEN_RANGE), "{what}");
            for len in 1..=16 {
                let some = Mech::with_param(CKM_AES_MAC_GENERAL, Param::Ulong(len));
                let mac = &mac[..len as usize];
                let parts = key.sign_parts(&some, &message);
                assert_eq!(parts.as_deref(), Ok(mac), "{what}, {len} bytes");
                assert_eq!(key.verify_parts(&some, &message, mac), Ok(()), "{what}");
                let mut wrong = mac.to_vec();
                wrong[mac.len() - 1] ^= 1;
                let refused = key.verify(&some, &message, &wrong);
                assert_eq!(refused, Err(CKR_SIGNATURE_INVALID), "{what}");
            }
            for len in [0, 17] {
                let none = Mech::with_param(CKM_AES_MAC_GENERAL, Param::Ulong(len));
                let refused = key.sign(&none, &message);
                assert_eq!(refused, Err(CKR_MECHANISM_PARAM_INVALID), "{len} bytes");
            }
            tally.count();
        });
    }
    tally.end("C API, NIST, AES CBC-MAC", 60);
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
        // Numbers of data units, as a disk has them: IEEE 1619 makes the tweak of them, least byte first.
        let file = format!("ciphers/AES/XTS/tweak-dataunitseqno/XTSGenAES{bits}.rsp");
        each_case(&file, |case| {
            let what = format!("XTS {bits} {}", case.describe());
            if case.number("DataUnitLen") % 8 != 0 {
                tally.skip("data units that are no whole bytes", 1);
                return;
            }
            let key = key(&token, CKK_AES_XTS, &case.hex("Key"), &what);
            let tweak = (case.number("DataUnitSeqNumber") as u128).to_le_bytes();
            let mech = Mech::bytes(CKM_AES_XTS, &tweak);
            both_ways(&key, &mech, &case.hex("PT"), &case.hex("CT"), &what);
            tally.count();
        });
    }
    tally.end("C API, NIST, AES XTS", 1800);
}

fn gcm(case: &Case<'_>) -> Mech {
    let (iv, aad, tag) = (case.hex("IV"), case.hex("AAD"), case.number("Taglen") / 8);
    Mech::with_param(CKM_AES_GCM, Param::Gcm { iv, aad, tag })
}

#[test]
fn aes_gcm() {
    aes_gcm_cases(false);
}

#[test]
#[ignore = "long: ./check full"]
fn aes_gcm_all() {
    aes_gcm_cases(true);
}

fn aes_gcm_cases(all: bool) {
    let token = Token::new();
    let mut tally = Tally::default();
    for bits in [128, 192, 256] {
        each_case(
            &format!("ciphers/AES/GCM/gcmEncryptExtIV{bits}.rsp"),
            |case| {
                if !chosen(case.number("Count"), all, &mut tally) {
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
            if !chosen(case.number("Count"), all, &mut tally) {
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
    tally.end("C API, NIST, AES GCM", if all { 47_000 } else { 15_000 });
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
    // Two-key and three-key DES3.
    let token = Token::new();
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
