//! Pointers and lengths that lie, for every function of the list: the signatures are read out of the
//! list itself, so a new function is tried by being there. An answer must come at once, and be a
//! refusal. (A crash ends the test program; the last name on its output is the culprit.)

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libloading::Library;
use pkcs11_sys::*;

use crate::raw::{Raw, STANDARD, attr, p11, p11_3_2, plain, with};

/// Functions with their parameters, as (name, type).
fn signatures() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let list = include_str!("../src/export/list.rs");
    let mut found = Vec::new();
    for part in list.split("\n    fn C_").skip(1) {
        let (name, rest) = part.split_once('(').unwrap();
        let (parameters, _) = rest.split_once(')').unwrap();
        let parameters = parameters
            .split(',')
            .map(str::trim)
            .filter(|p| !p.is_empty());
        let parameters = parameters.map(|p| p.split_once(':').unwrap());
        let parameters = parameters
            .map(|(name, ty)| (name.trim(), ty.trim()))
            .collect();
        found.push((name, parameters));
    }
    found
}

fn is_pointer(ty: &str) -> bool {
    ty.contains("_PTR") || ty.contains('*') || ty == "CK_NOTIFY"
}

/// Calls a symbol with integer registers, which is how every argument of PKCS#11 travels on the 64-bit
/// systems that we test on.
fn call(library: &Library, name: &str, a: &[u64]) -> CK_RV {
    macro_rules! as_many {
        ($($n:literal: $($t:ident)*),*) => { match a.len() { $($n => {
            // SAFETY: an exported function of that many word-sized arguments; see `call`.
            let f = unsafe { library.get::<unsafe extern "C" fn($($t),*) -> CK_RV>(name.as_bytes()) };
            let f = f.unwrap_or_else(|e| panic!("{e}"));
            #[allow(unused)]
            let mut a = a.iter().copied();
            // SAFETY: arguments are null, or lead to the test's arena, or are lies, which is the test.
            unsafe { f($({ let next: $t = a.next().unwrap(); next }),*) }
        })* n => panic!("{name} has {n} parameters") } };
    }
    as_many!(
        0: , 1: u64, 2: u64 u64, 3: u64 u64 u64, 4: u64 u64 u64 u64, 5: u64 u64 u64 u64 u64,
        6: u64 u64 u64 u64 u64 u64, 7: u64 u64 u64 u64 u64 u64 u64, 8: u64 u64 u64 u64 u64 u64 u64 u64,
        9: u64 u64 u64 u64 u64 u64 u64 u64 u64, 10: u64 u64 u64 u64 u64 u64 u64 u64 u64 u64,
        11: u64 u64 u64 u64 u64 u64 u64 u64 u64 u64 u64
    )
}

/// What begins or ends the module, and what needs no pointer to work.
const APART: [&str; 3] = ["Initialize", "Finalize", "WaitForSlotEvent"];

/// What works without a module, and so without its log.
const UNLOGGED: [&str; 3] = ["C_GetFunctionList", "C_GetInterface", "C_GetInterfaceList"];

/// A null mechanism ends an operation, says 3.0; a null output asks for a length.
fn null_has_a_meaning(name: &str, parameter: (&str, &str)) -> bool {
    parameter.1 == "CK_MECHANISM_PTR" && name.ends_with("Init")
}

#[test]
fn every_function_refuses_lies_at_once() {
    let raw = Raw::new().configured("log = \"log\"\n", STANDARD);
    // SAFETY: our own library, which is loaded already.
    let library = unsafe { Library::new(raw.copy.path()) }.unwrap();
    let all = signatures();
    assert!(all.len() > 90, "{} functions", all.len());
    let (mut tried, mut calls) = (0, BTreeMap::new());
    for (name, parameters) in &all {
        if APART.contains(name) || !parameters.iter().any(|(_, ty)| is_pointer(ty)) {
            continue;
        }
        let symbol = format!("C_{name}");
        // Whatever is pointed to is zeroes, but what a length claims.
        for lie in [7, u64::MAX, 1 << 63, 1 << 48] {
            for null in [true, false] {
                if !null && lie == 7 {
                    continue;
                }
                let mut arena = vec![0u64; 4096];
                let at = arena.as_mut_ptr() as u64;
                let mut room = lie;
                let lies = |(i, &(n, ty)): (usize, &(&str, &str))| match ty {
                    "CK_SESSION_HANDLE" => raw.h,
                    "CK_SLOT_ID" => raw.slot,
                    "CK_ULONG_PTR" if null && lie == 7 => 0,
                    "CK_ULONG_PTR" => (&raw mut room) as u64,
                    _ if is_pointer(ty) && null => 0,
                    _ if is_pointer(ty) => at + i as u64 * 512,
                    // Which flags are asked for is no length, and any number may be asked.
                    "CK_ULONG" if n != "h" && n != "_kind" => lie,
                    _ => 1,
                };
                let arguments: Vec<u64> = parameters.iter().enumerate().map(lies).collect();
                let lengths = parameters
                    .iter()
                    .any(|(n, ty)| *ty == "CK_ULONG" && *n != "_kind");
                if !(lengths || null && lie == 7) {
                    // Null with room for more than there can be is a question for a length.
                    continue;
                }
                if parameters
                    .iter()
                    .any(|p| null && null_has_a_meaning(name, *p))
                {
                    continue;
                }
                println!("{symbol} {lie:#x} null: {null}");
                begin(&raw, name);
                let started = Instant::now();
                let rv = call(&library, &symbol, &arguments);
                assert!(
                    started.elapsed() < Duration::from_secs(2),
                    "{symbol}: at once"
                );
                assert_ne!(rv, CKR_OK, "{symbol} with {arguments:x?}");
                assert!(
                    ![CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_DEVICE_ERROR].contains(&rv),
                    "{symbol} says what is wrong, not {rv:#x}"
                );
                tried += 1;
                *calls.entry(symbol.clone()).or_insert(0) += 1;
            }
        }
    }
    println!("{tried} calls");
    assert!(tried > 200);
    let log = std::fs::read_to_string(raw.copy.dir().join("log")).unwrap();
    for (symbol, calls) in calls {
        let lines = log
            .lines()
            .filter(|line| line.split(' ').nth(2) == Some(&symbol))
            .count();
        let silent = UNLOGGED.contains(&symbol.as_str());
        assert!(
            if silent { lines == 0 } else { lines >= calls },
            "{symbol}: {lines} lines of {calls} calls"
        );
    }
    let mut info = CK_INFO::default();
    assert_eq!(p11!(raw, C_GetInfo, &raw mut info), CKR_OK, "it lives");
}

/// Operations for the function to lie to: without one it would say so before it looks at pointers. One that is active from
/// the lie before will do.
fn begin(raw: &Raw, name: &str) {
    let (mut sha, mut mac, mut gcm) = (
        plain(CKM_SHA256),
        plain(CKM_SHA256_HMAC),
        plain(CKM_AES_GCM),
    );
    let (mut iv, mut x509) = ([0u8; 16], plain(CKM_RSA_X_509));
    let mut cbc = with(CKM_AES_CBC_PAD, &mut iv);
    let aes = || raw.aes();
    let secret = || raw.generate(CKM_GENERIC_SECRET_KEY_GEN, 32);
    let h = raw.h;
    let mut done = Vec::new();
    let is = |names: &[&str]| names.contains(&name);
    if is(&[
        "Digest",
        "DigestUpdate",
        "DigestFinal",
        "DigestEncryptUpdate",
        "DecryptDigestUpdate",
    ]) {
        done.push(p11!(raw, C_DigestInit, h, &mut sha));
    }
    if is(&["Sign", "SignUpdate", "SignFinal", "SignEncryptUpdate"]) {
        done.push(p11!(raw, C_SignInit, h, &mut mac, secret()));
    }
    if is(&[
        "Verify",
        "VerifyUpdate",
        "VerifyFinal",
        "DecryptVerifyUpdate",
    ]) {
        done.push(p11!(raw, C_VerifyInit, h, &mut mac, secret()));
    }
    if is(&[
        "Encrypt",
        "EncryptUpdate",
        "EncryptFinal",
        "DigestEncryptUpdate",
        "SignEncryptUpdate",
    ]) {
        done.push(p11!(raw, C_EncryptInit, h, &mut cbc, aes()));
    }
    if is(&[
        "Decrypt",
        "DecryptUpdate",
        "DecryptFinal",
        "DecryptDigestUpdate",
        "DecryptVerifyUpdate",
    ]) {
        done.push(p11!(raw, C_DecryptInit, h, &mut cbc, aes()));
    }
    if is(&["SignRecover", "VerifyRecover"]) {
        let bits: CK_ULONG = 2048;
        let rsa = plain(CKM_RSA_PKCS_KEY_PAIR_GEN);
        let [public, private] = raw
            .pair(rsa, vec![attr(CKA_MODULUS_BITS, &bits)], vec![])
            .unwrap();
        done.push(match name {
            "SignRecover" => p11!(raw, C_SignRecoverInit, h, &mut x509, private),
            _ => p11!(raw, C_VerifyRecoverInit, h, &mut x509, public),
        });
    }
    if name.starts_with("VerifySignature") && name != "VerifySignatureInit" {
        let mut signature = [0u8; 32];
        let at = signature.as_mut_ptr();
        done.push(p11_3_2!(
            raw,
            C_VerifySignatureInit,
            h,
            &mut mac,
            secret(),
            at,
            32
        ));
    }
    if name.starts_with("EncryptMessage") {
        done.push(p11!(raw, C_MessageEncryptInit, h, &mut gcm, aes()));
    }
    if name.starts_with("DecryptMessage") {
        done.push(p11!(raw, C_MessageDecryptInit, h, &mut gcm, aes()));
    }
    if name.starts_with("SignMessage") {
        done.push(p11!(raw, C_MessageSignInit, h, &mut mac, secret()));
    }
    if name.starts_with("VerifyMessage") {
        done.push(p11!(raw, C_MessageVerifyInit, h, &mut mac, secret()));
    }
    for rv in done {
        assert!(
            [CKR_OK, CKR_OPERATION_ACTIVE].contains(&rv),
            "{name}: {rv:#x}"
        );
    }
}
