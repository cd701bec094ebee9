//! One-shot operations in steady state take no memory: what an Init and its call need, the session has from the pair
//! before. Counted is every allocation of this library's (AWS-LC takes memory of its own for RSA and elliptic curves).
//! A program of its own: the allocator is a whole program's, and this one is linked with the library instead of loading it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::CString;
use std::ptr::null_mut;

use keystead_pkcs11 as p11;
use pkcs11_sys::*;

/// The system's allocator, counting for the thread that asks.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn counted() {
    COUNT.set(COUNT.get() + 1);
}

// SAFETY: every method is the system's own after a number was raised, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        counted();
        // SAFETY: this method's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        counted();
        // SAFETY: this method's contract.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: this method's contract.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls a function: every argument is null or lives until the call returns.
macro_rules! ok {
    ($name:ident $(, $arg:expr)* $(,)?) => {
        // SAFETY: see above.
        assert_eq!(unsafe { p11::export::$name($($arg),*) }, CKR_OK, stringify!($name))
    };
}

fn mechanism<T>(mechanism: CK_MECHANISM_TYPE, parameter: Option<&mut T>) -> CK_MECHANISM {
    let len = if parameter.is_some() {
        size_of::<T>()
    } else {
        0
    };
    CK_MECHANISM {
        mechanism,
        pParameter: parameter.map_or(null_mut(), |p| (p as *mut T).cast()),
        ulParameterLen: len as CK_ULONG,
    }
}

fn plain(id: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    mechanism::<u8>(id, None)
}

fn attr<T: ?Sized>(type_: CK_ATTRIBUTE_TYPE, value: &T) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_,
        pValue: (value as *const T).cast_mut().cast(),
        ulValueLen: size_of_val(value) as CK_ULONG,
    }
}

const SO_PIN: &[u8] = b"87654321";
const PIN: &[u8] = b"12345678";

/// A session of the logged-in user on a new token.
fn session(dir: &std::path::Path) -> CK_SESSION_HANDLE {
    let config = dir.join("pkcs11.toml");
    std::fs::write(&config, "[[token]]\ndirectory = \"token\"\n").unwrap();
    let reserved = CString::new(format!("config={}", config.display())).unwrap();
    let mut args = CK_C_INITIALIZE_ARGS {
        flags: CKF_OS_LOCKING_OK,
        pReserved: reserved.as_ptr().cast_mut().cast(),
        ..Default::default()
    };
    ok!(C_Initialize, (&raw mut args).cast());
    let (mut slot, mut count, mut h) = (0, 1, 0);
    ok!(C_GetSlotList, CK_TRUE, &mut slot, &mut count);
    let (so, so_len) = (SO_PIN.as_ptr().cast_mut(), SO_PIN.len() as CK_ULONG);
    let (pin, len) = (PIN.as_ptr().cast_mut(), PIN.len() as CK_ULONG);
    ok!(C_InitToken, slot, so, so_len, [b' '; 32].as_mut_ptr());
    let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    ok!(C_OpenSession, slot, flags, null_mut(), None, &mut h);
    ok!(C_Login, h, CKU_SO, so, so_len);
    ok!(C_InitPIN, h, pin, len);
    ok!(C_Logout, h);
    ok!(C_Login, h, CKU_USER, pin, len);
    h
}

fn secret(h: CK_SESSION_HANDLE, id: CK_MECHANISM_TYPE) -> CK_OBJECT_HANDLE {
    let (yes, len) = (CK_TRUE, 32 as CK_ULONG);
    let uses = [CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY];
    let mut template: Vec<CK_ATTRIBUTE> = uses.iter().map(|u| attr(*u, &yes)).collect();
    template.push(attr(CKA_VALUE_LEN, &len));
    let (at, count) = (template.as_mut_ptr(), template.len() as CK_ULONG);
    let mut key = 0;
    ok!(C_GenerateKey, h, &mut plain(id), at, count, &mut key);
    key
}

fn pair(h: CK_SESSION_HANDLE, id: CK_MECHANISM_TYPE, what: CK_ATTRIBUTE) -> [CK_OBJECT_HANDLE; 2] {
    let yes = CK_TRUE;
    let uses = [CKA_VERIFY, CKA_ENCRYPT].map(|u| attr(u, &yes));
    let mut public = vec![what, uses[0]];
    let mut private = vec![attr(CKA_SIGN, &yes)];
    if id == CKM_RSA_PKCS_KEY_PAIR_GEN {
        public.push(uses[1]);
        private.push(attr(CKA_DECRYPT, &yes));
    }
    let (mut there, mut mine) = (0, 0);
    ok!(
        C_GenerateKeyPair,
        h,
        &mut plain(id),
        public.as_mut_ptr(),
        public.len() as CK_ULONG,
        private.as_mut_ptr(),
        private.len() as CK_ULONG,
        &mut there,
        &mut mine,
    );
    [there, mine]
}

/// What the third and later of a hundred calls take.
fn steady(name: &str, mut act: impl FnMut()) {
    (0..2).for_each(|_| act());
    let before = COUNT.get();
    (0..100).for_each(|_| act());
    assert_eq!(COUNT.get() - before, 0, "allocations in 100 times {name}");
}

#[test]
fn no_memory_in_steady_state() {
    let dir = tempfile::tempdir().unwrap();
    let h = session(dir.path());
    let aes = secret(h, CKM_AES_KEY_GEN);
    let generic = secret(h, CKM_GENERIC_SECRET_KEY_GEN);
    let p256 = [6_u8, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];
    let [ec_public, ec] = pair(h, CKM_EC_KEY_PAIR_GEN, attr(CKA_EC_PARAMS, &p256));
    let bits = 2048 as CK_ULONG;
    let [_, rsa] = pair(h, CKM_RSA_PKCS_KEY_PAIR_GEN, attr(CKA_MODULUS_BITS, &bits));

    let mut data = [5_u8; 1024];
    let (mut iv, mut aad) = ([3_u8; 12], [4_u8; 20]);
    let (mut sealed, mut opened) = ([0_u8; 1040], [0_u8; 1040]);
    // Proof that the counter counts.
    let before = COUNT.get();
    drop(std::hint::black_box(vec![1_u8; 10]));
    assert_eq!(COUNT.get() - before, 1);

    let mut params = CK_GCM_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: 12,
        ulIvBits: 96,
        pAAD: aad.as_mut_ptr(),
        ulAADLen: 20,
        ulTagBits: 128,
    };
    steady("GCM there and back", || {
        let mut gcm = mechanism(CKM_AES_GCM, Some(&mut params));
        let mut len = sealed.len() as CK_ULONG;
        ok!(C_EncryptInit, h, &mut gcm, aes);
        ok!(
            C_Encrypt,
            h,
            data.as_mut_ptr(),
            1024,
            sealed.as_mut_ptr(),
            &mut len
        );
        assert_eq!(len, 1040);
        ok!(C_DecryptInit, h, &mut gcm, aes);
        ok!(
            C_Decrypt,
            h,
            sealed.as_mut_ptr(),
            1040,
            opened.as_mut_ptr(),
            &mut len
        );
        assert_eq!((len, &opened[..1024]), (1024, &data[..]));
    });
    steady("CBC", || {
        let mut cbc = mechanism(CKM_AES_CBC, Some(&mut [9_u8; 16]));
        let mut len = sealed.len() as CK_ULONG;
        ok!(C_EncryptInit, h, &mut cbc, aes);
        ok!(
            C_Encrypt,
            h,
            data.as_mut_ptr(),
            1024,
            sealed.as_mut_ptr(),
            &mut len
        );
    });
    steady("a digest", || {
        let mut len = 32;
        ok!(C_DigestInit, h, &mut plain(CKM_SHA256));
        ok!(
            C_Digest,
            h,
            data.as_mut_ptr(),
            1024,
            sealed.as_mut_ptr(),
            &mut len
        );
    });
    let mut sign = |name: &str, id, key, len: CK_ULONG, expected: CK_ULONG| {
        steady(name, || {
            let mut wrote = sealed.len() as CK_ULONG;
            ok!(C_SignInit, h, &mut plain(id), key);
            ok!(
                C_Sign,
                h,
                data.as_mut_ptr(),
                len,
                sealed.as_mut_ptr(),
                &mut wrote
            );
            assert_eq!(wrote, expected);
        });
    };
    sign("HMAC", CKM_SHA256_HMAC, generic, 1024, 32);
    sign("RSA", CKM_SHA256_RSA_PKCS, rsa, 1024, 256);
    sign("ECDSA", CKM_ECDSA, ec, 32, 64);
    steady("ECDSA's verification", || {
        ok!(C_VerifyInit, h, &mut plain(CKM_ECDSA), ec_public);
        ok!(C_Verify, h, data.as_mut_ptr(), 32, sealed.as_mut_ptr(), 64);
    });
    ok!(C_Finalize, null_mut());
}
