//! Pointers and lengths that lie, for every function of the list: the signatures are read out of the
//! list itself, so a new function is tried by being there. An answer must come at once, and be a
//! refusal. (A crash ends the test program; the last name on its output is the culprit.)

use std::ffi::c_void;
use std::time::{Duration, Instant};

use libloading::Library;
use pkcs11_sys::*;

use crate::raw::{Raw, p11};

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

/// A null mechanism ends an operation, says 3.0; a null output asks for a length.
fn null_has_a_meaning(name: &str, parameter: (&str, &str)) -> bool {
    parameter.1 == "CK_MECHANISM_PTR" && name.ends_with("Init")
}

#[test]
fn every_function_refuses_lies_at_once() {
    let raw = Raw::new();
    // SAFETY: our own library, which is loaded already.
    let library = unsafe { Library::new(raw.copy.path()) }.unwrap();
    let all = signatures();
    assert!(all.len() > 90, "{} functions", all.len());
    let mut tried = 0;
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
                    "CK_ULONG" if n != "h" && n != "kind" => lie,
                    _ => 1,
                };
                let arguments: Vec<u64> = parameters.iter().enumerate().map(lies).collect();
                let lengths = parameters
                    .iter()
                    .any(|(n, ty)| *ty == "CK_ULONG" && *n != "kind");
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
            }
        }
    }
    println!("{tried} calls");
    assert!(tried > 200);
    let mut info = CK_INFO::default();
    assert_eq!(p11!(raw, C_GetInfo, &raw mut info), CKR_OK, "it lives");
}

/// An operation for the function to lie to: without one it would say so before it looks at pointers.
fn begin(raw: &Raw, name: &str) {
    let mut sha = CK_MECHANISM {
        mechanism: CKM_SHA256,
        pParameter: std::ptr::null_mut::<c_void>(),
        ulParameterLen: 0,
    };
    let mut mac = CK_MECHANISM {
        mechanism: CKM_SHA256_HMAC,
        ..sha
    };
    let mut iv = [0u8; 16];
    let mut cbc = CK_MECHANISM {
        mechanism: CKM_AES_CBC_PAD,
        pParameter: iv.as_mut_ptr().cast(),
        ulParameterLen: 16,
    };
    let mut key = 0;
    let make = |mech: CK_MECHANISM_TYPE, key: &mut CK_OBJECT_HANDLE| {
        let mut len: CK_ULONG = 32;
        let mut template = [CK_ATTRIBUTE {
            type_: CKA_VALUE_LEN,
            pValue: (&raw mut len).cast(),
            ulValueLen: size_of::<CK_ULONG>() as CK_ULONG,
        }];
        let mut mech = CK_MECHANISM {
            mechanism: mech,
            ..sha
        };
        let at = template.as_mut_ptr();
        assert_eq!(
            p11!(raw, C_GenerateKey, raw.h, &raw mut mech, at, 1, key),
            CKR_OK
        );
    };
    let done = match name {
        "Digest" | "DigestUpdate" | "DigestFinal" => p11!(raw, C_DigestInit, raw.h, &raw mut sha),
        "Sign" | "SignUpdate" | "SignFinal" => {
            make(CKM_GENERIC_SECRET_KEY_GEN, &mut key);
            p11!(raw, C_SignInit, raw.h, &raw mut mac, key)
        }
        "Verify" | "VerifyUpdate" | "VerifyFinal" => {
            make(CKM_GENERIC_SECRET_KEY_GEN, &mut key);
            p11!(raw, C_VerifyInit, raw.h, &raw mut mac, key)
        }
        "Encrypt" | "EncryptUpdate" | "EncryptFinal" => {
            make(CKM_AES_KEY_GEN, &mut key);
            p11!(raw, C_EncryptInit, raw.h, &raw mut cbc, key)
        }
        "Decrypt" | "DecryptUpdate" | "DecryptFinal" => {
            make(CKM_AES_KEY_GEN, &mut key);
            p11!(raw, C_DecryptInit, raw.h, &raw mut cbc, key)
        }
        _ => CKR_OK,
    };
    assert!(
        [CKR_OK, CKR_OPERATION_ACTIVE].contains(&done),
        "{name}: {done:#x}"
    );
}
