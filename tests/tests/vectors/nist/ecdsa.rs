//! ECDSA of FIPS 186-3: verification, signatures, public keys, key pairs.

use super::super::hashes::Hash;
use super::super::mech::{CKM_PUB_KEY_FROM_PRIV_KEY, Mech, Template};
use super::super::raw::Token;
use super::super::tally::Tally;
use super::super::verdict::{accepted, verified};
use super::super::wycheproof::{Curve, K256, P224, P256, P384, P521, octet_string, padded};
use super::parse::{Case, cases};
use super::{each_case, read};
use pkcs11_sys::{CKA_DESTROYABLE, CKA_EC_POINT};

fn curve(name: &str) -> Option<Curve> {
    Some(match name {
        "P-224" => P224,
        "P-256" => P256,
        "P-384" => P384,
        "P-521" => P521,
        "K-256" => K256,
        _ => return None,
    })
}

/// The public key's point, uncompressed; coordinates that are too long stay so.
fn point(case: &Case<'_>, curve: &Curve) -> Vec<u8> {
    let [x, y] = ["Qx", "Qy"].map(|n| padded(&case.hex(n), curve.len));
    [vec![4], x, y].concat()
}

/// `[P-256,SHA-384]`: the curve, and the mechanism that hashes; `[P-256]` in FIPS 186-2, which had SHA-1 only.
fn heading<'a>(case: &Case<'a>, tally: &mut Tally) -> Option<(Curve, Mech, &'a str)> {
    let (name, hash) = case
        .heading()
        .split_once(',')
        .unwrap_or((case.heading(), "SHA-1"));
    let curve = curve(name);
    if curve.is_none() {
        tally.skip(format!("the curve {name}"), 1);
    }
    let hash = Hash::named(hash).and_then(|h| h.ecdsa).expect("a hash");
    Some((curve?, Mech::new(hash), name))
}

#[test]
fn ecdsa_verification() {
    let token = Token::new();
    let mut tally = Tally::default();
    let mut verified_as_told = |case: &Case<'_>| {
        let Some((curve, mech, _)) = heading(case, &mut tally) else {
            return;
        };
        let what = format!("SigVer {}", case.describe());
        let key = accepted(token.create(&curve.public(&point(case, &curve))), &what);
        let signature = ["R", "S"].map(|n| padded(&case.hex(n), curve.len)).concat();
        let good =
            key.is_some_and(|key| verified(key.verify(&mech, &case.hex("Msg"), &signature), &what));
        assert_eq!(good, case.text("Result").starts_with('P'), "{what}");
        tally.count();
    };
    for edition in ["2", "3"] {
        let file = format!("asymmetric/ECDSA/FIPS_186-{edition}/SigVer.rsp");
        each_case(&file, &mut verified_as_told);
    }
    let mut signed = |case: &Case<'_>| {
        let Some((curve, mech, _)) = heading(case, &mut tally) else {
            return;
        };
        let what = format!("SigGen {}", case.describe());
        let public = token.create(&curve.public(&point(case, &curve))).unwrap();
        let (msg, signature) = (
            case.hex("Msg"),
            ["R", "S"].map(|n| padded(&case.hex(n), curve.len)).concat(),
        );
        assert_eq!(public.verify(&mech, &msg, &signature), Ok(()), "{what}");
        // The secret number is the token's own: what it signs with the same key, the same public key takes.
        let private = token.create(&curve.private(&case.hex("d"))).unwrap();
        let ours = private.sign(&mech, &msg).unwrap();
        assert_eq!(public.verify(&mech, &msg, &ours), Ok(()), "{what}: ours");
        let from_private = Mech::new(CKM_PUB_KEY_FROM_PRIV_KEY);
        let keep_out = Template::default().may(&[CKA_DESTROYABLE]);
        let derived = private.derive(&from_private, &keep_out).unwrap();
        let q = octet_string(&point(case, &curve));
        assert_eq!(derived.get(CKA_EC_POINT), Ok(q), "{what}: derived");
        assert_eq!(
            derived.verify(&mech, &msg, &signature),
            Ok(()),
            "{what}: derived"
        );
        tally.count();
    };
    for folder in ["FIPS_186-2", "FIPS_186-3", "SECP256K1"] {
        let file = format!("asymmetric/ECDSA/{folder}/SigGen.txt");
        each_case(&file, &mut signed);
    }
    tally.end("C API, NIST, ECDSA", 700);
}

#[test]
fn ecdsa_keys() {
    let token = Token::new();
    let mut tally = Tally::default();
    let mut public_keys = |case: &Case<'_>| {
        let Some(curve) = curve(case.heading()) else {
            tally.skip(format!("the curve {}", case.heading()), 1);
            return;
        };
        let what = format!("PKV {}", case.describe());
        let key = accepted(token.create(&curve.public(&point(case, &curve))), &what);
        let good = case.text("Result").starts_with('P');
        assert_eq!(key.is_some(), good, "{what}");
        tally.count();
    };
    for edition in ["2", "3"] {
        let file = format!("asymmetric/ECDSA/FIPS_186-{edition}/PKV.rsp");
        each_case(&file, &mut public_keys);
    }
    // How the numbers were drawn is nothing that a token can be asked; which public keys they have is.
    let mut pairs = |case: &Case<'_>| {
        let (Some(d), Some(curve)) = (case.own("d"), curve(case.heading())) else {
            if case.own("d").is_some() {
                tally.skip(format!("the curve {}", case.heading()), 1);
            }
            return;
        };
        let what = format!("KeyPair {}", case.describe());
        let private = token.create(&curve.private(&super::parse::hex(d))).unwrap();
        let keep_out = Template::default().may(&[CKA_DESTROYABLE]);
        let public = private.derive(&Mech::new(CKM_PUB_KEY_FROM_PRIV_KEY), &keep_out);
        let found = public.and_then(|key| key.get(CKA_EC_POINT));
        assert_eq!(found, Ok(octet_string(&point(case, &curve))), "{what}");
        tally.count();
    };
    for edition in ["2", "3"] {
        let text = read(&format!("asymmetric/ECDSA/FIPS_186-{edition}/KeyPair.rsp"));
        let headless = |line: &&str| !line.starts_with("[B.4.2 Key Pair Generation");
        let lines: Vec<&str> = text.lines().filter(headless).collect();
        cases(&lines.join("\n"), &mut pairs);
    }
    tally.end("C API, NIST, EC keys", 150);
}
