//! DSA of FIPS 186-2 and 186-3: verification, signatures, domains; SP 800-56A's shared secrets in finite fields.

use super::super::mech::{Mech, Template};
use super::super::raw::Token;
use super::super::tally::Tally;
use super::super::verdict::{accepted, verified};
use super::super::wycheproof::padded;
use super::parse::{Case, cases};
use super::{chosen, each_case, read};
use pkcs11_sys::*;

fn mechanism(hash: &str) -> Mech {
    Mech::new(match hash {
        "SHA-1" => CKM_DSA_SHA1,
        "SHA-224" => CKM_DSA_SHA224,
        "SHA-256" => CKM_DSA_SHA256,
        "SHA-384" => CKM_DSA_SHA384,
        "SHA-512" => CKM_DSA_SHA512,
        other => panic!("the hash {other}"),
    })
}

fn domain(class: CK_OBJECT_CLASS, case: &Case<'_>) -> Template {
    Template::key(class, CKK_DSA)
        .bytes(CKA_PRIME, &case.hex("P"))
        .bytes(CKA_SUBPRIME, &case.hex("Q"))
        .bytes(CKA_BASE, &case.hex("G"))
}

fn public(case: &Case<'_>) -> Template {
    let key = domain(CKO_PUBLIC_KEY, case).bytes(CKA_VALUE, &case.hex("Y"));
    key.may(&[CKA_VERIFY])
}

fn signature(case: &Case<'_>) -> Vec<u8> {
    let len = case.hex("Q").len();
    ["R", "S"].map(|n| padded(&case.hex(n), len)).concat()
}

/// The cases of a file, whose headings `[mod = L=1024, N=160, SHA-1]` become names and values whole.
fn each(file: &str, each: impl FnMut(&Case<'_>)) {
    let text = read(file).replace(", SHA-", ", hash = SHA-");
    cases(&text.replace("[mod = 1024]", "[hash = SHA-1]"), each);
}

#[test]
fn dsa_verification() {
    let token = Token::new();
    let mut tally = Tally::default();
    for edition in ["2", "3"] {
        let file = format!("asymmetric/DSA/FIPS_186-{edition}/SigVer.rsp");
        each(&file, |case| {
            if case.own("Msg").is_none() {
                return;
            }
            let what = format!("SigVer {edition} {}", case.describe());
            let mech = mechanism(case.text("hash"));
            let good = accepted(token.create(&public(case)), &what).is_some_and(|key| {
                let (msg, sig) = (case.hex("Msg"), signature(case));
                let whole = verified(key.verify(&mech, &msg, &sig), &what);
                let parts = verified(key.verify_parts(&mech, &msg, &sig), &what);
                let given = verified(key.verify_signature(&mech, &msg, &sig), &what);
                assert!(whole == parts && whole == given, "{what}");
                whole
            });
            assert_eq!(good, case.text("Result").starts_with('P'), "{what}");
            tally.count();
        });
    }
    tally.end("C API, NIST, DSA verification", 310);
}

#[test]
fn dsa_signatures() {
    dsa_signature_cases(false);
}

#[test]
#[ignore = "long: ./check full"]
fn dsa_signatures_all() {
    dsa_signature_cases(true);
}

fn dsa_signature_cases(all: bool) {
    let token = Token::new();
    let mut tally = Tally::default();
    let mut nth = 0;
    each("asymmetric/DSA/FIPS_186-3/SigGen.txt", |case| {
        if case.own("Msg").is_none() {
            return;
        }
        nth += 1;
        if !chosen(nth, all, &mut tally) {
            return;
        }
        let what = format!("SigGen {}", case.describe());
        let (mech, msg) = (mechanism(case.text("hash")), case.hex("Msg"));
        let public = token.create(&public(case)).expect(&what);
        let theirs = signature(case);
        assert_eq!(public.verify(&mech, &msg, &theirs), Ok(()), "{what}");
        // The secret number is the token's own: what it signs with the same key, the same public key takes.
        let x = domain(CKO_PRIVATE_KEY, case).bytes(CKA_VALUE, &case.hex("X"));
        let private = token.create(&x.may(&[CKA_SIGN])).expect(&what);
        for ours in [private.sign(&mech, &msg), private.sign_parts(&mech, &msg)] {
            let ours = ours.expect(&what);
            assert_eq!(ours.len(), theirs.len(), "{what}");
            assert_ne!(ours, theirs, "{what}: the number was used before");
            assert_eq!(public.verify(&mech, &msg, &ours), Ok(()), "{what}: ours");
        }
        tally.count();
    });
    tally.end("C API, NIST, DSA signatures", if all { 270 } else { 90 });
}

#[test]
fn dsa_domains() {
    let token = Token::new();
    let mut tally = Tally::default();
    each_case("asymmetric/DSA/FIPS_186-2/PQGVer.rsp", |case| {
        let result = case.text("Result");
        if result.contains("Seed") {
            tally.skip("domains that are good and not made of their seed", 1);
            return;
        }
        let what = format!("PQGVer {}", case.describe());
        let object = accepted(token.create(&domain(CKO_DOMAIN_PARAMETERS, case)), &what);
        assert_eq!(object.is_some(), result.starts_with('P'), "{what}");
        tally.count();
    });
    tally.end("C API, NIST, DSA domains", 4);
}

#[test]
fn shared_secrets() {
    let token = Token::new();
    let mut tally = Tally::default();
    for role in ["init", "resp"] {
        let file = format!("asymmetric/DH/KASValidityTest_FFCStatic_NOKC_ZZOnly_{role}.fax");
        each_case(&file, |case| {
            let Some(result) = case.own("Result") else {
                return;
            };
            if !result.starts_with('P') {
                tally.skip(
                    "faults of keys of a known order, which PKCS #3 has no place for, or of what is compared afterwards",
                    1,
                );
                return;
            }
            let what = format!("KAS {role} {}", case.describe());
            let key = Template::key(CKO_PRIVATE_KEY, CKK_DH)
                .bytes(CKA_PRIME, &case.hex("P"))
                .bytes(CKA_BASE, &case.hex("G"))
                .bytes(CKA_VALUE, &case.hex("XstatIUT"));
            let key = token.create(&key.may(&[CKA_DERIVE])).expect(&what);
            let mech = Mech::bytes(CKM_DH_PKCS_DERIVE, &case.hex("YstatCAVS"));
            let z = key.derive(&mech, &Template::made(None));
            let z = z.and_then(|z| z.value()).expect(&what);
            assert_eq!(z, padded(&case.hex("Z"), case.hex("P").len()), "{what}");
            tally.count();
        });
    }
    tally.end("C API, NIST, finite-field shared secrets", 90);
}
