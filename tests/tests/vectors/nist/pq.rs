//! ML-KEM and ML-DSA: the known answers of FIPS 203 and 204.

use super::super::hashes;
use super::super::mech::{DETERMINISTIC, Mech, Param, Template};
use super::super::raw::Token;
use super::super::tally::Tally;
use super::each_case;
use pkcs11_sys::*;

// Of PKCS#11 3.2, which `pkcs11-sys` lacks.
const CKK_ML_KEM: CK_KEY_TYPE = 0x49;
const CKK_ML_DSA: CK_KEY_TYPE = 0x4a;
const CKM_ML_KEM: CK_MECHANISM_TYPE = 0x17;
const CKM_ML_DSA: CK_MECHANISM_TYPE = 0x1d;
const CKA_PARAMETER_SET: CK_ATTRIBUTE_TYPE = 0x61d;
const CKA_SEED: CK_ATTRIBUTE_TYPE = 0x637;
const CKA_ENCAPSULATE: CK_ATTRIBUTE_TYPE = 0x633;
const CKA_DECAPSULATE: CK_ATTRIBUTE_TYPE = 0x634;

/// Of the thousand cases a set has, so many on the always-run path.
const KEM_CASES: usize = 200;

fn ml_kem_cases(most: usize) {
    let token = Token::new();
    let mut tally = Tally::default();
    let mech = Mech::new(CKM_ML_KEM);
    for (set, name) in [(1, "512"), (2, "768"), (3, "1024")] {
        let mut run = 0;
        each_case(&format!("asymmetric/MLKEM/kat_MLKEM_{name}.rsp"), |case| {
            if run >= most {
                tally.skip("cases beyond the first 200 of a set: ./check full", 1);
                return;
            }
            run += 1;
            let what = format!("ML-KEM-{name} {}", case.describe());
            let private = Template::key(CKO_PRIVATE_KEY, CKK_ML_KEM)
                .ulong(CKA_PARAMETER_SET, set)
                .may(&[CKA_DECAPSULATE])
                .readable();
            let seed = [case.hex("d"), case.hex("z")].concat();
            let by_seed = token
                .create(&private.clone().bytes(CKA_SEED, &seed))
                .unwrap();
            let by_value = token
                .create(&private.bytes(CKA_VALUE, &case.hex("sk")))
                .unwrap();
            for key in [&by_seed, &by_value] {
                // A ciphertext of another key has a secret too: implicit rejection's.
                for (ct, ss) in [("ct", "ss"), ("ct_n", "ss_n")] {
                    let made = key.decapsulate(&mech, &case.hex(ct), &Template::made(None));
                    let made = made.unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
                    assert_eq!(made.value(), Ok(case.hex(ss)), "{what}: {ct}");
                }
            }
            let public = Template::key(CKO_PUBLIC_KEY, CKK_ML_KEM)
                .ulong(CKA_PARAMETER_SET, set)
                .bytes(CKA_VALUE, &case.hex("pk"))
                .may(&[CKA_ENCAPSULATE]);
            let public = token.create(&public).unwrap();
            let (ct, shared) = public.encapsulate(&mech, &Template::made(None)).unwrap();
            let opened = by_seed
                .decapsulate(&mech, &ct, &Template::made(None))
                .unwrap();
            assert_eq!(opened.value(), shared.value(), "{what}: ours");
            tally.count();
        });
    }
    tally.end("C API, NIST, ML-KEM", 3 * most);
}

#[test]
fn ml_kem() {
    ml_kem_cases(KEM_CASES);
}

#[test]
#[ignore = "long: ./check full"]
fn ml_kem_all() {
    ml_kem_cases(1000);
}

#[test]
fn ml_dsa() {
    let token = Token::new();
    let mut tally = Tally::default();
    for (set, name) in [(1, "44"), (2, "65"), (3, "87")] {
        each_case(
            &format!("asymmetric/MLDSA/kat_MLDSA_{name}_det_pure.rsp"),
            |case| {
                let what = format!("ML-DSA-{name} {}", case.describe());
                let template =
                    |class| Template::key(class, CKK_ML_DSA).ulong(CKA_PARAMETER_SET, set);
                let private = template(CKO_PRIVATE_KEY).may(&[CKA_SIGN]);
                let by_seed = private.clone().bytes(CKA_SEED, &case.hex("xi"));
                let by_value = private.bytes(CKA_VALUE, &case.hex("sk"));
                let public = template(CKO_PUBLIC_KEY)
                    .bytes(CKA_VALUE, &case.hex("pk"))
                    .may(&[CKA_VERIFY]);
                let public = token.create(&public).unwrap();
                let param = Param::Context {
                    hedge: DETERMINISTIC,
                    context: case.hex("ctx"),
                    hash: None,
                };
                let (mech, msg) = (Mech::with_param(CKM_ML_DSA, param), case.hex("msg"));
                // The file has the signature with the message behind it.
                let mut signature = case.hex("sm");
                signature.truncate(signature.len() - msg.len());
                for private in [by_seed, by_value] {
                    let key = token
                        .create(&private)
                        .unwrap_or_else(|rv| panic!("{what}: {rv:#x}"));
                    assert_eq!(key.sign(&mech, &msg).as_ref(), Ok(&signature), "{what}");
                }
                assert_eq!(public.verify(&mech, &msg, &signature), Ok(()), "{what}");
                assert_eq!(
                    public.verify_signature(&mech, &msg, &signature),
                    Ok(()),
                    "{what}: 3.2"
                );
                tally.count();
            },
        );
    }
    tally.end("C API, NIST, ML-DSA", 300);
}

/// No package has vectors of HashML-DSA: the mechanisms that hash and the one that is given the digest are held against
/// each other, and against pure ML-DSA, which must not take their signatures.
#[test]
fn hash_ml_dsa() {
    hash_ml_dsa_cases(3);
}

#[test]
#[ignore = "long: ./check full"]
fn hash_ml_dsa_all() {
    hash_ml_dsa_cases(100);
}

fn hash_ml_dsa_cases(most: usize) {
    const CKM_HASH_ML_DSA: CK_MECHANISM_TYPE = 0x1f;
    let token = Token::new();
    let mut tally = Tally::default();
    // CKM_HASH_ML_DSA_*, and the hash that it takes.
    let whole = [
        (0x23, hashes::SHA224),
        (0x24, hashes::SHA256),
        (0x25, hashes::SHA384),
        (0x26, hashes::SHA512),
        (0x27, hashes::SHA3_224),
        (0x28, hashes::SHA3_256),
        (0x29, hashes::SHA3_384),
        (0x2a, hashes::SHA3_512),
    ];
    for (set, name) in [(1, "44"), (2, "65"), (3, "87")] {
        each_case(
            &format!("asymmetric/MLDSA/kat_MLDSA_{name}_det_pure.rsp"),
            |case| {
                if case.number("count") >= most {
                    tally.skip("keys beyond the first of a set: ./check full", whole.len());
                    return;
                }
                let template =
                    |class| Template::key(class, CKK_ML_DSA).ulong(CKA_PARAMETER_SET, set);
                let private = template(CKO_PRIVATE_KEY)
                    .bytes(CKA_SEED, &case.hex("xi"))
                    .may(&[CKA_SIGN]);
                let public = template(CKO_PUBLIC_KEY)
                    .bytes(CKA_VALUE, &case.hex("pk"))
                    .may(&[CKA_VERIFY]);
                let (private, public) = (
                    token.create(&private).unwrap(),
                    token.create(&public).unwrap(),
                );
                let (msg, context) = (case.hex("msg"), case.hex("ctx"));
                for (mech, hash) in whole {
                    let what = format!("HashML-DSA-{name} {} {}", hash.name, case.describe());
                    let param = |context: &[u8], hash| Param::Context {
                        hedge: DETERMINISTIC,
                        context: context.to_vec(),
                        hash,
                    };
                    let hashing = Mech::with_param(mech, param(&context, None));
                    let signature = private.sign(&hashing, &msg).unwrap();
                    assert_eq!(
                        private.sign_parts(&hashing, &msg).as_ref(),
                        Ok(&signature),
                        "{what}"
                    );
                    let given =
                        Mech::with_param(CKM_HASH_ML_DSA, param(&context, Some(hash.digest)));
                    let digest = token.digest(hash.digest, &msg).unwrap();
                    assert_eq!(
                        private.sign(&given, &digest).as_ref(),
                        Ok(&signature),
                        "{what}: digest"
                    );
                    assert_eq!(public.verify(&hashing, &msg, &signature), Ok(()), "{what}");
                    assert_eq!(
                        public.verify_signature_parts(&hashing, &msg, &signature),
                        Ok(()),
                        "{what}"
                    );
                    assert_eq!(
                        public.verify(&given, &digest, &signature),
                        Ok(()),
                        "{what}: digest"
                    );
                    let others = [
                        Mech::with_param(CKM_ML_DSA, param(&context, None)),
                        Mech::with_param(mech, param(b"another", None)),
                        Mech::with_param(
                            if mech == 0x24 { 0x28 } else { 0x24 },
                            param(&context, None),
                        ),
                    ];
                    for (i, other) in others.iter().enumerate() {
                        let refused = public.verify(other, &msg, &signature);
                        assert_eq!(refused, Err(CKR_SIGNATURE_INVALID), "{what}: other {i}");
                    }
                    tally.count();
                }
            },
        );
    }
    tally.skip(
        "HASH_ML_DSA with SHAKE128 and SHAKE256, whose digest no mechanism makes",
        3 * 2 * most,
    );
    tally.end("C API, HashML-DSA", 3 * 8 * most);
}
