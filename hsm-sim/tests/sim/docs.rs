//! docs/mechanisms.md is what the rows say. After a change of rows:
//! `KEYSTEAD_WRITE=1 cargo test -p hsm-sim mechanisms_md`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use hsm_api::{KeyType, Op};
use hsm_sim::code::key_type as kt;
use hsm_sim::mech::{ALL, Func, Mech, Unit};

fn key_name(key_type: KeyType) -> &'static str {
    match key_type {
        kt::RSA => "RSA",
        kt::DSA => "DSA",
        kt::DH => "DH",
        kt::EC => "EC",
        kt::EC_EDWARDS => "Edwards",
        kt::EC_MONTGOMERY => "Montgomery",
        kt::GENERIC_SECRET => "generic",
        kt::AES => "AES",
        kt::AES_XTS => "AES-XTS",
        kt::CHACHA20 => "ChaCha20",
        kt::DES => "DES",
        kt::DES2 => "DES2",
        kt::DES3 => "DES3",
        kt::HKDF => "HKDF",
        kt::HOTP => "HOTP",
        kt::ML_DSA => "ML-DSA",
        kt::ML_KEM => "ML-KEM",
        kt::SLH_DSA => "SLH-DSA",
        _ => "HMAC",
    }
}

fn keys(mech: &Mech) -> String {
    if mech.keys == kt::SECRETS {
        return "any secret key".to_owned();
    }
    let mut names: Vec<&str> = mech.keys.iter().map(|k| key_name(*k)).collect();
    names.dedup();
    names.join(", ")
}

fn sizes(mech: &Mech) -> String {
    let unit = match mech.unit {
        Unit::Bits => "bits",
        Unit::Bytes => "bytes",
        Unit::Nothing if mech.sizes.1 > 0 => "bytes",
        Unit::Nothing => return String::new(),
    };
    match mech.sizes {
        (a, b) if a == b => format!("{a} {unit}"),
        (a, b) => format!("{a} to {b} {unit}"),
    }
}

fn functions(mech: &Mech) -> String {
    let all = [
        (Func::Crypt(Op::Encrypt), "encrypt"),
        (Func::Crypt(Op::Sign), "sign"),
        (Func::Crypt(Op::SignRecover), "recover"),
        (Func::Crypt(Op::Digest), "digest"),
        (Func::Generate, "generate"),
        (Func::GeneratePair, "generate pair"),
        (Func::Wrap, "wrap"),
        (Func::Derive, "derive"),
        (Func::Encapsulate, "encapsulate"),
    ];
    let able: Vec<&str> = all
        .iter()
        .filter(|(f, _)| mech.can(*f))
        .map(|(_, name)| *name)
        .collect();
    able.join(", ")
}

/// Beginning or end of a name, and where it is tested beside the C API; the first that fits.
const TESTED: &[(&str, &str)] = &[
    ("CKM_DSA_KEY_PAIR_GEN", "F"),
    ("CKM_DH_PKCS_KEY_PAIR_GEN", "F"),
    ("_PARAMETER_GEN", "F"),
    ("CKM_DSA", "K"),
    ("CKM_DH_PKCS_DERIVE", "F"),
    ("_KEY_PAIR_GEN", "K"),
    ("CKM_HOTP_KEY_GEN", "O"),
    ("_KEY_GEN", "K"),
    ("CKM_HOTP", "O U"),
    ("CKM_CLOUDHSM_SP800", "D"),
    ("CKM_CLOUDHSM", "T"),
    ("_KEY_DERIVATION", "D"),
    ("_ENCRYPT_DATA", "D"),
    ("CKM_CONCATENATE", "D"),
    ("CKM_XOR", "D"),
    ("CKM_PUB_KEY", "D"),
    ("CKM_EXTRACT", "D"),
    ("CKM_HKDF", "D W"),
    ("CKM_SP800_108", "D V"),
    ("CKM_PKCS5_PBKD2", "D W"),
    ("CKM_DES", "K U"),
    ("CKM_MD5", "K V"),
    ("_HMAC", "K V W"),
    ("_HMAC_GENERAL", "K V"),
    ("CKM_AES_CTS", "K U"),
    ("CKM_AES_OFB", "K U"),
    ("CKM_AES_CFB", "K U"),
    ("CKM_AES_MAC", "K U"),
    ("CKM_AES_KEY_WRAP_PKCS7", "K U"),
    ("CKM_AES_XTS", "K U W"),
    ("CKM_AES_ECB", "K V"),
    ("CKM_AES_CTR", "K V"),
    ("CKM_AES_CBC", "K V W"),
    ("CKM_AES_CMAC", "K V W"),
    ("CKM_AES_", "K W"),
    ("CKM_CHACHA20_POLY1305", "K W"),
    ("CKM_CHACHA20", "K V"),
    ("CKM_ECDH1", "K V W"),
    ("CKM_ECDSA", "K V W"),
    ("CKM_EDDSA", "K U W"),
    ("CKM_RSA_AES", "T"),
    ("_PSS", "K V W"),
    ("CKM_RSA", "K V W"),
    ("_RSA_PKCS", "K V W"),
    ("CKM_ML_DSA", "K V W"),
    ("CKM_HASH_ML_DSA", "K"),
    ("CKM_ML_KEM", "D V W"),
    ("CKM_SLH_DSA", "K U"),
    ("CKM_HASH_SLH_DSA", "K U"),
    ("CKM_SHA", "K V"),
];

/// The mechanisms that the vectors go through the C API with, each family's as its test has found them.
fn through_c() -> BTreeSet<u64> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/tests/vectors/ran.txt"
    );
    let ran = std::fs::read_to_string(path).unwrap();
    let codes = ran.lines().filter_map(|l| l.trim().strip_prefix("0x"));
    codes
        .map(|code| u64::from_str_radix(code, 16).expect("a code"))
        .collect()
}

fn tested(mech: &Mech) -> &'static str {
    let fits = |part: &str| {
        if part.starts_with("CKM_") {
            mech.name.starts_with(part)
        } else {
            mech.name.ends_with(part)
        }
    };
    let found = TESTED.iter().find(|(part, _)| fits(part));
    found
        .unwrap_or_else(|| panic!("say in TESTED where {} is tested", mech.name))
        .1
}

fn render() -> String {
    let mut out = String::from(
        "# Mechanisms\n\n\
         Made from the rows in `hsm-sim/src/mech/` by `hsm-sim/tests/sim/docs.rs`, which fails when this file is stale.\n\n\
         *Encrypt* means decrypt too, *sign* verify, *wrap* unwrap, *encapsulate* decapsulate. *Parts* says whether the\n\
         mechanism can be fed in parts. *Legacy* rows are offered with `legacy = true` in the configuration only,\n\
         by HSMs of a cluster unless they are in FIPS mode; CloudHSM's personality has triple DES in any case.\n\n\
         Where it is tested: **K** every function, whole and in parts, through the engine (`hsm-sim/tests/sim/keys.rs`);\n\
         **D** known answers and rules through the engine (`hsm-sim/tests/sim/derive.rs`); **F** domains, pairs and\n\
         agreement in finite fields through the engine (`hsm-sim/tests/sim/fields.rs`); **T** wrapping through the engine\n\
         (`hsm-sim/tests/sim/wrapping.rs`); **O** one-time passwords through the engine (`hsm-sim/tests/sim/otp.rs`);\n\
         **V** known answers of OpenSSL or a standard\n\
         (`hsm-crypto/tests/known/`); **U** known answers of a standard beside the algorithm (`hsm-crypto/src/`);\n\
         **W** Wycheproof's vectors (`hsm-crypto/tests/wycheproof/`); **C** through the C API of the module, by\n\
         vectors of Wycheproof or NIST, or with keys of theirs against a mechanism that has some (`tests/tests/vectors/`, whose\n\
         `ran.txt` lists both by families). What both AWS-LC and RustCrypto have is also held against each other on\n\
         random inputs (`hsm-crypto/src/oracle.rs`).\n\n\
         | mechanism | code | keys | sizes | functions | parts | tested |\n|---|---|---|---|---|---|---|\n",
    );
    let through_c = through_c();
    let mut rows: Vec<&Mech> = ALL.to_vec();
    rows.sort_by_key(|m| m.name);
    for m in rows {
        let legacy = if m.legacy { " (legacy)" } else { "" };
        let c = if through_c.contains(&m.id.0) {
            " C"
        } else {
            ""
        };
        let parts = if m.stream.is_some() { "yes" } else { "" };
        let _ = writeln!(
            out,
            "| {}{legacy} | {:#x} | {} | {} | {} | {parts} | {}{c} |",
            m.name,
            m.id.0,
            keys(m),
            sizes(m),
            functions(m),
            tested(m)
        );
    }
    out
}

#[test]
fn mechanisms_md_is_what_the_rows_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/mechanisms.md");
    let wanted = render();
    if std::env::var_os("KEYSTEAD_WRITE").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/mechanisms.md is stale: KEYSTEAD_WRITE=1 cargo test -p hsm-sim mechanisms_md"
    );
}
