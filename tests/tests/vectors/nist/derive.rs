//! SP 800-108's KDF in counter mode; HKDF.

use super::super::hashes::Hash;
use super::super::mech::{Mech, Param, Template};
use super::super::raw::Token;
use super::super::tally::Tally;
use super::each_case;
use pkcs11_sys::*;

#[test]
fn kbkdf_counter() {
    let token = Token::new();
    let mut tally = Tally::default();
    each_case("KDF/nist-800-108-KBKDF-CTR.txt", |case| {
        if case.own("KO").is_none() {
            return;
        }
        let what = format!(
            "{} {} {} {}",
            case.text("PRF"),
            case.text("CTRLOCATION"),
            case.text("RLEN"),
            case.describe()
        );
        let (prf, key_type) = match case.text("PRF") {
            "CMAC_AES128" | "CMAC_AES192" | "CMAC_AES256" => (CKM_AES_CMAC, CKK_AES),
            "HMAC_SHA1" => (CKM_SHA_1_HMAC, CKK_GENERIC_SECRET),
            "HMAC_SHA224" => (CKM_SHA224_HMAC, CKK_GENERIC_SECRET),
            "HMAC_SHA256" => (CKM_SHA256_HMAC, CKK_GENERIC_SECRET),
            "HMAC_SHA384" => (CKM_SHA384_HMAC, CKK_GENERIC_SECRET),
            "HMAC_SHA512" => (CKM_SHA512_HMAC, CKK_GENERIC_SECRET),
            other => {
                tally.skip(
                    format!("{other}: DES3 is offered for old data only, not to derive"),
                    1,
                );
                return;
            }
        };
        let bits = match case.text("RLEN") {
            "8_BITS" => 8,
            "16_BITS" => 16,
            "24_BITS" => 24,
            "32_BITS" => 32,
            other => panic!("{other}"),
        };
        let (before, after) = match case.text("CTRLOCATION") {
            "BEFORE_FIXED" => (Vec::new(), case.hex("FixedInputData")),
            "AFTER_FIXED" => (case.hex("FixedInputData"), Vec::new()),
            "MIDDLE_FIXED" => (case.hex("DataBeforeCtrData"), case.hex("DataAfterCtrData")),
            other => panic!("{other}"),
        };
        let key = token
            .create(&Template::secret(key_type, &case.hex("KI")))
            .unwrap();
        let param = Param::Counter {
            prf,
            bits,
            before,
            after,
        };
        let mech = Mech::with_param(CKM_SP800_108_COUNTER_KDF, param);
        let len = case.number("L") / 8;
        let made = key.derive(&mech, &Template::made(Some(len)));
        let made = made.unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
        assert_eq!(made.value(), Ok(case.hex("KO")), "{what}");
        tally.count();
    });
    tally.end("C API, NIST, KBKDF in counter mode", 3800);
}

/// As a key and as a data object, whose length is the hash's.
#[test]
fn hkdf() {
    const CKM_HKDF_DATA: CK_MECHANISM_TYPE = 0x402B;
    let token = Token::new();
    let mut tally = Tally::default();
    for file in [
        "rfc-5869-HKDF-SHA1",
        "rfc-5869-HKDF-SHA256",
        "hkdf-generated",
    ] {
        each_case(&format!("KDF/{file}.txt"), |case| {
            let what = format!("{file} {}", case.describe());
            if case.own("OKM").is_none() {
                return;
            }
            let hash = Hash::named(case.text("Hash")).expect("a hash");
            let mech = |mech| {
                let [salt, info] = ["salt", "info"].map(|n| case.hex(n));
                let hash = hash.digest;
                Mech::with_param(mech, Param::Hkdf { hash, salt, info })
            };
            let (okm, len) = (case.hex("OKM"), case.number("L"));
            let key = token
                .create(&Template::secret(CKK_HKDF, &case.hex("IKM")))
                .unwrap();
            let made = key.derive(&mech(CKM_HKDF_DERIVE), &Template::made(Some(len)));
            assert_eq!(made.and_then(|k| k.value()).as_ref(), Ok(&okm), "{what}");
            let data = Template::default().ulong(CKA_CLASS, CKO_DATA);
            let made = key.derive(&mech(CKM_HKDF_DATA), &data);
            let made = made.and_then(|data| data.value());
            assert_eq!(made.as_deref(), Ok(&okm[..hash.len]), "{what}: data");
            tally.count();
        });
    }
    tally.end("C API, RFC 5869, HKDF", 7);
}
