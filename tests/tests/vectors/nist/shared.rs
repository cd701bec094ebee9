//! Shared secrets of elliptic curves: SP 800-56A's, RFC 7027's (Brainpool), RFC 7748's (X25519 and X448).

use super::super::mech::{Mech, Param, Template};
use super::super::raw::Token;
use super::super::tally::Tally;
use super::super::verdict::accepted;
use super::super::wycheproof::{
    BP256, BP384, BP512, Curve, P224, P256, P384, P521, X448, X25519, padded,
};
use super::each_case;
use pkcs11_sys::*;

fn shared(token: &Token, private: &Template, public: Vec<u8>, what: &str) -> Vec<u8> {
    let key = token
        .create(private)
        .unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
    let mech = Mech::with_param(CKM_ECDH1_DERIVE, Param::Ecdh { public });
    let made = key.derive(&mech, &Template::made(None));
    made.and_then(|z| z.value())
        .unwrap_or_else(|rv| panic!("{what}: {rv:#x}"))
}

fn point(curve: &Curve, x: &[u8], y: &[u8]) -> Vec<u8> {
    [vec![4], padded(x, curve.len), padded(y, curve.len)].concat()
}

#[test]
fn sp_800_56a() {
    let token = Token::new();
    let mut tally = Tally::default();
    for kind in [
        "KDFConcat_NOKC_init",
        "KDFConcat_NOKC_resp",
        "NOKC_ZZOnly_init",
        "NOKC_ZZOnly_resp",
    ] {
        let file = format!("asymmetric/ECDH/KASValidityTest_ECCStaticUnified_{kind}.fax");
        each_case(&file, |case| {
            let Some(result) = case.own("Result") else {
                return;
            };
            let curve = match case.heading().split_once(' ').expect("set - hash").0 {
                "EB" => P224,
                "EC" => P256,
                "ED" => P384,
                "EE" => P521,
                _ => return tally.skip("the curve P-192", 1),
            };
            let what = format!("{kind} {}", case.describe());
            let theirs = point(&curve, &case.hex("QsCAVSx"), &case.hex("QsCAVSy"));
            let ours = curve.private(&case.hex("dsIUT"));
            // `F (8 - Z changed )`: which fault it is.
            let fault = result
                .strip_prefix("F (")
                .map(|f| f.split_once(' ').expect("a number").0);
            match fault {
                None => {
                    let z = shared(&token, &ours, theirs, &what);
                    assert_eq!(z, padded(&case.hex("Z"), curve.len), "{what}");
                }
                Some("1" | "2") => {
                    let mech = Mech::with_param(CKM_ECDH1_DERIVE, Param::Ecdh { public: theirs });
                    let key = token.create(&ours).unwrap();
                    let made = accepted(key.derive(&mech, &Template::made(None)), &what);
                    assert!(made.is_none(), "{what}: their public key");
                }
                Some("5" | "6") => {
                    let q = point(&curve, &case.hex("QsIUTx"), &case.hex("QsIUTy"));
                    let made = accepted(token.create(&curve.public(&q)), &what);
                    assert!(made.is_none(), "{what}: our public key");
                }
                Some("7") => {
                    let why =
                        "a private key that is not the public one's, which is not given with it";
                    return tally.skip(why, 1);
                }
                Some(_) => {
                    let why = "faults in what comes after the shared secret, which the caller makes of it";
                    return tally.skip(why, 1);
                }
            }
            tally.count();
        });
    }
    tally.end("C API, NIST, elliptic curves' shared secrets", 500);
}

#[test]
fn brainpool() {
    let token = Token::new();
    let mut tally = Tally::default();
    each_case("asymmetric/ECDH/brainpool.txt", |case| {
        let curve = match case.text("curve") {
            "brainpoolP256r1" => BP256,
            "brainpoolP384r1" => BP384,
            "brainpoolP512r1" => BP512,
            other => panic!("{other}"),
        };
        let what = case.describe();
        for (d, q) in [("dA", "B"), ("dB", "A")] {
            let [x, y] = ["x_q", "y_q"].map(|n| case.hex(&format!("{n}{q}")));
            let z = shared(
                &token,
                &curve.private(&case.hex(d)),
                point(&curve, &x, &y),
                &what,
            );
            assert_eq!(z, case.hex("x_Z"), "{what}");
        }
        tally.count();
    });
    tally.end("C API, RFC 7027, Brainpool", 3);
}

#[test]
fn montgomery() {
    let token = Token::new();
    let mut tally = Tally::default();
    for (name, params) in [("X25519", X25519), ("X448", X448)] {
        each_case(&format!("asymmetric/{name}/rfc7748.txt"), |case| {
            let what = format!("{name} {}", case.describe());
            let private = Template::key(CKO_PRIVATE_KEY, CKK_EC_MONTGOMERY)
                .bytes(CKA_EC_PARAMS, params)
                .bytes(CKA_VALUE, &case.hex("INPUT_SCALAR"))
                .may(&[CKA_DERIVE]);
            let z = shared(&token, &private, case.hex("INPUT_U"), &what);
            assert_eq!(z, case.hex("OUTPUT_U"), "{what}");
            tally.count();
        });
    }
    tally.end("C API, RFC 7748, X25519 and X448", 6);
}
