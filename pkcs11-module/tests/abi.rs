//! The C ABI with what a careless or hostile caller gives it.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pkcs11_sys::*;

use crate::copy::Copy;

fn args(copy: &Copy) -> CK_C_INITIALIZE_ARGS {
    CK_C_INITIALIZE_ARGS {
        flags: CKF_OS_LOCKING_OK,
        pReserved: copy.reserved().as_ptr().cast_mut().cast(),
        ..Default::default()
    }
}

/// Calls a function of a list: every argument is null or lives until the call returns.
macro_rules! call {
    ($list:expr, $name:ident $(, $arg:expr)*) => {
        // SAFETY: see above; where a length lies, refusing to read is what is tested.
        unsafe { ($list.$name.unwrap())($($arg),*) }
    };
}

#[test]
fn nothing_but_the_specification_is_exported() {
    let copy = Copy::new();
    let mut nm = std::process::Command::new("nm");
    let out = nm.args(["-D", "--defined-only"]).arg(copy.path()).output();
    let out = out.expect("nm (binutils) lists the symbols");
    let text = String::from_utf8(out.stdout).unwrap();
    let names: Vec<_> = text
        .lines()
        .filter_map(|l| l.split(' ').next_back())
        .collect();
    assert_eq!(
        names.len(),
        104,
        "68 functions of 2.40, 24 of 3.0 and 12 of 3.2"
    );
    assert!(names.iter().all(|n| n.starts_with("C_")), "{names:?}");
}

#[test]
fn initialize_and_finalize() {
    let copy = Copy::new();
    let (_library, list) = copy.functions();
    assert_eq!((list.version.major, list.version.minor), (2, 40));
    let mut info = CK_INFO {
        cryptokiVersion: CK_VERSION { major: 0, minor: 0 },
        manufacturerID: [0; 32],
        flags: 0,
        libraryDescription: [0; 32],
        libraryVersion: CK_VERSION { major: 0, minor: 0 },
    };
    let mut args = args(&copy);
    let args: CK_VOID_PTR = (&raw mut args).cast();
    for _ in 0..3 {
        assert_eq!(
            call!(list, C_GetInfo, &mut info),
            CKR_CRYPTOKI_NOT_INITIALIZED
        );
        assert_eq!(
            call!(list, C_Finalize, null_mut()),
            CKR_CRYPTOKI_NOT_INITIALIZED
        );
        assert_eq!(call!(list, C_Initialize, args), CKR_OK);
        assert_eq!(
            call!(list, C_Initialize, args),
            CKR_CRYPTOKI_ALREADY_INITIALIZED
        );
        assert_eq!(call!(list, C_GetInfo, &mut info), CKR_OK);
        assert_eq!(call!(list, C_GetInfo, null_mut()), CKR_ARGUMENTS_BAD);
        assert_eq!(&info.manufacturerID[..9], b"Keystead ");
        assert_eq!(call!(list, C_Finalize, args), CKR_ARGUMENTS_BAD);
        assert_eq!(call!(list, C_Finalize, null_mut()), CKR_OK);
    }
}

#[test]
fn a_missing_configuration_is_refused() {
    let copy = Copy::new();
    std::fs::remove_file(copy.dir().join("pkcs11.toml")).unwrap();
    let (_library, list) = copy.functions();
    let mut args = args(&copy);
    assert_eq!(
        call!(list, C_Initialize, (&raw mut args).cast()),
        CKR_ARGUMENTS_BAD
    );
    std::fs::write(copy.dir().join("pkcs11.toml"), "unknown = 1\n").unwrap();
    assert_eq!(
        call!(list, C_Initialize, (&raw mut args).cast()),
        CKR_GENERAL_ERROR
    );
}

#[test]
fn a_node_that_is_no_address_is_refused_at_once() {
    let copy = Copy::with(
        "[[cluster]]\nlabel = \"c\"\nnodes = [\"127.0.0.1:port\"]\ntrust-anchor = \"ca.crt\"\n",
    );
    let (_library, list) = copy.functions();
    let mut args = args(&copy);
    let rv = call!(list, C_Initialize, (&raw mut args).cast());
    assert_eq!(rv, CKR_GENERAL_ERROR);
}

#[test]
fn interfaces() {
    let copy = Copy::new();
    let (library, _list) = copy.functions();
    type GetList = unsafe extern "C" fn(*mut CK_INTERFACE, *mut CK_ULONG) -> CK_RV;
    type Get = unsafe extern "C" fn(
        *mut CK_UTF8CHAR,
        *mut CK_VERSION,
        *mut *mut CK_INTERFACE,
        CK_FLAGS,
    ) -> CK_RV;
    // SAFETY: the specification's signatures, and arguments that are null or live.
    unsafe {
        let list = library.get::<GetList>(b"C_GetInterfaceList").unwrap();
        let get = library.get::<Get>(b"C_GetInterface").unwrap();
        let (mut count, mut all) = (0, [CK_INTERFACE::default(); 3]);
        assert_eq!(list(null_mut(), &mut count), CKR_OK);
        assert_eq!(count, 3);
        count = 1;
        assert_eq!(list(all.as_mut_ptr(), &mut count), CKR_BUFFER_TOO_SMALL);
        assert_eq!(list(all.as_mut_ptr(), &mut count), CKR_OK);
        let name = c"PKCS 11".as_ptr().cast_mut().cast();
        for (major, minor) in [(3, 2), (3, 0), (2, 40)] {
            let mut version = CK_VERSION { major, minor };
            let mut found = null_mut();
            assert_eq!(get(name, &mut version, &mut found, 0), CKR_OK);
            let table = (*found).pFunctionList.cast::<CK_VERSION>().read();
            assert_eq!((table.major, table.minor), (major, minor));
        }
        let mut found = null_mut();
        assert_eq!(get(null_mut(), null_mut(), &mut found, 0), CKR_OK);
        assert_eq!((*found).pFunctionList.cast::<CK_VERSION>().read().major, 3);
        let mut version = CK_VERSION { major: 9, minor: 9 };
        assert_eq!(get(name, &mut version, &mut found, 0), CKR_FUNCTION_FAILED);
        let other = c"Vendor x".as_ptr().cast_mut().cast();
        assert_eq!(get(other, null_mut(), &mut found, 0), CKR_FUNCTION_FAILED);
        assert_eq!(get(name, null_mut(), null_mut(), 0), CKR_ARGUMENTS_BAD);
    }
}

/// A session with a token of our own, by the C functions.
fn session(copy: &Copy, list: &CK_FUNCTION_LIST) -> CK_SESSION_HANDLE {
    let mut args = args(copy);
    assert_eq!(call!(list, C_Initialize, (&raw mut args).cast()), CKR_OK);
    let mut count = 1;
    let mut slot = 99;
    assert_eq!(
        call!(list, C_GetSlotList, CK_TRUE, null_mut(), &mut count),
        CKR_OK
    );
    assert_eq!(
        call!(list, C_GetSlotList, CK_TRUE, &mut slot, &mut count),
        CKR_OK
    );
    assert_eq!((count, slot), (1, 0), "slot 0 with one uninitialised token");
    let mut h = 0;
    let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    let open = |h: &mut CK_SESSION_HANDLE, flags| {
        call!(list, C_OpenSession, slot, flags, null_mut(), None, h)
    };
    assert_eq!(open(&mut h, flags), CKR_TOKEN_NOT_RECOGNIZED);
    let (mut pin, mut label) = (*b"12345678", [b' '; 32]);
    label[0] = b't';
    let so = pin.as_mut_ptr();
    assert_eq!(
        call!(list, C_InitToken, slot, so, 8, label.as_mut_ptr()),
        CKR_OK
    );
    assert_eq!(
        open(&mut h, CKF_RW_SESSION),
        CKR_SESSION_PARALLEL_NOT_SUPPORTED
    );
    assert_eq!(open(&mut h, flags), CKR_OK);
    assert_eq!(
        call!(list, C_InitToken, slot, so, 8, label.as_mut_ptr()),
        CKR_SESSION_EXISTS
    );
    h
}

#[test]
fn pointers_and_lengths_that_lie() {
    let copy = Copy::new();
    let (_library, list) = copy.functions();
    let h = session(&copy, &list);
    let mut len: CK_ULONG = 0;
    let mut handle = 0;
    let mut byte = 1u8;
    let mut sha = CK_MECHANISM {
        mechanism: CKM_SHA256,
        ..Default::default()
    };
    assert_eq!(call!(list, C_DigestInit, h, &mut sha), CKR_OK);
    assert_eq!(call!(list, C_DigestInit, h, &mut sha), CKR_OPERATION_ACTIVE);
    // Each of these errors ends the operation.
    let at = &raw mut byte;
    for (from, count) in [(null_mut(), 5), (at, CK_ULONG::MAX)] {
        assert_eq!(
            call!(list, C_DigestUpdate, h, from, count),
            CKR_ARGUMENTS_BAD
        );
        assert_eq!(
            call!(list, C_DigestUpdate, h, at, 1),
            CKR_OPERATION_NOT_INITIALIZED
        );
        assert_eq!(call!(list, C_DigestInit, h, &mut sha), CKR_OK);
    }
    assert_eq!(
        call!(list, C_DigestFinal, h, null_mut(), null_mut()),
        CKR_ARGUMENTS_BAD
    );
    assert_eq!(call!(list, C_DigestInit, h, &mut sha), CKR_OK);
    assert_eq!(call!(list, C_DigestUpdate, h, at, 1), CKR_OK);
    assert_eq!(call!(list, C_DigestFinal, h, null_mut(), &mut len), CKR_OK);
    assert_eq!(len, 32);
    let mut digest = [0u8; 32];
    len = 31;
    let out = digest.as_mut_ptr();
    assert_eq!(
        call!(list, C_DigestFinal, h, out, &mut len),
        CKR_BUFFER_TOO_SMALL
    );
    len = CK_ULONG::MAX;
    assert_eq!(call!(list, C_DigestFinal, h, out, &mut len), CKR_OK);
    assert_eq!(
        (len, digest[..3].to_vec()),
        (32, vec![0x4b, 0xf5, 0x12]),
        "SHA-256 of 01"
    );
    assert_eq!(
        call!(list, C_DigestFinal, h, out, &mut len),
        CKR_OPERATION_NOT_INITIALIZED
    );

    let lie = |type_, len| CK_ATTRIBUTE {
        type_,
        pValue: (&raw const byte).cast_mut().cast(),
        ulValueLen: len,
    };
    let cases = [
        (
            "overlong boolean",
            lie(CKA_TOKEN, 8),
            1,
            CKR_ATTRIBUTE_VALUE_INVALID,
        ),
        (
            "short number",
            lie(CKA_CLASS, 4),
            1,
            CKR_ATTRIBUTE_VALUE_INVALID,
        ),
        (
            "huge value",
            lie(CKA_VALUE, CK_ULONG::MAX),
            1,
            CKR_ATTRIBUTE_VALUE_INVALID,
        ),
        (
            "2^32 attributes",
            lie(CKA_TOKEN, 1),
            1 << 32,
            CKR_ARGUMENTS_BAD,
        ),
    ];
    for (name, mut template, count, wanted) in cases {
        let rv = call!(list, C_CreateObject, h, &mut template, count, &mut handle);
        assert_eq!(rv, wanted, "{name}");
        let rv = call!(list, C_FindObjectsInit, h, &mut template, count);
        assert_eq!(rv, wanted, "{name} in a search");
    }
    assert_eq!(
        call!(list, C_CreateObject, h, null_mut(), 1, &mut handle),
        CKR_ARGUMENTS_BAD
    );
    assert_eq!(
        call!(list, C_EncryptInit, h, null_mut(), 1),
        CKR_ARGUMENTS_BAD
    );
    assert_eq!(
        call!(list, C_SignInit, h, &mut sha, 77),
        CKR_MECHANISM_INVALID
    );
    let mut hmac = CK_MECHANISM {
        mechanism: CKM_SHA256_HMAC,
        ..Default::default()
    };
    assert_eq!(
        call!(list, C_SignInit, h, &mut hmac, 77),
        CKR_KEY_HANDLE_INVALID
    );
    assert_eq!(
        call!(list, C_GenerateRandom, h, null_mut(), 4),
        CKR_ARGUMENTS_BAD
    );
    assert_eq!(
        call!(list, C_GenerateRandom, h + 1, out, 4),
        CKR_SESSION_HANDLE_INVALID
    );
    assert_eq!(
        call!(list, C_Login, h, CKU_USER, null_mut(), 0),
        CKR_ARGUMENTS_BAD
    );
    assert_eq!(
        call!(list, C_GetFunctionStatus, h),
        CKR_FUNCTION_NOT_PARALLEL
    );
    assert_eq!(call!(list, C_CloseSession, h), CKR_OK);
    assert_eq!(call!(list, C_CloseSession, h), CKR_SESSION_HANDLE_INVALID);
}

#[test]
fn a_forked_child_starts_afresh() {
    let copy = Copy::new();
    let (_library, list) = copy.functions();
    let h = session(&copy, &list);
    let mut args = args(&copy);
    let mut random = [0u8; 16];
    let mut child = || {
        let random = random.as_mut_ptr();
        if call!(list, C_GenerateRandom, h, random, 16) != CKR_CRYPTOKI_NOT_INITIALIZED {
            return 1;
        }
        if call!(list, C_Initialize, (&raw mut args).cast()) != CKR_OK {
            return 2;
        }
        if call!(list, C_GenerateRandom, h, random, 16) != CKR_SESSION_HANDLE_INVALID {
            return 3;
        }
        let (mut h, flags) = (0, CKF_SERIAL_SESSION);
        if call!(list, C_OpenSession, 0, flags, null_mut(), None, &mut h) != CKR_OK {
            return 4;
        }
        if call!(list, C_GenerateRandom, h, random, 16) != CKR_OK {
            return 5;
        }
        i32::from(call!(list, C_Finalize, null_mut()) != CKR_OK) * 6
    };
    // SAFETY: the child calls the library only, and leaves without running anybody's exit handlers.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = child();
        // SAFETY: ends the child.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(
        libc::WEXITSTATUS(status),
        0,
        "the step at which the child stopped"
    );
    assert!(libc::WIFEXITED(status), "the child was killed by a signal");
    let out = random.as_mut_ptr();
    assert_eq!(
        call!(list, C_GenerateRandom, h, out, 16),
        CKR_OK,
        "the parent goes on"
    );
}

#[test]
fn threads_outlive_finalize() {
    let copy = Copy::new();
    let (_library, list) = copy.functions();
    session(&copy, &list);
    assert_eq!(call!(list, C_Finalize, null_mut()), CKR_OK);
    let stop = AtomicBool::new(false);
    let work = || {
        let (mut random, mut h, mut done) = ([0u8; 16], 0, 0);
        while !stop.load(Ordering::Relaxed) {
            let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
            let rv = call!(list, C_OpenSession, 0, flags, null_mut(), None, &mut h);
            assert!(
                matches!(rv, CKR_OK | CKR_CRYPTOKI_NOT_INITIALIZED),
                "open: {rv:#x}"
            );
            let out = random.as_mut_ptr();
            let rv = call!(list, C_GenerateRandom, h, out, 16);
            let gone = [CKR_CRYPTOKI_NOT_INITIALIZED, CKR_SESSION_HANDLE_INVALID];
            assert!(rv == CKR_OK || gone.contains(&rv), "random: {rv:#x}");
            done += i32::from(rv == CKR_OK);
            let rv = call!(list, C_CloseSession, h);
            assert!(rv == CKR_OK || gone.contains(&rv), "close: {rv:#x}");
        }
        done
    };
    std::thread::scope(|threads| {
        let workers: Vec<_> = (0..4).map(|_| threads.spawn(work)).collect();
        for _ in 0..30 {
            let mut args = args(&copy);
            assert_eq!(call!(list, C_Initialize, (&raw mut args).cast()), CKR_OK);
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(call!(list, C_Finalize, null_mut()), CKR_OK);
        }
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            assert!(
                worker.join().unwrap() > 0,
                "a thread that never got through tests nothing"
            );
        }
    });
}

/// A session key that anyone may use.
fn public_aes(list: &CK_FUNCTION_LIST, h: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
    let (no, yes, len) = (CK_FALSE, CK_TRUE, 32 as CK_ULONG);
    let flag = |type_, value: &CK_BBOOL| CK_ATTRIBUTE {
        type_,
        pValue: (&raw const *value).cast_mut().cast(),
        ulValueLen: 1,
    };
    let mut template = [
        flag(CKA_PRIVATE, &no),
        flag(CKA_ENCRYPT, &yes),
        flag(CKA_DECRYPT, &yes),
        CK_ATTRIBUTE {
            type_: CKA_VALUE_LEN,
            pValue: (&raw const len).cast_mut().cast(),
            ulValueLen: size_of::<CK_ULONG>() as CK_ULONG,
        },
    ];
    let mut mech = CK_MECHANISM {
        mechanism: CKM_AES_KEY_GEN,
        ..Default::default()
    };
    let (mut key, at) = (0, template.as_mut_ptr());
    assert_eq!(
        call!(list, C_GenerateKey, h, &mut mech, at, 4, &mut key),
        CKR_OK
    );
    key
}

#[test]
fn two_operations_at_once() {
    let copy = Copy::new();
    let (_library, list) = copy.functions();
    let h = session(&copy, &list);
    let key = public_aes(&list, h);
    let mut iv = [3u8; 16];
    let mut cbc = CK_MECHANISM {
        mechanism: CKM_AES_CBC,
        pParameter: iv.as_mut_ptr().cast(),
        ulParameterLen: 16,
    };
    let mut sha = CK_MECHANISM {
        mechanism: CKM_SHA256,
        ..Default::default()
    };
    let digest_of = |parts: &mut dyn FnMut()| {
        assert_eq!(call!(list, C_DigestInit, h, &mut sha.clone()), CKR_OK);
        parts();
        let (mut digest, mut len) = ([0u8; 32], 32);
        assert_eq!(
            call!(list, C_DigestFinal, h, digest.as_mut_ptr(), &mut len),
            CKR_OK
        );
        digest
    };
    let mut data = [5u8; 32];
    let plain = digest_of(&mut || {
        assert_eq!(
            call!(list, C_DigestUpdate, h, data.as_mut_ptr(), 32),
            CKR_OK
        );
    });
    // In place: input and output are one buffer.
    let at = data.as_mut_ptr();
    let mut len = 32;
    assert_eq!(call!(list, C_EncryptInit, h, &mut cbc, key), CKR_OK);
    let rv = call!(list, C_DigestEncryptUpdate, h, at, 32, at, &mut len);
    assert_eq!(rv, CKR_OPERATION_NOT_INITIALIZED, "no digest is active");
    let both = digest_of(&mut || {
        let mut short = 16;
        let rv = call!(list, C_DigestEncryptUpdate, h, at, 32, at, &mut short);
        assert_eq!((rv, short), (CKR_BUFFER_TOO_SMALL, 32));
        let rv = call!(list, C_DigestEncryptUpdate, h, at, 32, at, &mut len);
        assert_eq!((rv, len), (CKR_OK, 32));
    });
    assert_eq!(
        both, plain,
        "what was too long for the buffer was not digested twice"
    );
    assert_ne!(data, [5; 32]);
    let at = data.as_mut_ptr();
    assert_eq!(call!(list, C_EncryptFinal, h, at, &mut len), CKR_OK);
    assert_eq!(len, 0);
    assert_eq!(call!(list, C_DecryptInit, h, &mut cbc, key), CKR_OK);
    let back = digest_of(&mut || {
        len = 32;
        assert_eq!(
            call!(list, C_DecryptDigestUpdate, h, at, 32, at, &mut len),
            CKR_OK
        );
    });
    assert_eq!((back, data), (plain, [5; 32]));
    sha.mechanism = 0;
    assert_eq!(
        call!(list, C_DigestInit, h, &mut sha),
        CKR_MECHANISM_INVALID
    );
}

#[test]
fn what_cannot_be_restored_goes_on() {
    let copy = Copy::new();
    let (_library, list) = copy.functions();
    let h = session(&copy, &list);
    let mut sha = CK_MECHANISM {
        mechanism: CKM_SHA256,
        ..Default::default()
    };
    let (mut digest, mut len) = ([0u8; 32], 0);
    let rv = call!(list, C_GetOperationState, h, null_mut(), &mut len);
    assert_eq!(rv, CKR_OPERATION_NOT_INITIALIZED);
    assert_eq!(call!(list, C_DigestInit, h, &mut sha), CKR_OK);
    let mut abc = *b"abc";
    let text = abc.as_mut_ptr();
    assert_eq!(call!(list, C_DigestUpdate, h, text, 3), CKR_OK);
    let rv = call!(list, C_SetOperationState, h, text, 3, 0, 0);
    assert_eq!(rv, CKR_SAVED_STATE_INVALID);
    len = 32;
    assert_eq!(
        call!(list, C_DigestFinal, h, digest.as_mut_ptr(), &mut len),
        CKR_OK
    );
    assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf], "SHA-256 of abc");
}
