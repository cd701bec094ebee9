//! Every file of the two packages of vectors is run through the C API by some family, or stands here with the reason.

use super::nist::directory;
use super::tally::{Counts, families, set_name};
use std::collections::BTreeSet;
use std::path::Path;

/// Files of `cryptography-vectors` by how their names begin, `*` for anything between; the first that fits.
const NIST: &[(&str, &str)] = &[
    ("*.py", "the package's own"),
    ("py.typed", "the package's own"),
    ("*eadme.txt", "no vectors"),
    (
        "*.pem",
        "keys in PEM, for their readers (`keystead token import` has tests of its own)",
    ),
    (
        "*.der",
        "keys in DER, for their readers (`keystead token import` has tests of its own)",
    ),
    ("x509/", "certificates, which a token keeps as bytes"),
    ("pkcs7/", "signed messages, which applications read"),
    ("pkcs12/", "containers, which applications read"),
    ("fernet/", "a format of applications"),
    ("HPKE/", "a protocol of applications"),
    ("chunked-encryption/", "a format of applications"),
    (
        "asymmetric/PEM_Serialization/",
        "formats of keys, which applications read",
    ),
    (
        "asymmetric/OpenSSH/",
        "formats of keys, which applications read",
    ),
    (
        "asymmetric/EC/compressed_points.txt",
        "points alone, with no answer that a token gives (Wycheproof's ECDH has compressed ones)",
    ),
    (
        "asymmetric/ECDSA/FIPS_186-*/SigGen.rsp",
        "the cases of SigGen.txt without the private keys",
    ),
    (
        "asymmetric/ECDSA/RFC6979/",
        "signatures of a number made of the message: this token's are random (Wycheproof has the curves)",
    ),
    (
        "asymmetric/DSA/FIPS_186-*/KeyPair.rsp",
        "key generation from given randomness, which PKCS#11 cannot give",
    ),
    (
        "asymmetric/DSA/FIPS_186-*/PQGGen",
        "domain generation from given randomness, which PKCS#11 cannot give",
    ),
    (
        "asymmetric/DSA/FIPS_186-3/PQGVer.rsp",
        "domains with the seed that they are made of, which PKCS#11 has no place for (FIPS_186-2's are run)",
    ),
    (
        "asymmetric/DSA/FIPS_186-*/SigGen.rsp",
        "the cases of SigGen.txt without the private keys (FIPS_186-3's are run)",
    ),
    (
        "asymmetric/DSA/FIPS_186-2/SigGen.txt",
        "SHA-1 and 1,024 bits only (FIPS_186-3's are run, and have these)",
    ),
    ("asymmetric/DH/rfc3526.txt", "groups alone, with no answer"),
    (
        "asymmetric/DH/bad_exchange.txt",
        "faults of a program that let small groups in, which C_CreateObject refuses",
    ),
    (
        "asymmetric/DH/vec.txt",
        "decimal numbers and groups without a name, some under 1,024 bits (the KAS files are run)",
    ),
    (
        "asymmetric/DH/RFC5114.txt",
        "three cases more of what the KAS files have",
    ),
    ("asymmetric/DH/*.txt", "keys, for their readers"),
    (
        "asymmetric/RSA/FIPS_186-2/KeyGenRSA.rsp",
        "key generation from given randomness, which PKCS#11 cannot give",
    ),
    (
        "asymmetric/RSA/FIPS_186-2/SigGenRSA",
        "signatures of ANSI X9.31, a mechanism that this token has not",
    ),
    (
        "asymmetric/RSA/FIPS_186-2/SigVerRSA.rsp",
        "signatures of ANSI X9.31, a mechanism that this token has not",
    ),
    ("asymmetric/RSA/oaep-", "OAEP: Wycheproof's vectors are run"),
    (
        "asymmetric/RSA/pkcs-1v2-1d2-vec/",
        "OAEP and PSS with given randomness: NIST's and Wycheproof's vectors are run",
    ),
    (
        "asymmetric/RSA/pkcs1v15crypt-vectors.txt",
        "PKCS#1 encryption: Wycheproof's vectors are run",
    ),
    (
        "asymmetric/RSA/pkcs1v15sign-vectors.txt",
        "PKCS#1 signatures: NIST's and Wycheproof's vectors are run",
    ),
    (
        "asymmetric/RSA/SigVer15EMTest.txt",
        "the blocks of SigVer15_186-3.rsp, which is run",
    ),
    (
        "ciphers/AES/CCM/*.txt",
        "the cases of the file .rsp, which is run",
    ),
    ("ciphers/AES/GCM-SIV/", "PKCS#11 has no such mechanism"),
    ("ciphers/AES/OCB3/", "PKCS#11 has no such mechanism"),
    ("ciphers/AES/SIV/", "PKCS#11 has no such mechanism"),
    (
        "ciphers/3DES/CBC/TCBCI",
        "interleaved CBC, which PKCS#11 has not",
    ),
    (
        "ciphers/3DES/CFB/",
        "triple DES for old data only: ECB and CBC",
    ),
    (
        "ciphers/3DES/OFB/",
        "triple DES for old data only: ECB and CBC",
    ),
    ("ciphers/ARC4/", "a broken cipher"),
    (
        "ciphers/Blowfish/",
        "an old cipher that neither CloudHSM nor SoftHSM2 has",
    ),
    (
        "ciphers/CAST5/",
        "an old cipher that neither CloudHSM nor SoftHSM2 has",
    ),
    (
        "ciphers/IDEA/",
        "an old cipher that neither CloudHSM nor SoftHSM2 has",
    ),
    (
        "ciphers/RC2/",
        "an old cipher that neither CloudHSM nor SoftHSM2 has",
    ),
    (
        "ciphers/Camellia/",
        "a cipher that neither CloudHSM nor SoftHSM2 has",
    ),
    (
        "ciphers/SEED/",
        "a cipher that neither CloudHSM nor SoftHSM2 has",
    ),
    (
        "ciphers/SM4/",
        "a cipher that neither CloudHSM nor SoftHSM2 has",
    ),
    (
        "ciphers/ChaCha20Poly1305/boringssl.txt",
        "OpenSSL's and Wycheproof's vectors are run",
    ),
    (
        "poly1305/",
        "CKM_POLY1305, which this token has in CKM_CHACHA20_POLY1305 only",
    ),
    (
        "hashes/*Monte.txt",
        "the chain's steps, whose end is in the file .rsp, which is run",
    ),
    ("hashes/SHAKE/", "PKCS#11 has no such mechanism"),
    (
        "hashes/SM3/",
        "a hash that neither CloudHSM nor SoftHSM2 has",
    ),
    (
        "hashes/blake2/",
        "a hash that neither CloudHSM nor SoftHSM2 has",
    ),
    (
        "hashes/ripemd160/",
        "a hash that neither CloudHSM nor SoftHSM2 has",
    ),
    (
        "HMAC/rfc-2286-ripemd160.txt",
        "a hash that neither CloudHSM nor SoftHSM2 has",
    ),
    ("KDF/argon2", "PKCS#11 has no such mechanism"),
    ("KDF/scrypt.txt", "PKCS#11 has no such mechanism"),
    (
        "KDF/ansx963_2001.txt",
        "the KDF alone, which PKCS#11 has within CKM_ECDH1_DERIVE only",
    ),
    (
        "KDF/rfc-6070-PBKDF2-SHA1.txt",
        "PBKDF2: Wycheproof's vectors are run",
    ),
    ("keywrap/kwp_botan.txt", "KWP: NIST's vectors are run"),
    (
        "keywrap/kwtestvectors/*_inv.txt",
        "the inverse cipher function, which no mechanism has",
    ),
    ("keywrap/kwtestvectors/TKW", "triple DES wraps in CBC only"),
    (
        "twofactor/rfc-6238.txt",
        "TOTP, which PKCS#11 has no mechanism for",
    ),
];

/// Sets of Wycheproof's, likewise.
const WYCHEPROOF: &[(&str, &str)] = &[
    (
        "wycheproof::aead::Aes*CbcHmac",
        "a composition that PKCS#11 has no mechanism for",
    ),
    (
        "wycheproof::aead::",
        "PKCS#11 has no such mechanism, or neither CloudHSM nor SoftHSM2 such a cipher",
    ),
    (
        "wycheproof::cipher::",
        "a cipher that neither CloudHSM nor SoftHSM2 has",
    ),
    (
        "wycheproof::keywrap::",
        "a cipher that neither CloudHSM nor SoftHSM2 has",
    ),
    (
        "wycheproof::mac::",
        "PKCS#11 has no such mechanism, or neither CloudHSM nor SoftHSM2 such a cipher",
    ),
    (
        "wycheproof::mac_with_nonce::Vmac",
        "PKCS#11 has no such mechanism",
    ),
    (
        "wycheproof::chunked_encryption::",
        "a format of applications",
    ),
    (
        "wycheproof::ec_curve::",
        "the curves' constants, with no question to a token",
    ),
    (
        "wycheproof::primality::",
        "no function of PKCS#11 tests a number",
    ),
    ("wycheproof::fpe_", "PKCS#11 has no such mechanism"),
];

/// Whether the name begins so.
fn fits(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name.starts_with(pattern),
        Some((begin, then)) => name
            .strip_prefix(begin)
            .is_some_and(|rest| rest.find(then).is_some()),
    }
}

/// Each is run or left out for a reason, and each reason is needed.
fn accounted(all: BTreeSet<String>, reasons: &[(&str, &str)], family: &str) {
    let ran: BTreeSet<String> = families().into_values().flatten().collect();
    let mut tally = Counts::default();
    let mut needed = BTreeSet::new();
    let mut silent = Vec::new();
    for name in &all {
        let reason = reasons.iter().position(|(pattern, _)| fits(name, pattern));
        match reason {
            _ if ran.contains(name) => tally.count(),
            Some(at) => {
                needed.insert(at);
                tally.skip(reasons[at].1, 1);
            }
            None => silent.push(name),
        }
    }
    assert!(
        silent.is_empty(),
        "neither run nor left out for a reason: {silent:#?}"
    );
    let idle = (0..reasons.len()).filter(|at| !needed.contains(at));
    let idle: Vec<_> = idle.map(|at| reasons[at].0).collect();
    assert!(idle.is_empty(), "reasons that nothing needs: {idle:?}");
    tally.end(family, 150);
}

/// The files under a directory, by their paths in the package.
fn under(directory: &Path, inside: &str, all: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("read a directory") {
        let entry = entry.expect("read a directory");
        let name = format!("{inside}{}", entry.file_name().to_str().expect("a name"));
        if entry.path().is_dir() {
            under(&entry.path(), &format!("{name}/"), all);
        } else {
            all.insert(name);
        }
    }
}

#[test]
fn every_file_of_cryptography_vectors() {
    let mut all = BTreeSet::new();
    under(directory(), "", &mut all);
    accounted(all, NIST, "C API, files of cryptography-vectors");
}

#[test]
fn every_set_of_wycheproof() {
    macro_rules! sets {
        ($($family:ident)*) => {
            [$(wycheproof::$family::TestName::all().iter().map(set_name).collect::<Vec<_>>()),*]
        };
    }
    let all = sets!(
        aead chunked_encryption cipher dsa ec_curve ecdh ecdsa eddsa fpe_list fpe_str hkdf keywrap mac mac_with_nonce
        mldsa_sign mldsa_verify mlkem pbes2 pbkdf2 primality rsa_oaep rsa_pkcs1_decrypt rsa_pkcs1_verify rsa_pss_verify
        xdh
    );
    let all = all.into_iter().flatten().collect();
    accounted(all, WYCHEPROOF, "C API, Wycheproof's sets");
}
