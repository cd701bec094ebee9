//! Ed25519 and Ed448, by their authors' vectors and RFC 8032's: signatures are the same bytes, with contexts too.

use super::super::mech::{Mech, Param, Template};
use super::super::raw::Token;
use super::super::tally::Tally;
use super::super::wycheproof::{ED448, ED25519, octet_string};
use super::parse::hex;
use super::{each_case, read};
use pkcs11_sys::*;

/// Signs and verifies; the signature must be this one.
fn pair(
    token: &Token,
    params: &[u8],
    keys: [&[u8]; 2],
    mech: &Mech,
    msg: &[u8],
    sig: &[u8],
    what: &str,
) {
    let [seed, point] = keys;
    let template = |class| Template::key(class, CKK_EC_EDWARDS).bytes(CKA_EC_PARAMS, params);
    let private = template(CKO_PRIVATE_KEY)
        .bytes(CKA_VALUE, seed)
        .may(&[CKA_SIGN]);
    let public = template(CKO_PUBLIC_KEY)
        .bytes(CKA_EC_POINT, &octet_string(point))
        .may(&[CKA_VERIFY]);
    let (private, public) = (
        token.create(&private).unwrap(),
        token.create(&public).unwrap(),
    );
    assert_eq!(private.sign(mech, msg).as_deref(), Ok(sig), "{what}");
    assert_eq!(public.verify(mech, msg, sig), Ok(()), "{what}");
    let prehash = false;
    let context = b"another".to_vec();
    let other = Mech::with_param(CKM_EDDSA, Param::EdDsa { prehash, context });
    assert_eq!(
        public.verify(&other, msg, sig),
        Err(CKR_SIGNATURE_INVALID),
        "{what}: another context"
    );
}

#[test]
fn eddsa() {
    let token = Token::new();
    let mut tally = Tally::default();
    // seed and public key : public key : message : signature and message :
    for (i, line) in read("asymmetric/Ed25519/sign.input").lines().enumerate() {
        let fields: Vec<Vec<u8>> = line.split(':').map(hex).collect();
        let (seed, point) = fields[0].split_at(32);
        let what = format!("Ed25519 line {}", i + 1);
        let keys = [seed, point];
        pair(
            &token,
            ED25519,
            keys,
            &Mech::new(CKM_EDDSA),
            &fields[2],
            &fields[3][..64],
            &what,
        );
        tally.count();
    }
    each_case("asymmetric/Ed448/rfc8032.txt", |case| {
        let what = format!("Ed448 {}", case.describe());
        let context = case.own("CONTEXT").map_or_else(Vec::new, hex);
        let prehash = false;
        let mech = Mech::with_param(CKM_EDDSA, Param::EdDsa { prehash, context });
        let keys = [&case.hex("SECRET")[..], &case.hex("PUBLIC")];
        pair(
            &token,
            ED448,
            keys,
            &mech,
            &case.hex("MESSAGE"),
            &case.hex("SIGNATURE"),
            &what,
        );
        tally.count();
    });
    tally.end("C API, RFC 8032, EdDSA", 1030);
}
