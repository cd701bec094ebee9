//! HMAC by RFC 2202 and RFC 4231; MD5 by RFC 1321.

use super::super::mech::{Mech, Param, Template};
use super::super::raw::Token;
use super::super::tally::Tally;
use super::each_case;
use pkcs11_sys::*;

#[test]
fn hmac() {
    let token = Token::new();
    let mut tally = Tally::default();
    for (file, mech, general) in [
        ("rfc-2202-md5", CKM_MD5_HMAC, CKM_MD5_HMAC_GENERAL),
        ("rfc-2202-sha1", CKM_SHA_1_HMAC, CKM_SHA_1_HMAC_GENERAL),
        ("rfc-4231-sha224", CKM_SHA224_HMAC, CKM_SHA224_HMAC_GENERAL),
        ("rfc-4231-sha256", CKM_SHA256_HMAC, CKM_SHA256_HMAC_GENERAL),
        ("rfc-4231-sha384", CKM_SHA384_HMAC, CKM_SHA384_HMAC_GENERAL),
        ("rfc-4231-sha512", CKM_SHA512_HMAC, CKM_SHA512_HMAC_GENERAL),
    ] {
        each_case(&format!("HMAC/{file}.txt"), |case| {
            let what = format!("{file} {}", case.describe());
            let key = Template::secret(CKK_GENERIC_SECRET, &case.hex("Key"));
            let key = token.create(&key).unwrap();
            let (mech, msg, mac) = (Mech::new(mech), case.hex("Msg"), case.hex("MD"));
            assert_eq!(key.sign(&mech, &msg).as_ref(), Ok(&mac), "{what}");
            assert_eq!(key.sign_parts(&mech, &msg).as_ref(), Ok(&mac), "{what}");
            assert_eq!(key.verify(&mech, &msg, &mac), Ok(()), "{what}");
            let half = Mech::with_param(general, Param::Ulong(8));
            assert_eq!(key.sign(&half, &msg).as_deref(), Ok(&mac[..8]), "{what}");
            tally.count();
        });
    }
    tally.end("C API, RFC 2202 and RFC 4231, HMAC", 36);
}

#[test]
fn md5() {
    let token = Token::new();
    let mut tally = Tally::default();
    each_case("hashes/MD5/rfc-1321.txt", |case| {
        let mut msg = case.hex("Msg");
        msg.truncate(case.number("Len") / 8);
        let md = case.hex("MD");
        assert_eq!(token.digest(CKM_MD5, &msg).as_ref(), Ok(&md));
        assert_eq!(token.digest_parts(CKM_MD5, &msg), Ok(md));
        tally.count();
    });
    tally.end("C API, RFC 1321, MD5", 7);
}
