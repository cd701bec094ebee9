//! RSA of FIPS 186: PKCS#1 and PSS signatures.

use super::super::hashes::Hash;
use super::super::mech::{Mech, Param, Template};
use super::super::raw::{Key, Token};
use super::super::tally::Tally;
use super::super::verdict::verified;
use super::each_case;
use super::parse::Case;
use pkcs11_sys::*;

const FOLDER: &str = "asymmetric/RSA/FIPS_186-2";

fn public<'a>(token: &'a Token, case: &Case<'_>) -> Key<'a> {
    let template = Template::key(CKO_PUBLIC_KEY, CKK_RSA)
        .bytes(CKA_MODULUS, &case.hex("n"))
        .bytes(CKA_PUBLIC_EXPONENT, &case.hex("e"))
        .may(&[CKA_VERIFY]);
    let key = token.create(&template);
    key.unwrap_or_else(|rv| panic!("{}: {rv:#x}", case.describe()))
}

fn pss(hash: &Hash, salt: usize) -> Mech {
    let (digest, mgf) = (hash.digest, hash.mgf.expect("an MGF"));
    let param = Param::Pss {
        hash: digest,
        mgf,
        salt,
    };
    Mech::with_param(hash.pss.expect("a mechanism"), param)
}

/// Whether the file's verdict is the token's; the private key of the case, where it has one, makes the signature.
fn signatures(
    file: &str,
    mech: impl Fn(&Case<'_>, &Hash) -> Mech,
    deterministic: bool,
    tally: &mut Tally,
) {
    let token = Token::new();
    each_case(&format!("{FOLDER}/{file}"), |case| {
        if case.own("S").is_none() {
            return;
        }
        let what = format!("{file} {}", case.describe());
        let hash = Hash::named(case.text("SHAAlg")).expect("a hash");
        let (mech, msg, signature) = (mech(case, &hash), case.hex("Msg"), case.hex("S"));
        let key = public(&token, case);
        let good = verified(key.verify(&mech, &msg, &signature), &what);
        let wanted = case.own("Result").is_none_or(|r| r.starts_with('P'));
        assert_eq!(good, wanted, "{what}");
        // In the files `.txt` a private key stands above its cases, and without its primes.
        let above = file.ends_with(".txt").then(|| case.text("d"));
        if let (true, Some(d)) = (good, case.own("d").or(above)) {
            let mut private = Template::key(CKO_PRIVATE_KEY, CKK_RSA)
                .bytes(CKA_MODULUS, &case.hex("n"))
                .bytes(CKA_PUBLIC_EXPONENT, &case.hex("e"))
                .bytes(CKA_PRIVATE_EXPONENT, &super::parse::hex(d))
                .may(&[CKA_SIGN]);
            if above.is_none() {
                private = private
                    .bytes(CKA_PRIME_1, &case.hex("p"))
                    .bytes(CKA_PRIME_2, &case.hex("q"));
            }
            let private = token
                .create(&private)
                .unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
            let ours = private
                .sign(&mech, &msg)
                .unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
            assert_eq!(key.verify(&mech, &msg, &ours), Ok(()), "{what}: ours");
            assert!(!deterministic || ours == signature, "{what}: ours differs");
            if deterministic {
                // What was signed, unpadded: the block of PKCS#1.
                let info = hash.digest_info(&token.digest(hash.digest, &msg).unwrap());
                let fill = vec![0xFF; signature.len() - info.len() - 3];
                let block = [&[0, 1][..], &fill, &[0], &info].concat();
                let raw = Mech::new(CKM_RSA_X_509);
                assert_eq!(
                    private.sign(&raw, &block).as_ref(),
                    Ok(&signature),
                    "{what}"
                );
                assert_eq!(key.verify(&raw, &block, &signature), Ok(()), "{what}");
            }
        }
        tally.count();
    });
}

#[test]
fn rsa_pkcs1() {
    let mut tally = Tally::default();
    for file in [
        "SigVer15_186-3.rsp",
        "SigGen15_186-2.rsp",
        "SigGen15_186-2.txt",
        "SigGen15_186-3.rsp",
    ] {
        let mech = |_: &Case<'_>, hash: &Hash| Mech::new(hash.pkcs1.expect("a mechanism"));
        signatures(file, mech, true, &mut tally);
    }
    tally.end("C API, NIST, RSA PKCS#1 signatures", 700);
}

#[test]
fn rsa_pss() {
    let mut tally = Tally::default();
    let salted = |case: &Case<'_>, hash: &Hash| pss(hash, case.hex("SaltVal").len());
    signatures("SigVerPSS_186-3.rsp", salted, false, &mut tally);
    for (file, salt) in [
        ("SigGenPSS_186-2.rsp", 20),
        ("SigGenPSS_186-2.txt", 20),
        ("SigGenPSS_186-3.rsp", 0),
    ] {
        signatures(file, |_, hash| pss(hash, salt), false, &mut tally);
    }
    tally.end("C API, NIST, PSS", 700);
}
